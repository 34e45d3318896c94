/* SPDX-License-Identifier: Apache-2.0
 *
 * What the OpenCL plugin does on the host: refusals, limits of memory, weights packed and unpacked, queues and
 * timelines, values of a step that index memory. */
#include "rig.h"
#include "support/suite.h"

#include <stdio.h>
#include <stdlib.h>

static bool says(const char *part)
{
    return strstr(rig_error(), part) != NULL;
}

START_TEST(wrong_options)
{
    const q35_plugin *api = rig_opencl();
    static const char *const wrong[3][2] = {{"speed", "9"}, {"family", "fpga"}, {"cache", "yes"}};
    q35_device *dev = NULL;
    for (int i = 0; i < 3; i++) {
        const q35_open_options options = {.h = {sizeof options, Q35_STRUCT_OPEN_OPTIONS, NULL},
                                          .n_options = 1,
                                          .keys = &wrong[i][0],
                                          .values = &wrong[i][1]};
        ck_assert_uint_eq(api->device_open(0, &options, &dev), Q35_E_INVALID);
        ck_assert_msg(says(i == 0 ? "need family or cache" : wrong[i][1]), "%s", rig_error());
    }
    ck_assert_uint_eq(api->device_open(99, NULL, &dev), Q35_E_RANGE);
}
END_TEST

START_TEST(memory)
{
    const q35_plugin *api = rig_opencl();
    q35_open_options options = {.h = {sizeof options, Q35_STRUCT_OPEN_OPTIONS, NULL}, .memory_cap = 1u << 20};
    q35_device *dev = NULL;
    q35_buf *a = NULL, *b = NULL;
    uint64_t left = 0;
    ck_assert_uint_eq(api->device_open(0, &options, &dev), Q35_OK);
    ck_assert_uint_eq(api->buf_alloc(dev, 0, 600000, 64, Q35_USE_ACT, &a), Q35_OK);
    ck_assert_uint_eq(api->buf_alloc(dev, 0, 600000, 64, Q35_USE_ACT, &b), Q35_E_NOMEM);
    ck_assert_msg(says("would fit"), "%s", rig_error());
    ck_assert_uint_eq(api->memory_refresh(dev, 0, &left), Q35_OK);
    ck_assert_uint_eq(left, (1u << 20) - 600000u);
    api->buf_free(a);
    ck_assert_uint_eq(api->buf_alloc(dev, 0, 600000, 64, Q35_USE_ACT, &b), Q35_OK);
    api->buf_free(b);
    api->device_close(dev);
}
END_TEST

/* Reversible layouts give the canonical bytes back. */
START_TEST(packing)
{
    static const uint32_t types[] = {Q35_DT_Q35_ROW,   Q35_DT_Q40_ROW, Q35_DT_Q60_ROW, Q35_DT_Q35_PAIR,
                                     Q35_DT_Q35_SPLIT, Q35_DT_F16,     Q35_DT_F32,     Q35_DT_BF16};
    const q35_plugin *api = rig_opencl();
    q35_device *dev = rig_open(api, NULL, NULL);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        rig r;
        rig_init(&r, 1, 1, 1);
        const uint32_t w = rig_weights(&r, types[i], 256, 13);
        const q35_tensor_desc *d = &r.tensors[w];
        q35_layout layout = {.h = {sizeof layout, Q35_STRUCT_LAYOUT, NULL}};
        ck_assert_uint_eq(api->layout_query(dev, Q35_OP_LINEAR, d, 0, &layout), Q35_OK);
        ck_assert_uint_eq(layout.reversible, 1);
        uint8_t *packed = malloc(layout.slice_bytes);
        ck_assert_uint_eq(api->pack(dev, layout.layout, d, 0, 13, r.data[w], packed), Q35_OK);
        ck_assert_uint_eq(api->unpack(dev, layout.layout, d, 0, 13, packed, r.result[w]), Q35_OK);
        ck_assert_msg(memcmp(r.data[w], r.result[w], r.bytes[w]) == 0, "%s: not the same bytes",
                      q35_dtype_describe(types[i]).name);
        ck_assert_uint_eq(api->pack(dev, layout.layout, d, 3, 13, r.data[w], packed), Q35_E_RANGE);
        ck_assert_uint_eq(api->layout_query(dev, Q35_OP_LINEAR, d, 1, &layout), Q35_E_RANGE);
        free(packed);
        rig_free(&r);
    }
    api->device_close(dev);
}
END_TEST

START_TEST(timelines)
{
    const q35_plugin *api = rig_opencl();
    q35_device *dev = rig_open(api, NULL, NULL);
    q35_queue *queue = NULL;
    q35_timeline *gate = NULL, *done = NULL;
    q35_buf *buf = NULL;
    uint64_t value = 7;
    int64_t from = 42, to = 0;
    ck_assert_uint_eq(api->queue_create(dev, Q35_QUEUE_COMPUTE, &queue), Q35_OK);
    ck_assert_uint_eq(api->timeline_create(dev, 3, &gate), Q35_OK);
    ck_assert_uint_eq(api->timeline_create(dev, 0, &done), Q35_OK);
    ck_assert_uint_eq(api->buf_alloc(dev, 0, sizeof from, 64, Q35_USE_ACT, &buf), Q35_OK);
    const q35_binding host = {.host = &from, .bytes = sizeof from}, back = {.host = &to, .bytes = sizeof to};
    const q35_binding device = {.buf = buf, .bytes = sizeof from};
    const q35_point wait = {gate, 4}, first = {done, 1}, second = {done, 5};
    /* waits for a value that nobody has signalled yet */
    ck_assert_uint_eq(api->copy(queue, &host, &device, sizeof from, &wait, 1, &first, 1), Q35_OK);
    ck_assert_uint_eq(api->copy(queue, &device, &back, sizeof to, NULL, 0, &second, 1), Q35_OK);
    ck_assert_uint_eq(api->timeline_wait(done, 1, 1000000), Q35_E_TIMEOUT);
    ck_assert_uint_eq(api->timeline_query(done, &value), Q35_OK);
    ck_assert_uint_eq(value, 0);
    ck_assert_uint_eq(api->timeline_signal(gate, 4), Q35_OK);
    ck_assert_uint_eq(api->timeline_signal(gate, 4), Q35_E_INVALID);
    ck_assert_uint_eq(api->timeline_wait(done, 5, UINT64_MAX), Q35_OK);
    ck_assert_int_eq(to, 42);
    ck_assert_uint_eq(api->copy(queue, &host, &device, 2 * sizeof from, NULL, 0, &second, 1), Q35_E_RANGE);
    ck_assert_uint_eq(api->copy(queue, &host, &back, sizeof from, NULL, 0, &second, 1), Q35_E_INVALID);
    api->queue_destroy(queue);
    api->timeline_destroy(gate);
    api->timeline_destroy(done);
    api->buf_free(buf);
    api->device_close(dev);
}
END_TEST

/* A wrong index is an error of the run, after which the device goes on. */
START_TEST(wrong_values)
{
    q35_device *dev = rig_open(rig_opencl(), NULL, NULL);
    const int32_t ids[3] = {1, 9, 0};
    rig r;
    rig_init(&r, 3, 1, 1);
    const uint32_t in[2] = {rig_indices(&r, Q35_TF_TOKEN_ROWS, ids, 3), rig_weights(&r, Q35_DT_F32, 64, 9)};
    const uint32_t y = rig_tensor(&r, Q35_ROLE_OUTPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, 64, 3);
    rig_node(&r, Q35_OP_GET_ROWS, NULL, 2, in, 1, &y);
    ck_assert_uint_eq(rig_run_opencl(&r, dev), Q35_E_RANGE);
    ck_assert_msg(says("id 9 of row 1, need 0 to 8"), "%s", rig_error());
    ((int32_t *)(void *)r.data[in[0]])[1] = 8;
    rig_compare(&r, dev, "get_rows after a failure");
    ((int32_t *)(void *)r.data[0])[0] = 4;
    ck_assert_uint_eq(rig_run_opencl(&r, dev), Q35_E_RANGE);
    ck_assert_msg(says("n_tokens 4, need 0 to 3"), "%s", rig_error());
    rig_free(&r);
    rig_opencl()->device_close(dev);
}
END_TEST

START_TEST(refusals)
{
    const q35_plugin *api = rig_opencl();
    q35_device *dev = rig_open(api, NULL, NULL);
    rig r;
    rig_init(&r, 1, 1, 1);
    const uint32_t in[2] = {rig_tensor(&r, Q35_ROLE_INPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, 64, 1),
                            rig_tensor(&r, Q35_ROLE_INPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, 32, 1)};
    const uint32_t y = rig_tensor(&r, Q35_ROLE_OUTPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, 64, 1);
    rig_node(&r, Q35_OP_ADD, NULL, 2, in, 1, &y);
    q35_support s = {.h = {sizeof s, Q35_STRUCT_SUPPORT, NULL}};
    q35_plan *plan = NULL;
    ck_assert_uint_eq(api->op_support(dev, &r.region, &s), Q35_OK);
    ck_assert_uint_eq(s.ok, 0);
    ck_assert_str_eq(s.reason, "add (node 0): input b has rows of 32, need 64");
    ck_assert_uint_eq(api->plan_compile(dev, &r.region, &plan), Q35_E_UNSUPPORTED);
    r.nodes[0].op = 77;
    ck_assert_uint_eq(api->op_support(dev, &r.region, &s), Q35_OK);
    ck_assert_uint_eq(s.ok, 0);
    rig_free(&r);
    api->device_close(dev);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("opencl_host");
    TCase *c = tcase_create("host");
    if (!rig_has_device()) {
        printf("skipped: no OpenCL device (install pocl-opencl-icd)\n");
        return 77;
    }
    tcase_set_timeout(c, 300);
    tcase_add_test(c, wrong_options);
    tcase_add_test(c, memory);
    tcase_add_test(c, packing);
    tcase_add_test(c, timelines);
    tcase_add_test(c, wrong_values);
    tcase_add_test(c, refusals);
    suite_add_tcase(suite, c);
    return q35t_run(suite);
}
