/* SPDX-License-Identifier: Apache-2.0
 *
 * Mock driver: streams, events, copies. */
#define _GNU_SOURCE
#include "stream.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

_Thread_local struct CUstream_st *mock_capturing;

/* ---- the stream's thread */

static void take_time(void)
{
    const struct timespec t = {(time_t)(mock_fault.copy_us / 1000000u),
                               (long)(mock_fault.copy_us % 1000000u * 1000u)};
    if (mock_fault.copy_us)
        nanosleep(&t, NULL);
}

/* Without the lock. Nothing runs in a context that failed, host functions neither. */
static q35i_cu_result execute(struct CUstream_st *stream, const op *o)
{
    switch (o->kind) {
    case OP_COPY:
        take_time();
        memmove(o->dst, o->src, o->bytes);
        if (o->damage)
            o->dst[o->bytes / 2] ^= 1;
        return 0;
    case OP_FILL: memset(o->dst, o->value, o->bytes); return 0;
    case OP_CALL: o->call(o->call_arg); return 0;
    case OP_KERNEL: return mock_run_kernel(stream->context, o->kernel, o->args, o->grid, o->threads, o->shared);
    default: return 0;
    }
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* With the lock held. */
static void finish(struct CUstream_st *stream, op *o, q35i_cu_result error)
{
    if (error != 0 && stream->context->dead == 0)
        stream->context->dead = error;
    if (o->kind == OP_WAIT)
        o->event->waits--;
    if (o->kind == OP_EVENT) {
        o->event->pending--;
        o->event->reached++;
        o->event->at_ns = now_ns();
    }
    if (o->kind == OP_BARRIER)
        *o->done = 1;
    free(o->owned);
    free(o);
    stream->busy = 0;
    pthread_cond_broadcast(&mock_changed);
}

static void *stream_main(void *arg)
{
    struct CUstream_st *stream = arg;
    pthread_mutex_lock(&mock_lock);
    for (;;) {
        while (!stream->first && !stream->stop)
            pthread_cond_wait(&mock_changed, &mock_lock);
        op *o = stream->first;
        if (!o)
            break;
        stream->first = o->next;
        if (!stream->first)
            stream->last = NULL;
        stream->busy = 1;
        q35i_cu_result error = 0;
        while (o->kind == OP_WAIT && o->event->reached < o->ticket && stream->context->dead == 0)
            pthread_cond_wait(&mock_changed, &mock_lock);
        if (stream->context->dead == 0) {
            pthread_mutex_unlock(&mock_lock);
            error = execute(stream, o);
            pthread_mutex_lock(&mock_lock);
        }
        finish(stream, o, error);
    }
    pthread_mutex_unlock(&mock_lock);
    return NULL;
}

q35i_cu_result mock_enqueue(struct CUstream_st *stream, const op *what)
{
    op *o = malloc(sizeof *o);
    if (!o)
        abort();
    *o = *what;
    o->next = NULL;
    op **first = stream->capture ? &stream->capture->first : &stream->first;
    op **last = stream->capture ? &stream->capture->last : &stream->last;
    if (*first)
        (*last)->next = o;
    else
        *first = o;
    *last = o;
    pthread_cond_broadcast(&mock_changed);
    return 0;
}

struct CUstream_st *mock_stream(q35i_cu_stream stream, q35i_cu_result *error)
{
    const struct CUctx_st *context = mock_context(error);
    if (!context)
        return NULL;
    if (!stream || !mock_is_current(stream->context) || stream->stop) {
        *error = MOCK_INVALID_HANDLE;
        return NULL;
    }
    return stream;
}

static void wait_idle(struct CUstream_st *stream)
{
    while (stream->first || stream->busy)
        pthread_cond_wait(&mock_changed, &mock_lock);
}

/* ---- streams */

q35i_cu_result cuStreamCreate(q35i_cu_stream *out, unsigned int flags)
{
    q35i_cu_result error;
    sigset_t all, old;
    if (flags != Q35I_CU_STREAM_NON_BLOCKING || mock_capturing)
        return Q35I_CU_INVALID_VALUE;
    pthread_mutex_lock(&mock_lock);
    struct CUctx_st *context = mock_context(&error);
    struct CUstream_st *stream = context ? calloc(1, sizeof *stream) : NULL;
    if (stream) {
        stream->context = context;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        if (pthread_create(&stream->thread, NULL, stream_main, stream) != 0)
            abort();
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        mock_counts.objects++;
        *out = stream;
    }
    pthread_mutex_unlock(&mock_lock);
    return error;
}

/* In a context that failed, too. */
q35i_cu_result cuStreamDestroy_v2(q35i_cu_stream stream)
{
    pthread_mutex_lock(&mock_lock);
    if (!mock_is_current(stream->context)) {
        pthread_mutex_unlock(&mock_lock);
        return MOCK_INVALID_CONTEXT;
    }
    stream->stop = 1;
    mock_counts.objects--;
    pthread_cond_broadcast(&mock_changed);
    pthread_mutex_unlock(&mock_lock);
    pthread_join(stream->thread, NULL);
    free(stream);
    return 0;
}

q35i_cu_result cuStreamSynchronize(q35i_cu_stream stream)
{
    q35i_cu_result error;
    if (mock_capturing)
        return MOCK_CAPTURE_UNSUPPORTED;
    pthread_mutex_lock(&mock_lock);
    if (mock_stream(stream, &error)) {
        wait_idle(stream);
        error = stream->context->dead;
    }
    pthread_mutex_unlock(&mock_lock);
    return error;
}

q35i_cu_result cuLaunchHostFunc(q35i_cu_stream stream, q35i_cu_host_fn fn, void *arg)
{
    q35i_cu_result error;
    pthread_mutex_lock(&mock_lock);
    if (mock_stream(stream, &error))
        error = mock_enqueue(stream, &(op){.kind = OP_CALL, .call = fn, .call_arg = arg});
    pthread_mutex_unlock(&mock_lock);
    return error;
}

/* ---- events */

q35i_cu_result cuEventCreate(q35i_cu_event *event, unsigned int flags)
{
    q35i_cu_result error;
    pthread_mutex_lock(&mock_lock);
    struct CUctx_st *context = mock_context(&error);
    if (context) {
        *event = (flags & ~(unsigned)Q35I_CU_EVENT_NO_TIMING) == 0 ? calloc(1, sizeof **event) : NULL;
        error = *event ? 0 : Q35I_CU_INVALID_VALUE;
        if (*event)
            **event = (struct CUevent_st){.context = context, .timed = flags == 0};
        mock_counts.objects += *event != NULL;
    }
    pthread_mutex_unlock(&mock_lock);
    return error;
}

q35i_cu_result cuEventDestroy_v2(q35i_cu_event event)
{
    pthread_mutex_lock(&mock_lock);
    const int mine = mock_is_current(event->context);
    if (event->pending || event->waits) /* the driver would keep it alive; the plugin must not rely on that */
        abort();
    mock_counts.objects -= (uint64_t)mine;
    pthread_mutex_unlock(&mock_lock);
    if (mine)
        free(event);
    return mine ? 0 : MOCK_INVALID_CONTEXT;
}

q35i_cu_result cuEventRecord(q35i_cu_event event, q35i_cu_stream stream)
{
    q35i_cu_result error;
    pthread_mutex_lock(&mock_lock);
    if (mock_stream(stream, &error) && !mock_is_current(event->context))
        error = MOCK_INVALID_HANDLE;
    if (error == 0) {
        event->pending++;
        event->records++;
        error = mock_enqueue(stream, &(op){.kind = OP_EVENT, .event = event});
    }
    pthread_mutex_unlock(&mock_lock);
    return error;
}

/* For what was recorded by now. */
q35i_cu_result cuStreamWaitEvent(q35i_cu_stream stream, q35i_cu_event event, unsigned int flags)
{
    q35i_cu_result error;
    pthread_mutex_lock(&mock_lock);
    if (mock_stream(stream, &error) && (flags != 0 || !mock_is_current(event->context)))
        error = Q35I_CU_INVALID_VALUE;
    if (error == 0) {
        event->waits++;
        error = mock_enqueue(stream, &(op){.kind = OP_WAIT, .event = event, .ticket = event->records});
    }
    pthread_mutex_unlock(&mock_lock);
    return error;
}

/* The context's failure is what every later call answers. */
q35i_cu_result cuEventQuery(q35i_cu_event event)
{
    q35i_cu_result error;
    if (mock_capturing)
        return MOCK_CAPTURE_UNSUPPORTED;
    pthread_mutex_lock(&mock_lock);
    if (mock_context(&error))
        error = !mock_is_current(event->context) ? MOCK_INVALID_HANDLE
                : event->pending                 ? (q35i_cu_result)Q35I_CU_NOT_READY
                                                 : 0;
    pthread_mutex_unlock(&mock_lock);
    return error;
}

q35i_cu_result cuEventElapsedTime(float *ms, q35i_cu_event begin, q35i_cu_event end)
{
    q35i_cu_result error;
    pthread_mutex_lock(&mock_lock);
    if (mock_context(&error) && (!begin->timed || !end->timed || !begin->at_ns || !end->at_ns ||
                                 !mock_is_current(begin->context) || !mock_is_current(end->context)))
        error = MOCK_INVALID_HANDLE;
    else if (error == 0 && (begin->pending || end->pending))
        error = Q35I_CU_NOT_READY;
    if (error == 0)
        *ms = (float)((double)(end->at_ns - begin->at_ns) / 1e6);
    pthread_mutex_unlock(&mock_lock);
    return error;
}

q35i_cu_result cuEventSynchronize(q35i_cu_event event)
{
    q35i_cu_result error;
    pthread_mutex_lock(&mock_lock);
    while (mock_context(&error) && mock_is_current(event->context) && event->pending)
        pthread_cond_wait(&mock_changed, &mock_lock);
    pthread_mutex_unlock(&mock_lock);
    return error;
}

/* ---- copies */

/* Pageable memory is read before the call returns, pinned memory when the stream comes to it. */
q35i_cu_result cuMemcpyHtoDAsync_v2(q35i_cu_address dst, const void *src, size_t bytes, q35i_cu_stream stream)
{
    q35i_cu_result error;
    pthread_mutex_lock(&mock_lock);
    if (mock_stream(stream, &error) && !mock_is_device(stream->context, dst, bytes))
        error = Q35I_CU_INVALID_VALUE;
    if (error == 0) {
        mock_counts.transfers++;
        op o = {.kind = OP_COPY, .dst = (char *)(uintptr_t)dst, .src = src, .bytes = bytes};
        if (!mock_is_pinned(src, bytes)) {
            o.owned = malloc(bytes);
            if (!o.owned)
                abort();
            memcpy(o.owned, src, bytes);
            o.src = o.owned;
        }
        error = mock_enqueue(stream, &o);
    }
    pthread_mutex_unlock(&mock_lock);
    return error;
}

/* To pageable memory the call waits for the copy. */
q35i_cu_result cuMemcpyDtoHAsync_v2(void *dst, q35i_cu_address src, size_t bytes, q35i_cu_stream stream)
{
    q35i_cu_result error;
    pthread_mutex_lock(&mock_lock);
    if (mock_stream(stream, &error) && !mock_is_device(stream->context, src, bytes))
        error = Q35I_CU_INVALID_VALUE;
    if (error == 0) {
        mock_counts.transfers++;
        const op o = {.kind = OP_COPY, .dst = dst, .src = (const char *)(uintptr_t)src, .bytes = bytes};
        error = mock_enqueue(stream, &o);
        if (error == 0 && !stream->capture && !mock_is_pinned(dst, bytes)) {
            int done = 0;
            mock_counts.blocking_copies++;
            error = mock_enqueue(stream, &(op){.kind = OP_BARRIER, .done = &done});
            while (!done)
                pthread_cond_wait(&mock_changed, &mock_lock);
            error = error ? error : stream->context->dead;
        }
    }
    pthread_mutex_unlock(&mock_lock);
    return error;
}

q35i_cu_result cuMemcpyDtoDAsync_v2(q35i_cu_address dst, q35i_cu_address src, size_t bytes, q35i_cu_stream stream)
{
    q35i_cu_result error;
    pthread_mutex_lock(&mock_lock);
    if (mock_stream(stream, &error) &&
        (!mock_is_device(stream->context, src, bytes) || !mock_is_device(stream->context, dst, bytes)))
        error = Q35I_CU_INVALID_VALUE;
    if (error == 0)
        error = mock_enqueue(stream, &(op){.kind = OP_COPY,
                                           .dst = (char *)(uintptr_t)dst,
                                           .src = (const char *)(uintptr_t)src,
                                           .bytes = bytes});
    pthread_mutex_unlock(&mock_lock);
    return error;
}

q35i_cu_result cuMemsetD8Async(q35i_cu_address dst, unsigned char value, size_t bytes, q35i_cu_stream stream)
{
    q35i_cu_result error;
    pthread_mutex_lock(&mock_lock);
    if (mock_stream(stream, &error) && !mock_is_device(stream->context, dst, bytes))
        error = Q35I_CU_INVALID_VALUE;
    if (error == 0)
        error = mock_enqueue(
            stream, &(op){.kind = OP_FILL, .dst = (char *)(uintptr_t)dst, .value = value, .bytes = bytes});
    pthread_mutex_unlock(&mock_lock);
    return error;
}
