/* SPDX-License-Identifier: Apache-2.0
 *
 * A device's own memory: what is copied in comes out again, from any offset, and nothing beside it changes; it
 * runs out with NOMEM and goes on when some is freed. */
#include "conform.h"

#include "runtime/base/pool.h"

#include <stdio.h>
#include <string.h>

#define WAIT_NS UINT64_C(60000000000)

static void fill(cf_env *e, uint8_t *p, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes; i++)
        p[i] = (uint8_t)(kc_random(&e->x) >> 13);
}

static void move(cf_env *e, q35_binding src, q35_binding dst, uint64_t bytes)
{
    const q35_point done = {e->timeline, ++e->reached};
    src.bytes = dst.bytes = bytes;
    cf_ok(e->api->copy(e->queue, &src, &dst, bytes, NULL, 0, &done, 1), "copy");
    cf_ok(e->api->timeline_wait(e->timeline, e->reached, WAIT_NS), "timeline_wait for a copy");
}

static q35_buf *alloc(cf_env *e, uint64_t bytes, uint64_t align)
{
    q35_buf *buf = NULL;
    void *at = NULL;
    cf_stage("buf_alloc of %llu bytes aligned to %llu", (unsigned long long)bytes, (unsigned long long)align);
    cf_ok(e->api->buf_alloc(e->dev, 0, bytes, align, Q35_USE_ACT, &buf), "buf_alloc");
    if (!buf)
        cf_fail("buf_alloc succeeded without a buffer");
    cf_ok(e->api->buf_map(buf, &at), "buf_map");
    if (at && (uintptr_t)at % align != 0)
        cf_fail("buf_map of a buffer aligned to %llu gives an address off by %llu", (unsigned long long)align,
                (unsigned long long)((uintptr_t)at % align));
    if (at && !e->memory.host_coherent)
        cf_fail("buf_map gives an address in memory that is not host-coherent");
    return buf;
}

/* Many buffers at once, each with contents of its own; then pieces of them, device to device, too. */
static void memory_copies(cf_env *e, uint32_t a, uint32_t b)
{
    static const uint64_t sizes[] = {64, 1, 7, 4095, 4097, 65536, 1000, 262144};
    enum { N = sizeof sizes / sizeof sizes[0] };
    q35_buf *buf[N];
    uint8_t *want[N], *got = kc_alloc(&e->x, 262144), *source = kc_alloc(&e->x, 262144);
    (void)a, (void)b;
    for (int i = 0; i < N; i++) {
        buf[i] = alloc(e, sizes[i], i % 2 ? 64 : 256);
        want[i] = kc_alloc(&e->x, sizes[i]);
        fill(e, want[i], sizes[i]);
        move(e, (q35_binding){.host = want[i]}, (q35_binding){.buf = buf[i]}, sizes[i]);
    }
    for (int round = 0; round < 40; round++) {
        const int i = (int)kc_below(&e->x, N), j = (int)kc_below(&e->x, N);
        const uint64_t most = sizes[i] < sizes[j] ? sizes[i] : sizes[j],
                       bytes = 1 + (uint64_t)kc_below(&e->x, (int64_t)most);
        const uint64_t from = (uint64_t)kc_below(&e->x, (int64_t)(sizes[i] - bytes) + 1),
                       to = (uint64_t)kc_below(&e->x, (int64_t)(sizes[j] - bytes) + 1);
        cf_stage("copy of %llu bytes from %llu to %llu", (unsigned long long)bytes, (unsigned long long)from,
                 (unsigned long long)to);
        if (round % 2 == 0) {
            fill(e, source, 262144); /* behind what is copied, too */
            memcpy(want[j] + to, source, bytes);
            move(e, (q35_binding){.host = source}, (q35_binding){.buf = buf[j], .offset = to}, bytes);
        } else if (i != j) {
            memcpy(want[j] + to, want[i] + from, bytes);
            move(e, (q35_binding){.buf = buf[i], .offset = from}, (q35_binding){.buf = buf[j], .offset = to},
                 bytes);
        }
        const int k = (int)kc_below(&e->x, N);
        move(e, (q35_binding){.buf = buf[k]}, (q35_binding){.host = got}, sizes[k]);
        if (memcmp(got, want[k], sizes[k]) != 0)
            cf_fail("a buffer of %llu bytes does not hold what was copied to it", (unsigned long long)sizes[k]);
    }
    for (int i = 0; i < N; i++)
        e->api->buf_free(buf[i]);
}

static uint64_t available(cf_env *e)
{
    uint64_t bytes = 0;
    if (!Q35_HAS_SLOT(e->api, q35_plugin, memory_refresh))
        return 0;
    cf_stage("memory_refresh");
    cf_ok(e->api->memory_refresh(e->dev, 0, &bytes), "memory_refresh");
    if (bytes > e->memory.capacity)
        cf_fail("memory_refresh says that %llu bytes are available of %llu", (unsigned long long)bytes,
                (unsigned long long)e->memory.capacity);
    return bytes;
}

static void memory_exhaustion(cf_env *e, uint32_t a, uint32_t b)
{
    enum { MOST = 512 };
    static q35_buf *buf[MOST];
    const uint64_t cap = UINT64_C(16) << 20, piece = UINT64_C(1) << 20;
    q35_buf *huge = NULL;
    int n = 0;
    (void)a, (void)b;
    cf_describe(e);
    e->pool = cf_pool(CF_THREADS);
    q35_open_options options = cf_open_options(e, e->pool);
    options.memory_cap = cap;
    cf_stage("device_open with a cap of %llu bytes", (unsigned long long)cap);
    cf_ok(e->api->device_open(e->options->device, &options, &e->dev), "device_open");
    cf_open_queue(e);
    available(e);
    for (int round = 0; round < 2; round++) {
        q35_status status = Q35_OK;
        cf_stage("buf_alloc until memory runs out");
        cf_host_clear();
        while (n < MOST && (status = e->api->buf_alloc(e->dev, 0, piece, 64, Q35_USE_ACT, &buf[n])) == Q35_OK)
            n++;
        if (n == MOST || (uint64_t)n * piece > cap)
            cf_fail("a cap of %llu bytes was opened with, and %d buffers of %llu were given",
                    (unsigned long long)cap, n, (unsigned long long)piece);
        if (n == 0)
            cf_fail("not one buffer of %llu bytes under a cap of %llu: %s", (unsigned long long)piece,
                    (unsigned long long)cap, cf_host_error());
        if (status != Q35_E_NOMEM || cf_host_error()[0] == '\0')
            cf_fail("out of memory buf_alloc answers %s '%s', need NOMEM with a text", q35_status_name(status),
                    cf_host_error());
        available(e);
        cf_stage("after memory ran out");
        e->api->buf_free(buf[--n]);
        buf[n] = alloc(e, piece, 64); /* what was freed is there again */
        n++;
        while (n > 0)
            e->api->buf_free(buf[--n]);
    }
    cf_stage("buf_alloc of 2^60 bytes");
    q35_status status = e->api->buf_alloc(e->dev, 0, UINT64_C(1) << 60, 64, Q35_USE_ACT, &huge);
    if (status != Q35_E_NOMEM && status != Q35_E_NOFIT)
        cf_fail("buf_alloc of 2^60 bytes answers %s, need NOMEM", q35_status_name(status));
    cf_case *c = kc_alloc(&e->x, sizeof *c);
    if (cf_any_case(e, c, 0))
        cf_check_case(e, c);
    available(e);
}

void cf_list_memory(cf_list *list)
{
    cf_add_test(list, CF_DEVICE | CF_L1, memory_copies, 0, 0, "memory/copies");
    cf_add_test(list, CF_CLOSED | CF_L1, memory_exhaustion, 0, 0, "memory/exhaustion");
}
