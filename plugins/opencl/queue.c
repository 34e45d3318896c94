/* SPDX-License-Identifier: Apache-2.0
 *
 * Queues: an in-order OpenCL queue and a thread that feeds it. The thread takes all commands there are, enqueues
 * them without waiting in between, and signals them when OpenCL has finished. Only a command with a wait that is
 * not reached yet has those before it finished first. A command whose wait failed is not carried out; its status
 * goes on to its signals. */
#define _GNU_SOURCE
#include "plugins/opencl/opencl.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { MAX_POINTS = 8 };

/* A run of a plan, or a copy. */
typedef struct command {
    struct command *next;
    q35_plan *plan;
    q35_binding src, dst;
    uint64_t bytes;
    uint32_t n_waits, n_signals;
    q35_point waits[MAX_POINTS], signals[MAX_POINTS];
    cl_event event; /* of its last operation; NULL: none */
    q35_status status;
    char text[Q35I_CL_TEXT];
} command;

struct q35_queue {
    q35_device *dev;
    cl_command_queue cl;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t filled;
    command *first, *last; /* submitted */
    command *idle;         /* to be used again */
    bool stop;
};

/* ---- the queue's thread */

static cl_int enqueue_copy(q35_queue *queue, command *c)
{
    const uint64_t from = c->src.offset, to = c->dst.offset;
    if (c->bytes == 0)
        return CL_SUCCESS;
    if (c->src.host)
        return q35i_cl.EnqueueWriteBuffer(queue->cl, c->dst.buf->mem, CL_FALSE, to, c->bytes,
                                          (const char *)c->src.host + from, 0, NULL, &c->event);
    if (c->dst.host)
        return q35i_cl.EnqueueReadBuffer(queue->cl, c->src.buf->mem, CL_FALSE, from, c->bytes,
                                         (char *)c->dst.host + to, 0, NULL, &c->event);
    return q35i_cl.EnqueueCopyBuffer(queue->cl, c->src.buf->mem, c->dst.buf->mem, from, to, c->bytes, 0, NULL,
                                     &c->event);
}

static void fail_command(command *c, cl_int error)
{
    char name[48];
    const bool lost = error == CL_DEVICE_NOT_AVAILABLE;
    const bool memory = error == CL_MEM_OBJECT_ALLOCATION_FAILURE || error == CL_OUT_OF_RESOURCES;
    c->status = lost ? Q35_E_DEVICE_LOST : memory ? Q35_E_NOMEM : Q35_E_DEVICE;
    snprintf(c->text, sizeof c->text, "opencl: %s failed: %s%s", c->plan ? "a run" : "a copy",
             q35i_cl_error(error, name), memory ? ": the device's memory or resources are used up" : "");
}

static void enqueue(q35_queue *queue, command *c)
{
    for (uint32_t i = 0; i < c->n_waits && c->status == Q35_OK; i++)
        c->status = q35i_cl_wait_point(c->waits[i].timeline, c->waits[i].value, UINT64_MAX, c->text);
    if (c->status != Q35_OK)
        return;
    const cl_int error = c->plan ? q35i_cl_plan_enqueue(c->plan, queue->cl, &c->event) : enqueue_copy(queue, c);
    if (error != CL_SUCCESS)
        fail_command(c, error);
}

/* OpenCL has finished. */
static void complete(q35_queue *queue, command *c)
{
    cl_int state = CL_COMPLETE;
    if (c->event) {
        if (q35i_cl.GetEventInfo(c->event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL) !=
            CL_SUCCESS)
            state = CL_OUT_OF_RESOURCES;
        (void)q35i_cl.ReleaseEvent(c->event);
    }
    if (c->status == Q35_OK && state < 0)
        fail_command(c, state);
    if (c->status == Q35_OK && c->plan)
        c->status = q35i_cl_plan_fault(c->plan, queue->cl, c->text);
    for (uint32_t i = 0; i < c->n_signals; i++) {
        if (c->status == Q35_OK)
            (void)q35i_cl_timeline_signal(c->signals[i].timeline, c->signals[i].value);
        else
            q35i_cl_fail_timeline(c->signals[i].timeline, c->status, c->text);
    }
}

/* Commands [from, end) of the list: all that were enqueued. */
static void finish(q35_queue *queue, command *from, const command *end)
{
    if (from == end)
        return;
    const cl_int error = q35i_cl.Finish(queue->cl);
    for (command *c = from; c != end; c = c->next) {
        if (error != CL_SUCCESS && c->status == Q35_OK)
            fail_command(c, error);
        complete(queue, c);
    }
}

static bool must_wait(const command *c)
{
    bool open = false;
    for (uint32_t i = 0; i < c->n_waits && !open; i++)
        open = !q35i_cl_reached(c->waits[i].timeline, c->waits[i].value);
    return open;
}

static void *queue_main(void *arg)
{
    q35_queue *queue = arg;
    for (;;) {
        pthread_mutex_lock(&queue->lock);
        while (!queue->first && !queue->stop)
            pthread_cond_wait(&queue->filled, &queue->lock);
        command *batch = queue->first, *open = batch, *last = queue->last;
        queue->first = queue->last = NULL;
        pthread_mutex_unlock(&queue->lock);
        if (!batch)
            return NULL;
        for (command *c = batch; c; c = c->next) {
            if (must_wait(c)) {
                finish(queue, open, c);
                open = c;
            }
            enqueue(queue, c);
        }
        finish(queue, open, NULL);
        pthread_mutex_lock(&queue->lock);
        last->next = queue->idle;
        queue->idle = batch;
        pthread_mutex_unlock(&queue->lock);
    }
}

/* ---- life */

q35_status q35i_cl_queue_create(q35_device *dev, uint32_t kind, q35_queue **out)
{
    sigset_t all, old;
    cl_int error;
    char name[48];
    if (kind != Q35_QUEUE_COMPUTE && kind != Q35_QUEUE_COPY)
        return q35p_fail(Q35_E_INVALID, "opencl: queue of kind %u, need 1 or 2", kind);
    q35_queue *queue = q35p_alloc(1, sizeof *queue);
    if (!queue)
        return q35p_fail(Q35_E_NOMEM, "opencl: out of memory for a queue");
    queue->dev = dev;
    queue->cl = q35i_cl.CreateCommandQueue(dev->context, dev->found->id, 0, &error);
    if (error != CL_SUCCESS) {
        q35p_free(queue);
        return q35p_fail(Q35_E_DEVICE, "opencl: no queue: %s", q35i_cl_error(error, name));
    }
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->filled, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    const int rc = pthread_create(&queue->thread, NULL, queue_main, queue);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        (void)q35i_cl.ReleaseCommandQueue(queue->cl);
        pthread_cond_destroy(&queue->filled);
        pthread_mutex_destroy(&queue->lock);
        q35p_free(queue);
        return q35p_fail(Q35_E_NOMEM, "opencl: no thread for a queue: error %d", rc);
    }
    *out = queue;
    return Q35_OK;
}

void q35i_cl_queue_destroy(q35_queue *queue)
{
    if (!queue)
        return;
    pthread_mutex_lock(&queue->lock);
    queue->stop = true;
    pthread_cond_signal(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
    pthread_join(queue->thread, NULL);
    (void)q35i_cl.ReleaseCommandQueue(queue->cl);
    for (command *c = queue->idle, *next; c; c = next) {
        next = c->next;
        q35p_free(c);
    }
    pthread_cond_destroy(&queue->filled);
    pthread_mutex_destroy(&queue->lock);
    q35p_free(queue);
}

/* ---- submission */

/* An idle command or a new one, filled in with the points. NULL: out of memory. */
static command *new_command(q35_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    command *c = queue->idle;
    if (c)
        queue->idle = c->next;
    pthread_mutex_unlock(&queue->lock);
    return c ? c : q35p_alloc(1, sizeof *c);
}

static q35_status submit(q35_queue *queue, const command *what, const q35_point *waits, uint32_t n_waits,
                         const q35_point *signals, uint32_t n_signals)
{
    if (n_waits > MAX_POINTS || n_signals > MAX_POINTS)
        return q35p_fail(Q35_E_INVALID, "opencl: %u waits and %u signals, need at most %d", n_waits, n_signals,
                         (int)MAX_POINTS);
    command *c = new_command(queue);
    if (!c)
        return q35p_fail(Q35_E_NOMEM, "opencl: out of memory for a command");
    *c = *what;
    c->n_waits = n_waits;
    c->n_signals = n_signals;
    if (n_waits > 0)
        memcpy(c->waits, waits, n_waits * sizeof *waits);
    if (n_signals > 0)
        memcpy(c->signals, signals, n_signals * sizeof *signals);
    pthread_mutex_lock(&queue->lock);
    if (queue->last)
        queue->last->next = c;
    else
        queue->first = c;
    queue->last = c;
    pthread_cond_signal(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
    return Q35_OK;
}

static bool inside(const q35_binding *b, uint64_t bytes)
{
    if (b->host)
        return true;
    return b->buf && b->offset <= b->buf->bytes && bytes <= b->buf->bytes - b->offset;
}

q35_status q35i_cl_copy(q35_queue *queue, const q35_binding *src, const q35_binding *dst, uint64_t bytes,
                        const q35_point *waits, uint32_t n_waits, const q35_point *signals, uint32_t n_signals)
{
    const command c = {.src = *src, .dst = *dst, .bytes = bytes};
    if (!inside(src, bytes) || !inside(dst, bytes))
        return q35p_fail(Q35_E_RANGE, "opencl: copy of %llu bytes outside the %s buffer",
                         (unsigned long long)bytes, inside(src, bytes) ? "destination" : "source");
    if (src->host && dst->host)
        return q35p_fail(Q35_E_INVALID, "opencl: copy between host addresses, need a buffer of the device");
    return submit(queue, &c, waits, n_waits, signals, n_signals);
}

q35_status q35i_cl_plan_submit(q35_queue *queue, q35_plan *plan, const q35_point *waits, uint32_t n_waits,
                               const q35_point *signals, uint32_t n_signals)
{
    const command c = {.plan = plan};
    if (!plan->bound)
        return q35p_fail(Q35_E_INVALID, "opencl plan: not bound, need plan_bind first");
    return submit(queue, &c, waits, n_waits, signals, n_signals);
}
