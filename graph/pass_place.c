/* SPDX-License-Identifier: Apache-2.0
 *
 * Placement. By preference: the first listed device that can run a node gets it; devices that can each run all
 * share the layers. By cost: nodes in order take the
 * device with the least time plus transfers of their inputs, then sweeps move single nodes while that lowers the
 * total of the node and its transfers on both sides. */
#include "graph/place.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"

#include <stdio.h>
#include <string.h>

static const q35i_answer *answer_of(const q35i_placement *p, uint32_t node, uint32_t device)
{
    return &p->answers[(size_t)node * p->n_devices + device];
}

static q35_status nobody_can(const q35i_graph *graph, const q35i_devices *devices, const q35i_placement *p,
                             uint32_t n)
{
    char reasons[384] = "";
    size_t len = 0;
    for (uint32_t d = 0; d < devices->n && len < sizeof reasons; d++) {
        int k = snprintf(reasons + len, sizeof reasons - len, "%s%s: %s", d ? "; " : "", devices->device[d]->name,
                         answer_of(p, n, d)->reason);
        len += k > 0 ? (size_t)k : 0;
    }
    return Q35_FAIL(Q35_E_UNSUPPORTED, "node %s (%s): no device can run it (%s)", graph->nodes[n].name,
                    q35i_op_name(graph->nodes[n].op), reasons);
}

/* Time to bring the node's inputs to device d, with the current places of their producers. */
static uint64_t inputs_ns(const q35i_graph *graph, const q35i_devices *devices, const q35i_placement *p,
                          uint32_t n, uint32_t d)
{
    uint64_t ns = 0;
    for (uint32_t i = 0; i < graph->nodes[n].n_in; i++) {
        const q35i_tensor *t = &graph->tensors[graph->nodes[n].in[i]];
        if (t->producer != Q35_NONE)
            ns += q35i_transfer_ns(devices, p->device[t->producer], d, q35i_desc_bytes(&t->desc));
    }
    return ns;
}

/* Time to bring the node's outputs from device d to where they are used. */
static uint64_t outputs_ns(const q35i_graph *graph, const q35i_devices *devices, const q35i_placement *p,
                           uint32_t n, uint32_t d)
{
    uint64_t ns = 0;
    for (uint32_t m = n + 1; m < graph->n_nodes; m++)
        for (uint32_t i = 0; i < graph->nodes[m].n_in; i++) {
            const q35i_tensor *t = &graph->tensors[graph->nodes[m].in[i]];
            if (t->producer == n)
                ns += q35i_transfer_ns(devices, d, p->device[m], q35i_desc_bytes(&t->desc));
        }
    return ns;
}

static uint32_t cheapest(const q35i_graph *graph, const q35i_devices *devices, const q35i_placement *p, uint32_t n,
                         int with_outputs)
{
    uint32_t best = devices->n;
    uint64_t best_ns = UINT64_MAX;
    for (uint32_t d = 0; d < devices->n; d++) {
        if (!answer_of(p, n, d)->ok)
            continue;
        uint64_t ns = answer_of(p, n, d)->ns + inputs_ns(graph, devices, p, n, d);
        if (with_outputs)
            ns += outputs_ns(graph, devices, p, n, d);
        if (best == devices->n || ns < best_ns) {
            best = d;
            best_ns = ns;
        }
    }
    return best;
}

static uint32_t most_preferred(const q35i_devices *devices, const q35i_placement *p, uint32_t n)
{
    for (uint32_t d = 0; d < devices->n; d++)
        if (answer_of(p, n, d)->ok)
            return d;
    return devices->n;
}

/* Number of the layer that a node's name gives ("blk.3.attn_q"), UINT32_MAX: it is in none. */
static uint32_t layer_of(const q35i_node *node)
{
    unsigned layer;
    return sscanf(node->name, "blk.%u.", &layer) == 1 ? (uint32_t)layer : UINT32_MAX;
}

/* Devices of which each can run every node share the layers, in the order of preference and as many each as can
 * be; what is in front of the first layer goes to the first, what is behind the last to the last. */
static void share_layers(const q35i_graph *graph, const q35i_devices *devices, q35i_placement *p)
{
    uint32_t n_layers = 0, now = 0;
    for (uint32_t i = 0; i < graph->n_nodes * devices->n; i++)
        if (!p->answers[i].ok)
            return;
    for (uint32_t n = 0; n < graph->n_nodes; n++)
        if (layer_of(&graph->nodes[n]) != UINT32_MAX && layer_of(&graph->nodes[n]) >= n_layers)
            n_layers = layer_of(&graph->nodes[n]) + 1;
    if (n_layers < devices->n)
        return;
    for (uint32_t n = 0; n < graph->n_nodes; n++) {
        if (layer_of(&graph->nodes[n]) != UINT32_MAX)
            now = (uint32_t)((uint64_t)layer_of(&graph->nodes[n]) * devices->n / n_layers);
        p->device[n] = now;
    }
}

static void improve(const q35i_graph *graph, const q35i_devices *devices, q35i_placement *p)
{
    int moved = 1;
    for (int sweep = 0; sweep < 8 && moved; sweep++) {
        moved = 0;
        for (uint32_t n = 0; n < graph->n_nodes; n++) {
            uint32_t d = cheapest(graph, devices, p, n, 1);
            moved |= d != p->device[n];
            p->device[n] = d;
        }
    }
}

static int touches(const q35i_node *node, uint32_t tensor)
{
    for (uint32_t i = 0; i < node->n_in; i++)
        if (node->in[i] == tensor)
            return 1;
    return 0;
}

static int same_memory(const q35i_devices *devices, uint32_t a, uint32_t b)
{
    return a == b || (devices->device[a]->host_memory && devices->device[b]->host_memory);
}

/* Moves all nodes that use state t to device d; 0: it cannot run one of them. */
static int unite_on(const q35i_graph *graph, q35i_placement *p, uint32_t t, uint32_t d)
{
    for (uint32_t n = 0; n < graph->n_nodes; n++)
        if (touches(&graph->nodes[n], t) && !answer_of(p, n, d)->ok)
            return 0;
    for (uint32_t n = 0; n < graph->n_nodes; n++)
        if (touches(&graph->nodes[n], t))
            p->device[n] = d;
    return 1;
}

/* Nodes that share a state must see it in one memory, and plans too: that of its home, or of the first such node.
 * Where they do not, all go to the first device there, or anywhere, that can run all. */
static q35_status unite_states(const q35i_graph *graph, const q35i_devices *devices, q35i_placement *p)
{
    for (uint32_t t = 0; t < graph->n_tensors; t++) {
        const uint32_t home = graph->tensors[t].home;
        uint32_t at = home ? home - 1 : Q35_NONE, split = 0;
        if (graph->tensors[t].role != Q35_ROLE_STATE)
            continue;
        for (uint32_t n = 0; n < graph->n_nodes; n++) {
            if (!touches(&graph->nodes[n], t))
                continue;
            at = at == Q35_NONE ? p->device[n] : at;
            split |= !same_memory(devices, at, p->device[n]);
        }
        for (uint32_t d = 0; split && d < devices->n; d++)
            if (!home || same_memory(devices, home - 1, d))
                split = !unite_on(graph, p, t, d);
        if (split)
            return Q35_FAIL(Q35_E_UNSUPPORTED, "state %s: no single device%s%s can run every node that uses it",
                            graph->tensors[t].name, home ? " with the memory of " : "",
                            home ? devices->device[home - 1]->name : "");
    }
    return Q35_OK;
}

q35_status q35i_pass_place(const q35i_graph *graph, const q35i_devices *devices, q35i_placement *out)
{
    q35_status status = Q35_OK;
    memset(out, 0, sizeof *out);
    out->n_nodes = graph->n_nodes;
    out->n_devices = devices->n;
    out->device = q35i_calloc(graph->n_nodes, sizeof *out->device);
    Q35_CHECK_ALLOC_GOTO(out->device, fail);
    out->answers = q35i_calloc((uint64_t)graph->n_nodes * devices->n, sizeof *out->answers);
    Q35_CHECK_ALLOC_GOTO(out->answers, fail);
    for (uint32_t n = 0; n < graph->n_nodes; n++) {
        for (uint32_t d = 0; d < devices->n; d++)
            q35i_ask(devices->device[d], graph, &graph->nodes[n], &out->answers[(size_t)n * devices->n + d]);
        out->device[n] =
            devices->by_preference ? most_preferred(devices, out, n) : cheapest(graph, devices, out, n, 0);
        if (out->device[n] == devices->n)
            Q35_TRY_GOTO(nobody_can(graph, devices, out, n), fail);
    }
    if (!devices->by_preference)
        improve(graph, devices, out);
    else if (devices->n > 1)
        share_layers(graph, devices, out);
    Q35_TRY_GOTO(unite_states(graph, devices, out), fail);
    return Q35_OK;
fail:
    q35i_placement_free(out);
    return status;
}

void q35i_placement_free(q35i_placement *placement)
{
    q35i_free(placement->device);
    q35i_free(placement->answers);
    memset(placement, 0, sizeof *placement);
}
