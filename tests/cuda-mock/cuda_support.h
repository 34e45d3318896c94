/* SPDX-License-Identifier: Apache-2.0
 *
 * The CUDA plugin on the mock driver, for tests in one process. Header only: each test is one file. */
#ifndef CUDA_SUPPORT_H
#define CUDA_SUPPORT_H

#include "device/device_support.h"
#include "mock.h"

#include "runtime/device/device.h"

#include <q35rt/blocks.h>
#include <q35rt/log.h>

enum { CUDA_LOG_BYTES = 4096 };

static q35_runtime *runtime;
static q35i_device *device;
static const q35_plugin *api;

/* Before each test: once per process, for a file that is mapped must not change. */
static char plugin_path[TEST_PATH];

static inline void cuda_setup(void)
{
    test_setup();
    place_plugin(CUDA_PLUGIN, "libq35rt-cuda.so", plugin_path);
}

static inline void cuda_keep_line(void *kept, int level, const char *line)
{
    const size_t at = strlen(kept);
    if (level <= Q35_LOG_WARN && at + strlen(line) + 2 < CUDA_LOG_BYTES)
        snprintf((char *)kept + at, CUDA_LOG_BYTES - at, "%s\n", line);
}

/* Before a test: warnings and errors go to kept [CUDA_LOG_BYTES], a line each. */
static inline void cuda_setup_logged(char *kept)
{
    cuda_setup();
    kept[0] = '\0';
    q35_log_set(cuda_keep_line, kept, Q35_LOG_WARN);
}

/* Both at their start; the mock library comes from LD_LIBRARY_PATH, as the plugin finds it. */
static inline void make_runtime(const char *faults)
{
    q35_mock_set(faults);
    EXPECT_OK(create_with(plugin_path, &runtime));
}

static inline void open_device(const char *faults)
{
    make_runtime(faults);
    EXPECT_OK(q35i_device_open(runtime, 0, &device));
    api = device->api;
}

/* Nothing of the driver's may be left, and no call may have come in a wrong context. */
static inline void close_device(void)
{
    q35_mock_counts counts;
    q35i_device_close(device);
    q35_runtime_destroy(runtime);
    q35_mock_get(&counts);
    ck_assert_uint_eq(counts.bytes_in_use, 0);
    ck_assert_uint_eq(counts.objects, 0);
    ck_assert_uint_eq(counts.wrong_contexts, 0);
}

static inline q35_mock_counts counts_now(void)
{
    q35_mock_counts counts;
    q35_mock_get(&counts);
    return counts;
}

static inline q35_queue *queue_of(uint32_t kind)
{
    q35_queue *q = NULL;
    EXPECT_OK(api->queue_create(device->dev, kind, &q));
    return q;
}

static inline q35_memory_info memory_now(void)
{
    q35_memory_info m = {.h = {sizeof m, Q35_STRUCT_MEMORY_INFO, NULL}};
    EXPECT_OK(api->memory_info(0, 0, &m));
    return m;
}

static inline q35_buf *buffer(uint64_t bytes)
{
    q35_buf *buf = NULL;
    void *host = &buf;
    EXPECT_OK(api->buf_alloc(device->dev, 0, bytes, 64, Q35_USE_ACT, &buf));
    EXPECT_OK(api->buf_map(buf, &host));
    ck_assert_int_eq(host != NULL, memory_now().host_coherent != 0);
    return buf;
}

static inline q35_timeline *timeline(void)
{
    q35_timeline *t = NULL;
    EXPECT_OK(api->timeline_create(device->dev, 0, &t));
    return t;
}

static inline void wait_for(q35_timeline *t, uint64_t value)
{
    EXPECT_OK(api->timeline_wait(t, value, UINT64_MAX));
}

static inline q35_tensor_desc matrix(uint32_t dtype, int64_t cols, int64_t rows, uint32_t flags)
{
    q35_tensor_desc d = {.dtype = dtype, .rank = 2, .dim = {cols, rows, 1, 1}, .flags = flags};
    d.stride[0] = q35_dtype_describe(dtype).block_bytes;
    d.stride[1] = (int64_t)q35_row_bytes(dtype, (uint64_t)cols);
    d.stride[2] = d.stride[3] = d.stride[1] * rows;
    return d;
}

static inline q35_tensor_desc vector(uint32_t dtype, int64_t length)
{
    q35_tensor_desc d = matrix(dtype, length, 1, 0);
    d.rank = 1;
    return d;
}

static inline q35_binding on_host(void *data)
{
    return (q35_binding){.host = data};
}

static inline q35_binding in_buf(q35_buf *buf, uint64_t offset, uint64_t bytes)
{
    return (q35_binding){.buf = buf, .offset = offset, .bytes = bytes};
}

static inline void copy(q35_queue *q, q35_binding src, q35_binding dst, uint64_t bytes, const q35_point *wait,
                        const q35_point *signal)
{
    EXPECT_OK(api->copy(q, &src, &dst, bytes, wait, wait ? 1 : 0, signal, signal ? 1 : 0));
}

#endif
