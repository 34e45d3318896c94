/* SPDX-License-Identifier: Apache-2.0
 *
 * Litmus tests of queues and timelines: what a signal says must have happened, whatever runs when. */
#define _GNU_SOURCE
#include "litmus.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

typedef struct lab {
    cf_env *e;
    const q35_plugin *api;
    q35_queue *a, *b;
    q35_timeline *s, *t;
    q35_buf *buf[4];
    uint8_t *host[4]; /* [BYTES] */
} lab;

static lab open_lab(cf_env *e)
{
    lab l = {.e = e, .api = e->api, .a = e->queue, .s = e->timeline};
    cf_ok(l.api->queue_create(e->dev, Q35_QUEUE_COPY, &l.b), "queue_create");
    cf_ok(l.api->timeline_create(e->dev, 0, &l.t), "timeline_create");
    for (int i = 0; i < 4; i++) {
        cf_ok(l.api->buf_alloc(e->dev, 0, BYTES, 64, Q35_USE_ACT, &l.buf[i]), "buf_alloc");
        l.host[i] = kc_alloc(&e->x, BYTES);
    }
    return l;
}

static void close_lab(lab *l)
{
    l->api->queue_destroy(l->b);
    l->api->timeline_destroy(l->t);
    for (int i = 0; i < 4; i++)
        l->api->buf_free(l->buf[i]);
}

typedef q35_binding place;

static place in_buf(const lab *l, int i)
{
    return (place){.buf = l->buf[i], .bytes = BYTES};
}

static place on_host(const lab *l, int i)
{
    return (place){.host = l->host[i], .bytes = BYTES};
}

/* wait NULL, signal NULL: none. */
static void copy(lab *l, q35_queue *queue, place src, place dst, uint64_t bytes, const q35_point *wait,
                 const q35_point *signal)
{
    cf_ok(l->api->copy(queue, &src, &dst, bytes, wait, wait != NULL, signal, signal != NULL), "copy");
}

static void await(lab *l, q35_timeline *t, uint64_t value)
{
    cf_ok(l->api->timeline_wait(t, value, WAIT_NS), "timeline_wait");
}

/* Queue a brings data, queue b waits for the signal and takes it away; the one that waits is queued first. */
static void sync_message(cf_env *e, uint32_t a, uint32_t b)
{
    lab l = open_lab(e);
    (void)a, (void)b;
    for (int r = 1; r <= ROUNDS; r++) {
        const q35_point there = {l.s, (uint64_t)r}, done = {l.t, (uint64_t)r};
        const uint64_t bytes = some_bytes(e);
        cf_stage("message %d of %llu bytes", r, (unsigned long long)bytes);
        fill(l.host[0], r);
        fill(l.host[1], 0);
        copy(&l, l.b, in_buf(&l, 0), on_host(&l, 1), bytes, &there, &done);
        pause_a_bit(e);
        copy(&l, l.a, on_host(&l, 0), in_buf(&l, 0), bytes, NULL, &there);
        await(&l, l.t, (uint64_t)r);
        want_bytes(l.host[1], bytes, r, "what the other queue brought before its signal");
    }
    close_lab(&l);
}

/* Each queue writes, signals, waits for the other and reads what it wrote: both must see both. */
static void sync_store_buffering(cf_env *e, uint32_t a, uint32_t b)
{
    lab l = open_lab(e);
    (void)a, (void)b;
    for (int r = 1; r <= ROUNDS; r++) {
        const uint64_t v = 2 * (uint64_t)r, bytes = some_bytes(e);
        const q35_point wrote_a = {l.s, v - 1}, wrote_b = {l.t, v - 1}, read_a = {l.s, v}, read_b = {l.t, v};
        cf_stage("store buffering %d", r);
        fill(l.host[0], r);
        fill(l.host[1], r + 100);
        copy(&l, l.a, on_host(&l, 0), in_buf(&l, 0), bytes, NULL, &wrote_a);
        copy(&l, l.a, in_buf(&l, 1), on_host(&l, 2), bytes, &wrote_b, &read_a);
        pause_a_bit(e);
        copy(&l, l.b, on_host(&l, 1), in_buf(&l, 1), bytes, NULL, &wrote_b);
        copy(&l, l.b, in_buf(&l, 0), on_host(&l, 3), bytes, &wrote_a, &read_b);
        await(&l, l.s, v);
        await(&l, l.t, v);
        want_bytes(l.host[2], bytes, r + 100, "queue a's read of what b wrote");
        want_bytes(l.host[3], bytes, r, "queue b's read of what a wrote");
    }
    close_lab(&l);
}

/* One source, two ways, one that waits for both. */
static void sync_diamond(cf_env *e, uint32_t a, uint32_t b)
{
    lab l = open_lab(e);
    (void)a, (void)b;
    for (int r = 1; r <= ROUNDS; r++) {
        const uint64_t v = 3 * (uint64_t)r, bytes = some_bytes(e);
        const q35_point source = {l.s, v - 2}, left = {l.s, v - 1}, right = {l.t, v}, done = {l.s, v};
        const q35_point both[2] = {left, right};
        const place from = in_buf(&l, 3), to = on_host(&l, 3);
        cf_stage("diamond %d", r);
        fill(l.host[0], r);
        copy(&l, l.b, in_buf(&l, 0), in_buf(&l, 2), bytes, &source, &right);
        pause_a_bit(e);
        copy(&l, l.a, on_host(&l, 0), in_buf(&l, 0), bytes, NULL, &source);
        copy(&l, l.a, in_buf(&l, 0), in_buf(&l, 1), bytes, NULL, &left);
        copy(&l, l.a, in_buf(&l, 2), in_buf(&l, 3), bytes, &right, NULL);
        cf_ok(l.api->copy(l.a, &from, &to, bytes, both, 2, &done, 1), "copy");
        await(&l, l.s, v);
        want_bytes(l.host[3], bytes, r, "what came the two ways");
    }
    close_lab(&l);
}

/* Through four buffers from queue to queue and back, a signal each time. */
static void sync_ping_pong(cf_env *e, uint32_t a, uint32_t b)
{
    lab l = open_lab(e);
    uint64_t v = 0;
    (void)a, (void)b;
    for (int r = 1; r <= ROUNDS; r++) {
        const uint64_t bytes = some_bytes(e);
        cf_stage("ping-pong %d", r);
        fill(l.host[0], r);
        fill(l.host[1], 0);
        for (int hop = 0; hop < 9; hop++, v++) {
            const q35_point before = {l.t, v}, after = {l.t, v + 1};
            const place from = hop == 0 ? on_host(&l, 0) : in_buf(&l, (hop - 1) % 4),
                        to = hop == 8 ? on_host(&l, 1) : in_buf(&l, hop % 4);
            copy(&l, hop % 2 ? l.a : l.b, from, to, bytes, v > 0 ? &before : NULL, &after);
        }
        await(&l, l.t, v);
        want_bytes(l.host[1], bytes, r, "what went from queue to queue");
    }
    close_lab(&l);
}

static uint64_t query(lab *l, q35_timeline *t)
{
    uint64_t value = 0;
    cf_ok(l->api->timeline_query(t, &value), "timeline_query");
    return value;
}

/* Work that waits for the host does not run before it. */
static void sync_late_host(cf_env *e, uint32_t a, uint32_t b)
{
    lab l = open_lab(e);
    (void)a, (void)b;
    for (int r = 1; r <= 5; r++) {
        const q35_point go = {l.t, (uint64_t)r}, done = {l.s, (uint64_t)r};
        cf_stage("late signal %d", r);
        fill(l.host[0], r);
        fill(l.host[1], 0);
        copy(&l, l.b, on_host(&l, 0), in_buf(&l, 0), BYTES, &go, NULL);
        copy(&l, l.b, in_buf(&l, 0), on_host(&l, 1), BYTES, NULL, &done);
        nanosleep(&(struct timespec){0, 10000000}, NULL);
        if (query(&l, l.s) >= (uint64_t)r)
            cf_fail("work that waits for a point nobody has signalled is said to be done");
        want_bytes(l.host[1], BYTES, 0, "host memory before the work may start");
        fill(l.host[0], r + 50); /* not read yet, either */
        cf_ok(l.api->timeline_signal(l.t, (uint64_t)r), "timeline_signal");
        await(&l, l.s, (uint64_t)r);
        want_bytes(l.host[1], BYTES, r + 50, "what was copied after the late signal");
    }
    close_lab(&l);
}

static uint64_t nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* How late a wait may end is for the time limit of the case; how early is for us. */
static void sync_timeout(cf_env *e, uint32_t a, uint32_t b)
{
    static const uint64_t timeouts[] = {0, 1, 1000000, 50000000};
    lab l = open_lab(e);
    (void)a, (void)b;
    for (int i = 0; i < 4; i++) {
        cf_stage("timeline_wait for %llu ns for what nobody signals", (unsigned long long)timeouts[i]);
        cf_host_clear();
        const uint64_t start = nanoseconds();
        q35_status status = l.api->timeline_wait(l.t, 1, timeouts[i]);
        const uint64_t took = nanoseconds() - start;
        if (status != Q35_E_TIMEOUT)
            cf_fail("timeline_wait for what nobody signals answers %s, need TIMEOUT", q35_status_name(status));
        if (took + 1000000 < timeouts[i])
            cf_fail("timeline_wait with %llu ns gives up after %llu", (unsigned long long)timeouts[i],
                    (unsigned long long)took);
    }
    cf_ok(l.api->timeline_signal(l.t, 1), "timeline_signal");
    cf_ok(l.api->timeline_wait(l.t, 1, 0), "timeline_wait without time for what is there");
    cf_ok(l.api->timeline_wait(l.t, 0, 0), "timeline_wait for an older value");
    close_lab(&l);
}

typedef struct observer {
    lab *l;
    atomic_int stop;
} observer;

static void *observe(void *arg)
{
    observer *o = arg;
    uint64_t last = 0;
    while (!atomic_load(&o->stop)) {
        const uint64_t now = query(o->l, o->l->t);
        if (now < last)
            cf_fail("a timeline went from %llu back to %llu", (unsigned long long)last, (unsigned long long)now);
        last = now;
    }
    return NULL;
}

static void sync_monotone(cf_env *e, uint32_t a, uint32_t b)
{
    lab l = open_lab(e);
    observer o = {.l = &l};
    pthread_t thread;
    q35_timeline *start = NULL;
    (void)a, (void)b;
    cf_stage("a timeline that starts at 7");
    cf_ok(l.api->timeline_create(e->dev, 7, &start), "timeline_create");
    if (query(&l, start) != 7)
        cf_fail("a timeline created with 7 is at %llu", (unsigned long long)query(&l, start));
    l.api->timeline_destroy(start);
    cf_stage("queries while work signals");
    if (pthread_create(&thread, NULL, observe, &o) != 0)
        cf_skip("no threads");
    for (uint64_t v = 1; v <= 60; v++) {
        const q35_point done = {l.t, 2 * v};
        copy(&l, v % 2 ? l.a : l.b, on_host(&l, (int)(v % 2)), in_buf(&l, (int)(v % 2)), 64, NULL, &done);
        await(&l, l.t, 2 * v);
        (void)l.api->timeline_signal(l.t, v); /* lower: may be refused, must not count */
        if (query(&l, l.t) != 2 * v)
            cf_fail("a timeline is at %llu after %llu was reached and a lower value signalled",
                    (unsigned long long)query(&l, l.t), (unsigned long long)(2 * v));
    }
    atomic_store(&o.stop, 1);
    pthread_join(thread, NULL);
    close_lab(&l);
}

/* A plan between two copies, on another queue than they. */
static void sync_plan(cf_env *e, uint32_t a, uint32_t b)
{
    cf_case *c = kc_alloc(&e->x, sizeof *c);
    cf_exec x = {0};
    (void)a, (void)b;
    lab l = open_lab(e);
    if (!cf_any_case(e, c, 0))
        cf_skip("the device runs none of the kit's small cases");
    cf_exec_compile(e, &x, c);
    cf_exec_place(e, &x, true, false); /* advances e->timeline, which is l.s */
    uint64_t v = 0;
    uint32_t in = c->in[0][0], out = c->out[0][0];
    uint8_t *result = kc_alloc(&e->x, c->t[out].bytes), *garbage = kc_alloc(&e->x, c->t[in].bytes);
    for (int r = 0; r < 10; r++, v += 3) {
        const q35_point here = {l.t, v + 1}, ran = {l.t, v + 2}, done = {l.t, v + 3};
        place data = {.host = c->t[in].init, .bytes = c->t[in].bytes},
              wrong = {.host = garbage, .bytes = c->t[in].bytes},
              back = {.host = result, .bytes = c->t[out].bytes};
        cf_stage("copy, plan, copy %d: %s", r, c->text);
        copy(&l, l.b, wrong, x.bindings[in], c->t[in].bytes, NULL, NULL);
        cf_ok(l.api->plan_submit(l.a, x.plan, &here, 1, &ran, 1), "plan_submit");
        pause_a_bit(e);
        copy(&l, l.b, data, x.bindings[in], c->t[in].bytes, NULL, &here);
        copy(&l, l.b, x.bindings[out], back, c->t[out].bytes, &ran, &done);
        await(&l, l.t, v + 3);
        for (uint32_t i = 0; i < c->n_tensors; i++)
            x.got[i] = i == out ? result : c->t[i].init;
        cf_compare(e, c, x.got, -1, "between copies on another queue");
    }
    cf_exec_free(e, &x);
    close_lab(&l);
}

/* queue_destroy finishes what is queued: afterwards nothing of it touches memory. */
static void sync_destroy(cf_env *e, uint32_t a, uint32_t b)
{
    lab l = open_lab(e);
    (void)a, (void)b;
    for (int r = 1; r <= 5; r++) {
        q35_queue *queue = NULL;
        cf_stage("queue_destroy with work queued");
        cf_ok(l.api->queue_create(e->dev, Q35_QUEUE_COPY, &queue), "queue_create");
        fill(l.host[0], r);
        fill(l.host[1], 0);
        for (int i = 0; i < 4; i++)
            copy(&l, queue, on_host(&l, 0), in_buf(&l, 0), BYTES, NULL, NULL);
        copy(&l, queue, in_buf(&l, 0), on_host(&l, 1), BYTES, NULL, NULL);
        l.api->queue_destroy(queue);
        want_bytes(l.host[1], BYTES, r, "what was queued before queue_destroy");
    }
    close_lab(&l);
}

/* ---- failures, provoked by an id outside of its table */

static bool find_get_rows(cf_env *e, cf_case *c)
{
    for (size_t i = 0; i < cf_n_weight_types; i++) {
        q35_support support;
        if (cf_build_get_rows(e, c, 5, cf_weight_types[i], 0) && cf_supported(e, cf_region(c), &support))
            return true;
    }
    return false;
}

static void sync_failure(cf_env *e, uint32_t a, uint32_t b)
{
    cf_case *c = kc_alloc(&e->x, sizeof *c);
    cf_exec x = {0};
    (void)a, (void)b;
    if (!e->options->provoke)
        cf_skip("nothing to make work fail with; --provoke tries ids outside of a table");
    if (!find_get_rows(e, c))
        cf_skip("the device has no get_rows to provoke a failure with");
    lab l = open_lab(e);
    const int32_t outside = 1000000;
    memcpy(c->t[c->in[0][0]].init, &outside, sizeof outside);
    cf_exec_compile(e, &x, c);
    cf_exec_place(e, &x, true, false);
    const q35_point failed = {l.t, 1}, after = {l.s, e->reached + 1};
    q35_timeline *fresh = NULL;
    cf_ok(l.api->timeline_create(e->dev, 0, &fresh), "timeline_create");
    const q35_point dependent = {fresh, 1};
    fill(l.host[0], 1);
    fill(l.host[1], 2);
    copy(&l, l.b, on_host(&l, 0), in_buf(&l, 0), BYTES, NULL, NULL);
    copy(&l, l.b, in_buf(&l, 0), on_host(&l, 1), BYTES, &failed, &dependent);
    cf_stage("a run that must fail: %s", c->text);
    cf_ok(l.api->plan_submit(l.a, x.plan, NULL, 0, &failed, 1), "plan_submit");
    cf_host_clear();
    q35_status status = l.api->timeline_wait(l.t, 1, WAIT_NS);
    if (status == Q35_OK)
        cf_skip("an id outside of its table makes no run fail");
    cf_refused(status, "timeline_wait for a failed run");
    cf_host_clear();
    q35_status other = l.api->timeline_wait(fresh, 1, WAIT_NS);
    if (other != status)
        cf_fail("work that waited for a run that failed with %s ends with %s, need the same",
                q35_status_name(status), q35_status_name(other));
    cf_refused(other, "timeline_wait for what waited for a failed run");
    want_bytes(l.host[1], BYTES, 2, "the destination of a copy that waited for a failed run");
    if (l.api->timeline_wait(l.t, 1, 0) != status)
        cf_fail("a failed timeline forgets its failure");
    if (status != Q35_E_DEVICE_LOST) {
        cf_stage("after a failure");
        copy(&l, l.a, on_host(&l, 0), in_buf(&l, 1), BYTES, NULL, NULL);
        copy(&l, l.a, in_buf(&l, 1), on_host(&l, 2), BYTES, NULL, &after);
        await(&l, l.s, after.value);
        want_bytes(l.host[2], BYTES, 1, "what is copied after a failure");
        e->reached = after.value;
    }
    l.api->timeline_destroy(fresh);
    cf_exec_free(e, &x);
    close_lab(&l);
}

void cf_list_sync(cf_list *list)
{
    cf_add_test(list, CF_DEVICE | CF_L1, sync_message, 0, 0, "sync/message");
    cf_add_test(list, CF_DEVICE | CF_L1, sync_store_buffering, 0, 0, "sync/store_buffering");
    cf_add_test(list, CF_DEVICE | CF_L1, sync_diamond, 0, 0, "sync/diamond");
    cf_add_test(list, CF_DEVICE | CF_L1, sync_ping_pong, 0, 0, "sync/ping_pong");
    cf_add_test(list, CF_DEVICE | CF_L1, sync_late_host, 0, 0, "sync/late_host");
    cf_add_test(list, CF_DEVICE | CF_L1, sync_timeout, 0, 0, "sync/timeout");
    cf_add_test(list, CF_DEVICE | CF_L1, sync_monotone, 0, 0, "sync/monotone");
    cf_add_test(list, CF_DEVICE | CF_L1, sync_plan, 0, 0, "sync/plan");
    cf_add_test(list, CF_DEVICE | CF_L1, sync_destroy, 0, 0, "sync/destroy");
    cf_add_test(list, CF_DEVICE | CF_L1, sync_failure, 0, 0, "sync/failure");
}
