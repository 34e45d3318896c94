/* SPDX-License-Identifier: Apache-2.0
 *
 * GPUs whose memory is the host's: buffers that both address and that no copy of the driver touches; and those of
 * which the driver says so and a kernel sees otherwise, which are used like any other GPU. */
#define _GNU_SOURCE
#include "cuda_support.h"

static char logged[CUDA_LOG_BYTES];

static void setup(void)
{
    cuda_setup_logged(logged);
}

static void *mapped(q35_buf *buf)
{
    void *host = NULL;
    EXPECT_OK(api->buf_map(buf, &host));
    return host;
}

/* Host memory -> a -> b -> host memory, while the host looks into the buffers. */
static void go_round(void)
{
    enum { BYTES = 3 << 20 };
    q35_queue *q = queue_of(Q35_QUEUE_COMPUTE);
    q35_timeline *t = timeline();
    q35_buf *a = buffer(BYTES), *b = buffer(BYTES);
    unsigned char *in = malloc(BYTES), *out = calloc(BYTES, 1);
    ck_assert(in && out);
    for (uint32_t i = 0; i < BYTES; i++)
        in[i] = (unsigned char)(i * 7 + i / 253);
    const q35_point points[] = {{t, 1}, {t, 2}, {t, 3}};
    copy(q, on_host(in), in_buf(a, 0, BYTES), BYTES, NULL, &points[0]);
    wait_for(t, 1);
    if (mapped(a)) {
        ck_assert_mem_eq(mapped(a), in, BYTES);
        in[17] = 99;
        ((unsigned char *)mapped(a))[17] = 99;
    }
    copy(q, in_buf(a, 0, BYTES), in_buf(b, 0, BYTES), BYTES, NULL, &points[1]);
    copy(q, in_buf(b, 64, BYTES - 64), on_host(out), BYTES - 64, NULL, &points[2]);
    wait_for(t, 3);
    ck_assert_mem_eq(out, in + 64, BYTES - 64);
    if (mapped(b))
        ck_assert_mem_eq(mapped(b), in, BYTES);
    free(in);
    free(out);
    api->queue_destroy(q);
    api->timeline_destroy(t);
    api->buf_free(a);
    api->buf_free(b);
}

START_TEST(one_memory)
{
    open_device(_i == 0 ? "integrated=1,copy_us=100" : "integrated=2,copy_us=100");
    ck_assert_uint_eq(memory_now().host_coherent, 1);
    ck_assert_uint_eq(memory_now().kind, Q35_MEM_UNIFIED);
    go_round();
    ck_assert_uint_eq(counts_now().transfers, 0);
    for (uint64_t align = 64; align <= 1 << 20; align *= 128) {
        q35_buf *buf = NULL;
        EXPECT_OK(api->buf_alloc(device->dev, 0, 100, align, Q35_USE_ACT, &buf));
        ck_assert_uint_eq((uintptr_t)mapped(buf) % align, 0);
        memset(mapped(buf), 1, 100);
        api->buf_free(buf);
    }
    ck_assert_str_eq(logged, "");
    close_device();
}
END_TEST

/* Nothing is tried where the driver promises nothing. */
START_TEST(nothing_to_share)
{
    open_device(_i == 0 ? "integrated=3" : "");
    ck_assert_uint_eq(counts_now().kernels, 0);
    ck_assert_uint_eq(memory_now().host_coherent, 0);
    go_round();
    ck_assert_uint_gt(counts_now().transfers, 0);
    ck_assert_str_eq(logged, "");
    close_device();
}
END_TEST

START_TEST(a_lying_board_is_copied_to)
{
    static const struct {
        const char *faults, *why;
    } cases[] = {{"integrated=1,lying=1", "number 0 of round 1 is -1 after a kernel, need 0"},
                 {"integrated=2,lying=1", "number 0 of round 1 is -1 after a kernel, need 0"},
                 {"integrated=1,lying=2", "of round 2 is "},
                 {"integrated=2,lying=2", "of round 2 is "},
                 {"integrated=1,lying=3", "CUDA_ERROR_INVALID_VALUE"},
                 {"integrated=2,oom_at=1", "CUDA_ERROR_OUT_OF_MEMORY"}};
    open_device(cases[_i].faults);
    ck_assert_uint_eq(memory_now().host_coherent, 0);
    ck_assert_msg(strstr(logged, "said to share the host's memory, but") && strstr(logged, cases[_i].why),
                  "%s: '%s'", cases[_i].faults, logged);
    go_round();
    ck_assert_uint_gt(counts_now().transfers, 0);
    q35i_device *second = NULL; /* not tried again */
    const uint64_t kernels = counts_now().kernels;
    EXPECT_OK(q35i_device_open(runtime, 0, &second));
    ck_assert_uint_eq(counts_now().kernels, kernels);
    q35i_device_close(second);
    close_device();
}
END_TEST

START_TEST(lost_while_trying)
{
    make_runtime(_i == 0 ? "integrated=1,sticky_at=2" : "integrated=2,lost_at=1");
    EXPECT_FAILURE(q35i_device_open(runtime, 0, &device), Q35_E_DEVICE_LOST,
                   "testing memory that the host shares: CUDA_ERROR_");
    q35_runtime_destroy(runtime);
    ck_assert_uint_eq(counts_now().bytes_in_use, 0);
    ck_assert_uint_eq(counts_now().objects, 0);
    open_device("integrated=1");
    go_round();
    close_device();
}
END_TEST

/* Shared memory runs out like any other. */
START_TEST(memory_runs_out)
{
    q35_buf *buf = NULL;
    open_device(_i == 0 ? "integrated=1,memory_mib=64" : "integrated=2,memory_mib=64");
    EXPECT_FAILURE(api->buf_alloc(device->dev, 0, 65 << 20, 64, Q35_USE_WEIGHT, &buf), Q35_E_NOMEM,
                   "68157440 bytes (65 MiB) asked for, 64 MiB are free");
    EXPECT_OK(api->buf_alloc(device->dev, 0, 64 << 20, 64, Q35_USE_WEIGHT, &buf));
    api->buf_free(buf);
    close_device();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cuda_unified");
    TCase *tc = tcase_create("unified");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, test_teardown);
    tcase_add_loop_test(tc, one_memory, 0, 2);
    tcase_add_loop_test(tc, nothing_to_share, 0, 2);
    tcase_add_loop_test(tc, a_lying_board_is_copied_to, 0, 6);
    tcase_add_loop_test(tc, lost_while_trying, 0, 2);
    tcase_add_loop_test(tc, memory_runs_out, 0, 2);
    suite_add_tcase(s, tc);
    return q35t_run(s);
}
