/* SPDX-License-Identifier: Apache-2.0
 *
 * Queues: a CUDA stream each, and the list of what was submitted and is not done. Work is given to the stream once
 * all it waits for is reached as the host sees it, not when a stream could know: so what failed stops all that
 * waits for it, as the contract says. Work that is ready at once, the rule, goes to the stream in the very call
 * that submits it. */
#define _GNU_SOURCE
#include "comm.h"
#include "plan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { STAGING_BYTES = 1 << 20, POLL_NS = 20000 };

/* ---- what the device did (all with the lock held) */

void q35i_cuda_set_lost(q35_device *dev, q35i_cu_result error)
{
    char text[160];
    if (dev->lost)
        return;
    dev->lost = true;
    snprintf(dev->lost_text, sizeof dev->lost_text, "cuda device %u: lost: %s", dev->index,
             q35i_cuda_error_text(dev->drv, error, text, sizeof text));
}

void q35i_cuda_work_fail(q35i_cuda_work *w, q35_status status, const char *text)
{
    if (w->status != Q35_OK)
        return;
    w->status = status;
    snprintf(w->text, sizeof w->text, "%s", text);
}

static void advance(const q35i_cuda_work *w)
{
    for (uint32_t i = 0; i < w->n_signals; i++) {
        q35_timeline *t = w->signals[i].timeline;
        if (w->status == Q35_OK) {
            t->value = w->signals[i].value > t->value ? w->signals[i].value : t->value;
        } else if (t->failed == Q35_OK) {
            t->failed = w->status;
            memcpy(t->text, w->text, sizeof t->text);
        }
    }
}

static void recycle(q35_device *dev, q35i_cuda_work *w)
{
    w->next = dev->spare;
    dev->spare = w;
}

/* The first work of the queue is done. */
static void finish_first(q35_queue *q)
{
    q35_device *dev = q->dev;
    q35i_cuda_work *w = q->first;
    q->first = w->next;
    if (!q->first)
        q->last = NULL;
    if (w->plan && w->plan->profile)
        q35i_cuda_profile_collect(w->plan);
    advance(w);
    w->done = true;
    if (w->pins == 0)
        recycle(dev, w);
}

/* Takes what is done off the queue; true when something was. */
static bool settle(q35_queue *q)
{
    q35_device *dev = q->dev;
    bool any = false;
    while (q->first && q->first->issued) {
        q35i_cuda_work *w = q->first;
        if (w->recorded && !dev->lost) {
            q35i_cu_result error = dev->drv->cuEventQuery(w->event);
            if (error == Q35I_CU_NOT_READY)
                break;
            if (error != 0)
                q35i_cuda_set_lost(dev, error);
        }
        if (dev->lost)
            q35i_cuda_work_fail(w, Q35_E_DEVICE_LOST, dev->lost_text);
        finish_first(q);
        any = true;
    }
    return any;
}

/* ---- giving work to the stream (with the lock held) */

/* Has the queue a copy under way that writes what this one reads on the host? */
static bool host_source_in_flight(const q35_queue *q, const q35i_cuda_work *until)
{
    const char *begin = until->copy.host_src, *end = begin + until->copy.bytes;
    if (until->plan || !begin)
        return false;
    for (const q35i_cuda_work *w = q->first; w != until; w = w->next)
        if (!w->plan && w->copy.host_dst && w->copy.host_dst < end && begin < w->copy.host_dst + w->copy.bytes)
            return true;
    return false;
}

/* Is it the member's turn to give a collective to a stream? When its group has failed it is always. */
static bool is_its_turn(q35i_cuda_work *w)
{
    char text[Q35I_CUDA_TEXT];
    const q35_comm *comm = w->collective.comm;
    const q35_status failed = q35i_cuda_clique_failure(comm->group, text);
    if (failed != Q35_OK)
        q35i_cuda_work_fail(w, failed, text);
    return !comm->handed && (failed != Q35_OK || w->collective.sequence == comm->next);
}

/* Is everything there that it waits for? A failed wait makes it fail, which counts. */
static bool is_ready(const q35_queue *q, q35i_cuda_work *w)
{
    if (w->collective.comm && !is_its_turn(w))
        return false;
    if (w->status != Q35_OK)
        return true;
    for (uint32_t i = 0; i < w->n_waits; i++) {
        const q35_timeline *t = w->waits[i].timeline;
        if (t->value >= w->waits[i].value)
            continue;
        if (t->failed == Q35_OK)
            return false;
        q35i_cuda_work_fail(w, t->failed, t->text);
        return true;
    }
    return !host_source_in_flight(q, w);
}

/* In the order of the stream, on a thread of the driver's: a chunk arrived in the pinned memory. */
static void copy_chunk(void *arg)
{
    q35i_cuda_copy *c = arg;
    const uint64_t n = c->left < STAGING_BYTES ? c->left : STAGING_BYTES;
    memcpy(c->next_dst, c->staging, n);
    c->next_dst += n;
    c->left -= n;
}

static q35i_cu_result copy_to_host(q35_queue *q, q35i_cuda_copy *c)
{
    const q35i_cuda_driver *drv = q->dev->drv;
    q35i_cu_result error = 0;
    c->staging = q->staging;
    c->next_dst = c->host_dst;
    c->left = c->bytes;
    for (uint64_t at = 0; at < c->bytes && error == 0; at += STAGING_BYTES) {
        const uint64_t n = c->bytes - at < STAGING_BYTES ? c->bytes - at : STAGING_BYTES;
        error = drv->cuMemcpyDtoHAsync_v2(q->staging, c->src + at, n, q->stream);
        if (error == 0)
            error = drv->cuLaunchHostFunc(q->stream, copy_chunk, c);
    }
    return error;
}

/* Likewise, from the source to the destination. */
static void copy_shared(void *arg)
{
    const q35i_cuda_copy *c = arg;
    memcpy(c->host_dst ? c->host_dst : q35i_cuda_host_address(c->dst),
           c->host_src ? c->host_src : q35i_cuda_host_address(c->src), c->bytes);
}

static q35i_cu_result start_copy(q35_queue *q, q35i_cuda_copy *c)
{
    const q35i_cuda_driver *drv = q->dev->drv;
    if (c->bytes == 0)
        return 0;
    if ((c->host_src || c->host_dst) && q->dev->sharing != Q35I_CUDA_COPIED)
        return drv->cuLaunchHostFunc(q->stream, copy_shared, c);
    if (c->host_dst)
        return copy_to_host(q, c);
    if (c->host_src)
        return drv->cuMemcpyHtoDAsync_v2(c->dst, c->host_src, c->bytes, q->stream);
    if (c->from)
        return drv->cuMemcpyPeerAsync(c->dst, q->dev->context, c->src, c->from->context, c->bytes, q->stream);
    return drv->cuMemcpyDtoDAsync_v2(c->dst, c->src, c->bytes, q->stream);
}

/* own: the error is this device's; false: it may be that of the device that is copied from. */
static void issue_failed(q35_device *dev, q35i_cuda_work *w, q35i_cu_result error, bool own)
{
    char text[Q35I_CUDA_TEXT], reason[160];
    const char *what = w->plan              ? "running a plan"
                       : w->collective.comm ? "a collective"
                       : w->copy.from       ? "copying from another device"
                                            : "copying";
    if (own && q35i_cuda_error_is_sticky(error)) {
        q35i_cuda_set_lost(dev, error);
        q35i_cuda_work_fail(w, Q35_E_DEVICE_LOST, dev->lost_text);
        return;
    }
    snprintf(text, sizeof text, "cuda queue: %s: %s", what,
             q35i_cuda_error_text(dev->drv, error, reason, sizeof reason));
    q35i_cuda_work_fail(w, error == Q35I_CU_OUT_OF_MEMORY ? Q35_E_NOMEM : Q35_E_DEVICE, text);
}

/* error: of recording its event, 0: it tells when the work is done. */
void q35i_cuda_work_issued(q35i_cuda_work *w, q35i_cu_result error)
{
    q35_device *dev = w->collective.queue->dev;
    if (error != 0)
        issue_failed(dev, w, error, true);
    w->issued = true;
    w->recorded = error == 0;
    pthread_cond_broadcast(&dev->changed);
}

/* To the member's thread, unless it failed already, which ends the group. */
static void issue_collective(q35i_cuda_work *w)
{
    q35_comm *comm = w->collective.comm;
    if (w->status == Q35_OK) {
        comm->handed = w;
    } else {
        q35i_cuda_clique_fail(comm->group, w->status, "%s", w->text);
        comm->next++;
        w->issued = true;
    }
    pthread_cond_broadcast(&comm->dev->changed);
}

/* What a failed start left on the stream still runs, so the event is recorded whatever happened. */
static void issue(q35_queue *q, q35i_cuda_work *w)
{
    q35_device *dev = q->dev;
    if (dev->lost)
        q35i_cuda_work_fail(w, Q35_E_DEVICE_LOST, dev->lost_text);
    if (w->collective.comm) {
        issue_collective(w);
        return;
    }
    w->issued = true;
    if (w->status != Q35_OK)
        return;
    q35i_cu_result error = w->plan ? q35i_cuda_plan_start(w->plan, q->stream) : start_copy(q, &w->copy);
    if (error != 0)
        issue_failed(dev, w, error, !w->copy.from);
    error = dev->drv->cuEventRecord(w->event, q->stream);
    if (error != 0)
        issue_failed(dev, w, error, true);
    w->recorded = error == 0;
    pthread_cond_broadcast(&dev->changed);
}

static bool issue_ready(q35_queue *q)
{
    bool any = false;
    q35i_cuda_work *w = q->first;
    while (w && w->issued)
        w = w->next;
    for (; w && is_ready(q, w); w = w->next, any = true) {
        issue(q, w);
        if (!w->issued)
            break; /* what follows on the stream follows when it is there */
    }
    return any;
}

void q35i_cuda_pump(q35_device *dev)
{
    bool settled = false, again = true;
    while (again) {
        again = false;
        for (q35_queue *q = dev->queues; q; q = q->next) {
            const bool done = settle(q);
            settled |= done;
            again |= issue_ready(q) || done;
        }
    }
    if (settled)
        pthread_cond_broadcast(&dev->changed);
}

/* ---- waiting */

q35i_cuda_work *q35i_cuda_find_work(q35_device *dev, const q35_timeline *t, uint64_t value)
{
    q35i_cuda_work *any = NULL;
    for (q35_queue *q = dev->queues; q; q = q->next) {
        for (q35i_cuda_work *w = q->first; w && w->issued; w = w->next) {
            if (!w->recorded)
                continue;
            for (uint32_t i = 0; i < w->n_signals; i++)
                if (w->signals[i].timeline == t && w->signals[i].value >= value)
                    return w;
            any = any ? any : w;
        }
    }
    return any;
}

static struct timespec to_timespec(uint64_t ns)
{
    return (struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
}

/* The host's clock need not begin where the system's does. */
static bool wait_signal(q35_device *dev, uint64_t deadline)
{
    struct timespec now;
    const uint64_t here = q35p_host->now_ns();
    if (here >= deadline)
        return false;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const struct timespec end =
        to_timespec((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + (deadline - here));
    return pthread_cond_timedwait(&dev->changed, &dev->lock, &end) != ETIMEDOUT;
}

/* With the lock released; the event stays this work's while it is pinned. */
static void wait_event(q35_device *dev, q35i_cuda_work *w, uint64_t deadline)
{
    if (deadline == UINT64_MAX) {
        (void)dev->drv->cuEventSynchronize(w->event);
        return;
    }
    while (dev->drv->cuEventQuery(w->event) == Q35I_CU_NOT_READY && q35p_host->now_ns() < deadline) {
        const struct timespec pause = to_timespec(POLL_NS);
        nanosleep(&pause, NULL);
    }
}

bool q35i_cuda_wait_change(q35_device *dev, q35i_cuda_work *hint, uint64_t deadline)
{
    if (hint) {
        hint->pins++;
        pthread_mutex_unlock(&dev->lock);
        wait_event(dev, hint, deadline);
        pthread_mutex_lock(&dev->lock);
        if (--hint->pins == 0 && hint->done)
            recycle(dev, hint);
    } else if (deadline == UINT64_MAX) {
        pthread_cond_wait(&dev->changed, &dev->lock);
    } else {
        return wait_signal(dev, deadline);
    }
    return deadline == UINT64_MAX || q35p_host->now_ns() < deadline;
}

/* ---- submission */

static q35_status check_points(const q35_device *dev, const q35_point *points, uint32_t n, const char *what)
{
    if (n > Q35I_CUDA_MAX_POINTS || (n > 0 && !points))
        return q35p_fail(Q35_E_INVALID, "cuda queue: %u %s, need at most %d", n, what, (int)Q35I_CUDA_MAX_POINTS);
    for (uint32_t i = 0; i < n; i++)
        if (!points[i].timeline || points[i].timeline->dev != dev)
            return q35p_fail(Q35_E_INVALID, "cuda queue: %s %u is no timeline of this device", what, i);
    return Q35_OK;
}

/* With the lock held. NULL: out of memory, of the host or for an event. On a lost device there are no events, and
 * nothing is recorded. */
static q35i_cuda_work *take_work(q35_device *dev)
{
    q35i_cuda_work *w = dev->spare;
    if (w) {
        const q35i_cu_event event = w->event;
        dev->spare = w->next;
        memset(w, 0, sizeof *w);
        w->event = event;
        return w;
    }
    w = q35p_alloc(1, sizeof *w);
    if (!w || dev->lost)
        return w;
    const q35i_cu_result error = dev->drv->cuEventCreate(&w->event, Q35I_CU_EVENT_NO_TIMING);
    if (error == 0)
        return w;
    w->event = NULL;
    if (q35i_cuda_error_is_sticky(error)) {
        q35i_cuda_set_lost(dev, error);
        return w;
    }
    q35p_free(w);
    return NULL;
}

q35_status q35i_cuda_submit(q35_queue *q, const q35i_cuda_work *what, const q35_point *waits, uint32_t n_waits,
                            const q35_point *signals, uint32_t n_signals)
{
    q35_device *dev = q->dev;
    q35_status status = check_points(dev, waits, n_waits, "waits");
    if (status == Q35_OK)
        status = check_points(dev, signals, n_signals, "signals");
    if (status != Q35_OK)
        return status;
    (void)q35i_cuda_enter(dev);
    pthread_mutex_lock(&dev->lock);
    q35i_cuda_work *w = take_work(dev);
    if (w) {
        w->plan = what->plan;
        w->copy = what->copy;
        w->collective = what->collective;
        if (w->collective.comm)
            w->collective.sequence = w->collective.comm->submitted++;
        w->n_waits = n_waits;
        w->n_signals = n_signals;
        for (uint32_t i = 0; i < n_waits; i++)
            w->waits[i] = waits[i];
        for (uint32_t i = 0; i < n_signals; i++)
            w->signals[i] = signals[i];
        if (q->last)
            q->last->next = w;
        else
            q->first = w;
        q->last = w;
        q35i_cuda_pump(dev);
    }
    pthread_mutex_unlock(&dev->lock);
    q35i_cuda_leave(dev);
    return w ? Q35_OK : q35p_fail(Q35_E_NOMEM, "cuda queue: out of memory for a submission");
}

q35_status q35i_cuda_plan_submit(q35_queue *queue, q35_plan *plan, const q35_point *waits, uint32_t n_waits,
                                 const q35_point *signals, uint32_t n_signals)
{
    q35_status status = q35i_cuda_plan_check(plan, queue->dev);
    const q35i_cuda_work what = {.plan = plan};
    return status == Q35_OK ? q35i_cuda_submit(queue, &what, waits, n_waits, signals, n_signals) : status;
}

/* One side of a copy: a host address, or a place in a buffer of dev. */
static q35_status side(const q35_device *dev, const q35_binding *b, uint64_t bytes, const char *name,
                       char **out_host, q35i_cu_address *out_address)
{
    *out_host = b->host ? (char *)b->host + b->offset : NULL;
    *out_address = b->host ? 0 : q35i_cuda_address(dev, b, bytes);
    if (!b->host && *out_address == 0)
        return q35p_fail(Q35_E_RANGE, "cuda copy: %llu bytes at %llu of the %s, need a buffer that has them",
                         (unsigned long long)bytes, (unsigned long long)b->offset, name);
    return Q35_OK;
}

q35_status q35i_cuda_copy_submit(q35_queue *queue, const q35_binding *src, const q35_binding *dst, uint64_t bytes,
                                 const q35_point *waits, uint32_t n_waits, const q35_point *signals,
                                 uint32_t n_signals)
{
    const q35_device *dev = queue->dev, *owner = src->host || !src->buf ? dev : src->buf->dev;
    q35i_cuda_work what = {.copy = {.bytes = bytes}};
    q35i_cuda_copy *copy = &what.copy;
    char *host_src;
    q35_status status = side(owner, src, bytes, "source", &host_src, &copy->src);
    if (status == Q35_OK)
        status = side(dev, dst, bytes, "destination", &copy->host_dst, &copy->dst);
    if (status != Q35_OK)
        return status;
    copy->host_src = host_src;
    if (owner != dev && (copy->host_dst || !q35i_cuda_copies_from(dev, owner)))
        return q35p_fail(Q35_E_UNSUPPORTED, "cuda copy: from device %u to %s, need a queue of device %u",
                         owner->index, copy->host_dst ? "host memory" : "a device that cannot read it",
                         owner->index);
    copy->from = owner->context == dev->context ? NULL : owner;
    if (copy->host_src && copy->host_dst)
        return q35p_fail(Q35_E_INVALID, "cuda copy: both sides are host memory, need a buffer of the device");
    return q35i_cuda_submit(queue, &what, waits, n_waits, signals, n_signals);
}

/* ---- life */

void q35i_cuda_free_works(q35_device *dev)
{
    while (dev->spare) {
        q35i_cuda_work *w = dev->spare;
        dev->spare = w->next;
        if (w->event)
            (void)dev->drv->cuEventDestroy_v2(w->event);
        q35p_free(w);
    }
}

q35_status q35i_cuda_queue_create(q35_device *dev, uint32_t kind, q35_queue **out)
{
    if (kind != Q35_QUEUE_COMPUTE && kind != Q35_QUEUE_COPY)
        return q35p_fail(Q35_E_INVALID, "cuda queue: kind %u, need 1 or 2", kind);
    q35_queue *queue = q35p_alloc(1, sizeof *queue);
    if (!queue)
        return q35p_fail(Q35_E_NOMEM, "cuda queue: out of host memory");
    queue->dev = dev;
    q35i_cu_result error = q35i_cuda_enter(dev);
    if (error == 0 && dev->sharing == Q35I_CUDA_COPIED)
        error = dev->drv->cuMemHostAlloc(&queue->staging, STAGING_BYTES, 0);
    if (error == 0)
        error = dev->drv->cuStreamCreate(&queue->stream, Q35I_CU_STREAM_NON_BLOCKING);
    if (error != 0) {
        if (queue->staging)
            (void)dev->drv->cuMemFreeHost(queue->staging);
        q35i_cuda_leave(dev);
        q35p_free(queue);
        return q35i_cuda_driver_failed(dev, error == Q35I_CU_OUT_OF_MEMORY ? Q35_E_NOMEM : Q35_E_DEVICE, error,
                                       "creating a queue");
    }
    pthread_mutex_lock(&dev->lock);
    queue->next = dev->queues;
    dev->queues = queue;
    pthread_mutex_unlock(&dev->lock);
    q35i_cuda_leave(dev);
    *out = queue;
    return Q35_OK;
}

void q35i_cuda_queue_destroy(q35_queue *queue)
{
    if (!queue)
        return;
    q35_device *dev = queue->dev;
    (void)q35i_cuda_enter(dev);
    pthread_mutex_lock(&dev->lock);
    q35i_cuda_pump(dev);
    while (queue->first) {
        q35i_cuda_work *w = queue->first;
        (void)q35i_cuda_wait_change(dev, w->issued ? w : q35i_cuda_find_work(dev, NULL, 0), UINT64_MAX);
        q35i_cuda_pump(dev);
    }
    q35_queue **link = &dev->queues;
    while (*link != queue)
        link = &(*link)->next;
    *link = queue->next;
    pthread_mutex_unlock(&dev->lock);
    (void)dev->drv->cuStreamSynchronize(queue->stream);
    (void)dev->drv->cuStreamDestroy_v2(queue->stream);
    if (queue->staging)
        (void)dev->drv->cuMemFreeHost(queue->staging);
    q35i_cuda_leave(dev);
    q35p_free(queue);
}
