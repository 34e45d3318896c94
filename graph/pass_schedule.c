/* SPDX-License-Identifier: Apache-2.0
 *
 * From a placement to steps: neighbouring nodes of one device become a region, and a tensor that a region needs in
 * another memory is copied there first, through the host when neither side is the host and no path leads there. */
#include "graph/plan.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"

#include <string.h>

typedef struct scheduler {
    const q35i_graph *graph;
    const q35i_devices *devices;
    q35i_schedule *out;
    uint32_t *valid; /* [n_tensors] bit m: memory m holds the current value */
} scheduler;

static q35_status add_step(q35i_schedule *s, const q35i_step *step)
{
    if (s->n_steps == s->cap_steps) {
        uint32_t cap = s->cap_steps ? s->cap_steps * 2 : 16;
        q35i_step *bigger = q35i_realloc(s->steps, cap, sizeof *bigger);
        if (!bigger)
            return Q35_E_NOMEM;
        s->steps = bigger;
        s->cap_steps = cap;
    }
    s->steps[s->n_steps++] = *step;
    return Q35_OK;
}

static q35_status copy(scheduler *s, uint32_t tensor, uint32_t from, uint32_t to)
{
    const q35i_step step = {
        .kind = Q35I_STEP_COPY, .device = (to ? to : from) - 1, .tensor = tensor, .from = from, .to = to};
    s->valid[tensor] |= 1u << to;
    return add_step(s->out, &step);
}

/* A memory that holds the tensor and from which the device of `memory` copies; 0: none. */
static uint32_t direct_source(const scheduler *s, uint32_t tensor, uint32_t memory)
{
    for (uint32_t from = 1; memory > 0 && from <= s->devices->n; from++)
        if ((s->valid[tensor] >> from) & 1u && q35i_direct(s->devices, from - 1, memory - 1))
            return from;
    return 0;
}

/* Brings a tensor into a memory: from the host where that has it, else directly, else through the host. */
static q35_status need(scheduler *s, uint32_t tensor, uint32_t memory)
{
    if (s->valid[tensor] & (1u << memory))
        return Q35_OK;
    if (!(s->valid[tensor] & 1u) && direct_source(s, tensor, memory))
        return copy(s, tensor, direct_source(s, tensor, memory), memory);
    if (!(s->valid[tensor] & 1u)) {
        uint32_t from = 1;
        while (!(s->valid[tensor] & (1u << from)))
            from++;
        Q35_TRY(copy(s, tensor, from, 0));
    }
    return memory == 0 ? Q35_OK : copy(s, tensor, 0, memory);
}

static int moves(const q35i_tensor *tensor)
{
    return tensor->role != Q35_ROLE_WEIGHT && tensor->role != Q35_ROLE_STATE;
}

/* Nodes [first, end) on one device. */
static q35_status add_region(scheduler *s, uint32_t first, uint32_t end, uint32_t device)
{
    const q35i_step step = {.kind = Q35I_STEP_RUN, .device = device, .first = first, .n_nodes = end - first};
    uint32_t memory = q35i_memory_of(s->devices, device);
    Q35_TRY(need(s, s->graph->step, memory));
    for (uint32_t n = first; n < end; n++)
        for (uint32_t i = 0; i < s->graph->nodes[n].n_in; i++) {
            uint32_t t = s->graph->nodes[n].in[i];
            uint32_t producer = s->graph->tensors[t].producer;
            int inside = producer != Q35_NONE && producer >= first;
            if (moves(&s->graph->tensors[t]) && !inside)
                Q35_TRY(need(s, t, memory));
        }
    Q35_TRY(add_step(s->out, &step));
    for (uint32_t n = first; n < end; n++)
        for (uint32_t i = 0; i < s->graph->nodes[n].n_out; i++)
            s->valid[s->graph->nodes[n].out[i]] = 1u << memory;
    return Q35_OK;
}

q35_status q35i_pass_schedule(const q35i_graph *graph, const q35i_devices *devices,
                              const q35i_placement *placement, q35i_schedule *out)
{
    q35_status status = Q35_OK;
    memset(out, 0, sizeof *out);
    scheduler s = {.graph = graph, .devices = devices, .out = out};
    s.valid = q35i_calloc(graph->n_tensors, sizeof *s.valid);
    Q35_CHECK_ALLOC_GOTO(s.valid, done);
    s.valid[graph->step] = 1;
    for (uint32_t t = 0; t < graph->n_tensors; t++)
        s.valid[t] |= graph->tensors[t].role == Q35_ROLE_INPUT;
    for (uint32_t first = 0; first < graph->n_nodes;) {
        uint32_t end = first + 1, device = placement->device[first];
        while (end < graph->n_nodes && placement->device[end] == device)
            end++;
        Q35_TRY_GOTO(add_region(&s, first, end, device), done);
        first = end;
    }
    for (uint32_t t = 0; t < graph->n_tensors; t++)
        if (graph->tensors[t].role == Q35_ROLE_OUTPUT && !q35i_on_demand(graph, t))
            Q35_TRY_GOTO(need(&s, t, 0), done);
done:
    q35i_free(s.valid);
    if (status != Q35_OK)
        q35i_schedule_free(out);
    return status;
}

void q35i_schedule_free(q35i_schedule *schedule)
{
    q35i_free(schedule->steps);
    q35i_free(schedule->replicas);
    memset(schedule, 0, sizeof *schedule);
}
