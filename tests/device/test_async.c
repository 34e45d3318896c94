/* SPDX-License-Identifier: Apache-2.0
 *
 * The L1 test device through the ABI: private memory, copies, plans queued behind timelines, work ordered across
 * queues, late signals, failures that travel along. Every command is delayed at random, so wrong waiting shows. */
#define _GNU_SOURCE
#include "device_support.h"

#include "runtime/device/device.h"

#include <math.h>

enum { K = 16, N = 5, T = 3, VOCAB = 7, ROUNDS = 50 };

static q35_runtime *runtime;
static q35i_device *device;
static const q35_plugin *api;
static q35_queue *queue[2];

static void open_device(const char *fail_at, const char *memory)
{
    char path[TEST_PATH];
    setenv("Q35RT_TEST_ASYNC_DELAY_US", "300", 1);
    setenv("Q35RT_TEST_ASYNC_FAIL_AT", fail_at, 1);
    setenv("Q35RT_TEST_ASYNC_MEMORY", memory, 1);
    place_plugin("plugins-extra/libq35rt-async1.so", "libq35rt-async1.so", path);
    EXPECT_OK(create_with(path, &runtime));
    EXPECT_OK(q35i_device_open(runtime, 0, &device));
    ck_assert_int_eq(device->async, 1);
    ck_assert_int_eq(device->host_memory, 0);
    api = device->api;
    ck_assert_uint_eq(api->queue_create(device->dev, Q35_QUEUE_COMPUTE, &queue[0]), Q35_OK);
    ck_assert_uint_eq(api->queue_create(device->dev, Q35_QUEUE_COPY, &queue[1]), Q35_OK);
}

static void close_device(void)
{
    api->queue_destroy(queue[0]);
    api->queue_destroy(queue[1]);
    q35i_device_close(device);
    q35_runtime_destroy(runtime);
}

static q35_buf *buffer(uint64_t bytes)
{
    q35_buf *buf;
    void *host = &buf;
    ck_assert_msg(api->buf_alloc(device->dev, 0, bytes, 64, Q35_USE_ACT, &buf) == Q35_OK, "%s",
                  q35_error_message());
    ck_assert_uint_eq(api->buf_map(buf, &host), Q35_OK);
    ck_assert_ptr_null(host);
    return buf;
}

static q35_timeline *timeline(void)
{
    q35_timeline *t;
    ck_assert_uint_eq(api->timeline_create(device->dev, 0, &t), Q35_OK);
    return t;
}

static void wait_for(q35_timeline *t, uint64_t value)
{
    EXPECT_OK(api->timeline_wait(t, value, UINT64_C(60000000000)));
}

static void copy(q35_queue *q, q35_binding src, q35_binding dst, uint64_t bytes, const q35_point *wait,
                 const q35_point *signal)
{
    ck_assert_msg(api->copy(q, &src, &dst, bytes, wait, wait ? 1 : 0, signal, signal ? 1 : 0) == Q35_OK, "%s",
                  q35_error_message());
}

static q35_binding on_host(void *data)
{
    return (q35_binding){.host = data};
}

static q35_binding in_buf(q35_buf *buf, uint64_t offset, uint64_t bytes)
{
    return (q35_binding){.buf = buf, .offset = offset, .bytes = bytes};
}

/* Chains host -> a -> b -> host over both queues; only timelines order the steps. */
START_TEST(copies_follow_timelines)
{
    open_device("0", "1000000");
    q35_buf *a = buffer(1024), *b = buffer(2048);
    q35_timeline *t = timeline();
    unsigned char in[1024], out[1024];
    for (uint64_t round = 0; round < ROUNDS; round++) {
        q35_point p[3];
        for (uint64_t i = 0; i < 3; i++)
            p[i] = (q35_point){t, round * 3 + i + 1};
        memset(in, (int)round + 1, sizeof in);
        memset(out, 0, sizeof out);
        copy(queue[round % 2], on_host(in), in_buf(a, 0, 1024), 1024, NULL, &p[0]);
        copy(queue[(round + 1) % 2], in_buf(a, 0, 1024), in_buf(b, 1024, 1024), 1024, &p[0], &p[1]);
        copy(queue[round % 2], in_buf(b, 1024, 1024), on_host(out), 1024, &p[1], &p[2]);
        wait_for(t, p[2].value);
        ck_assert_mem_eq(in, out, sizeof in);
    }
    api->timeline_destroy(t);
    api->buf_free(a);
    api->buf_free(b);
    close_device();
}
END_TEST

START_TEST(late_host_signal)
{
    open_device("0", "1000000");
    q35_timeline *go = timeline(), *done = timeline();
    q35_buf *a = buffer(8);
    uint64_t in = 42, out = 0, value = 9;
    q35_point wait = {go, 5}, first = {done, 1}, second = {done, 2};
    copy(queue[0], on_host(&in), in_buf(a, 0, 8), 8, &wait, &first);
    copy(queue[0], in_buf(a, 0, 8), on_host(&out), 8, NULL, &second);
    ck_assert_uint_eq(api->timeline_wait(done, 1, 1000000), Q35_E_TIMEOUT); /* nothing can have signalled it */
    EXPECT_ERROR("timeline at 0");
    ck_assert_uint_eq(api->timeline_signal(go, 4), Q35_OK);
    ck_assert_uint_eq(api->timeline_query(done, &value), Q35_OK);
    ck_assert_uint_eq(value, 0);
    ck_assert_uint_eq(api->timeline_signal(go, 4), Q35_E_INVALID);
    ck_assert_uint_eq(api->timeline_signal(go, 7), Q35_OK);
    wait_for(done, 2);
    ck_assert_uint_eq(out, 42);
    api->buf_free(a);
    api->timeline_destroy(go);
    api->timeline_destroy(done);
    close_device();
}
END_TEST

START_TEST(memory_runs_out_and_recovers)
{
    open_device("0", "4096");
    uint64_t available;
    q35_buf *a = buffer(4000), *b = NULL;
    EXPECT_FAILURE(api->buf_alloc(device->dev, 0, 200, 64, Q35_USE_ACT, &b), Q35_E_NOMEM,
                   "4000 of 4096 bytes in use, 200 more asked for");
    ck_assert_uint_eq(api->buf_alloc(device->dev, 0, UINT64_MAX, 64, Q35_USE_ACT, &b), Q35_E_NOMEM);
    ck_assert_uint_eq(api->memory_refresh(device->dev, 0, &available), Q35_OK);
    ck_assert_uint_eq(available, 96);
    api->buf_free(a);
    b = buffer(200);
    unsigned char byte = 0;
    q35_binding outside = in_buf(b, 100, 200), host = on_host(&byte);
    ck_assert_uint_eq(api->copy(queue[0], &outside, &host, 101, NULL, 0, NULL, 0), Q35_E_RANGE);
    ck_assert_uint_eq(api->copy(queue[0], &host, &host, 1, NULL, 0, NULL, 0), Q35_E_INVALID);
    api->buf_free(b);
    close_device();
}
END_TEST

/* logits = table[ids] . w, both weights in the device. */
typedef struct net {
    q35_tensor_desc tensors[6];
    uint32_t roles[6], in[2][2], out[2][1];
    q35_node nodes[2];
    const q35_node *list[2];
    q35_region region;
    q35_buf *bufs[6];
    q35_binding bind[6];
    q35_plan *plan;
} net;

enum { IDS, TABLE, ROWS, WEIGHT, LOGITS, STEP, N_TENSORS };

static q35_tensor_desc matrix(uint32_t dtype, int64_t cols, int64_t rows, uint32_t flags)
{
    return (q35_tensor_desc){.dtype = dtype,
                             .rank = 2,
                             .dim = {cols, rows, 1, 1},
                             .stride = {4, cols * 4, cols * rows * 4, cols * rows * 4},
                             .flags = flags};
}

static void make_net(net *n)
{
    memset(n, 0, sizeof *n);
    n->tensors[IDS] = (q35_tensor_desc){.dtype = Q35_DT_I32,
                                        .rank = 1,
                                        .dim = {T, 1, 1, 1},
                                        .stride = {4, T * 4, T * 4, T * 4},
                                        .flags = Q35_TF_TOKEN_ROWS};
    n->tensors[TABLE] = matrix(Q35_DT_F32, K, VOCAB, 0);
    n->tensors[ROWS] = matrix(Q35_DT_F32, K, T, Q35_TF_TOKEN_ROWS);
    n->tensors[WEIGHT] = matrix(Q35_DT_F32, K, N, 0);
    n->tensors[LOGITS] = matrix(Q35_DT_F32, N, T, Q35_TF_TOKEN_ROWS);
    n->tensors[STEP] =
        (q35_tensor_desc){.dtype = Q35_DT_I32, .rank = 1, .dim = {8, 1, 1, 1}, .stride = {4, 32, 32, 32}};
    static const uint32_t roles[N_TENSORS] = {Q35_ROLE_INPUT,  Q35_ROLE_WEIGHT, Q35_ROLE_TEMP,
                                              Q35_ROLE_WEIGHT, Q35_ROLE_OUTPUT, Q35_ROLE_STEP};
    static const uint32_t in[2][2] = {{IDS, TABLE}, {ROWS, WEIGHT}}, ops[2] = {Q35_OP_GET_ROWS, Q35_OP_LINEAR};
    memcpy(n->roles, roles, sizeof roles);
    for (uint32_t i = 0; i < 2; i++) {
        memcpy(n->in[i], in[i], sizeof in[i]);
        n->out[i][0] = i == 0 ? ROWS : LOGITS;
        n->nodes[i] = (q35_node){.h = {sizeof n->nodes[i], Q35_STRUCT_NODE, NULL},
                                 .op = ops[i],
                                 .n_in = 2,
                                 .n_out = 1,
                                 .in = n->in[i],
                                 .out = n->out[i]};
        n->list[i] = &n->nodes[i];
    }
    n->region = (q35_region){.h = {sizeof n->region, Q35_STRUCT_REGION, NULL},
                             .n_tensors = N_TENSORS,
                             .n_nodes = 2,
                             .tensors = n->tensors,
                             .roles = n->roles,
                             .nodes = n->list,
                             .step = STEP};
    EXPECT_OK(api->plan_compile(device->dev, &n->region, &n->plan));
    for (uint32_t i = 0; i < N_TENSORS; i++) {
        uint64_t bytes = (uint64_t)(n->tensors[i].dim[0] * n->tensors[i].dim[1]) * 4;
        n->bufs[i] = buffer(bytes);
        n->bind[i] = in_buf(n->bufs[i], 0, bytes);
    }
    ck_assert_uint_eq(api->plan_bind(n->plan, n->bind), Q35_OK);
}

static void free_net(net *n)
{
    api->plan_free(n->plan);
    for (uint32_t i = 0; i < N_TENSORS; i++)
        api->buf_free(n->bufs[i]);
}

static float table_data[VOCAB * K], weight_data[N * K];

static void upload_weights(const net *n, q35_timeline *t)
{
    for (int i = 0; i < VOCAB * K; i++)
        table_data[i] = (float)(i % 13) - 6.0f;
    for (int i = 0; i < N * K; i++)
        weight_data[i] = (float)(i % 5) * 0.5f - 1.0f;
    copy(queue[1], on_host(table_data), n->bind[TABLE], sizeof table_data, NULL, NULL);
    copy(queue[1], on_host(weight_data), n->bind[WEIGHT], sizeof weight_data, NULL, &(q35_point){t, 1});
    wait_for(t, 1);
}

/* The pipeline of one token step: copy in on one queue, run on the other, copy out on the first. */
static void run_step(const net *n, q35_timeline *t, uint64_t base, int32_t ids[T], q35_step *step,
                     float logits[T * N])
{
    q35_point copied = {t, base + 1}, ran = {t, base + 2}, read = {t, base + 3};
    copy(queue[1], on_host(step), n->bind[STEP], sizeof *step, NULL, NULL);
    copy(queue[1], on_host(ids), n->bind[IDS], T * sizeof *ids, NULL, &copied);
    ck_assert_uint_eq(api->plan_submit(queue[0], n->plan, &copied, 1, &ran, 1), Q35_OK);
    copy(queue[1], n->bind[LOGITS], on_host(logits), T * N * sizeof *logits, &ran, &read);
}

START_TEST(plans_run_behind_copies)
{
    net n;
    open_device("0", "1000000");
    q35_timeline *t = timeline();
    make_net(&n);
    upload_weights(&n, t);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        int32_t ids[T] = {(int32_t)(round % VOCAB), (int32_t)((round + 3) % VOCAB), 0};
        q35_step step = {.n_tokens = 2};
        float logits[T * N] = {0};
        run_step(&n, t, 1 + round * 3, ids, &step, logits);
        wait_for(t, 4 + round * 3);
        for (int r = 0; r < 2; r++) {
            for (int i = 0; i < N; i++) {
                double sum = 0.0;
                for (int k = 0; k < K; k++)
                    sum += (double)table_data[ids[r] * K + k] * (double)weight_data[i * K + k];
                ck_assert_double_le(fabs(sum - (double)logits[r * N + i]), 1e-4);
            }
        }
    }
    free_net(&n);
    api->timeline_destroy(t);
    close_device();
}
END_TEST

START_TEST(failures_travel_with_the_timeline)
{
    static const char *const fail_at[] = {"2", "0"};
    net n;
    open_device(fail_at[_i], "1000000");
    q35_timeline *t = timeline();
    make_net(&n);
    upload_weights(&n, t);
    int32_t good[T] = {1, 2, 3}, bad[T] = {1, -5, 3};
    q35_step step = {.n_tokens = T};
    float first[T * N], second[T * N] = {0};
    run_step(&n, t, 1, good, &step, first);
    wait_for(t, 4);
    run_step(&n, t, 4, _i == 0 ? good : bad, &step, second);
    /* The plan fails, so the copy behind it is left out and carries the same status and text. */
    ck_assert_uint_eq(api->timeline_wait(t, 7, UINT64_MAX), _i == 0 ? Q35_E_DEVICE : Q35_E_RANGE);
    EXPECT_ERROR(_i == 0 ? "injected failure" : "token id -5, need less than 7");
    ck_assert(second[0] == 0.0f);
    ck_assert_uint_eq(api->timeline_wait(t, 5, UINT64_MAX), Q35_OK); /* what came before stays reached */
    q35_timeline *again = timeline();
    run_step(&n, again, 0, good, &step, second);
    wait_for(again, 3);
    ck_assert_mem_eq(first, second, sizeof first);
    free_net(&n);
    api->timeline_destroy(again);
    api->timeline_destroy(t);
    close_device();
}
END_TEST

START_TEST(host_memory_is_refused)
{
    net n;
    float host[T * K];
    open_device("0", "1000000");
    make_net(&n);
    q35_binding saved = n.bind[ROWS];
    n.bind[ROWS] = on_host(host);
    EXPECT_FAILURE(api->plan_bind(n.plan, n.bind), Q35_E_INVALID, "tensor 2 is bound to a host address");
    n.bind[ROWS] = saved;
    n.bind[ROWS].offset = 8;
    ck_assert_uint_eq(api->plan_bind(n.plan, n.bind), Q35_E_INVALID);
    free_net(&n);
    close_device();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("async");
    TCase *tc = tcase_create("async");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, test_setup, test_teardown);
    tcase_add_test(tc, copies_follow_timelines);
    tcase_add_test(tc, late_host_signal);
    tcase_add_test(tc, memory_runs_out_and_recovers);
    tcase_add_test(tc, plans_run_behind_copies);
    tcase_add_loop_test(tc, failures_travel_with_the_timeline, 0, 2);
    tcase_add_test(tc, host_memory_is_refused);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
