/* SPDX-License-Identifier: Apache-2.0
 *
 * The executor: one pass over a plan's steps. Synchronous devices run in place; async ones get work queued in
 * order, and the executor waits for a device only when a step elsewhere may need its results. No allocation, lock,
 * log or string here unless something fails. */
#include "graph/replay.h"
#include "runtime/base/error.h"
#include "runtime/device/suspect.h"

#include <string.h>

/* Waits for every lane but the one of `device` (pass n_devices for all). */
static q35_status drain_others(q35i_plan *plan, uint32_t device)
{
    for (uint32_t d = 0; d < plan->devices->n; d++)
        if (d != device)
            Q35_TRY(q35i_lane_drain(plan->res, d));
    return Q35_OK;
}

static uint64_t valid_bytes(const q35_tensor_desc *desc, const q35_step *step)
{
    int64_t rows = desc->dim[desc->rank - 1];
    if (desc->flags & Q35_TF_TOKEN_ROWS)
        rows = step->n_tokens;
    else if (desc->flags & Q35_TF_OUT_ROWS)
        rows = step->n_out;
    else if (desc->flags & Q35_TF_SEQUENCES)
        rows = step->n_sequences;
    return (uint64_t)rows * (uint64_t)desc->stride[desc->rank - 1];
}

q35_status q35i_submit_step(const q35i_plan *plan, const q35i_step *s, const q35_step *step, q35_queue *queue,
                            const q35_point *signal)
{
    const q35_plugin *api = plan->devices->device[s->device]->api;
    const uint32_t n_signals = signal ? 1 : 0;
    if (s->kind == Q35I_STEP_RUN)
        return api->plan_submit(queue, s->compiled, NULL, 0, signal, n_signals);
    const q35_binding src = q35i_plan_binding(plan, s->tensor, s->from),
                      dst = q35i_plan_binding(plan, s->tensor, s->to);
    const uint64_t bytes = valid_bytes(&plan->graph.tensors[s->tensor].desc, step);
    return api->copy(queue, &src, &dst, bytes, NULL, 0, signal, n_signals);
}

static q35_status run_step(q35i_plan *plan, const q35i_step *s, const q35_step *step)
{
    const q35i_device *device = plan->devices->device[s->device];
    q35i_lane *lane = q35i_residence_lane(plan->res, s->device);
    q35i_suspect(device->file, lane ? "plan_submit" : "plan_run");
    if (!lane)
        return device->api->plan_run(s->compiled);
    const q35_point signal = {lane->timeline, lane->queued + 1};
    Q35_TRY(q35i_submit_step(plan, s, step, lane->queue, &signal));
    lane->queued++;
    return Q35_OK;
}

void *q35i_plan_host(const q35i_plan *plan, uint32_t tensor)
{
    return q35i_plan_binding(plan, tensor, 0).host;
}

static int32_t *host_input(const q35i_plan *plan, uint32_t tensor)
{
    return tensor == Q35_NONE ? NULL : q35i_plan_host(plan, tensor);
}

q35i_step_inputs q35i_plan_inputs(const q35i_plan *plan)
{
    const q35i_graph *g = &plan->graph;
    return (q35i_step_inputs){
        .ids = host_input(plan, g->ids),
        .positions = host_input(plan, g->positions),
        .slots = host_input(plan, g->slots),
        .sequence = host_input(plan, g->sequence),
        .pages = host_input(plan, g->pages),
        .out_rows = host_input(plan, g->out_rows),
        .max_pages = g->pages == Q35_NONE ? 0 : (uint32_t)g->tensors[g->pages].desc.dim[0],
    };
}

q35_status q35i_plan_run(q35i_plan *plan, const q35_step *step)
{
    q35i_capture *stretch = plan->captures, *end = stretch + plan->n_captures;
    memcpy(q35i_plan_host(plan, plan->graph.step), step, sizeof *step);
    for (uint32_t i = 0; i < plan->schedule.n_steps; i++) {
        const q35i_step *s = &plan->schedule.steps[i];
        int replayed = 0;
        Q35_TRY(drain_others(plan, s->device));
        q35_status status = Q35_OK;
        if (stretch < end && stretch->first == i)
            status = q35i_replay_run(plan, stretch++, step, &replayed);
        if (replayed)
            i += stretch[-1].n_steps - 1;
        else if (status == Q35_OK)
            status = run_step(plan, s, step);
        if (status != Q35_OK) {
            q35i_suspect(NULL, NULL);
            return q35i_fail_context(status, "device %s", plan->devices->device[s->device]->name);
        }
    }
    q35_status status = drain_others(plan, plan->devices->n);
    q35i_suspect(NULL, NULL);
    return status;
}

q35_status q35i_plan_fetch(q35i_plan *plan, uint32_t tensor, const q35_step *step)
{
    if (!q35i_on_demand(&plan->graph, tensor))
        return Q35_OK;
    const uint32_t device = plan->placement.device[plan->graph.tensors[tensor].producer];
    const q35i_step copy = {
        .kind = Q35I_STEP_COPY, .device = device, .tensor = tensor, .from = q35i_memory_of(plan->devices, device)};
    q35_status status = run_step(plan, &copy, step);
    if (status == Q35_OK)
        status = q35i_lane_drain(plan->res, device);
    q35i_suspect(NULL, NULL);
    return status == Q35_OK ? Q35_OK : q35i_fail_context(status, "device %s", plan->devices->device[device]->name);
}
