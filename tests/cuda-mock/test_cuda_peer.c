/* SPDX-License-Identifier: Apache-2.0
 *
 * Several devices of the CUDA plugin on the mock driver: what they reach of each other's memory, copies between
 * them and plans on it, refused copies and lost sources, the host's test of a path; and that each call of the
 * driver comes in the right context, whatever the calling thread's is. */
#define _GNU_SOURCE
#include "cuda_support.h"

#include "runtime/device/extension.h"

#include <q35rt/log.h>
#include <q35rt/peer.h>

enum { N = 3, BYTES = 100000, ROUNDS = 20, K = 64, T = 4, NUMBERS = K * T };

static q35i_device *devices[N];
static q35_queue *queues[N];
static q35_timeline *timelines[N];
static q35_buf *bufs[N];
static uint64_t values[N];
static char warned[512];

static void keep(void *user, int level, const char *line)
{
    (void)user;
    if (level <= Q35_LOG_INFO && strstr(line, "copies"))
        snprintf(warned, sizeof warned, "%s", line);
}

static void open_one(uint32_t i)
{
    EXPECT_OK(q35i_device_open(runtime, i, &devices[i]));
    api = devices[i]->api;
    EXPECT_OK(api->queue_create(devices[i]->dev, Q35_QUEUE_COMPUTE, &queues[i]));
    EXPECT_OK(api->timeline_create(devices[i]->dev, 0, &timelines[i]));
    EXPECT_OK(api->buf_alloc(devices[i]->dev, 0, BYTES, 64, Q35_USE_ACT, &bufs[i]));
    values[i] = 0;
}

static void close_one(uint32_t i)
{
    api->queue_destroy(queues[i]);
    api->timeline_destroy(timelines[i]);
    api->buf_free(bufs[i]);
    q35i_device_close(devices[i]);
}

static void open_devices(const char *faults)
{
    char list[200];
    format(list, sizeof list, "devices=%d%s%s", (int)N, *faults ? "," : "", faults);
    make_runtime(list);
    for (uint32_t i = 0; i < N; i++)
        open_one(i);
}

static void close_devices(void)
{
    for (uint32_t i = 0; i < N; i++)
        close_one(i);
    q35_runtime_destroy(runtime);
    ck_assert_uint_eq(counts_now().bytes_in_use, 0);
    ck_assert_uint_eq(counts_now().objects, 0);
    ck_assert_uint_eq(counts_now().wrong_contexts, 0);
}

static const q35_peer *table(void)
{
    const q35_peer *peer = (const q35_peer *)(const void *)api->extension(Q35_STRUCT_PEER);
    ck_assert_ptr_nonnull(peer);
    return peer;
}

static uint32_t mode_between(q35_device *to, q35_device *from)
{
    q35_peer_info info = {.h = {sizeof info, Q35_STRUCT_PEER_INFO, NULL}, .mode = 99, .mbs = 99, .latency_ns = 99};
    EXPECT_OK(table()->query(to, from, &info));
    ck_assert_uint_eq(info.mbs, 0); /* the driver does not say */
    ck_assert_uint_eq(info.latency_ns, 0);
    return info.mode;
}

static uint32_t mode(uint32_t to, uint32_t from)
{
    return mode_between(devices[to]->dev, devices[from]->dev);
}

static q35_binding at(uint32_t i, uint64_t bytes)
{
    return in_buf(bufs[i], 0, bytes);
}

/* On a queue of device i, to its end. */
static q35_status move(uint32_t i, q35_binding src, q35_binding dst, uint64_t bytes)
{
    const q35_point done = {timelines[i], ++values[i]};
    const q35_status status = api->copy(queues[i], &src, &dst, bytes, NULL, 0, &done, 1);
    return status == Q35_OK ? api->timeline_wait(timelines[i], values[i], UINT64_MAX) : status;
}

/* ---- what they reach */

START_TEST(what_devices_reach)
{
    static const struct {
        const char *faults;
        uint32_t to, from, mode;
    } cases[] = {{"", 0, 1, Q35_PEER_ADDRESS},
                 {"alone=3", 1, 0, Q35_PEER_ADDRESS},
                 {"alone=3", 0, 2, Q35_PEER_STAGED},
                 {"alone=3", 2, 0, Q35_PEER_STAGED},
                 {"access_fails=704", 2, 1, Q35_PEER_ADDRESS}, /* somebody else of the process has asked for it */
                 {"access_fails=711", 2, 1, Q35_PEER_STAGED},
                 {"integrated=1", 0, 1, Q35_PEER_NONE},
                 {"integrated=2", 0, 1, Q35_PEER_NONE}};
    q35_peer_info info = {.h = {sizeof info, Q35_STRUCT_PEER_INFO, NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        open_devices(cases[i].faults);
        for (int again = 0; again < 2; again++)
            ck_assert_msg(mode(cases[i].to, cases[i].from) == cases[i].mode, "%s", cases[i].faults);
        ck_assert_uint_eq(table()->query(devices[0]->dev, devices[0]->dev, &info), Q35_E_INVALID);
        EXPECT_ERROR("cuda device 0: is no peer of itself");
        close_devices();
    }
}
END_TEST

START_TEST(access_that_is_refused_is_said)
{
    open_devices("access_fails=711");
    q35_log_set(keep, NULL, Q35_LOG_INFO);
    ck_assert_uint_eq(mode(0, 1), Q35_PEER_STAGED);
    ck_assert_msg(strstr(warned, "device 0 has no access to memory of device 1, so copies go through the host's: "
                                 "CUDA_ERROR_TOO_MANY_PEERS (711)"),
                  "'%s'", warned);
    close_devices();
}
END_TEST

/* In one context: no copy between devices at all. */
START_TEST(one_gpu_opened_twice)
{
    q35i_device *twin = NULL;
    uint64_t in = 42, out = 0;
    open_devices("integrated=1");
    EXPECT_OK(q35i_device_open(runtime, 0, &twin));
    ck_assert_uint_eq(mode_between(twin->dev, devices[0]->dev), Q35_PEER_ADDRESS);
    device = twin;
    q35_queue *queue = queue_of(Q35_QUEUE_COPY);
    q35_timeline *done = timeline();
    q35_buf *buf = buffer(64);
    EXPECT_OK(move(0, on_host(&in), at(0, 8), 8));
    copy(queue, at(0, 8), in_buf(buf, 8, 8), 8, NULL, NULL);
    copy(queue, in_buf(buf, 8, 8), on_host(&out), 8, NULL, &(q35_point){done, 1});
    wait_for(done, 1);
    ck_assert_uint_eq(out, 42);
    ck_assert_uint_eq(counts_now().peer_copies, 0);
    api->queue_destroy(queue);
    api->timeline_destroy(done);
    api->buf_free(buf);
    q35i_device_close(twin);
    close_devices();
}
END_TEST

/* It must be asked for again when a device was closed meanwhile. */
START_TEST(access_ends_with_a_context)
{
    open_devices("");
    ck_assert_uint_eq(mode(0, 1), Q35_PEER_ADDRESS);
    EXPECT_OK(move(0, at(1, 64), at(0, 64), 64));
    close_one(1);
    open_one(1);
    EXPECT_OK(move(0, at(1, 64), at(0, 64), 64));
    ck_assert_uint_eq(counts_now().staged_copies, 1);
    ck_assert_uint_eq(mode(0, 1), Q35_PEER_ADDRESS);
    EXPECT_OK(move(0, at(1, 64), at(0, 64), 64));
    ck_assert_uint_eq(counts_now().staged_copies, 1);
    ck_assert_uint_eq(counts_now().peer_copies, 3);
    close_devices();
}
END_TEST

/* ---- copies */

/* Host, device 0, 1, 2, 0, host; nothing else goes through the host. */
static void go_around(const char *faults, uint64_t staged)
{
    unsigned char *in = malloc(BYTES), *out = malloc(BYTES);
    ck_assert(in && out);
    open_devices(faults);
    for (uint32_t i = 0; i < N; i++)
        ck_assert_uint_ne(mode((i + 1) % N, i), Q35_PEER_NONE);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < BYTES; i++)
            in[i] = (unsigned char)(i * 31 + i / 251 + round);
        memset(out, 0, BYTES);
        EXPECT_OK(move(0, on_host(in), at(0, BYTES), BYTES));
        for (uint32_t i = 0; i < N; i++)
            EXPECT_OK(move((i + 1) % N, at(i, BYTES), at((i + 1) % N, BYTES), BYTES));
        EXPECT_OK(move(0, at(0, BYTES), on_host(out), BYTES));
        ck_assert_mem_eq(in, out, BYTES);
    }
    const q35_mock_counts c = counts_now();
    ck_assert_uint_eq(c.peer_copies, N * ROUNDS);
    ck_assert_uint_eq(c.staged_copies, staged * ROUNDS);
    ck_assert_uint_eq(c.transfers, 2 * ROUNDS);
    ck_assert_uint_eq(c.blocking_copies, 0);
    close_devices();
    free(in);
    free(out);
}

START_TEST(copies_go_around)
{
    go_around("", 0);
    go_around("alone=2,copy_us=100", 2);
}
END_TEST

START_TEST(wrong_copies)
{
    uint64_t host = 0;
    open_devices("");
    ck_assert_uint_eq(move(1, at(0, 8), on_host(&host), 8), Q35_E_UNSUPPORTED);
    EXPECT_ERROR("from device 0 to host memory, need a queue of device 0");
    ck_assert_uint_eq(move(1, at(1, 8), at(0, 8), 8), Q35_E_RANGE);
    EXPECT_ERROR("of the destination");
    ck_assert_uint_eq(move(1, at(0, BYTES + 1), at(1, BYTES), BYTES + 1), Q35_E_RANGE);
    EXPECT_ERROR("of the source");
    ck_assert_uint_eq(counts_now().peer_copies, 0);
    close_devices();
    open_devices("integrated=1");
    ck_assert_uint_eq(move(1, at(0, 8), at(1, 8), 8), Q35_E_UNSUPPORTED);
    EXPECT_ERROR("from device 0 to a device that cannot read it");
    close_devices();
}
END_TEST

START_TEST(a_refused_copy_fails_alone)
{
    q35_timeline *fresh = NULL;
    uint64_t in = 42, out = 0;
    open_devices("peer_fails_at=1");
    ck_assert_uint_eq(move(1, at(0, 8), at(1, 8), 8), Q35_E_DEVICE);
    EXPECT_ERROR("cuda queue: copying from another device: CUDA_ERROR_PEER_ACCESS_UNSUPPORTED (217)");
    EXPECT_OK(api->timeline_create(devices[1]->dev, 0, &fresh)); /* the other has failed for good */
    EXPECT_OK(move(0, on_host(&in), at(0, 8), 8));
    copy(queues[1], at(0, 8), at(1, 8), 8, NULL, NULL);
    copy(queues[1], at(1, 8), on_host(&out), 8, NULL, &(q35_point){fresh, 1});
    wait_for(fresh, 1);
    ck_assert_uint_eq(out, 42);
    api->timeline_destroy(fresh);
    close_devices();
}
END_TEST

/* ---- the host's own test of a path */

START_TEST(a_path_is_tested_with_data)
{
    static const struct {
        const char *faults;
        uint32_t mode;
        const char *why;
    } cases[] = {{"", Q35_PEER_ADDRESS, NULL},
                 {"alone=1", Q35_PEER_STAGED, NULL},
                 {"peer_damage=1", Q35_PEER_NONE, "byte 32800 of 65600 arrived as"},
                 {"peer_fails_at=1", Q35_PEER_NONE, "CUDA_ERROR_PEER_ACCESS_UNSUPPORTED"},
                 {"integrated=2", Q35_PEER_NONE, NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        open_devices(cases[i].faults);
        warned[0] = '\0';
        q35_log_set(keep, NULL, Q35_LOG_WARN);
        ck_assert_msg(q35i_device_peer(devices[1], devices[0]).mode == cases[i].mode, "%s", cases[i].faults);
        ck_assert_msg(cases[i].why ? strstr(warned, "device cuda:1: copies from cuda:0 do not work") &&
                                         strstr(warned, cases[i].why)
                                   : !warned[0],
                      "%s: '%s'", cases[i].faults, warned);
        close_devices();
    }
}
END_TEST

/* ---- plans on another device's memory: y = a + b */

static q35_plan *compile_add(uint32_t i)
{
    static const uint32_t roles[4] = {Q35_ROLE_INPUT, Q35_ROLE_INPUT, Q35_ROLE_OUTPUT, Q35_ROLE_STEP};
    const q35_tensor_desc rows = matrix(Q35_DT_F32, K, T, Q35_TF_TOKEN_ROWS);
    const q35_tensor_desc tensors[4] = {rows, rows, rows, vector(Q35_DT_I32, 8)};
    const uint32_t in[2] = {0, 1}, out[1] = {2};
    const q35_node node = {
        .h = {sizeof node, Q35_STRUCT_NODE, NULL}, .op = Q35_OP_ADD, .n_in = 2, .n_out = 1, .in = in, .out = out};
    const q35_node *nodes[1] = {&node};
    const q35_region region = {.h = {sizeof region, Q35_STRUCT_REGION, NULL},
                               .n_tensors = 4,
                               .n_nodes = 1,
                               .tensors = tensors,
                               .roles = roles,
                               .nodes = nodes,
                               .step = 3};
    q35_plan *plan = NULL;
    EXPECT_OK(api->plan_compile(devices[i]->dev, &region, &plan));
    return plan;
}

static q35_binding numbers(uint32_t i, uint32_t slot)
{
    return in_buf(bufs[i], slot * NUMBERS * sizeof(float), NUMBERS * sizeof(float));
}

/* The step always lies on device i; the rest where it is said. */
static void bindings_of(uint32_t i, const uint32_t where[3], q35_binding out[4])
{
    for (uint32_t t = 0; t < 3; t++)
        out[t] = numbers(where[t], t);
    out[3] = in_buf(bufs[i], 3 * NUMBERS * sizeof(float), sizeof(q35_step));
}

static q35_status run_add(uint32_t i, q35_plan *plan, const uint32_t where[3])
{
    float data[2][NUMBERS], sum[NUMBERS];
    q35_step step = {.n_tokens = T, .n_out = T, .n_sequences = 1};
    q35_binding bind[4];
    bindings_of(i, where, bind);
    for (uint32_t t = 0; t < 2; t++) {
        for (uint32_t k = 0; k < NUMBERS; k++)
            data[t][k] = (float)((t + 1) * k % 97);
        EXPECT_OK(move(where[t], on_host(data[t]), bind[t], sizeof data[t]));
    }
    EXPECT_OK(move(i, on_host(&step), bind[3], sizeof step));
    EXPECT_OK(api->plan_bind(plan, bind));
    const q35_point done = {timelines[i], ++values[i]};
    EXPECT_OK(api->plan_submit(queues[i], plan, NULL, 0, &done, 1));
    const q35_status status = api->timeline_wait(timelines[i], values[i], UINT64_MAX);
    if (status != Q35_OK)
        return status;
    EXPECT_OK(move(where[2], bind[2], on_host(sum), sizeof sum));
    for (uint32_t k = 0; k < NUMBERS; k++)
        ck_assert(sum[k] == data[0][k] + data[1][k]);
    return Q35_OK;
}

START_TEST(plans_use_memory_that_is_reached)
{
    static const uint32_t here[3] = {1, 1, 1}, input[3] = {1, 0, 1}, all[3] = {0, 0, 0}, unreached[3] = {1, 2, 1};
    q35_binding bind[4];
    open_devices("alone=3");
    q35_plan *plan = compile_add(1);
    EXPECT_OK(run_add(1, plan, here));
    EXPECT_OK(run_add(1, plan, input));
    EXPECT_OK(run_add(1, plan, all));
    bindings_of(1, unreached, bind);
    ck_assert_uint_eq(api->plan_bind(plan, bind), Q35_E_INVALID);
    EXPECT_ERROR("tensor 1 is bound to 1024 bytes, need 1024 of a buffer that this device addresses");
    EXPECT_OK(run_add(1, plan, here));
    api->plan_free(plan);
    close_devices();
}
END_TEST

/* Its failure is not that of the device that copies from it. */
START_TEST(a_lost_source)
{
    static const uint32_t here[3] = {0, 0, 0};
    q35_timeline *fresh = NULL;
    uint64_t in = 42, out = 0;
    open_devices("sticky_at=1");
    ck_assert_uint_ne(mode(1, 0), Q35_PEER_NONE);
    q35_plan *plan = compile_add(0);
    ck_assert_uint_eq(run_add(0, plan, here), Q35_E_DEVICE_LOST);
    ck_assert_uint_eq(move(1, at(0, 8), at(1, 8), 8), Q35_E_DEVICE);
    EXPECT_ERROR("copying from another device: CUDA_ERROR_ILLEGAL_ADDRESS (700)");
    EXPECT_OK(api->timeline_create(devices[1]->dev, 0, &fresh));
    copy(queues[1], on_host(&in), at(1, 8), 8, NULL, NULL);
    copy(queues[1], at(1, 8), on_host(&out), 8, NULL, &(q35_point){fresh, 1});
    wait_for(fresh, 1);
    ck_assert_uint_eq(out, 42);
    api->timeline_destroy(fresh);
    api->plan_free(plan);
    close_devices();
}
END_TEST

/* ---- contexts */

/* A thread that works in a context of its own: the plugin works in others, and leaves it that one. */
START_TEST(the_callers_context_stays)
{
    static const uint32_t here[3] = {1, 1, 1};
    q35i_cu_context own = NULL, now = NULL;
    uint64_t available = 0;
    make_runtime("devices=3");
    ck_assert_uint_eq(cuInit(0), 0);
    ck_assert_uint_eq(cuDevicePrimaryCtxRetain(&own, 2), 0);
    ck_assert_uint_eq(cuCtxPushCurrent_v2(own), 0);
    for (uint32_t i = 0; i < N; i++)
        open_one(i);
    q35_plan *plan = compile_add(1);
    EXPECT_OK(run_add(1, plan, here));
    EXPECT_OK(api->memory_refresh(devices[0]->dev, 0, &available));
    ck_assert_uint_eq(mode(0, 1), Q35_PEER_ADDRESS);
    EXPECT_OK(move(0, at(1, 64), at(0, 64), 64));
    api->plan_free(plan);
    ck_assert_uint_eq(cuCtxPopCurrent_v2(&now), 0);
    ck_assert_ptr_eq(now, own);
    ck_assert_uint_eq(cuCtxPopCurrent_v2(&now), MOCK_INVALID_CONTEXT); /* and nothing below it */
    ck_assert_uint_eq(cuDevicePrimaryCtxRelease_v2(2), 0);
    close_devices();
}
END_TEST

/* Were it otherwise, the mock would tell. */
START_TEST(the_mock_knows_contexts)
{
    q35i_cu_context a = NULL, b = NULL;
    q35i_cu_stream stream = NULL;
    q35i_cu_event event = NULL;
    q35i_cu_address memory = 0;
    void *pinned = NULL;
    size_t available, total;
    q35_mock_set("devices=2");
    ck_assert_uint_eq(cuInit(0), 0);
    ck_assert_uint_eq(cuDevicePrimaryCtxRetain(&a, 0), 0);
    ck_assert_uint_eq(cuDevicePrimaryCtxRetain(&b, 1), 0);
    ck_assert_uint_eq(cuMemGetInfo_v2(&available, &total), MOCK_INVALID_CONTEXT);
    ck_assert_uint_eq(counts_now().wrong_contexts, 1);
    ck_assert_uint_eq(cuCtxPushCurrent_v2(a), 0);
    ck_assert_uint_eq(cuStreamCreate(&stream, Q35I_CU_STREAM_NON_BLOCKING), 0);
    ck_assert_uint_eq(cuEventCreate(&event, 0), 0);
    ck_assert_uint_eq(cuMemHostAlloc(&pinned, 64, 0), 0);
    ck_assert_uint_eq(cuMemAlloc_v2(&memory, 64), 0);
    ck_assert_uint_eq(counts_now().wrong_contexts, 1);
    ck_assert_uint_eq(cuCtxPushCurrent_v2(b), 0);
    ck_assert_uint_ne(cuEventRecord(event, stream), 0);
    ck_assert_uint_ne(cuEventQuery(event), 0);
    ck_assert_uint_ne(cuStreamSynchronize(stream), 0);
    ck_assert_uint_ne(cuStreamDestroy_v2(stream), 0);
    ck_assert_uint_ne(cuEventDestroy_v2(event), 0);
    ck_assert_uint_ne(cuMemFreeHost(pinned), 0);
    ck_assert_uint_eq(counts_now().wrong_contexts, 7);
    ck_assert_uint_ne(cuMemFree_v2(memory), 0);
    ck_assert_uint_eq(cuCtxPopCurrent_v2(&b), 0);
    ck_assert_uint_eq(cuStreamDestroy_v2(stream) | cuEventDestroy_v2(event) | cuMemFreeHost(pinned), 0);
    ck_assert_uint_eq(cuMemFree_v2(memory), 0);
    ck_assert_uint_eq(cuCtxPopCurrent_v2(&a), 0);
    ck_assert_uint_eq(cuDevicePrimaryCtxRelease_v2(0) | cuDevicePrimaryCtxRelease_v2(1), 0);
    ck_assert_uint_eq(counts_now().wrong_contexts, 7);
    ck_assert_uint_eq(counts_now().objects, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cuda_peer");
    TCase *tc = tcase_create("peer");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, cuda_setup, test_teardown);
    tcase_add_test(tc, what_devices_reach);
    tcase_add_test(tc, access_that_is_refused_is_said);
    tcase_add_test(tc, one_gpu_opened_twice);
    tcase_add_test(tc, access_ends_with_a_context);
    tcase_add_test(tc, copies_go_around);
    tcase_add_test(tc, wrong_copies);
    tcase_add_test(tc, a_refused_copy_fails_alone);
    tcase_add_test(tc, a_path_is_tested_with_data);
    tcase_add_test(tc, plans_use_memory_that_is_reached);
    tcase_add_test(tc, a_lost_source);
    tcase_add_test(tc, the_callers_context_stays);
    tcase_add_test(tc, the_mock_knows_contexts);
    suite_add_tcase(s, tc);
    return q35t_run(s);
}
