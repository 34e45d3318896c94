/* SPDX-License-Identifier: Apache-2.0
 *
 * Fusion of node pairs. A fused op has a normative decomposition (the pair), so this changes speed, not meaning.
 */
#include "graph/place.h"
#include "runtime/base/error.h"

#include <string.h>

/* First device that can run every node of the list; n when none can. */
static uint32_t first_able(const q35i_graph *graph, const q35i_devices *devices, const q35i_node *const *nodes,
                           uint32_t n_nodes)
{
    for (uint32_t d = 0; d < devices->n; d++) {
        uint32_t able = 0;
        for (uint32_t i = 0; i < n_nodes; i++) {
            q35i_answer answer;
            q35i_ask(devices->device[d], graph, nodes[i], &answer);
            able += answer.ok ? 1 : 0;
        }
        if (able == n_nodes)
            return d;
    }
    return devices->n;
}

static int worth_it(const q35i_graph *graph, const q35i_devices *devices, const q35i_node *a, const q35i_node *b,
                    const q35i_node *fused)
{
    const q35i_node *parts[2] = {a, b};
    q35i_answer answer;
    uint32_t d = first_able(graph, devices, parts, 2);
    if (d == devices->n)
        return 0;
    q35i_ask(devices->device[d], graph, fused, &answer);
    return answer.ok;
}

static void remove_node(q35i_graph *graph, uint32_t at)
{
    memmove(&graph->nodes[at], &graph->nodes[at + 1], (graph->n_nodes - at - 1) * sizeof *graph->nodes);
    graph->n_nodes--;
    for (uint32_t t = 0; t < graph->n_tensors; t++)
        if (graph->tensors[t].producer != Q35_NONE && graph->tensors[t].producer > at)
            graph->tensors[t].producer--;
}

/* First node after `from` of the given op whose input `slot` is the tensor; n_nodes when none. */
static uint32_t consumer(const q35i_graph *graph, uint32_t from, uint32_t op, uint32_t slot, uint32_t tensor)
{
    for (uint32_t n = from + 1; n < graph->n_nodes; n++)
        if (graph->nodes[n].op == op && graph->nodes[n].in[slot] == tensor)
            return n;
    return graph->n_nodes;
}

/* s = add(a, b); y = rms_norm(s, w)  ->  s, y = add_rms_norm(a, b, w) in place of the add. */
static void fuse_add_norm(q35i_graph *graph, const q35i_devices *devices, uint32_t n)
{
    q35i_node *add = &graph->nodes[n];
    uint32_t m = consumer(graph, n, Q35_OP_RMS_NORM, 0, add->out[0]);
    if (m == graph->n_nodes)
        return;
    q35i_node fused = *add;
    fused.op = Q35_OP_ADD_RMS_NORM;
    fused.n_in = 3;
    fused.in[2] = graph->nodes[m].in[1];
    fused.n_out = 2;
    fused.out[1] = graph->nodes[m].out[0];
    fused.params = graph->nodes[m].params;
    if (!worth_it(graph, devices, add, &graph->nodes[m], &fused))
        return;
    *add = fused;
    graph->tensors[fused.out[1]].producer = n;
    remove_node(graph, m);
}

/* t = silu(g); y = mul(t, u)  ->  y = swiglu(g, u) in place of the mul, when t has no other use. */
static int fuse_swiglu(q35i_graph *graph, const q35i_devices *devices, uint32_t n)
{
    q35i_node *silu = &graph->nodes[n];
    uint32_t m = consumer(graph, n, Q35_OP_MUL, 0, silu->out[0]);
    if (m == graph->n_nodes || q35i_graph_uses(graph, silu->out[0]) != 1 ||
        graph->tensors[silu->out[0]].role != Q35_ROLE_TEMP)
        return 0;
    q35i_node fused = graph->nodes[m];
    fused.op = Q35_OP_SWIGLU;
    fused.in[0] = silu->in[0];
    if (!worth_it(graph, devices, silu, &graph->nodes[m], &fused))
        return 0;
    graph->tensors[silu->out[0]].producer = Q35_NONE; /* dead */
    graph->nodes[m] = fused;
    remove_node(graph, n);
    return 1;
}

/* r = rotate(x, signs); y = quantize_act(r)  ->  y = quantize_act(x, signs) in its place, when r has no other use.
 */
static int fuse_rotate(q35i_graph *graph, const q35i_devices *devices, uint32_t n)
{
    q35i_node *rotate = &graph->nodes[n];
    uint32_t m = consumer(graph, n, Q35_OP_QUANTIZE_ACT, 0, rotate->out[0]);
    if (m == graph->n_nodes || graph->nodes[m].n_in != 1 || !graph->nodes[m].params.h.size ||
        rotate->params.rotate.inverse || q35i_graph_uses(graph, rotate->out[0]) != 1 ||
        graph->tensors[rotate->out[0]].role != Q35_ROLE_TEMP)
        return 0;
    q35i_node fused = graph->nodes[m];
    fused.n_in = 2;
    fused.in[0] = rotate->in[0];
    fused.in[1] = rotate->in[1];
    fused.params.quantize.width = rotate->params.rotate.width;
    if (!worth_it(graph, devices, rotate, &graph->nodes[m], &fused))
        return 0;
    graph->tensors[rotate->out[0]].producer = Q35_NONE; /* dead */
    graph->nodes[m] = fused;
    remove_node(graph, n);
    return 1;
}

q35_status q35i_pass_fuse(q35i_graph *graph, const q35i_devices *devices)
{
    for (uint32_t n = 0; n < graph->n_nodes;) {
        if (graph->nodes[n].op == Q35_OP_ADD)
            fuse_add_norm(graph, devices, n);
        if (graph->nodes[n].op == Q35_OP_SILU && fuse_swiglu(graph, devices, n))
            continue; /* another node stands at n now */
        if (graph->nodes[n].op == Q35_OP_ROTATE && fuse_rotate(graph, devices, n))
            continue;
        n++;
    }
    return q35i_graph_verify(graph);
}
