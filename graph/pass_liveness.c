/* SPDX-License-Identifier: Apache-2.0
 *
 * Life of every replica, from the position of its first write to that of its last read. Positions count nodes and
 * copies in the order of the steps; inputs are alive from position 0, outputs to the end: in host memory, and
 * where they are made if they come from there on demand. */
#include "graph/plan.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"

#include <string.h>

q35i_replica *q35i_schedule_replica(const q35i_schedule *schedule, uint32_t tensor, uint32_t memory)
{
    for (uint32_t i = 0; i < schedule->n_replicas; i++)
        if (schedule->replicas[i].tensor == tensor && schedule->replicas[i].memory == memory)
            return &schedule->replicas[i];
    return NULL;
}

/* Notes an access to a tensor's replica in a memory, making the replica on first sight. */
static q35_status touch(const q35i_graph *graph, q35i_schedule *s, uint32_t tensor, uint32_t memory,
                        uint32_t position)
{
    const q35i_tensor *t = &graph->tensors[tensor];
    if (t->role == Q35_ROLE_WEIGHT || t->role == Q35_ROLE_STATE)
        return Q35_OK;
    q35i_replica *r = q35i_schedule_replica(s, tensor, memory);
    if (r) {
        r->last = position;
        return Q35_OK;
    }
    if (s->n_replicas == s->cap_replicas) {
        uint32_t cap = s->cap_replicas ? s->cap_replicas * 2 : 64;
        q35i_replica *bigger = q35i_realloc(s->replicas, cap, sizeof *bigger);
        if (!bigger)
            return Q35_E_NOMEM;
        s->replicas = bigger;
        s->cap_replicas = cap;
    }
    s->replicas[s->n_replicas++] = (q35i_replica){.tensor = tensor,
                                                  .memory = memory,
                                                  .first = position,
                                                  .last = position,
                                                  .bytes = q35i_desc_bytes(&t->desc)};
    return Q35_OK;
}

static q35_status touch_region(const q35i_graph *graph, q35i_schedule *s, const q35i_step *step, uint32_t memory,
                               uint32_t *position)
{
    /* the step tensor is read by every node; it has to stay to the end of the region */
    Q35_TRY(touch(graph, s, graph->step, memory, *position));
    for (uint32_t n = step->first; n < step->first + step->n_nodes; n++, (*position)++) {
        const q35i_node *node = &graph->nodes[n];
        for (uint32_t i = 0; i < node->n_in; i++)
            Q35_TRY(touch(graph, s, node->in[i], memory, *position));
        for (uint32_t i = 0; i < node->n_out; i++)
            Q35_TRY(touch(graph, s, node->out[i], memory, *position));
    }
    return touch(graph, s, graph->step, memory, *position);
}

q35_status q35i_pass_liveness(const q35i_graph *graph, const q35i_devices *devices, q35i_schedule *schedule)
{
    uint32_t position = 1;
    Q35_TRY(touch(graph, schedule, graph->step, 0, 0));
    for (uint32_t t = 0; t < graph->n_tensors; t++)
        if (graph->tensors[t].role == Q35_ROLE_INPUT)
            Q35_TRY(touch(graph, schedule, t, 0, 0));
    for (uint32_t i = 0; i < schedule->n_steps; i++) {
        const q35i_step step = schedule->steps[i];
        if (step.kind == Q35I_STEP_COPY) {
            Q35_TRY(touch(graph, schedule, step.tensor, step.from, position));
            Q35_TRY(touch(graph, schedule, step.tensor, step.to, position));
            position++;
        } else {
            Q35_TRY(touch_region(graph, schedule, &step, q35i_memory_of(devices, step.device), &position));
        }
    }
    for (uint32_t i = 0; i < schedule->n_replicas; i++)
        if (q35i_on_demand(graph, schedule->replicas[i].tensor))
            schedule->replicas[i].last = position;
    for (uint32_t t = 0; t < graph->n_tensors; t++)
        if (graph->tensors[t].role == Q35_ROLE_OUTPUT)
            Q35_TRY(touch(graph, schedule, t, 0, position));
    return Q35_OK;
}
