/* SPDX-License-Identifier: Apache-2.0
 *
 * async1: queues, timelines, recordings. A queue is a list of commands and one thread that takes them in order:
 * wait for the points, work, signal. A command whose wait failed is not carried out; its status goes on to its
 * signals. */
#define _GNU_SOURCE
#include "async.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_POINTS = 16, TEXT_CAP = ASYNC_TEXT };

typedef struct command {
    struct command *next;
    /* a run, a replay, other work, or a copy: */
    q35_plan *plan;
    q35_recording *recording;
    q35_status (*work)(void *arg, char *text);
    void *arg; /* of work, freed after it */
    const uint8_t *src;
    uint8_t *dst;
    uint64_t bytes;
    int damage; /* the copy's first byte */
    uint32_t n_waits, n_signals;
    q35_point waits[MAX_POINTS], signals[MAX_POINTS];
} command;

struct q35_recording {
    q35_queue *queue;
    command *first, *last;
};

struct q35_queue {
    q35_device *dev;
    q35_recording *recording; /* under way, NULL: none */
    q35_status recording_failed;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t filled;
    command *first, *last;
    uint64_t random;
    int stop;
};

/* ---- timelines */

q35_status async_timeline_create(q35_device *dev, uint64_t initial, q35_timeline **out)
{
    pthread_condattr_t attr;
    (void)dev;
    q35_timeline *t = calloc(1, sizeof *t);
    if (!t)
        return async_fail(Q35_E_NOMEM, "async1: out of memory for a timeline");
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&t->changed, &attr);
    pthread_condattr_destroy(&attr);
    t->value = initial;
    *out = t;
    return Q35_OK;
}

void async_timeline_destroy(q35_timeline *t)
{
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

q35_status async_timeline_query(q35_timeline *t, uint64_t *out_value)
{
    pthread_mutex_lock(&t->lock);
    *out_value = t->value;
    pthread_mutex_unlock(&t->lock);
    return Q35_OK;
}

/* text: [TEXT_CAP], of a failed timeline. */
static q35_status wait_point(q35_timeline *t, uint64_t value, uint64_t timeout_ns, char *text)
{
    struct timespec end;
    q35_status status = Q35_OK;
    clock_gettime(CLOCK_MONOTONIC, &end);
    uint64_t seconds = timeout_ns / 1000000000u, nanoseconds = (uint64_t)end.tv_nsec + timeout_ns % 1000000000u;
    int forever = timeout_ns == UINT64_MAX;
    end.tv_sec += (time_t)(seconds + nanoseconds / 1000000000u);
    end.tv_nsec = (long)(nanoseconds % 1000000000u);
    pthread_mutex_lock(&t->lock);
    while (t->value < value && t->failed == Q35_OK && status == Q35_OK) {
        int rc = forever ? pthread_cond_wait(&t->changed, &t->lock)
                         : pthread_cond_timedwait(&t->changed, &t->lock, &end);
        if (rc == ETIMEDOUT)
            status = Q35_E_TIMEOUT;
    }
    if (t->value >= value) {
        status = Q35_OK;
    } else if (t->failed != Q35_OK) {
        status = t->failed;
        memcpy(text, t->text, TEXT_CAP);
    } else {
        snprintf(text, TEXT_CAP, "async1: timeline at %llu after %llu ns, need %llu", (unsigned long long)t->value,
                 (unsigned long long)timeout_ns, (unsigned long long)value);
    }
    pthread_mutex_unlock(&t->lock);
    return status;
}

q35_status async_timeline_wait(q35_timeline *t, uint64_t value, uint64_t timeout_ns)
{
    char text[TEXT_CAP] = "";
    q35_status status = wait_point(t, value, timeout_ns, text);
    return status == Q35_OK ? Q35_OK : async_host->fail(status, text);
}

q35_status async_timeline_signal(q35_timeline *t, uint64_t value)
{
    pthread_mutex_lock(&t->lock);
    uint64_t old = t->value;
    if (value > old)
        t->value = value;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
    if (value <= old)
        return async_fail(Q35_E_INVALID, "async1: timeline at %llu signalled with %llu, need more",
                          (unsigned long long)old, (unsigned long long)value);
    return Q35_OK;
}

static void fail_timeline(q35_timeline *t, q35_status status, const char *text)
{
    pthread_mutex_lock(&t->lock);
    if (t->failed == Q35_OK) {
        t->failed = status;
        snprintf(t->text, sizeof t->text, "%s", text);
    }
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

/* ---- the queue's thread */

static void random_delay(q35_queue *queue)
{
    if (queue->dev->delay_us == 0)
        return;
    queue->random ^= queue->random << 13;
    queue->random ^= queue->random >> 7;
    queue->random ^= queue->random << 17;
    uint64_t us = queue->random % (queue->dev->delay_us + 1u);
    struct timespec t = {(time_t)(us / 1000000u), (long)(us % 1000000u * 1000u)};
    nanosleep(&t, NULL);
}

static q35_status run_plan(q35_device *dev, q35_plan *plan, char *text)
{
    atomic_fetch_add(&dev->picojoules, async_plan_picojoules(plan));
    if (atomic_load(&dev->runs_left) > 0 && atomic_fetch_sub(&dev->runs_left, 1) == 1) {
        snprintf(text, TEXT_CAP, "async1: injected failure");
        return Q35_E_DEVICE;
    }
    return async_plan_execute(plan, text);
}

static q35_status carry_out(q35_queue *queue, const command *c, char *text)
{
    q35_status status = Q35_OK;
    if (c->plan)
        return run_plan(queue->dev, c->plan, text);
    if (c->work)
        return c->work(c->arg, text);
    for (const command *r = c->recording ? c->recording->first : NULL; r && status == Q35_OK; r = r->next)
        status = carry_out(queue, r, text);
    if (c->bytes > 0) {
        memcpy(c->dst, c->src, c->bytes);
        c->dst[0] ^= (uint8_t)c->damage;
        atomic_fetch_add(&queue->dev->picojoules, c->bytes);
    }
    return status;
}

static void execute(q35_queue *queue, const command *c)
{
    char text[TEXT_CAP] = "";
    q35_status status = Q35_OK;
    for (uint32_t i = 0; i < c->n_waits && status == Q35_OK; i++)
        status = wait_point(c->waits[i].timeline, c->waits[i].value, UINT64_MAX, text);
    random_delay(queue);
    if (status == Q35_OK)
        status = carry_out(queue, c, text);
    for (uint32_t i = 0; i < c->n_signals; i++) {
        if (status == Q35_OK)
            (void)async_timeline_signal(c->signals[i].timeline, c->signals[i].value);
        else
            fail_timeline(c->signals[i].timeline, status, text);
    }
}

static void *queue_main(void *arg)
{
    q35_queue *queue = arg;
    for (;;) {
        pthread_mutex_lock(&queue->lock);
        while (!queue->first && !queue->stop)
            pthread_cond_wait(&queue->filled, &queue->lock);
        command *c = queue->first;
        if (c && !(queue->first = c->next))
            queue->last = NULL;
        pthread_mutex_unlock(&queue->lock);
        if (!c)
            return NULL;
        execute(queue, c);
        free(c->arg);
        free(c);
    }
}

q35_status async_queue_create(q35_device *dev, uint32_t kind, q35_queue **out)
{
    sigset_t all, old;
    if (kind != Q35_QUEUE_COMPUTE && kind != Q35_QUEUE_COPY)
        return async_fail(Q35_E_INVALID, "async1: queue of kind %u, need 1 or 2", kind);
    q35_queue *queue = calloc(1, sizeof *queue);
    if (!queue)
        return async_fail(Q35_E_NOMEM, "async1: out of memory for a queue");
    queue->dev = dev;
    queue->random = UINT64_C(0x9e3779b97f4a7c15) + kind;
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->filled, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&queue->thread, NULL, queue_main, queue);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        free(queue);
        return async_fail(Q35_E_NOMEM, "async1: no thread for a queue: %s", strerror(rc));
    }
    *out = queue;
    return Q35_OK;
}

void async_queue_destroy(q35_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->stop = 1;
    pthread_cond_signal(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
    pthread_join(queue->thread, NULL);
    pthread_cond_destroy(&queue->filled);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

/* ---- submission */

static void append(command **first, command **last, command *c)
{
    if (*last)
        (*last)->next = c;
    else
        *first = c;
    *last = c;
}

static q35_status record(q35_queue *queue, command *c)
{
    if (c->n_waits > 0 || c->n_signals > 0 || c->recording || c->work) {
        free(c);
        queue->recording_failed = Q35_E_INVALID;
        return async_fail(Q35_E_INVALID, "async1: only copies and runs without waits and signals are recorded");
    }
    append(&queue->recording->first, &queue->recording->last, c);
    return Q35_OK;
}

/* Takes what->arg on success. */
static q35_status submit(q35_queue *queue, const command *what, const q35_point *waits, uint32_t n_waits,
                         const q35_point *signals, uint32_t n_signals)
{
    if (n_waits > MAX_POINTS || n_signals > MAX_POINTS)
        return async_fail(Q35_E_INVALID, "async1: %u waits and %u signals, need at most %d", n_waits, n_signals,
                          (int)MAX_POINTS);
    command *c = malloc(sizeof *c);
    if (!c)
        return async_fail(Q35_E_NOMEM, "async1: out of memory for a command");
    *c = *what;
    c->n_waits = n_waits;
    c->n_signals = n_signals;
    if (n_waits > 0)
        memcpy(c->waits, waits, n_waits * sizeof *waits);
    if (n_signals > 0)
        memcpy(c->signals, signals, n_signals * sizeof *signals);
    if (queue->recording)
        return record(queue, c);
    pthread_mutex_lock(&queue->lock);
    append(&queue->first, &queue->last, c);
    pthread_cond_signal(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
    return Q35_OK;
}

q35_status async_submit(q35_queue *queue, q35_status (*work)(void *arg, char *text), void *arg,
                        const q35_point *waits, uint32_t n_waits, const q35_point *signals, uint32_t n_signals)
{
    command c = {.work = work, .arg = arg};
    return submit(queue, &c, waits, n_waits, signals, n_signals);
}

static uint8_t *address(const q35_binding *b, uint64_t bytes)
{
    return b->host ? (uint8_t *)b->host + b->offset : async_buf_at(b, bytes);
}

/* One side is a buffer of the device, the other too, or host memory, or a source on a peer. */
static q35_status check_sides(const q35_device *dev, const q35_binding *src, const q35_binding *dst)
{
    if (src->host && dst->host)
        return async_fail(Q35_E_INVALID, "async1: copy between host addresses, need a buffer of the device");
    if (dst->buf && dst->buf->dev != dev)
        return async_fail(Q35_E_INVALID, "async1: copy to a buffer of another device, need one of this");
    if (src->buf && src->buf->dev != dev && (dst->host || dev->peer == PEER_NONE))
        return async_fail(Q35_E_UNSUPPORTED, "async1: copy from a buffer of another device");
    return Q35_OK;
}

q35_status async_copy(q35_queue *queue, const q35_binding *src, const q35_binding *dst, uint64_t bytes,
                      const q35_point *waits, uint32_t n_waits, const q35_point *signals, uint32_t n_signals)
{
    command c = {.src = address(src, bytes), .dst = address(dst, bytes), .bytes = bytes};
    if (!c.src || !c.dst)
        return async_fail(Q35_E_RANGE, "async1: copy of %llu bytes outside the %s buffer",
                          (unsigned long long)bytes, c.src ? "destination" : "source");
    q35_status status = check_sides(queue->dev, src, dst);
    if (status != Q35_OK)
        return status;
    c.damage = src->buf && src->buf->dev != queue->dev && queue->dev->peer == PEER_BROKEN;
    return submit(queue, &c, waits, n_waits, signals, n_signals);
}

q35_status async_plan_submit(q35_queue *queue, q35_plan *plan, const q35_point *waits, uint32_t n_waits,
                             const q35_point *signals, uint32_t n_signals)
{
    command c = {.plan = plan};
    return submit(queue, &c, waits, n_waits, signals, n_signals);
}

#ifndef ASYNC_NO_EXTENSIONS
/* ---- recordings */

static void recording_free(q35_recording *recording)
{
    for (command *c = recording->first, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    free(recording);
}

static q35_status capture_begin(q35_queue *queue)
{
    if (!queue->dev->captures)
        return async_fail(Q35_E_UNSUPPORTED, "async1: recording is switched off");
    if (queue->recording)
        return async_fail(Q35_E_INVALID, "async1: the queue is recording already");
    queue->recording = calloc(1, sizeof *queue->recording);
    if (!queue->recording)
        return async_fail(Q35_E_NOMEM, "async1: out of memory for a recording");
    queue->recording->queue = queue;
    queue->recording_failed = queue->dev->capture_fails ? Q35_E_UNSUPPORTED : Q35_OK;
    return Q35_OK;
}

static q35_status capture_end(q35_queue *queue, q35_recording **out)
{
    q35_recording *recording = queue->recording;
    if (!recording)
        return async_fail(Q35_E_INVALID, "async1: the queue is not recording");
    queue->recording = NULL;
    if (queue->recording_failed != Q35_OK) {
        recording_free(recording);
        return async_fail(queue->recording_failed, "async1: the recording failed");
    }
    *out = recording;
    return Q35_OK;
}

static q35_status capture_replay(q35_queue *queue, q35_recording *recording, const q35_point *waits,
                                 uint32_t n_waits, const q35_point *signals, uint32_t n_signals)
{
    command c = {.recording = recording};
    if (recording->queue != queue)
        return async_fail(Q35_E_INVALID, "async1: replay on a queue that did not record");
    return submit(queue, &c, waits, n_waits, signals, n_signals);
}

const q35_capture async_capture = {.h = {sizeof async_capture, Q35_STRUCT_CAPTURE, NULL},
                                   .begin = capture_begin,
                                   .end = capture_end,
                                   .replay = capture_replay,
                                   .free = recording_free};
#endif
