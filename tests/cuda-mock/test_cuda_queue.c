/* SPDX-License-Identifier: Apache-2.0
 *
 * The CUDA plugin on the mock driver: which devices there are and why not, memory, copies, timelines, and what
 * becomes of them when the driver fails. Streams of the mock are threads, and copies may be slow, so wrong waiting
 * shows. */
#define _GNU_SOURCE
#include "cuda_support.h"

#include <q35rt/collectives.h>
#include <q35rt/log.h>

enum { ROUNDS = 20 };

/* ---- devices */

START_TEST(why_there_is_no_device)
{
    static const struct {
        const char *faults, *why;
    } cases[] = {{"init=34", "stub library (34), need the one of the NVIDIA driver"},
                 {"init=100", "the driver sees no device (100)"},
                 {"init=999", "the driver does not work: CUDA_ERROR_UNKNOWN (999): unknown error"},
                 {"devices=0", "the driver sees no device (100)"},
                 {"version=11040", "it supports CUDA 11.4, need 12.0 or later"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        q35_plugin_report report;
        make_runtime(cases[i].faults);
        ck_assert_uint_eq(q35_runtime_n_devices(runtime), 0);
        q35_runtime_plugin(runtime, 0, &report);
        ck_assert_int_eq(report.loaded, 1);
        ck_assert_msg(strstr(report.reason, cases[i].why) != NULL, "%s: '%s'", cases[i].faults, report.reason);
        q35_runtime_destroy(runtime);
    }
}
END_TEST

START_TEST(devices_are_described)
{
    q35_device_report d;
    uint32_t index[2], n = 2;
    make_runtime("devices=2,memory_mib=1024");
    ck_assert_uint_eq(q35_runtime_n_devices(runtime), 2);
    q35_runtime_device(runtime, 1, &d);
    ck_assert_str_eq(d.name, "cuda:1");
    ck_assert_str_eq(d.info.name, "Mock GPU, sm_87, 16 SMs");
    ck_assert_str_eq(d.info.uuid, "10111213-1415-1617-1819-1a1b1c1d1e1f");
    ck_assert_str_eq(d.info.pci, "0000:66:00.0");
    ck_assert_uint_eq(d.info.device_class, Q35_CLASS_GPU);
    ck_assert_uint_eq(d.memory.kind, Q35_MEM_DEVICE);
    ck_assert_uint_eq(d.memory.host_coherent, 0);
    ck_assert_uint_eq(d.memory.capacity, UINT64_C(1) << 30);
    ck_assert_uint_eq(d.memory.read_mbs, 204800); /* 2 * 3.2 GHz * 256 bits, as an AGX Orin */
    EXPECT_OK(q35_runtime_resolve(runtime, "cuda:GPU-10111213-1415-1617-1819-1a1b1c1d1e1f,cuda:0", index, &n));
    ck_assert_uint_eq(index[0], 1);
    q35_runtime_destroy(runtime);
    make_runtime("integrated=1");
    q35_runtime_device(runtime, 0, &d);
    ck_assert_uint_eq(d.info.device_class, Q35_CLASS_IGPU);
    ck_assert_uint_eq(d.info.flags, Q35_DF_UNIFIED);
    ck_assert_uint_eq(d.memory.kind, Q35_MEM_UNIFIED);
    ck_assert_uint_eq(d.memory.host_coherent, 1);
    q35_runtime_destroy(runtime);
}
END_TEST

START_TEST(kernels_that_do_not_load)
{
    make_runtime("no_module=209");
    ck_assert_uint_eq(q35i_device_open(runtime, 0, &device), Q35_E_UNAVAILABLE);
    EXPECT_ERROR("kernels do not load for sm_87: CUDA_ERROR_NO_BINARY_FOR_GPU (209)");
    q35_runtime_destroy(runtime);
    ck_assert_uint_eq(counts_now().objects, 0);
}
END_TEST

/* ---- memory */

START_TEST(memory_runs_out)
{
    uint64_t available = 0;
    q35_buf *buf = NULL, *rest = NULL;
    open_device("memory_mib=64");
    EXPECT_OK(api->buf_alloc(device->dev, 0, 40 << 20, 64, Q35_USE_WEIGHT, &buf));
    EXPECT_OK(api->memory_refresh(device->dev, 0, &available));
    ck_assert_uint_eq(available, 24 << 20);
    ck_assert_uint_eq(api->buf_alloc(device->dev, 0, 25 << 20, 64, Q35_USE_WEIGHT, &rest), Q35_E_NOMEM);
    EXPECT_ERROR("26214400 bytes (25 MiB) asked for, 24 MiB are free");
    EXPECT_OK(api->buf_alloc(device->dev, 0, 24 << 20, 64, Q35_USE_WEIGHT, &rest));
    ck_assert_uint_eq(api->buf_alloc(device->dev, 0, UINT64_MAX - 5, 64, Q35_USE_WEIGHT, &rest), Q35_E_NOMEM);
    ck_assert_uint_eq(api->buf_alloc(device->dev, 1, 8, 64, Q35_USE_WEIGHT, &rest), Q35_E_RANGE);
    ck_assert_uint_eq(api->buf_alloc(device->dev, 0, 8, 48, Q35_USE_WEIGHT, &rest), Q35_E_INVALID);
    api->buf_free(buf);
    api->buf_free(rest);
    close_device();
}
END_TEST

/* What a session may plan with is what other sessions leave. */
START_TEST(memory_in_use_counts)
{
    uint64_t available = 0;
    q35i_device *second = NULL;
    open_device("memory_mib=64");
    ck_assert_uint_eq(device->memory.available, 64 << 20);
    q35_buf *buf = buffer(40 << 20);
    EXPECT_OK(q35i_device_open(runtime, 0, &second));
    EXPECT_OK(api->memory_refresh(second->dev, 0, &available));
    ck_assert_uint_eq(available, 24 << 20);
    q35i_device_close(second);
    api->buf_free(buf);
    close_device();
}
END_TEST

/* ---- copies and timelines */

/* Chains host -> a -> b -> host over both queues; only timelines order the steps. */
static void chains(const char *faults, uint64_t bytes)
{
    open_device(faults);
    q35_queue *queue[2] = {queue_of(Q35_QUEUE_COMPUTE), queue_of(Q35_QUEUE_COPY)};
    q35_buf *a = buffer(bytes), *b = buffer(bytes + 64);
    q35_timeline *t = timeline();
    unsigned char *in = malloc(bytes), *out = malloc(bytes);
    ck_assert(in && out);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        q35_point p[3];
        for (uint64_t i = 0; i < 3; i++)
            p[i] = (q35_point){t, round * 3 + i + 1};
        for (uint64_t i = 0; i < bytes; i++)
            in[i] = (unsigned char)(i * 31 + i / 251 + round);
        memset(out, 0, bytes);
        copy(queue[round % 2], on_host(in), in_buf(a, 0, bytes), bytes, NULL, &p[0]);
        copy(queue[(round + 1) % 2], in_buf(a, 0, bytes), in_buf(b, 64, bytes), bytes, &p[0], &p[1]);
        copy(queue[round % 2], in_buf(b, 64, bytes), on_host(out), bytes, &p[1], &p[2]);
        wait_for(t, p[2].value);
        ck_assert_mem_eq(in, out, bytes);
    }
    ck_assert_uint_eq(counts_now().blocking_copies, 0);
    free(in);
    free(out);
    api->queue_destroy(queue[0]);
    api->queue_destroy(queue[1]);
    api->timeline_destroy(t);
    api->buf_free(a);
    api->buf_free(b);
    close_device();
}

START_TEST(copies_follow_timelines)
{
    chains("copy_us=200", 1024);
    chains("", (5 << 19) + 77); /* more than what is pinned at a time */
}
END_TEST

/* Within a queue a later copy reads the host memory that an earlier one fills. */
START_TEST(copies_through_the_host)
{
    open_device("copy_us=2000");
    q35_queue *q = queue_of(Q35_QUEUE_COMPUTE);
    q35_buf *a = buffer(64), *b = buffer(64);
    q35_timeline *t = timeline();
    uint64_t in = 42, through = 0, out = 0;
    const q35_point done = {t, 1};
    copy(q, on_host(&in), in_buf(a, 0, 8), 8, NULL, NULL);
    copy(q, in_buf(a, 0, 8), on_host(&through), 8, NULL, NULL);
    copy(q, on_host(&through), in_buf(b, 8, 8), 8, NULL, NULL);
    copy(q, in_buf(b, 8, 8), on_host(&out), 8, NULL, &done);
    wait_for(t, 1);
    ck_assert_uint_eq(out, 42);
    api->queue_destroy(q);
    api->timeline_destroy(t);
    api->buf_free(a);
    api->buf_free(b);
    close_device();
}
END_TEST

START_TEST(late_host_signal)
{
    open_device("");
    q35_queue *q = queue_of(Q35_QUEUE_COMPUTE), *other = queue_of(Q35_QUEUE_COPY);
    q35_timeline *go = timeline(), *done = timeline();
    q35_buf *a = buffer(8);
    uint64_t in = 42, out = 0, value = 9;
    const q35_point wait = {go, 5}, first = {done, 1}, second = {done, 2};
    copy(q, on_host(&in), in_buf(a, 0, 8), 8, &wait, &first);
    copy(other, in_buf(a, 0, 8), on_host(&out), 8, &first, &second);
    ck_assert_uint_eq(api->timeline_wait(done, 1, 1000000), Q35_E_TIMEOUT); /* nothing can have signalled it */
    EXPECT_ERROR("timeline: at 0");
    ck_assert_uint_eq(api->timeline_signal(go, 4), Q35_OK);
    EXPECT_OK(api->timeline_query(done, &value));
    ck_assert_uint_eq(value, 0);
    ck_assert_uint_eq(api->timeline_signal(go, 5), Q35_OK);
    wait_for(done, 2);
    ck_assert_uint_eq(out, 42);
    ck_assert_uint_eq(api->timeline_signal(go, 5), Q35_E_INVALID);
    api->queue_destroy(q);
    api->queue_destroy(other);
    api->timeline_destroy(go);
    api->timeline_destroy(done);
    api->buf_free(a);
    close_device();
}
END_TEST

START_TEST(wrong_submissions)
{
    open_device("");
    q35_queue *q = queue_of(Q35_QUEUE_COMPUTE), *none = NULL;
    q35_buf *a = buffer(64);
    uint64_t host = 0;
    q35_point points[17];
    q35_timeline *t = timeline();
    q35_binding src = in_buf(a, 60, 8), dst = on_host(&host);
    for (uint64_t i = 0; i < 17; i++)
        points[i] = (q35_point){t, i + 1};
    ck_assert_uint_eq(api->copy(q, &src, &dst, 8, NULL, 0, NULL, 0), Q35_E_RANGE);
    EXPECT_ERROR("8 bytes at 60 of the source");
    ck_assert_uint_eq(api->copy(q, &dst, &dst, 8, NULL, 0, NULL, 0), Q35_E_INVALID);
    src.offset = 0;
    ck_assert_uint_eq(api->copy(q, &src, &dst, 8, NULL, 0, points, 17), Q35_E_INVALID);
    ck_assert_uint_eq(api->plan_submit(q, NULL, NULL, 0, NULL, 0), Q35_E_INVALID);
    ck_assert_uint_eq(api->queue_create(device->dev, 7, &none), Q35_E_INVALID);
    EXPECT_OK(api->copy(q, &src, &dst, 0, NULL, 0, points, 1)); /* nothing to copy is done */
    wait_for(t, 1);
    api->queue_destroy(q);
    api->timeline_destroy(t);
    api->buf_free(a);
    close_device();
}
END_TEST

/* ---- options */

START_TEST(unknown_options)
{
    make_runtime("");
    setenv("Q35RT_DEVICE_OPTIONS", "cuda.colour=red", 1);
    ck_assert_uint_eq(q35i_device_open(runtime, 0, &device), Q35_E_INVALID);
    EXPECT_ERROR("cuda option 'colour': unknown, need graphs or wgmma");
    setenv("Q35RT_DEVICE_OPTIONS", "cuda.graphs=maybe", 1);
    ck_assert_uint_eq(q35i_device_open(runtime, 0, &device), Q35_E_INVALID);
    EXPECT_ERROR("value 'maybe', need on or off");
    unsetenv("Q35RT_DEVICE_OPTIONS");
    q35_runtime_destroy(runtime);
}
END_TEST

/* Bytes per second of copies inside the device. */
START_TEST(memory_is_measured)
{
    q35_limit limit = {.h = {sizeof limit, Q35_STRUCT_LIMIT, NULL}};
    open_device("memory_mib=64");
    const q35_measure *measure = (const q35_measure *)(const void *)api->extension(Q35_STRUCT_MEASURE);
    ck_assert_ptr_nonnull(measure);
    EXPECT_OK(measure->limit(device->dev, 0, 1, &limit));
    ck_assert_uint_eq(limit.kind, Q35_LIMIT_READ);
    ck_assert_uint_gt(limit.per_second, 0);
    ck_assert_uint_eq(measure->limit(device->dev, 1, 1, &limit), Q35_E_RANGE);
    close_device();
}
END_TEST

static char logged[1024];

static void keep(void *user, int level, const char *line)
{
    (void)user;
    (void)level;
    if (strstr(line, "no collectives"))
        snprintf(logged, sizeof logged, "%s", line);
}

/* Where its library is hidden, which ctest does. */
START_TEST(no_collectives_without_nccl)
{
    if (!getenv("Q35RT_TEST_WITHOUT_NCCL"))
        return;
    open_device("");
    q35_log_set(keep, NULL, Q35_LOG_INFO);
    ck_assert_ptr_null(api->extension(Q35_STRUCT_COLLECTIVES));
    ck_assert_msg(strstr(logged, "cuda: no collectives between devices: ") && strstr(logged, "libnccl.so.2"),
                  "'%s'", logged);
    close_device();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cuda_queue");
    TCase *tc = tcase_create("queue");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, cuda_setup, test_teardown);
    tcase_add_test(tc, why_there_is_no_device);
    tcase_add_test(tc, devices_are_described);
    tcase_add_test(tc, kernels_that_do_not_load);
    tcase_add_test(tc, memory_runs_out);
    tcase_add_test(tc, memory_in_use_counts);
    tcase_add_test(tc, copies_follow_timelines);
    tcase_add_test(tc, copies_through_the_host);
    tcase_add_test(tc, late_host_signal);
    tcase_add_test(tc, wrong_submissions);
    tcase_add_test(tc, unknown_options);
    tcase_add_test(tc, memory_is_measured);
    tcase_add_test(tc, no_collectives_without_nccl);
    suite_add_tcase(s, tc);
    return q35t_run(s);
}
