/* SPDX-License-Identifier: Apache-2.0
 *
 * async1: description, device, memory and the table. */
#define _GNU_SOURCE
#include "async.h"

#ifndef ASYNC_NO_EXTENSIONS
#include <q35rt/energy.h>
#include <q35rt/peer.h>
#endif

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Q35_PLUGIN_NOTE("async1", "1.0", 0, Q35_NF_SPAWNS_THREADS, 0);

enum { BUF_ALIGN = 64, POISON = 0xa5 };

#define DEFAULT_CAPACITY (UINT64_C(1) << 30)

const q35_host *async_host;

q35_status async_fail(q35_status code, const char *fmt, ...)
{
    char text[200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return async_host->fail(code, text);
}

static const char *env_text(const char *name, const char *absent)
{
    const char *text = getenv(name);
    return text && *text ? text : absent;
}

static uint64_t env_number(const char *name, uint64_t absent)
{
    const char *text = env_text(name, NULL);
    return text ? strtoull(text, NULL, 10) : absent;
}

static async_peer peer_of(const char *word)
{
    return strcmp(word, "none") == 0     ? PEER_NONE
           : strcmp(word, "staged") == 0 ? PEER_STAGED
           : strcmp(word, "broken") == 0 ? PEER_BROKEN
                                         : PEER_COPY;
}

static uint32_t n_devices(void)
{
    uint64_t n = env_number("Q35RT_TEST_ASYNC_DEVICES", 1);
    return n < ASYNC_MAX_DEVICES ? (uint32_t)n : ASYNC_MAX_DEVICES;
}

static q35_status enumerate(uint32_t *out_n)
{
    *out_n = n_devices();
    return Q35_OK;
}

void async_answer(q35_hdr *out, const q35_hdr *known)
{
    uint32_t size = out->size < known->size ? out->size : known->size;
    if (size > sizeof *out)
        memcpy(out + 1, known + 1, size - sizeof *out);
}

static q35_status device_info(uint32_t i, q35_device_info *out)
{
    if (i >= n_devices())
        return async_fail(Q35_E_RANGE, "async1: device %u, need less than %u", i, n_devices());
    q35_device_info info = {.h.size = sizeof info,
                            .name = "asynchronous test device",
                            .host_numa = -1,
                            .device_class = Q35_CLASS_OTHER,
                            .n_memories = 1,
                            .n_queues = 2};
    snprintf(info.uuid, sizeof info.uuid, "async1-%u", i);
    async_answer(&out->h, &info.h);
    return Q35_OK;
}

static q35_status memory_info(uint32_t i, uint32_t m, q35_memory_info *out)
{
    if (i >= n_devices() || m != 0)
        return async_fail(Q35_E_RANGE, "async1: device %u, memory %u, need less than %u, 0", i, m, n_devices());
    q35_memory_info info = {.h.size = sizeof info, .kind = Q35_MEM_DEVICE, .align = BUF_ALIGN};
    info.capacity = info.available = info.max_alloc = env_number("Q35RT_TEST_ASYNC_MEMORY", DEFAULT_CAPACITY);
    async_answer(&out->h, &info.h);
    return Q35_OK;
}

static q35_status device_open(uint32_t i, const q35_open_options *options, q35_device **out)
{
    if (i >= n_devices() || options->n_options > 0)
        return async_fail(Q35_E_INVALID, "async1: device %u with %u options, need less than %u with 0", i,
                          options->n_options, n_devices());
    q35_device *dev = calloc(1, sizeof *dev);
    if (!dev)
        return async_fail(Q35_E_NOMEM, "async1: out of memory for a device");
    dev->capacity = env_number("Q35RT_TEST_ASYNC_MEMORY", DEFAULT_CAPACITY);
    if (options->memory_cap != 0 && options->memory_cap < dev->capacity)
        dev->capacity = options->memory_cap;
    dev->delay_us = (uint32_t)env_number("Q35RT_TEST_ASYNC_DELAY_US", 0);
    const char *capture = env_text("Q35RT_TEST_ASYNC_CAPTURE", "1");
    dev->captures = strcmp(capture, "0") != 0;
    dev->capture_fails = strcmp(capture, "fails") == 0;
    const int split = env_number("Q35RT_TEST_ASYNC_SPLIT", 0) != 0;
    dev->only_linears = split && i % 2 == 0;
    dev->no_linears = split && i % 2 == 1;
    dev->peer = peer_of(env_text("Q35RT_TEST_ASYNC_PEER", "copy"));
    atomic_init(&dev->picojoules, 0);
    atomic_init(&dev->runs_left, (uint32_t)env_number("Q35RT_TEST_ASYNC_FAIL_AT", 0));
    atomic_init(&dev->used, 0);
    *out = dev;
    return Q35_OK;
}

static void device_close(q35_device *dev)
{
    free(dev);
}

static q35_status buf_alloc(q35_device *dev, uint32_t memory, uint64_t bytes, uint64_t align, uint32_t usage,
                            q35_buf **out)
{
    void *data;
    (void)usage;
    if (memory != 0 || align > 4096)
        return async_fail(Q35_E_INVALID, "async1: memory %u aligned to %llu, need memory 0 and at most 4096",
                          memory, (unsigned long long)align);
    uint64_t used = atomic_fetch_add(&dev->used, bytes);
    if (bytes > dev->capacity || used > dev->capacity - bytes) {
        atomic_fetch_sub(&dev->used, bytes);
        return async_fail(Q35_E_NOMEM, "async1: %llu of %llu bytes in use, %llu more asked for",
                          (unsigned long long)used, (unsigned long long)dev->capacity, (unsigned long long)bytes);
    }
    q35_buf *buf = calloc(1, sizeof *buf);
    if (!buf || posix_memalign(&data, align < BUF_ALIGN ? BUF_ALIGN : align, bytes ? bytes : 1) != 0) {
        free(buf);
        atomic_fetch_sub(&dev->used, bytes);
        return async_fail(Q35_E_NOMEM, "async1: out of memory for %llu bytes", (unsigned long long)bytes);
    }
    memset(data, POISON, bytes); /* as indefinite as a real device's memory */
    *buf = (q35_buf){dev, data, bytes};
    *out = buf;
    return Q35_OK;
}

static void buf_free(q35_buf *buf)
{
    atomic_fetch_sub(&buf->dev->used, buf->bytes);
    memset(buf->data, POISON, buf->bytes);
    free(buf->data);
    free(buf);
}

static q35_status buf_map(q35_buf *buf, void **out)
{
    (void)buf;
    *out = NULL;
    return Q35_OK;
}

static q35_status memory_refresh(q35_device *dev, uint32_t memory, uint64_t *out_available)
{
    if (memory != 0)
        return async_fail(Q35_E_RANGE, "async1: memory %u, need 0", memory);
    *out_available = dev->capacity - atomic_load(&dev->used);
    return Q35_OK;
}

uint8_t *async_buf_at(const q35_binding *binding, uint64_t bytes)
{
    const q35_buf *buf = binding->buf;
    if (binding->host || !buf || binding->offset > buf->bytes || bytes > buf->bytes - binding->offset)
        return NULL;
    return buf->data + binding->offset;
}

#ifndef ASYNC_NO_EXTENSIONS
/* ---- extensions */

static q35_status energy_read(q35_device *dev, q35_energy_reading *out)
{
    const q35_energy_reading reading = {.h.size = sizeof reading,
                                        .microjoules = atomic_load(&dev->picojoules) / 1000000,
                                        .source = Q35_ENERGY_MODEL,
                                        .covers = "arithmetic and copies"};
    async_answer(&out->h, &reading.h);
    return Q35_OK;
}

static q35_status peer_query(q35_device *dev, q35_device *from, q35_peer_info *out)
{
    if (dev == from)
        return async_fail(Q35_E_INVALID, "async1: a device is no peer of itself");
    const q35_peer_info info = {.h.size = sizeof info,
                                .mode = dev->peer == PEER_NONE     ? Q35_PEER_NONE
                                        : dev->peer == PEER_STAGED ? Q35_PEER_STAGED
                                                                   : Q35_PEER_COPY,
                                .mbs = 20000,
                                .latency_ns = 2000};
    async_answer(&out->h, &info.h);
    return Q35_OK;
}

static const q35_energy energy = {.h = {sizeof energy, Q35_STRUCT_ENERGY, NULL}, .read = energy_read};
static const q35_peer peer = {.h = {sizeof peer, Q35_STRUCT_PEER, NULL}, .query = peer_query};

static const q35_hdr *extension(uint32_t type)
{
    switch (type) {
    case Q35_STRUCT_ENERGY: return &energy.h;
    case Q35_STRUCT_PEER: return &peer.h;
    case Q35_STRUCT_CAPTURE: return &async_capture.h;
    case Q35_STRUCT_COLLECTIVES:
        return env_number("Q35RT_TEST_ASYNC_COLLECTIVES", 1) ? &async_collectives.h : NULL;
    default: return NULL;
    }
}

#endif

static const q35_plugin table = {
    .h = {sizeof table, Q35_STRUCT_PLUGIN, NULL},
    .abi_major = Q35_ABI_MAJOR,
    .abi_minor = Q35_ABI_MINOR,
    .id = "async1",
    .version = "1.0",
    .enumerate = enumerate,
    .device_info = device_info,
    .memory_info = memory_info,
    .device_open = device_open,
    .device_close = device_close,
    .op_support = async_op_support,
    .plan_compile = async_plan_compile,
    .plan_bind = async_plan_bind,
    .plan_free = async_plan_free,
    .buf_alloc = buf_alloc,
    .buf_free = buf_free,
    .buf_map = buf_map,
    .memory_refresh = memory_refresh,
    .queue_create = async_queue_create,
    .queue_destroy = async_queue_destroy,
    .copy = async_copy,
    .plan_submit = async_plan_submit,
    .timeline_create = async_timeline_create,
    .timeline_destroy = async_timeline_destroy,
    .timeline_query = async_timeline_query,
    .timeline_wait = async_timeline_wait,
    .timeline_signal = async_timeline_signal,
#ifndef ASYNC_NO_EXTENSIONS
    .extension = extension,
#endif
};

Q35_PLUGIN_EXPORT q35_status q35_plugin_query(const q35_host *h, const q35_plugin **out);

q35_status q35_plugin_query(const q35_host *h, const q35_plugin **out)
{
    if (h->abi_major != Q35_ABI_MAJOR)
        return Q35_E_VERSION;
    async_host = h;
    *out = &table;
    return Q35_OK;
}
