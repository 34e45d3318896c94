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

NOTE("1.0", Q35_NF_SPAWNS_THREADS);

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

static q35_status mutant_copy(q35_queue *queue, const q35_binding *src, const q35_binding *dst, uint64_t bytes,
                              const q35_point *waits, uint32_t n_waits, const q35_point *signals,
                              uint32_t n_signals)
{
    q35_binding from = *src, to = *dst;
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

static q35_device *opened; /* the last */

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

static const q35_hdr *mutant_extension(uint32_t type)
{
    static q35_energy energy_table;
    static q35_capture capture_table;
    energy_table = energy;
    energy_table.read = mutant_energy_read;
    capture_table = async_capture;
    if (IS(replays_nothing))
        capture_table.replay = mutant_replay;
    return type == Q35_STRUCT_ENERGY    ? &energy_table.h
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
