/* SPDX-License-Identifier: Apache-2.0
 *
 * Stretches of a plan that a device records once and replays. Recorded are byte counts of copies, so a recording
 * is for steps with equal numbers of rows: a stretch runs as it is the first time, is recorded when the numbers
 * come a second time in a row, and replayed while they stay. A device that fails to record goes on without. */
#include "graph/replay.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

/* Steps [first, end) on one device that records; NULL: it does not, or the stretch is one submission anyway. */
static const q35_capture *recorder(const q35i_plan *plan, uint32_t first, uint32_t end)
{
    const q35i_device *device = plan->devices->device[plan->schedule.steps[first].device];
    return end - first >= 2 && q35i_residence_lane(plan->res, plan->schedule.steps[first].device)
               ? q35i_device_capture(device)
               : NULL;
}

q35_status q35i_replay_find(q35i_plan *plan)
{
    const q35i_schedule *s = &plan->schedule;
    plan->captures = q35i_calloc(s->n_steps, sizeof *plan->captures);
    if (!plan->captures)
        return Q35_E_NOMEM;
    for (uint32_t first = 0, end; first < s->n_steps; first = end) {
        for (end = first + 1; end < s->n_steps && s->steps[end].device == s->steps[first].device;)
            end++;
        const q35_capture *api = recorder(plan, first, end);
        if (api)
            plan->captures[plan->n_captures++] =
                (q35i_capture){.first = first, .n_steps = end - first, .api = api};
    }
    return Q35_OK;
}

static int same_rows(const q35_step *a, const q35_step *b)
{
    return a->n_tokens == b->n_tokens && a->n_out == b->n_out && a->n_sequences == b->n_sequences;
}

static void forget(q35i_capture *r)
{
    if (r->recording)
        r->api->free(r->recording);
    r->recording = NULL;
}

static q35_status record(q35i_plan *plan, q35i_capture *r, q35_queue *queue, const q35_step *step)
{
    Q35_TRY(r->api->begin(queue));
    q35_status status = Q35_OK;
    for (uint32_t i = r->first; i < r->first + r->n_steps && status == Q35_OK; i++)
        status = q35i_submit_step(plan, &plan->schedule.steps[i], step, queue, NULL);
    q35_status ended = r->api->end(queue, &r->recording);
    if (ended != Q35_OK || !r->recording)
        r->recording = NULL;
    else if (status != Q35_OK)
        forget(r);
    return status != Q35_OK ? status : ended;
}

q35_status q35i_replay_run(q35i_plan *plan, q35i_capture *r, const q35_step *step, int *out_done)
{
    q35i_lane *lane = q35i_residence_lane(plan->res, plan->schedule.steps[r->first].device);
    *out_done = 0;
    if (r->off)
        return Q35_OK;
    if (!r->recording || !same_rows(&r->recorded, step)) {
        int again = r->seen && same_rows(&r->last, step);
        r->seen = 1;
        r->last = *step;
        if (!again)
            return Q35_OK;
        forget(
            r); /* its replays are done: this device's lane was drained before the host wrote this step's inputs */
        q35_status status = record(plan, r, lane->queue, step);
        if (status != Q35_OK || !r->recording) {
            r->off = 1;
            q35i_log(Q35_LOG_INFO, "device %s: steps are submitted one by one: %s",
                     plan->devices->device[plan->schedule.steps[r->first].device]->name, q35_error_message());
            return Q35_OK;
        }
        r->recorded = *step;
    }
    const q35_point signal = {lane->timeline, lane->queued + 1};
    Q35_TRY(r->api->replay(lane->queue, r->recording, NULL, 0, &signal, 1));
    lane->queued++;
    r->last = *step;
    *out_done = 1;
    return Q35_OK;
}

void q35i_replay_free(q35i_plan *plan)
{
    for (uint32_t i = 0; i < plan->n_captures; i++)
        forget(&plan->captures[i]);
    q35i_free(plan->captures);
    plan->captures = NULL;
    plan->n_captures = 0;
}
