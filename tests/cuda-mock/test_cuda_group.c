/* SPDX-License-Identifier: Apache-2.0
 *
 * Collectives of the CUDA plugin on the mock driver and a mock NCCL: sums and gatherings of devices as the host
 * uses them and called directly, with waits and over two queues; members that do not come, do not end, fail or are
 * lost; NCCL that is too old. */
#define _GNU_SOURCE
#include "cuda_support.h"
#include "nccl_mock.h"

#include "runtime/device/extension.h"
#include "runtime/device/group.h"
#include "runtime/device/group_table.h"

enum { N = 3, PART = 1 << 18, MOST = PART + 1003, ROUNDS = 6 };

#define LONG_NS  UINT64_C(60000000000)
#define SHORT_NS UINT64_C(200000000)

static q35i_device *devices[N];
static q35_queue *queues[N];
static q35_timeline *timelines[N];
static q35_buf *bufs[N];
static uint64_t values[N];

static void open_devices(const char *faults, const char *nccl)
{
    char list[200];
    format(list, sizeof list, "devices=%d%s%s", (int)N, *faults ? "," : "", faults);
    q35_nccl_set(nccl);
    make_runtime(list);
    for (uint32_t r = 0; r < N; r++) {
        EXPECT_OK(q35i_device_open(runtime, r, &devices[r]));
        api = devices[r]->api;
        EXPECT_OK(api->queue_create(devices[r]->dev, Q35_QUEUE_COMPUTE, &queues[r]));
        EXPECT_OK(api->timeline_create(devices[r]->dev, 0, &timelines[r]));
        EXPECT_OK(api->buf_alloc(devices[r]->dev, 0, MOST * 4 + 4096, 64, Q35_USE_ACT, &bufs[r]));
        values[r] = 0;
    }
}

static void close_devices(void)
{
    for (uint32_t r = 0; r < N; r++) {
        api->queue_destroy(queues[r]);
        api->timeline_destroy(timelines[r]);
        api->buf_free(bufs[r]);
        q35i_device_close(devices[r]);
    }
    q35_runtime_destroy(runtime);
    ck_assert_uint_eq(counts_now().bytes_in_use, 0);
    ck_assert_uint_eq(counts_now().objects, 0);
    ck_assert_uint_eq(counts_now().wrong_contexts, 0);
    ck_assert_uint_eq(q35_nccl_live(), 0);
}

static q35_binding at_buf(uint32_t r, uint64_t offset, uint64_t bytes)
{
    return in_buf(bufs[r], offset, bytes);
}

static void move(uint32_t r, q35_binding src, q35_binding dst, uint64_t bytes)
{
    const q35_point done = {timelines[r], ++values[r]};
    copy(queues[r], src, dst, bytes, NULL, &done);
    wait_for(timelines[r], values[r]);
}

static q35i_group *group_of(uint64_t timeout_ns)
{
    q35i_group *group = NULL;
    EXPECT_OK(q35i_group_create(devices, N, timeout_ns, &group));
    ck_assert_int_eq(q35i_group_is_direct(group), 1);
    return group;
}

/* ---- as the host uses them */

static float number_of(uint32_t r, uint32_t i, uint32_t round)
{
    return (float)((i * 31u + r * 7u + round) % 1009u) * 0.37f - 100.0f;
}

static void sum_floats(q35i_group *group, uint32_t count, uint32_t round)
{
    float *data = malloc(MOST * sizeof *data), *expected = malloc(MOST * sizeof *expected);
    q35_binding at[N];
    ck_assert(data && expected);
    for (uint32_t r = 0; r < N; r++) {
        for (uint32_t i = 0; i < count; i++) {
            data[i] = number_of(r, i, round);
            expected[i] = r == 0 ? data[i] : expected[i] + data[i];
        }
        at[r] = at_buf(r, 8, count * sizeof *data);
        move(r, on_host(data), at[r], count * sizeof *data);
    }
    EXPECT_OK(q35i_group_all_reduce(group, at, count, Q35_DT_F32));
    for (uint32_t r = 0; r < N; r++) {
        move(r, at[r], on_host(data), count * sizeof *data);
        ck_assert_mem_eq(data, expected, count * sizeof *data);
    }
    free(data);
    free(expected);
}

/* In the order of the ranks, whatever NCCL's is. */
START_TEST(sums_have_one_order)
{
    open_devices("", _i ? "delay_us=300" : "");
    q35i_group *group = group_of(LONG_NS);
    for (uint32_t round = 0; round < ROUNDS; round++)
        sum_floats(group, round == 0 ? 1 : 1000 + round, round);
    sum_floats(group, MOST, 3); /* more than fits at a time */
    q35i_group_destroy(group);
    close_devices();
}
END_TEST

START_TEST(integers_and_parts)
{
    q35_binding part[N], whole[N];
    open_devices("copy_us=100", "");
    q35i_group *group = group_of(LONG_NS);
    for (uint32_t r = 0; r < N; r++) {
        const uint32_t big[2] = {UINT32_MAX / 2, r};
        part[r] = at_buf(r, 0, sizeof big);
        whole[r] = at_buf(r, 64, sizeof big * N);
        move(r, on_host((void *)(uintptr_t)big), part[r], sizeof big);
    }
    EXPECT_OK(q35i_group_all_gather(group, part, whole, 8));
    EXPECT_OK(q35i_group_all_reduce(group, part, 2, Q35_DT_I32));
    EXPECT_OK(q35i_group_all_reduce(group, part, 0, Q35_DT_I32));
    for (uint32_t r = 0; r < N; r++) {
        uint32_t sum[2], all[2 * N];
        move(r, part[r], on_host(sum), sizeof sum);
        move(r, whole[r], on_host(all), sizeof all);
        ck_assert_uint_eq(sum[0], UINT32_MAX / 2 * N);
        ck_assert_uint_eq(sum[1], 0 + 1 + 2);
        for (uint32_t k = 0; k < N; k++)
            ck_assert_uint_eq(all[2 * k + 1], k);
    }
    part[1].offset = MOST * 4 + 4096 - 4;
    EXPECT_FAILURE(q35i_group_all_reduce(group, part, 2, Q35_DT_I32), Q35_E_RANGE,
                   "rank 1: a sum of 8 bytes is not inside a buffer");
    part[1].offset = 0; /* and the group is of no further use */
    EXPECT_FAILURE(q35i_group_all_reduce(group, part, 2, Q35_DT_I32), Q35_E_CANCELLED, "cancelled");
    q35i_group_destroy(group);
    close_devices();
}
END_TEST

/* ---- called directly */

typedef struct caller {
    q35i_group_table *table;
    const q35_collectives *api;
    uint32_t rank, size;
    uint64_t timeout_ns;
    uint8_t id;
    q35_comm *comm;
    q35_status status;
    char text[256];
} caller;

static void *call_create(void *arg)
{
    caller *c = arg;
    q35_comm_options o = {.h = {sizeof o, Q35_STRUCT_COMM_OPTIONS, NULL},
                          .rank = c->rank,
                          .size = c->size,
                          .group = {c->id},
                          .timeout_ns = c->timeout_ns,
                          .user = c->table,
                          .put = q35i_group_table_put,
                          .get = q35i_group_table_get};
    c->status = c->api->comm_create(devices[c->rank]->dev, &o, &c->comm);
    if (c->status != Q35_OK)
        snprintf(c->text, sizeof c->text, "%s", q35_error_message());
    return NULL;
}

/* The first n members of a group of `size`. */
static void join(caller c[N], uint32_t n, uint32_t size, uint64_t timeout_ns)
{
    static uint8_t id;
    pthread_t threads[N];
    q35i_group_table *table = q35i_group_table_create();
    id++;
    for (uint32_t r = 0; r < n; r++) {
        c[r] = (caller){.table = table,
                        .api = q35i_device_collectives(devices[r]),
                        .rank = r,
                        .size = size,
                        .timeout_ns = timeout_ns,
                        .id = id};
        ck_assert_ptr_nonnull(c[r].api);
        ck_assert_int_eq(pthread_create(&threads[r], NULL, call_create, &c[r]), 0);
    }
    for (uint32_t r = 0; r < n; r++)
        pthread_join(threads[r], NULL);
    q35i_group_table_destroy(table); /* only for creation */
}

/* Nothing may be queued on a member that leaves; a timeline that failed does not say so. */
static void leave(caller c[N])
{
    for (uint32_t r = 0; r < N; r++) {
        api->queue_destroy(queues[r]);
        queues[r] = NULL;
    }
    for (uint32_t r = 0; r < N; r++)
        if (c[r].comm)
            c[r].api->comm_destroy(c[r].comm);
}

static void expect_joined(caller c[N])
{
    for (uint32_t r = 0; r < N; r++)
        ck_assert_msg(c[r].status == Q35_OK, "rank %u: %s", r, c[r].text);
}

/* Numbers double and double through sums on two queues, each waiting for what comes before; nobody looks at any
 * member but the first until it is through, and the host signals last. */
START_TEST(waits_and_two_queues)
{
    enum { STEPS = 8 };
    caller c[N];
    q35_queue *other[N];
    q35_timeline *go[N];
    open_devices("copy_us=50", "delay_us=100");
    join(c, N, N, LONG_NS);
    expect_joined(c);
    for (uint32_t r = 0; r < N; r++) {
        float one[4] = {1, 2, 3, (float)r};
        const q35_binding data = at_buf(r, 0, sizeof one);
        EXPECT_OK(api->queue_create(devices[r]->dev, Q35_QUEUE_COPY, &other[r]));
        EXPECT_OK(api->timeline_create(devices[r]->dev, 0, &go[r]));
        move(r, on_host(one), data, sizeof one);
        for (uint32_t s = 0; s < STEPS; s++) {
            const q35_point before = {s ? timelines[r] : go[r], s ? values[r] : 1};
            const q35_point after = {timelines[r], ++values[r]};
            EXPECT_OK(c[r].api->all_reduce(c[r].comm, s % 2 ? other[r] : queues[r], &data, 4, Q35_DT_F32, &before,
                                           1, &after, 1));
        }
    }
    ck_assert_uint_eq(api->timeline_wait(timelines[0], values[0], SHORT_NS / 10), Q35_E_TIMEOUT);
    for (uint32_t r = N; r-- > 0;)
        EXPECT_OK(api->timeline_signal(go[r], 1));
    for (uint32_t r = 0; r < N; r++) {
        float got[4] = {0};
        wait_for(timelines[r], values[r]);
        move(r, at_buf(r, 0, sizeof got), on_host(got), sizeof got);
        ck_assert(got[0] == 6561 && got[1] == 2 * 6561 && got[3] == 2187 * 3); /* times 3 each */
        api->queue_destroy(other[r]);
    }
    leave(c);
    for (uint32_t r = 0; r < N; r++)
        api->timeline_destroy(go[r]);
    close_devices();
}
END_TEST

START_TEST(members_that_do_not_join)
{
    caller c[N];
    memset(c, 0, sizeof c);
    open_devices("", "");
    join(c, N - 1, N, SHORT_NS);
    for (uint32_t r = 0; r < N - 1; r++) {
        ck_assert_uint_eq(c[r].status, Q35_E_TIMEOUT);
        ck_assert_str_eq(c[r].text, "cuda group: rank 2 did not come");
    }
    q35_nccl_set("init_fails=2");
    join(c, N, N, LONG_NS);
    ck_assert_uint_eq(c[1].status, Q35_E_DEVICE);
    ck_assert_str_eq(c[1].text,
                     "cuda group: rank 1: joining by NCCL: unhandled system error: the mock was told to");
    leave(c);
    q35_nccl_set("no_id=1");
    join(c, N, N, LONG_NS);
    ck_assert_str_eq(c[0].text, "cuda group: NCCL gives no id: unhandled system error");
    ck_assert_str_eq(c[1].text, "cuda group: rank 0 has no id of NCCL's for the group");
    leave(c);
    q35_nccl_set("");
    join(c, N, N, LONG_NS);
    expect_joined(c);
    leave(c);
    close_devices();
}
END_TEST

/* One member's trouble fails the operation of all of them, soon, and everything can be taken down. */
START_TEST(trouble_ends_the_group)
{
    static const struct {
        const char *faults, *nccl, *text;
        uint64_t timeout_ns;
        q35_status status;
    } cases[] = {
        {"", "call_fails_at=5", ": ncclAllGather: internal error", LONG_NS, Q35_E_DEVICE},
        {"", "breaks_at=5", ": ncclAllGather: remote process exited", LONG_NS, Q35_E_DEVICE},
        {"", "hangs_at=5", "a collective did not end within 200 ms, need all 3 members", SHORT_NS, Q35_E_TIMEOUT},
        {"sticky_at=5", "", "lost: CUDA_ERROR_ILLEGAL_ADDRESS", LONG_NS, Q35_E_DEVICE_LOST}};
    caller c[N];
    open_devices(cases[_i].faults, cases[_i].nccl);
    join(c, N, N, cases[_i].timeout_ns);
    expect_joined(c);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t r = 0; r < N; r++) {
            const q35_binding data = at_buf(r, 0, 4096);
            const q35_point after = {timelines[r], ++values[r]};
            EXPECT_OK(c[r].api->all_reduce(c[r].comm, queues[r], &data, 1024, Q35_DT_F32, NULL, 0, &after, 1));
        }
        for (uint32_t r = 0; r < N && round == 0; r++)
            wait_for(timelines[r], 1);
    }
    for (uint32_t r = 0; r < N; r++) {
        const q35_status status = api->timeline_wait(timelines[r], values[r], UINT64_MAX);
        ck_assert_msg(status == cases[_i].status && strstr(q35_error_message(), cases[_i].text),
                      "%s%s: rank %u: %u, '%s'", cases[_i].faults, cases[_i].nccl, r, status, q35_error_message());
    }
    leave(c);
    close_devices();
}
END_TEST

/* A member that never calls, and an operation that waits for what never comes. */
START_TEST(cancelled)
{
    caller c[N];
    open_devices("", "");
    q35_timeline *never = NULL;
    join(c, N, N, UINT64_MAX);
    expect_joined(c);
    EXPECT_OK(api->timeline_create(devices[1]->dev, 0, &never));
    for (uint32_t r = 0; r < 2; r++) {
        const q35_binding data = at_buf(r, 0, 64);
        const q35_point before = {never, 1}, after = {timelines[r], ++values[r]};
        EXPECT_OK(c[r].api->all_reduce(c[r].comm, queues[r], &data, 16, Q35_DT_I32, &before, r, &after, 1));
    }
    ck_assert_uint_eq(api->timeline_wait(timelines[0], 1, SHORT_NS / 10), Q35_E_TIMEOUT);
    c[2].api->cancel(c[2].comm);
    for (uint32_t r = 0; r < 2; r++)
        EXPECT_FAILURE(api->timeline_wait(timelines[r], 1, UINT64_MAX), Q35_E_CANCELLED, "cuda group: cancelled");
    leave(c);
    api->timeline_destroy(never);
    close_devices();
}
END_TEST

START_TEST(wrong_calls)
{
    caller c[N];
    open_devices("", "");
    join(c, N, N, LONG_NS);
    expect_joined(c);
    const q35_binding data = at_buf(0, 2, 64), whole = at_buf(0, MOST * 4 + 4096 - 16, 16);
    EXPECT_FAILURE(c[0].api->all_reduce(c[0].comm, queues[0], &data, 4, Q35_DT_F16, NULL, 0, NULL, 0),
                   Q35_E_UNSUPPORTED, "sum of type 1, need f32 or i32");
    EXPECT_FAILURE(c[0].api->all_reduce(c[0].comm, queues[0], &data, 4, Q35_DT_F32, NULL, 0, NULL, 0),
                   Q35_E_INVALID, "numbers at an address off by 2, need alignment 4");
    EXPECT_FAILURE(c[0].api->all_reduce(c[0].comm, queues[1], &whole, 4, Q35_DT_F32, NULL, 0, NULL, 0),
                   Q35_E_INVALID, "queue of another device");
    EXPECT_FAILURE(c[0].api->all_gather(c[0].comm, queues[0], &data, &whole, 16, NULL, 0, NULL, 0), Q35_E_RANGE,
                   "a whole of 48 bytes is not inside a buffer");
    EXPECT_FAILURE(c[0].api->all_gather(c[0].comm, queues[0], &data, &whole, UINT64_MAX / 2, NULL, 0, NULL, 0),
                   Q35_E_RANGE, "a whole of");
    leave(c);
    close_devices();
}
END_TEST

/* Without a usable NCCL the host combines. */
START_TEST(too_old)
{
    q35i_group *group = NULL;
    open_devices("", "version=21306");
    ck_assert_ptr_null(api->extension(Q35_STRUCT_COLLECTIVES));
    EXPECT_OK(q35i_group_create(devices, N, LONG_NS, &group));
    ck_assert_int_eq(q35i_group_is_direct(group), 0);
    sum_floats(group, 1000, 1);
    ck_assert_uint_eq(q35_nccl_calls(), 0);
    q35i_group_destroy(group);
    close_devices();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cuda_group");
    TCase *tc = tcase_create("group");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, cuda_setup, test_teardown);
    tcase_add_loop_test(tc, sums_have_one_order, 0, 2);
    tcase_add_test(tc, integers_and_parts);
    tcase_add_test(tc, waits_and_two_queues);
    tcase_add_test(tc, members_that_do_not_join);
    tcase_add_loop_test(tc, trouble_ends_the_group, 0, 4);
    tcase_add_test(tc, cancelled);
    tcase_add_test(tc, wrong_calls);
    tcase_add_test(tc, too_old);
    suite_add_tcase(s, tc);
    return q35t_run(s);
}
