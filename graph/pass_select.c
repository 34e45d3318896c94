/* SPDX-License-Identifier: Apache-2.0
 *
 * Choice of candidates where the logits are. Of a row of logits a sampler mostly needs the first few, and the rest
 * need not leave the device's memory. */
#include "graph/place.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"

/* Room for the answers about one node more. */
static q35_status grow(q35i_placement *p)
{
    const uint64_t n = (uint64_t)p->n_nodes + 1;
    uint32_t *device = q35i_realloc(p->device, n, sizeof *device);
    if (!device)
        return Q35_E_NOMEM;
    p->device = device;
    q35i_answer *answers = q35i_realloc(p->answers, n * p->n_devices, sizeof *answers);
    if (!answers)
        return Q35_E_NOMEM;
    p->answers = answers;
    return Q35_OK;
}

q35_status q35i_pass_select(q35i_graph *graph, const q35i_devices *devices, q35i_placement *placement)
{
    if (graph->n_candidates == 0)
        return Q35_OK;
    const q35i_params params = {
        .top_k = {.h = {sizeof(q35_top_k_params), Q35_STRUCT_TOP_K_PARAMS, NULL}, .k = graph->n_candidates}};
    const uint32_t device = placement->device[graph->tensors[graph->logits].producer];
    if (devices->device[device]->host_memory)
        return Q35_OK;
    Q35_TRY(grow(placement));
    const uint32_t n = q35i_graph_node(graph, Q35_OP_TOP_K, &params, 1, &graph->logits, "candidates");
    Q35_TRY(graph->status);
    graph->top_values = graph->nodes[n].out[0];
    graph->top_ids = graph->nodes[n].out[1];
    q35i_answer *answers = &placement->answers[(size_t)n * devices->n];
    for (uint32_t d = 0; d < devices->n; d++)
        q35i_ask(devices->device[d], graph, &graph->nodes[n], &answers[d]);
    if (!answers[device].ok) {
        q35i_unselect(graph);
        return Q35_OK;
    }
    graph->tensors[graph->top_values].role = graph->tensors[graph->top_ids].role = Q35_ROLE_OUTPUT;
    placement->device[n] = device;
    placement->n_nodes++;
    return Q35_OK;
}

void q35i_unselect(q35i_graph *graph)
{
    if (graph->top_values == Q35_NONE)
        return;
    graph->n_nodes--;
    graph->n_tensors -= 2;
    graph->top_values = graph->top_ids = Q35_NONE;
}
