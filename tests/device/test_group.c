/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums and gatherings among devices: by the plugin's collectives and by the host, with the same result; devices of
 * host memory among others; members of different sizes, a member that fails. */
#define _GNU_SOURCE
#include "device_support.h"

#include "runtime/device/extension.h"
#include "runtime/device/group.h"

enum { N = 3, COUNT = 1003, ROUNDS = 20 };

#define TIMEOUT_NS UINT64_C(60000000000)

static q35_runtime *runtime;
static q35i_device *devices[N];
static q35_queue *queues[N];
static q35_timeline *timelines[N];
static q35_buf *bufs[N];
static uint64_t values[N];

static void open_devices(const char *collectives)
{
    char path[TEST_PATH];
    setenv("Q35RT_TEST_ASYNC_DEVICES", "3", 1);
    setenv("Q35RT_TEST_ASYNC_DELAY_US", "200", 1);
    setenv("Q35RT_TEST_ASYNC_COLLECTIVES", collectives, 1);
    place_plugin("plugins-extra/libq35rt-async1.so", "libq35rt-async1.so", path);
    EXPECT_OK(create_with(path, &runtime));
    for (uint32_t r = 0; r < N; r++) {
        EXPECT_OK(q35i_device_open(runtime, r, &devices[r]));
        const q35_plugin *api = devices[r]->api;
        ck_assert_uint_eq(api->queue_create(devices[r]->dev, Q35_QUEUE_COPY, &queues[r]), Q35_OK);
        ck_assert_uint_eq(api->timeline_create(devices[r]->dev, 0, &timelines[r]), Q35_OK);
        ck_assert_uint_eq(api->buf_alloc(devices[r]->dev, 0, N * COUNT * 4, 64, Q35_USE_ACT, &bufs[r]), Q35_OK);
        values[r] = 0;
    }
}

static void close_devices(void)
{
    for (uint32_t r = 0; r < N; r++) {
        const q35_plugin *api = devices[r]->api;
        api->queue_destroy(queues[r]);
        api->timeline_destroy(timelines[r]);
        api->buf_free(bufs[r]);
        q35i_device_close(devices[r]);
    }
    q35_runtime_destroy(runtime);
}

static q35_binding in_buf(uint32_t r, uint64_t offset, uint64_t bytes)
{
    return (q35_binding){.buf = bufs[r], .offset = offset, .bytes = bytes};
}

static void copy(uint32_t r, q35_binding src, q35_binding dst, uint64_t bytes)
{
    const q35_point done = {timelines[r], ++values[r]};
    ck_assert_uint_eq(devices[r]->api->copy(queues[r], &src, &dst, bytes, NULL, 0, &done, 1), Q35_OK);
    EXPECT_OK(devices[r]->api->timeline_wait(timelines[r], values[r], TIMEOUT_NS));
}

static float number_of(uint32_t r, uint32_t i, uint32_t round)
{
    return (float)((i * 31u + r * 7u + round) % 1009u) * 0.37f - 100.0f;
}

static void sum_and_compare(q35i_group *group, uint32_t round)
{
    float data[COUNT], expected[COUNT];
    q35_binding at[N];
    for (uint32_t r = 0; r < N; r++) {
        for (uint32_t i = 0; i < COUNT; i++) {
            data[i] = number_of(r, i, round);
            expected[i] = r == 0 ? data[i] : expected[i] + data[i]; /* the order of both ways here */
        }
        at[r] = in_buf(r, 8, sizeof data);
        copy(r, (q35_binding){.host = data}, at[r], sizeof data);
    }
    EXPECT_OK(q35i_group_all_reduce(group, at, COUNT, Q35_DT_F32));
    for (uint32_t r = 0; r < N; r++) {
        copy(r, at[r], (q35_binding){.host = data}, sizeof data);
        ck_assert_mem_eq(data, expected, sizeof data);
    }
}

START_TEST(sums_are_the_same_bits_everywhere)
{
    q35i_group *group;
    open_devices(_i == 0 ? "1" : "0");
    EXPECT_OK(q35i_group_create(devices, N, TIMEOUT_NS, &group));
    ck_assert_int_eq(q35i_group_is_direct(group), _i == 0);
    for (uint32_t round = 0; round < ROUNDS; round++)
        sum_and_compare(group, round);
    q35i_group_destroy(group);
    close_devices();
}
END_TEST

START_TEST(integers_wrap_and_parts_are_gathered)
{
    q35i_group *group;
    q35_binding part[N], whole[N];
    open_devices(_i == 0 ? "1" : "0");
    EXPECT_OK(q35i_group_create(devices, N, TIMEOUT_NS, &group));
    for (uint32_t r = 0; r < N; r++) {
        const uint32_t big[2] = {UINT32_MAX / 2, r};
        part[r] = in_buf(r, 0, sizeof big);
        whole[r] = in_buf(r, 64, sizeof big * N);
        copy(r, (q35_binding){.host = (void *)(uintptr_t)big}, part[r], sizeof big);
    }
    EXPECT_OK(q35i_group_all_gather(group, part, whole, 8));
    EXPECT_OK(q35i_group_all_reduce(group, part, 2, Q35_DT_I32));
    for (uint32_t r = 0; r < N; r++) {
        uint32_t sum[2], all[2 * N];
        copy(r, part[r], (q35_binding){.host = sum}, sizeof sum);
        copy(r, whole[r], (q35_binding){.host = all}, sizeof all);
        ck_assert_uint_eq(sum[0], UINT32_MAX / 2 * N);
        ck_assert_uint_eq(sum[1], 0 + 1 + 2);
        for (uint32_t k = 0; k < N; k++)
            ck_assert_uint_eq(all[2 * k + 1], k);
    }
    EXPECT_FAILURE(q35i_group_all_reduce(group, part, 2, Q35_DT_F16), Q35_E_INVALID, "sum of type 1");
    q35i_group_destroy(group);
    close_devices();
}
END_TEST

/* One rank of an operation is outside its buffer: an error for all, soon, and no hang. */
START_TEST(a_failing_member_ends_it)
{
    q35i_group *group;
    q35_binding at[N];
    open_devices(_i == 0 ? "1" : "0");
    EXPECT_OK(q35i_group_create(devices, N, TIMEOUT_NS, &group));
    for (uint32_t r = 0; r < N; r++)
        at[r] = in_buf(r, r == 2 ? N * COUNT * 4 - 4 : 0, 8);
    EXPECT_FAILURE(q35i_group_all_reduce(group, at, 2, Q35_DT_F32), Q35_E_RANGE, "device async1:2");
    q35i_group_destroy(group);
    close_devices();
}
END_TEST

/* A member of host memory has no queues: the host adds. */
START_TEST(plugins_mix)
{
    char async[TEST_PATH], template[TEST_PATH];
    q35i_group *group;
    q35i_device *members[2];
    q35_buf *buf;
    int32_t mine[4] = {1, 2, 3, 4}, theirs[4] = {10, 20, 30, 40};
    place_plugin("plugins-extra/libq35rt-async1.so", "libq35rt-async1.so", async);
    place_plugin("plugins-extra/libq35rt-template.so", "libq35rt-template.so", template);
    const char *paths[] = {async, template};
    const q35_runtime_options options = {
        .n_threads = 1, .n_plugin_paths = 2, .plugin_paths = paths, .no_default_plugins = 1};
    EXPECT_OK(q35_runtime_create(&options, &runtime));
    EXPECT_OK(q35i_device_open(runtime, 0, &members[0]));
    EXPECT_OK(q35i_device_open(runtime, 1, &members[1]));
    EXPECT_OK(q35i_group_create(members, 2, TIMEOUT_NS, &group));
    ck_assert_int_eq(q35i_group_is_direct(group), 0);
    ck_assert_uint_eq(members[0]->api->buf_alloc(members[0]->dev, 0, 64, 64, Q35_USE_ACT, &buf), Q35_OK);
    const q35_binding source = {.host = mine}, at[2] = {{.buf = buf, .bytes = 16}, {.host = theirs, .bytes = 16}};
    q35_queue *queue;
    q35_timeline *timeline;
    ck_assert_uint_eq(members[0]->api->queue_create(members[0]->dev, Q35_QUEUE_COPY, &queue), Q35_OK);
    ck_assert_uint_eq(members[0]->api->timeline_create(members[0]->dev, 0, &timeline), Q35_OK);
    ck_assert_uint_eq(members[0]->api->copy(queue, &source, &at[0], 16, NULL, 0, &(q35_point){timeline, 1}, 1),
                      Q35_OK);
    EXPECT_OK(members[0]->api->timeline_wait(timeline, 1, TIMEOUT_NS));
    EXPECT_OK(q35i_group_all_reduce(group, at, 4, Q35_DT_I32));
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(theirs[i], 11 * (i + 1));
    members[0]->api->queue_destroy(queue);
    members[0]->api->timeline_destroy(timeline);
    members[0]->api->buf_free(buf);
    q35i_group_destroy(group);
    q35i_device_close(members[0]);
    q35i_device_close(members[1]);
    q35_runtime_destroy(runtime);
}
END_TEST

START_TEST(peers_are_tested_with_data)
{
    static const struct {
        const char *word;
        uint32_t mode;
    } modes[] = {
        {"none", Q35_PEER_NONE}, {"staged", Q35_PEER_STAGED}, {"copy", Q35_PEER_COPY}, {"broken", Q35_PEER_NONE}};
    setenv("Q35RT_TEST_ASYNC_PEER", modes[_i].word, 1);
    open_devices("1");
    ck_assert_uint_eq(q35i_device_peer(devices[0], devices[1]).mode, modes[_i].mode);
    ck_assert_uint_eq(q35i_device_peer(devices[2], devices[0]).mode, modes[_i].mode);
    ck_assert_uint_eq(q35i_device_peer(devices[0], devices[0]).mode, Q35_PEER_NONE);
    close_devices();
}
END_TEST

START_TEST(energy_counts_work)
{
    char bytes[1000] = "";
    q35_energy_reading before, after;
    open_devices("1");
    EXPECT_OK(q35i_device_energy(devices[0], &before));
    for (int i = 0; i < 2000; i++) /* 2 MB at 1 pJ a byte */
        copy(0, (q35_binding){.host = bytes}, in_buf(0, 0, sizeof bytes), sizeof bytes);
    EXPECT_OK(q35i_device_energy(devices[0], &after));
    ck_assert_uint_eq(after.microjoules - before.microjoules, 2);
    ck_assert_uint_eq(after.source, Q35_ENERGY_MODEL);
    ck_assert_str_eq(after.covers, "arithmetic and copies");
    close_devices();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group");
    TCase *tc = tcase_create("group");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, test_setup, test_teardown);
    tcase_add_loop_test(tc, sums_are_the_same_bits_everywhere, 0, 2);
    tcase_add_loop_test(tc, integers_wrap_and_parts_are_gathered, 0, 2);
    tcase_add_loop_test(tc, a_failing_member_ends_it, 0, 2);
    tcase_add_test(tc, plugins_mix);
    tcase_add_loop_test(tc, peers_are_tested_with_data, 0, 4);
    tcase_add_test(tc, energy_counts_work);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
