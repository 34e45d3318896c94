/* SPDX-License-Identifier: Apache-2.0
 *
 * The thread of a group's member: gives collectives to streams and ends the group when one of them does not end.
 *
 * Sums of integers are NCCL's. Numbers in f32 are gathered and added in the order of the ranks by a kernel of
 * ours: by which way NCCL adds, and so in which order, it decides by the machine. */
#define _GNU_SOURCE
#include "comm.h"

#include <signal.h>
#include <string.h>

/* ---- giving a collective to its stream (without the lock: nobody else gives the queue anything meanwhile) */

static bool called(q35_comm *comm, q35i_nccl_result error, const char *what, uint64_t deadline)
{
    if (error == 0 || error == Q35I_NCCL_IN_PROGRESS)
        return q35i_cuda_comm_settle(comm, what, deadline);
    q35i_cuda_comm_failed(comm, what, error);
    return false;
}

static bool driver_called(q35_comm *comm, q35i_cu_result error)
{
    char text[160];
    if (error != 0 && !q35i_cuda_comm_lost(comm, error))
        q35i_cuda_clique_fail(comm->group, Q35_E_DEVICE, "cuda group: rank %u: %s", comm->rank,
                              q35i_cuda_error_text(comm->dev->drv, error, text, sizeof text));
    return error == 0;
}

static bool add_parts(q35_comm *comm, q35i_cu_address sum, uint64_t n, q35i_cu_stream stream)
{
    const q35_device *dev = comm->dev;
    q35_sum_parts_args args = {.parts = comm->scratch, .y = sum, .n = (int64_t)n, .n_parts = comm->size};
    const q35_cuda_launch g = q35_cuda_launch_of(Q35_CUDA_K_sum_parts, &args);
    void *params[] = {&args};
    return driver_called(comm,
                         dev->drv->cuLaunchKernel(dev->kernel[Q35_CUDA_K_sum_parts], g.grid[0], g.grid[1],
                                                  g.grid[2], g.threads, 1, 1, g.shared, stream, params, NULL));
}

static void *memory_at(q35i_cu_address address)
{
    return q35i_cuda_host_address(address);
}

static bool sum_floats(q35_comm *comm, const q35i_cuda_collective *op, uint64_t deadline)
{
    const q35i_cu_stream stream = op->queue->stream;
    for (uint64_t at = 0; at < op->count; at += Q35I_CUDA_PART) {
        const uint64_t left = op->count - at, n = left < Q35I_CUDA_PART ? left : Q35I_CUDA_PART;
        const q35i_cu_address data = op->dst + at * sizeof(float);
        const q35i_nccl_result error = comm->nccl->ncclAllGather(memory_at(data), memory_at(comm->scratch), n,
                                                                 Q35I_NCCL_FLOAT32, comm->handle, stream);
        if (!called(comm, error, "ncclAllGather", deadline) || !add_parts(comm, data, n, stream))
            return false;
    }
    return true;
}

static bool give(q35_comm *comm, const q35i_cuda_collective *op)
{
    const q35i_nccl *nccl = comm->nccl;
    const q35i_cu_stream stream = op->queue->stream;
    const uint64_t deadline = q35i_cuda_deadline(comm->timeout_ns);
    if (!driver_called(comm, comm->dev->drv->cuStreamWaitEvent(stream, comm->used, 0)))
        return false;
    if (op->count == 0)
        return true;
    switch (op->dtype) {
    case Q35_NONE:
        return called(comm,
                      nccl->ncclAllGather(memory_at(op->src), memory_at(op->dst), op->count, Q35I_NCCL_INT8,
                                          comm->handle, stream),
                      "ncclAllGather", deadline);
    case Q35_DT_I32:
        return called(comm,
                      nccl->ncclAllReduce(memory_at(op->src), memory_at(op->dst), op->count, Q35I_NCCL_INT32,
                                          Q35I_NCCL_SUM, comm->handle, stream),
                      "ncclAllReduce", deadline);
    default:
        return sum_floats(comm, op, deadline) &&
               driver_called(comm, comm->dev->drv->cuEventRecord(comm->used, stream));
    }
}

/* ---- the end of a group */

/* The member's collectives that were given to streams and have not ended. */
static void fail_all(q35_comm *comm, q35_status status, const char *text)
{
    for (q35_queue *q = comm->dev->queues; q; q = q->next)
        for (q35i_cuda_work *w = q->first; w; w = w->next)
            if (w->collective.comm == comm)
                q35i_cuda_work_fail(w, status, text);
}

/* What has ended well stays so; then no kernel of NCCL's is left on a stream. */
static void end(q35_comm *comm)
{
    char text[Q35I_CUDA_TEXT] = "";
    q35_device *dev = comm->dev;
    const q35_status status = q35i_cuda_clique_failure(comm->group, text);
    if (comm->handle) {
        pthread_mutex_lock(&dev->lock);
        q35i_cuda_pump(dev);
        fail_all(comm, status, text);
        pthread_mutex_unlock(&dev->lock);
    }
    q35i_cuda_comm_abort(comm);
}

static void carry_out(q35_comm *comm, q35i_cuda_work *w)
{
    char text[Q35I_CUDA_TEXT] = "";
    q35_device *dev = comm->dev;
    if (q35i_cuda_clique_failure(comm->group, text) != Q35_OK || !give(comm, &w->collective))
        end(comm);
    const q35i_cu_result error = dev->drv->cuEventRecord(w->event, w->collective.queue->stream);
    const q35_status status = q35i_cuda_clique_failure(comm->group, text);
    pthread_mutex_lock(&dev->lock);
    if (status != Q35_OK)
        q35i_cuda_work_fail(w, status, text);
    comm->handed = NULL;
    comm->next++;
    q35i_cuda_work_issued(w, error);
    q35i_cuda_pump(dev);
    pthread_mutex_unlock(&dev->lock);
}

/* ---- looking after what is under way */

/* With the lock held: is a collective of this member submitted and not at its end? late: it is its turn on the
 * device since longer than it may take. */
static bool is_busy(q35_comm *comm, uint64_t now, bool *late)
{
    bool any = false;
    for (q35_queue *q = comm->dev->queues; q; q = q->next) {
        for (q35i_cuda_work *w = q->first; w; w = w->next) {
            q35i_cuda_collective *op = &w->collective;
            if (op->comm != comm)
                continue;
            any = true;
            if (w != q->first || !w->issued)
                continue;
            op->turn_ns = op->turn_ns ? op->turn_ns : now;
            *late |= now > op->turn_ns && now - op->turn_ns > comm->timeout_ns;
        }
    }
    return any;
}

static void look(q35_comm *comm, bool late)
{
    char text[Q35I_CUDA_TEXT];
    if (late)
        q35i_cuda_clique_fail(comm->group, Q35_E_TIMEOUT,
                              "cuda group: rank %u: a collective did not end within %llu ms, need all %u members",
                              comm->rank, (unsigned long long)(comm->timeout_ns / 1000000u), comm->size);
    if (comm->handle && !late)
        (void)q35i_cuda_comm_settle(comm, "a collective", UINT64_MAX);
    if (q35i_cuda_clique_failure(comm->group, text) != Q35_OK)
        end(comm);
    q35i_cuda_pause();
}

static void *comm_main(void *arg)
{
    q35_comm *comm = arg;
    q35_device *dev = comm->dev;
    (void)q35i_cuda_enter(dev);
    pthread_mutex_lock(&dev->lock);
    while (!comm->stop) {
        bool late = false;
        q35i_cuda_pump(dev);
        if (dev->lost)
            q35i_cuda_clique_fail(comm->group, Q35_E_DEVICE_LOST, "%s", dev->lost_text);
        q35i_cuda_work *w = comm->handed;
        pthread_mutex_unlock(&dev->lock);
        const uint64_t now = q35p_host->now_ns();
        if (w)
            carry_out(comm, w);
        pthread_mutex_lock(&dev->lock);
        if (w || comm->handed || comm->stop)
            continue;
        if (!is_busy(comm, now, &late)) {
            pthread_cond_wait(&dev->changed, &dev->lock);
            continue;
        }
        pthread_mutex_unlock(&dev->lock);
        look(comm, late);
        pthread_mutex_lock(&dev->lock);
    }
    pthread_mutex_unlock(&dev->lock);
    q35i_cuda_leave(dev);
    return NULL;
}

/* Signals are the host's threads' business. */
bool q35i_cuda_comm_start(q35_comm *comm)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    const bool ok = pthread_create(&comm->thread, NULL, comm_main, comm) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return ok;
}

void q35i_cuda_comm_stop(q35_comm *comm)
{
    pthread_mutex_lock(&comm->dev->lock);
    comm->stop = true;
    pthread_cond_broadcast(&comm->dev->changed);
    pthread_mutex_unlock(&comm->dev->lock);
    pthread_join(comm->thread, NULL);
}
