/* SPDX-License-Identifier: Apache-2.0
 *
 * The measuring extension of the OpenCL plugin. Times are asked to be consistent, never to be short. */
#include "rig.h"
#include "support/suite.h"

#include <q35rt/measure.h>
#include <stdio.h>
#include <stdlib.h>

static const q35_measure *measure(void)
{
    const q35_hdr *h = rig_opencl()->extension(Q35_STRUCT_MEASURE);
    ck_assert_ptr_null(rig_opencl()->extension(0xffff));
    ck_assert_ptr_nonnull(h);
    ck_assert(h->type == Q35_STRUCT_MEASURE && h->size >= sizeof(q35_measure));
    return (const q35_measure *)(const void *)h;
}

static uint64_t used_memory(q35_device *dev)
{
    uint64_t left = 0;
    ck_assert_uint_eq(rig_opencl()->memory_refresh(dev, 0, &left), Q35_OK);
    return left;
}

/* Both families measure products and reading, and give their memory back. A device has at most a few thousand
 * units of a few thousand products per nanosecond. */
START_TEST(limits)
{
    static const char *const families[] = {"cpu", "gpu"};
    static const uint32_t kinds[] = {Q35_LIMIT_INT8, Q35_LIMIT_READ};
    for (int f = 0; f < 2; f++) {
        q35_device *dev = rig_open(rig_opencl(), "family", families[f]);
        const uint64_t before = used_memory(dev);
        q35_limit limit = {.h = {sizeof limit, Q35_STRUCT_LIMIT, NULL}};
        for (uint32_t i = 0; i < 2; i++) {
            const q35_status status = measure()->limit(dev, i, 20, &limit);
            ck_assert_msg(status == Q35_OK, "%s", rig_error());
            ck_assert_uint_eq(limit.kind, kinds[i]);
            ck_assert(limit.name[0] && limit.per_second > 1000000 &&
                      limit.per_second < UINT64_C(10000000000000000));
            ck_assert_uint_eq(used_memory(dev), before);
        }
        ck_assert_uint_eq(measure()->limit(dev, 2, 20, &limit), Q35_E_RANGE);
        rig_opencl()->device_close(dev);
    }
}
END_TEST

/* Little memory: a smaller buffer, or an error that says so. */
START_TEST(little_memory)
{
    const uint64_t caps[2] = {1u << 20, 64};
    for (int i = 0; i < 2; i++) {
        const q35_open_options options = {.h = {sizeof options, Q35_STRUCT_OPEN_OPTIONS, NULL},
                                          .memory_cap = caps[i]};
        q35_limit limit = {.h = {sizeof limit, Q35_STRUCT_LIMIT, NULL}};
        q35_device *dev = NULL;
        ck_assert_uint_eq(rig_opencl()->device_open(0, &options, &dev), Q35_OK);
        ck_assert_uint_eq(measure()->limit(dev, 1, 5, &limit), i == 0 ? Q35_OK : Q35_E_NOMEM);
        ck_assert_uint_eq(used_memory(dev), caps[i]);
        rig_opencl()->device_close(dev);
    }
}
END_TEST

/* y = x * W^T + b, of which the first node is several kernels. */
static void build(rig *r)
{
    rig_init(r, 3, 1, 1);
    const uint32_t x = rig_tensor(r, Q35_ROLE_INPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, 256, 3);
    const uint32_t w = rig_weights(r, Q35_DT_Q8_0, 256, 64);
    const uint32_t b = rig_tensor(r, Q35_ROLE_INPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, 64, 3);
    const uint32_t t = rig_tensor(r, Q35_ROLE_TEMP, Q35_DT_F32, Q35_TF_TOKEN_ROWS, 64, 3);
    const uint32_t y = rig_tensor(r, Q35_ROLE_OUTPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, 64, 3);
    rig_node(r, Q35_OP_LINEAR, NULL, 2, (uint32_t[]){x, w}, 1, &t);
    rig_node(r, Q35_OP_ADD, NULL, 2, (uint32_t[]){t, b}, 1, &y);
}

static q35_profile read_profile(const rig_session *s, uint64_t node_ns[2])
{
    q35_profile p = {.h = {sizeof p, Q35_STRUCT_PROFILE, NULL}, .n_nodes = 2, .node_ns = node_ns};
    const q35_status status = measure()->profile_read(s->plan, &p);
    ck_assert_msg(status == Q35_OK, "%s", rig_error());
    return p;
}

START_TEST(profiles)
{
    q35_device *dev = rig_open(rig_opencl(), NULL, NULL);
    rig_session s;
    rig r;
    uint64_t node_ns[2] = {7, 7};
    build(&r);
    rig_compare(&r, dev, "not counted");
    uint8_t *expected = malloc(r.bytes[5]);
    memcpy(expected, r.result[5], r.bytes[5]);
    ck_assert_uint_eq(rig_prepare(&s, &r, dev), Q35_OK);
    q35_profile p = {.h = {sizeof p, Q35_STRUCT_PROFILE, NULL}, .n_nodes = 2, .node_ns = node_ns};
    ck_assert_uint_eq(measure()->profile_read(s.plan, &p), Q35_E_INVALID);
    for (int round = 0; round < 2; round++) { /* from zero each time */
        ck_assert_uint_eq(measure()->profile(s.plan, 1), Q35_OK);
        ck_assert_uint_eq(read_profile(&s, node_ns).runs, 0);
        ck_assert(node_ns[0] == 0 && node_ns[1] == 0);
        for (int i = 0; i < 5; i++)
            ck_assert_uint_eq(rig_submit(&s), Q35_OK);
        p = read_profile(&s, node_ns);
        ck_assert(p.runs == 5 && p.run_ns > 0 && p.barriers == 0 && p.barrier_ns == 0);
        ck_assert(node_ns[0] > 0 && node_ns[1] > 0 && node_ns[0] + node_ns[1] <= p.run_ns);
        memset(r.result[5], 0, r.bytes[5]);
        rig_fetch(&s);
        ck_assert_mem_eq(r.result[5], expected, r.bytes[5]);
    }
    p.n_nodes = 1;
    ck_assert_uint_eq(measure()->profile_read(s.plan, &p), Q35_E_INVALID);
    for (int i = 0; i < 2; i++)
        ck_assert_uint_eq(measure()->profile(s.plan, 0), Q35_OK);
    ck_assert_uint_eq(measure()->profile_read(s.plan, &p), Q35_E_INVALID);
    ck_assert_uint_eq(measure()->profile(s.plan, 1), Q35_OK); /* plan_free takes the counts with it */
    rig_finish(&s);
    free(expected);
    rig_free(&r);
    rig_opencl()->device_close(dev);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("opencl_measure");
    TCase *c = tcase_create("measure");
    if (!rig_has_device()) {
        printf("skipped: no OpenCL device (install pocl-opencl-icd)\n");
        return 77;
    }
    tcase_set_timeout(c, 300);
    tcase_add_test(c, limits);
    tcase_add_test(c, little_memory);
    tcase_add_test(c, profiles);
    suite_add_tcase(suite, c);
    return q35t_run(suite);
}
