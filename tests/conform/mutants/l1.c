/* SPDX-License-Identifier: Apache-2.0
 *
 * Mutants of async1: L1, memory of its own, queues, timelines. */
#define _GNU_SOURCE
#include "mutant.h"

#define q35_plugin_query async_query
#undef Q35_PLUGIN_EXPORT
#define Q35_PLUGIN_EXPORT static
#include "tests/device/async_plugin.c"
#undef q35_plugin_query

#include <time.h>

NOTE("1.0", Q35_NF_SPAWNS_THREADS);

static q35_device *opened; /* the last */

/* ---- memory */

static q35_status mutant_memory_info(uint32_t i, uint32_t m, q35_memory_info *out)
{
    q35_status status = memory_info(i, m, out);
    if (status == Q35_OK && IS(unaligned_map) && Q35_HAS_FIELD(out, q35_memory_info, host_coherent))
        out->host_coherent = 1;
    return status;
}

static q35_status mutant_buf_map(q35_buf *buf, void **out)
{
    *out = IS(unaligned_map) ? buf->data + 1 : NULL;
    return Q35_OK;
}

static void mutant_buf_free(q35_buf *buf)
{
    uint64_t bytes = buf->bytes;
    q35_device *dev = buf->dev;
    buf_free(buf);
    if (IS(exhausted_for_good))
        atomic_fetch_add(&dev->used, bytes);
}

static q35_status mutant_memory_refresh(q35_device *dev, uint32_t memory, uint64_t *out)
{
    q35_status status = memory_refresh(dev, memory, out);
    if (status == Q35_OK && IS(stale_free_bytes))
        *out = DEFAULT_CAPACITY + 4096;
    return status;
}

/* ---- queues, timelines */

static void sleep_us(long us)
{
    nanosleep(&(struct timespec){0, 1000 * us}, NULL);
}

/* What a buffer held when it was first copied from. */
static const uint8_t *first_contents(const q35_buf *buf)
{
    static struct {
        const q35_buf *buf;
        uint8_t data[1 << 19];
    } kept[8];
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        if (!kept[i].buf) {
            kept[i].buf = buf;
            memcpy(kept[i].data, buf->data, buf->bytes < sizeof kept[i].data ? buf->bytes : sizeof kept[i].data);
        }
        if (kept[i].buf == buf)
            return kept[i].data;
    }
    return buf->data;
}

/* From another device. */
static q35_status peer_copy(q35_queue *queue, const q35_binding *src, const q35_binding *dst, uint64_t bytes,
                            const q35_point *waits, uint32_t n_waits, const q35_point *signals, uint32_t n_signals)
{
    q35_binding from = *src;
    if (IS(peer_refuses))
        return async_fail(Q35_E_UNSUPPORTED, "async1: copy from a buffer of another device");
    if (IS(peer_drops_offset))
        from.offset = 0;
    if (IS(peer_stale_source))
        from = (q35_binding){.host = (void *)(uintptr_t)first_contents(src->buf), .offset = src->offset};
    for (uint32_t i = 0; i < n_signals && IS(peer_signals_early); i++)
        (void)async_timeline_signal(signals[i].timeline, signals[i].value);
    if (IS(peer_signals_early)) {
        sleep_us(2000);
        n_signals = 0;
    }
    return async_copy(queue, &from, dst, bytes, waits, IS(peer_missed_wait) ? 0 : n_waits, signals, n_signals);
}

typedef struct staged {
    const uint8_t *src;
    uint8_t *dst;
    uint64_t bytes;
    pthread_mutex_t *alone;
} staged;

/* Through memory that all devices use, each by one queue at a time. */
static q35_status copy_staged(void *arg, char *text)
{
    static volatile uint8_t staging[64];
    const staged *s = arg;
    (void)text;
    pthread_mutex_lock(s->alone);
    memcpy(s->dst, s->src, s->bytes);
    for (uint64_t i = 0; i < s->bytes && i < sizeof staging; i++)
        staging[i] = s->src[i];
    sleep_us(100);
    for (uint64_t i = 0; i < s->bytes && i < sizeof staging; i++)
        s->dst[i] = staging[i];
    pthread_mutex_unlock(s->alone);
    return Q35_OK;
}

static q35_status staged_copy(q35_queue *queue, const q35_binding *src, const q35_binding *dst, uint64_t bytes,
                              const q35_point *waits, uint32_t n_waits, const q35_point *signals,
                              uint32_t n_signals)
{
    static pthread_mutex_t alone[2] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER};
    staged *s = malloc(sizeof *s);
    if (!s)
        return async_fail(Q35_E_NOMEM, "async1: out of memory for a copy");
    *s = (staged){.src = async_buf_at(src, bytes),
                  .dst = (uint8_t *)dst->host + dst->offset,
                  .bytes = bytes,
                  .alone = &alone[src->buf->dev == opened]};
    return async_submit(queue, copy_staged, s, waits, n_waits, signals, n_signals);
}

static q35_status mutant_copy(q35_queue *queue, const q35_binding *src, const q35_binding *dst, uint64_t bytes,
                              const q35_point *waits, uint32_t n_waits, const q35_point *signals,
                              uint32_t n_signals)
{
    q35_binding from = *src, to = *dst;
    if (src->buf && dst->buf && src->buf->dev != dst->buf->dev)
        return peer_copy(queue, src, dst, bytes, waits, n_waits, signals, n_signals);
    if (IS(shares_staging) && dst->host && async_buf_at(src, bytes))
        return staged_copy(queue, src, dst, bytes, waits, n_waits, signals, n_signals);
    if (IS(missed_wait) && n_waits > 0)
        n_waits--;
    if (IS(drops_offset) && to.buf)
        to.offset = 0;
    if (IS(copies_too_much) && to.buf && to.offset + bytes < to.buf->bytes && from.buf == NULL)
        return async_copy(queue, &from, &to, bytes + 1, waits, n_waits, signals, n_signals);
    if (IS(signals_early)) {
        q35_status status = async_copy(queue, &from, &to, bytes, waits, n_waits, NULL, 0);
        for (uint32_t i = 0; i < n_signals; i++)
            (void)async_timeline_signal(signals[i].timeline, signals[i].value);
        return status;
    }
    return async_copy(queue, &from, &to, bytes, waits, n_waits, signals, n_signals);
}

static q35_status mutant_timeline_signal(q35_timeline *t, uint64_t value)
{
    if (!IS(goes_back))
        return async_timeline_signal(t, value);
    pthread_mutex_lock(&t->lock);
    t->value = value;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
    return Q35_OK;
}

static q35_status mutant_timeline_wait(q35_timeline *t, uint64_t value, uint64_t timeout_ns)
{
    if (IS(ignores_timeout))
        timeout_ns = UINT64_MAX;
    if (IS(gives_up_early) && timeout_ns > 10000000 && timeout_ns < 1000000000)
        timeout_ns = 10000000;
    q35_status status = async_timeline_wait(t, value, timeout_ns);
    if (IS(drops_failure) && status != Q35_OK && status != Q35_E_TIMEOUT && t->value + 1 == value &&
        t->value == 0) {
        static int first = 1; /* what failed says so, what waited for it does not */
        if (!first)
            return Q35_OK;
        first = 0;
    }
    return status;
}

static void mutant_queue_destroy(q35_queue *queue)
{
    async_queue_destroy(queue);
    if (IS(leaks_queue))
        lose(malloc(300));
}

/* ---- extensions */

static q35_status mutant_energy_read(q35_device *dev, q35_energy_reading *out)
{
    static uint64_t left = 1000000;
    q35_status status = energy_read(dev, out);
    if (status == Q35_OK && IS(energy_falls))
        out->microjoules = left--;
    if (status == Q35_OK && IS(endless_text))
        memset(out->covers, 'x', sizeof out->covers);
    return status;
}

static q35_status mutant_replay(q35_queue *queue, q35_recording *recording, const q35_point *waits,
                                uint32_t n_waits, const q35_point *signals, uint32_t n_signals)
{
    (void)recording, (void)waits, (void)n_waits, (void)queue;
    for (uint32_t i = 0; i < n_signals; i++)
        (void)async_timeline_signal(signals[i].timeline, signals[i].value);
    return Q35_OK;
}

static q35_status mutant_device_open(uint32_t i, const q35_open_options *options, q35_device **out)
{
    q35_status status = device_open(i, options, out);
    opened = *out;
    return status;
}

static q35_status mutant_plan_submit(q35_queue *queue, q35_plan *plan, const q35_point *waits, uint32_t n_waits,
                                     const q35_point *signals, uint32_t n_signals)
{
    if (IS(runs_while_recording) && n_signals == 0) { /* beside, and done before the recording goes on */
        q35_queue *beside;
        q35_timeline *ran;
        (void)async_queue_create(opened, Q35_QUEUE_COMPUTE, &beside);
        (void)async_timeline_create(opened, 0, &ran);
        (void)async_plan_submit(beside, plan, NULL, 0, &(q35_point){ran, 1}, 1);
        (void)async_timeline_wait(ran, 1, UINT64_MAX);
        async_queue_destroy(beside);
        async_timeline_destroy(ran);
    }
    return async_plan_submit(queue, plan, waits, n_waits, signals, n_signals);
}

static q35_status mutant_peer_query(q35_device *dev, q35_device *from, q35_peer_info *out)
{
    q35_status status = peer_query(dev, from, out);
    if (status == Q35_OK && IS(peer_claims_address))
        out->mode = Q35_PEER_ADDRESS;
    return status;
}

static const q35_hdr *mutant_extension(uint32_t type)
{
    static q35_energy energy_table;
    static q35_capture capture_table;
    static q35_peer peer_table;
    peer_table = peer;
    peer_table.query = mutant_peer_query;
    energy_table = energy;
    energy_table.read = mutant_energy_read;
    capture_table = async_capture;
    if (IS(replays_nothing))
        capture_table.replay = mutant_replay;
    return type == Q35_STRUCT_ENERGY    ? &energy_table.h
           : type == Q35_STRUCT_PEER    ? &peer_table.h
           : type == Q35_STRUCT_CAPTURE ? &capture_table.h
                                        : extension(type);
}

Q35_PLUGIN_QUERY_EXPORT q35_status q35_plugin_query(const q35_host *h, const q35_plugin **out);

q35_status q35_plugin_query(const q35_host *h, const q35_plugin **out)
{
    static q35_plugin mutated;
    q35_status status = async_query(h, out);
    if (status != Q35_OK)
        return status;
    mutated = table;
    mutated.id = "mutant";
    mutated.memory_info = mutant_memory_info;
    mutated.buf_map = mutant_buf_map;
    mutated.buf_free = mutant_buf_free;
    mutated.memory_refresh = mutant_memory_refresh;
    mutated.copy = mutant_copy;
    mutated.timeline_signal = mutant_timeline_signal;
    mutated.timeline_wait = mutant_timeline_wait;
    mutated.queue_destroy = mutant_queue_destroy;
    mutated.device_open = mutant_device_open;
    mutated.plan_submit = mutant_plan_submit;
    mutated.extension = mutant_extension;
    *out = &mutated;
    return Q35_OK;
}
