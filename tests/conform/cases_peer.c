/* SPDX-License-Identifier: Apache-2.0
 *
 * Two devices of the plugin: that they do not disturb each other, and where it has <q35rt/peer.h>, litmus tests of
 * copies between them. As peer.h has it, what wrote a source is done when the copy is queued, and timelines are
 * those of the destination's device. */
#define _GNU_SOURCE
#include "litmus.h"
#include "runtime/base/pool.h"

#include <pthread.h>
#include <q35rt/peer.h>

enum { BUFS = 3, HOSTS = 4, ROOM = BYTES + 256 };

/* A device, with two queues and what is on them. */
typedef struct side {
    q35_device *dev;
    uint32_t number, mode; /* mode: Q35_PEER_* of its copies from the other */
    q35_queue *a, *b;
    q35_timeline *s, *t, *go; /* of a, of b, of the host */
    uint64_t at_s, at_t, at_go;
    q35_buf *buf[BUFS]; /* [ROOM] */
} side;

typedef struct pair {
    cf_env *e;
    const q35_plugin *api;
    q35_pool *pool; /* of the second */
    side side[2];   /* the device under test, another */
    uint8_t *host[HOSTS];
} pair;

/* ---- life */

static void open_side(pair *p, side *s, q35_device *dev, uint32_t number)
{
    *s = (side){.dev = dev, .number = number};
    cf_ok(p->api->queue_create(dev, Q35_QUEUE_COMPUTE, &s->a), "queue_create");
    cf_ok(p->api->queue_create(dev, Q35_QUEUE_COPY, &s->b), "queue_create");
    cf_ok(p->api->timeline_create(dev, 0, &s->s), "timeline_create");
    cf_ok(p->api->timeline_create(dev, 0, &s->t), "timeline_create");
    cf_ok(p->api->timeline_create(dev, 0, &s->go), "timeline_create");
    for (int i = 0; i < BUFS; i++)
        cf_ok(p->api->buf_alloc(dev, 0, ROOM, 64, Q35_USE_ACT, &s->buf[i]), "buf_alloc");
}

static void close_side(const pair *p, const side *s)
{
    p->api->queue_destroy(s->a);
    p->api->queue_destroy(s->b);
    p->api->timeline_destroy(s->s);
    p->api->timeline_destroy(s->t);
    p->api->timeline_destroy(s->go);
    for (int i = 0; i < BUFS; i++)
        p->api->buf_free(s->buf[i]);
}

static q35_device *open_other(cf_env *e, uint32_t number, q35_pool **pool)
{
    q35_device *other = NULL;
    *pool = cf_pool(CF_THREADS);
    const q35_open_options options = cf_open_options(e, *pool);
    cf_stage("device_open of device %u beside device %u", number, e->options->device);
    cf_ok(e->api->device_open(number, &options, &other), "device_open");
    return other;
}

static uint32_t other_number(const cf_env *e)
{
    if (e->probe->n_devices < 2)
        cf_skip("one device");
    return (e->options->device + 1) % e->probe->n_devices;
}

static pair open_pair(cf_env *e)
{
    pair p = {.e = e, .api = e->api};
    const uint32_t number = other_number(e);
    open_side(&p, &p.side[0], e->dev, e->options->device);
    open_side(&p, &p.side[1], open_other(e, number, &p.pool), number);
    for (int i = 0; i < HOSTS; i++)
        p.host[i] = kc_alloc(&e->x, ROOM);
    return p;
}

static void close_pair(const pair *p)
{
    cf_stage("closing the second device");
    for (int i = 0; i < 2; i++)
        close_side(p, &p->side[i]);
    p->api->device_close(p->side[1].dev);
    q35i_pool_destroy(p->pool);
}

/* ---- what the plugin says */

static const q35_peer *need_table(const cf_env *e)
{
    const q35_hdr *h = Q35_HAS_SLOT(e->api, q35_plugin, extension) ? e->api->extension(Q35_STRUCT_PEER) : NULL;
    if (!h)
        cf_skip("no extension peer");
    return (const q35_peer *)(const void *)h;
}

static uint32_t ask_mode(const q35_peer *table, q35_device *to, q35_device *from)
{
    q35_peer_info info = {.h = {sizeof info, Q35_STRUCT_PEER_INFO, NULL}};
    cf_ok(table->query(to, from, &info), "peer query");
    if (info.mode > Q35_PEER_ADDRESS)
        cf_fail("peer query answers mode %u, need 0 to 3", info.mode);
    return info.mode;
}

static void peer_answers(cf_env *e, uint32_t a, uint32_t b)
{
    const q35_peer *table = need_table(e);
    q35_pool *pool;
    (void)a, (void)b;
    q35_device *other = open_other(e, other_number(e), &pool);
    for (int i = 0; i < 2; i++) {
        q35_device *to = i ? other : e->dev, *from = i ? e->dev : other;
        const uint32_t first = ask_mode(table, to, from), again = ask_mode(table, to, from);
        if (first != again)
            cf_fail("peer query answers mode %u, then %u", first, again);
    }
    e->api->device_close(other);
    q35i_pool_destroy(pool);
}

/* With the modes; the case is skipped where none of the ways that it needs is there. */
static pair open_peers(cf_env *e, bool both_ways)
{
    const q35_peer *table = need_table(e);
    pair p = open_pair(e);
    uint32_t ways = 0;
    for (int to = 0; to < 2; to++) {
        p.side[to].mode = ask_mode(table, p.side[to].dev, p.side[!to].dev);
        ways += p.side[to].mode != Q35_PEER_NONE;
    }
    if (ways == 0 || (both_ways && ways < 2))
        cf_skip("the devices do not copy from each other: modes %u and %u", p.side[0].mode, p.side[1].mode);
    return p;
}

/* ---- work */

static q35_binding in_buf(const side *s, int i, uint64_t offset)
{
    return (q35_binding){.buf = s->buf[i], .offset = offset, .bytes = ROOM - offset};
}

static q35_binding on_host(const pair *p, int i)
{
    return (q35_binding){.host = p->host[i], .bytes = ROOM};
}

static q35_point next_s(side *s)
{
    return (q35_point){s->s, ++s->at_s};
}

static q35_point next_t(side *s)
{
    return (q35_point){s->t, ++s->at_t};
}

/* wait NULL, signal NULL: none. */
static void copy(const pair *p, q35_queue *queue, q35_binding src, q35_binding dst, uint64_t bytes,
                 const q35_point *wait, const q35_point *signal)
{
    cf_ok(p->api->copy(queue, &src, &dst, bytes, wait, wait != NULL, signal, signal != NULL), "copy");
}

static void await(const pair *p, q35_point point)
{
    cf_ok(p->api->timeline_wait(point.timeline, point.value, WAIT_NS), "timeline_wait");
}

/* Host memory `from` to a buffer, and the other way; done when it returns. */
static void put(const pair *p, side *s, int from, int to)
{
    const q35_point done = next_s(s);
    copy(p, s->a, on_host(p, from), in_buf(s, to, 0), BYTES, NULL, &done);
    await(p, done);
}

static void get(const pair *p, side *s, int from, int to)
{
    const q35_point done = next_t(s);
    copy(p, s->b, in_buf(s, from, 0), on_host(p, to), BYTES, NULL, &done);
    await(p, done);
}

/* ---- litmus tests */

/* One queue brings data from the other device, another waits for the signal and takes it away; the one that waits
 * is queued first. The source changes as soon as the signal says that it may. */
static void peer_message(cf_env *e, uint32_t a, uint32_t b)
{
    pair p = open_peers(e, false);
    (void)a, (void)b;
    for (int r = 1; r <= 2 * ROUNDS; r++) {
        side *to = &p.side[r % 2], *from = &p.side[!(r % 2)];
        const uint64_t bytes = some_bytes(e);
        if (to->mode == Q35_PEER_NONE)
            continue;
        const q35_point there = next_t(to), done = next_t(to);
        cf_stage("message %d: %llu bytes from device %u to device %u", r, (unsigned long long)bytes, from->number,
                 to->number);
        fill(p.host[0], r);
        fill(p.host[1], 0);
        fill(p.host[2], r + 100);
        put(&p, from, 0, 0);
        copy(&p, to->a, in_buf(to, 0, 0), on_host(&p, 1), bytes, &there, &done);
        pause_a_bit(e);
        copy(&p, to->b, in_buf(from, 0, 0), in_buf(to, 0, 0), bytes, NULL, &there);
        await(&p, there);
        put(&p, from, 2, 0);
        await(&p, done);
        want_bytes(p.host[1], bytes, r, "what came from the other device before its signal");
    }
    close_pair(&p);
}

/* A copy that waits for the host leaves its destination alone until then. */
static void peer_late(cf_env *e, uint32_t a, uint32_t b)
{
    pair p = open_peers(e, false);
    (void)a, (void)b;
    for (int r = 1; r <= 2 * ROUNDS; r++) {
        side *to = &p.side[r % 2], *from = &p.side[!(r % 2)];
        if (to->mode == Q35_PEER_NONE)
            continue;
        cf_stage("late signal %d, from device %u to device %u", r, from->number, to->number);
        fill(p.host[0], r);
        fill(p.host[1], r + 100);
        put(&p, from, 0, 0);
        put(&p, to, 1, 0);
        const q35_point go = {to->go, ++to->at_go}, there = next_s(to);
        uint64_t reached = 0;
        copy(&p, to->a, in_buf(from, 0, 0), in_buf(to, 0, 0), BYTES, &go, &there);
        pause_a_bit(e);
        get(&p, to, 0, 2);
        want_bytes(p.host[2], BYTES, r + 100, "the destination of a copy that nobody has let start");
        cf_ok(p.api->timeline_query(to->s, &reached), "timeline_query");
        if (reached >= there.value)
            cf_fail("a copy from another device that waits for a point nobody has signalled is said to be done");
        cf_ok(p.api->timeline_signal(to->go, go.value), "timeline_signal");
        await(&p, there);
        get(&p, to, 0, 2);
        want_bytes(p.host[2], BYTES, r, "what was copied after the late signal");
    }
    close_pair(&p);
}

/* Each device writes, then reads what the other wrote, both at once: both must see both. */
static void peer_store_buffering(cf_env *e, uint32_t a, uint32_t b)
{
    pair p = open_peers(e, true);
    side *x = &p.side[0], *y = &p.side[1];
    (void)a, (void)b;
    for (int r = 1; r <= ROUNDS; r++) {
        const uint64_t bytes = some_bytes(e);
        cf_stage("store buffering %d", r);
        fill(p.host[0], r);
        fill(p.host[1], r + 100);
        put(&p, x, 0, 0);
        put(&p, y, 1, 0);
        const q35_point in_x = next_s(x), in_y = next_s(y), from_x = next_t(x), from_y = next_t(y);
        copy(&p, x->a, in_buf(y, 0, 0), in_buf(x, 1, 0), bytes, NULL, &in_x);
        copy(&p, y->a, in_buf(x, 0, 0), in_buf(y, 1, 0), bytes, NULL, &in_y);
        pause_a_bit(e);
        copy(&p, x->b, in_buf(x, 1, 0), on_host(&p, 2), bytes, &in_x, &from_x);
        copy(&p, y->b, in_buf(y, 1, 0), on_host(&p, 3), bytes, &in_y, &from_y);
        await(&p, from_x);
        await(&p, from_y);
        want_bytes(p.host[2], bytes, r + 100, "the first device's read of what the second wrote");
        want_bytes(p.host[3], bytes, r, "the second device's read of what the first wrote");
    }
    close_pair(&p);
}

static uint8_t pattern(uint64_t i, int round)
{
    return (uint8_t)(i * 7 + i / 256 + (uint64_t)round);
}

/* From device to device and back, at other offsets each time, while their other queues are at work. */
static void peer_there_and_back(cf_env *e, uint32_t a, uint32_t b)
{
    enum { HOPS = 6 };
    pair p = open_peers(e, true);
    (void)a, (void)b;
    for (int r = 1; r <= ROUNDS; r++) {
        const uint64_t bytes = some_bytes(e);
        uint64_t at = (uint64_t)kc_below(&e->x, 256);
        for (uint64_t i = 0; i < bytes; i++)
            p.host[0][i] = pattern(i, r);
        const q35_point begun = next_s(&p.side[0]);
        copy(&p, p.side[0].a, on_host(&p, 0), in_buf(&p.side[0], 0, at), bytes, NULL, &begun);
        await(&p, begun);
        for (int hop = 1; hop <= HOPS; hop++) {
            side *to = &p.side[hop % 2], *from = &p.side[!(hop % 2)];
            const q35_point there = next_s(to);
            const uint64_t next = (uint64_t)kc_below(&e->x, 256);
            cf_stage("round %d, hop %d from device %u to device %u", r, hop, from->number, to->number);
            copy(&p, from->b, on_host(&p, 2), in_buf(from, 2, 0), BYTES, NULL, NULL);
            copy(&p, to->a, in_buf(from, (hop - 1) % 2, at), in_buf(to, hop % 2, next), bytes, NULL, &there);
            await(&p, there);
            at = next;
        }
        const q35_point ended = next_t(&p.side[0]);
        copy(&p, p.side[0].b, in_buf(&p.side[0], 0, at), on_host(&p, 1), bytes, NULL, &ended);
        await(&p, ended);
        for (uint64_t i = 0; i < bytes; i++)
            if (p.host[1][i] != pattern(i, r))
                cf_fail("what went to the other device and back %d times: byte %llu is %u, need %u", HOPS / 2,
                        (unsigned long long)i, p.host[1][i], pattern(i, r));
    }
    close_pair(&p);
}

/* ---- plans on the other's memory */

static void move_tensors(const pair *p, side *s, q35_buf *const *buf, uint8_t *const *host, const cf_case *c,
                         bool up)
{
    for (uint32_t i = 0; i < c->n_tensors; i++) {
        const q35_binding here = {.host = host[i], .bytes = c->t[i].bytes},
                          there = {.buf = buf[i], .offset = 64, .bytes = c->t[i].bytes};
        const q35_point done = next_s(s);
        copy(p, s->a, up ? here : there, up ? there : here, c->t[i].bytes, NULL, &done);
        await(p, done);
    }
}

static void peer_address(cf_env *e, uint32_t a, uint32_t b)
{
    cf_case *c = kc_alloc(&e->x, sizeof *c);
    cf_exec x = {0};
    q35_binding bindings[CF_TENSORS];
    uint8_t *init[CF_TENSORS];
    q35_buf *buf[CF_TENSORS] = {0};
    (void)a, (void)b;
    pair p = open_peers(e, false);
    side *here = &p.side[0], *there = &p.side[1];
    if (here->mode != Q35_PEER_ADDRESS)
        cf_skip("mode %u from device %u to device %u, which promises no addresses", here->mode, there->number,
                here->number);
    if (!cf_any_case(e, c, 0))
        cf_skip("the device runs none of the kit's small cases");
    cf_exec_compile(e, &x, c);
    for (uint32_t i = 0; i < c->n_tensors; i++) {
        cf_ok(p.api->buf_alloc(there->dev, 0, c->t[i].bytes + 64, 64, Q35_USE_ACT, &buf[i]), "buf_alloc");
        bindings[i] = (q35_binding){.buf = buf[i], .offset = 64, .bytes = c->t[i].bytes};
        init[i] = c->t[i].init;
        x.got[i] = kc_alloc(&e->x, c->t[i].bytes);
    }
    cf_stage("on memory of device %u: %s", there->number, c->text);
    move_tensors(&p, there, buf, init, c, true);
    cf_ok(p.api->plan_bind(x.plan, bindings), "plan_bind to buffers of the other device");
    const q35_point done = next_s(here);
    cf_ok(p.api->plan_submit(here->a, x.plan, NULL, 0, &done, 1), "plan_submit");
    await(&p, done);
    move_tensors(&p, there, buf, x.got, c, false);
    cf_compare(e, c, x.got, -1, "on memory of the other device");
    cf_exec_free(e, &x);
    for (uint32_t i = 0; i < c->n_tensors; i++)
        p.api->buf_free(buf[i]);
    close_pair(&p);
}

/* ---- apart */

typedef struct worker {
    const pair *p;
    side *s;
    uint8_t *in, *out;
    int tag;
} worker;

static void *work_alone(void *arg)
{
    const worker *w = arg;
    for (int r = 1; r <= 4 * ROUNDS; r++) {
        const q35_point up = next_s(w->s), across = next_t(w->s), down = next_s(w->s);
        fill(w->in, w->tag + r);
        fill(w->out, 0);
        copy(w->p, w->s->a, (q35_binding){.host = w->in, .bytes = BYTES}, in_buf(w->s, 0, 0), BYTES, NULL, &up);
        copy(w->p, w->s->b, in_buf(w->s, 0, 0), in_buf(w->s, 1, 0), BYTES, &up, &across);
        copy(w->p, w->s->a, in_buf(w->s, 1, 0), (q35_binding){.host = w->out, .bytes = BYTES}, BYTES, &across,
             &down);
        await(w->p, down);
        want_bytes(w->out, BYTES, w->tag + r, "what went through a device while another was at work");
    }
    return NULL;
}

/* Two threads, each with a device of its own. */
static void peer_apart(cf_env *e, uint32_t a, uint32_t b)
{
    pair p = open_pair(e);
    pthread_t thread;
    (void)a, (void)b;
    worker w[2];
    for (int i = 0; i < 2; i++)
        w[i] = (worker){.p = &p, .s = &p.side[i], .in = p.host[2 * i], .out = p.host[2 * i + 1], .tag = 100 * i};
    cf_stage("devices %u and %u, each by a thread", p.side[0].number, p.side[1].number);
    if (pthread_create(&thread, NULL, work_alone, &w[1]) != 0)
        cf_skip("no threads");
    (void)work_alone(&w[0]);
    pthread_join(thread, NULL);
    close_pair(&p);
}

void cf_list_peer(cf_list *list)
{
    cf_add_test(list, CF_DEVICE | CF_L1, peer_apart, 0, 0, "peer/apart");
    cf_add_test(list, CF_DEVICE, peer_answers, 0, 0, "peer/answers");
    cf_add_test(list, CF_DEVICE | CF_L1, peer_message, 0, 0, "peer/message");
    cf_add_test(list, CF_DEVICE | CF_L1, peer_late, 0, 0, "peer/late");
    cf_add_test(list, CF_DEVICE | CF_L1, peer_store_buffering, 0, 0, "peer/store_buffering");
    cf_add_test(list, CF_DEVICE | CF_L1, peer_there_and_back, 0, 0, "peer/there_and_back");
    cf_add_test(list, CF_DEVICE | CF_L1, peer_address, 0, 0, "peer/address");
}
