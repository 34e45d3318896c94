/* SPDX-License-Identifier: Apache-2.0
 *
 * The template plugin through the ABI alone: support answers with reasons, plans of one and several nodes against
 * the formulas of plugin.h, valid rows from the step tensor, memory failures. */
#define _GNU_SOURCE
#include "device_support.h"
#include "support/alloc_sweep.h"

#include "runtime/device/device.h"

#include <math.h>

enum { T = 5, K = 37, X = 0, W, NORMED, UP, GATED, SUM, STEP, N_TENSORS };

static q35_runtime *runtime;
static q35i_device *device;

static void open_template(void)
{
    char path[TEST_PATH];
    test_setup();
    place_plugin("plugins-extra/libq35rt-template.so", "libq35rt-template.so", path);
    EXPECT_OK(create_with(path, &runtime));
    EXPECT_OK(q35i_device_open(runtime, 0, &device));
}

static void close_template(void)
{
    q35i_device_close(device);
    q35_runtime_destroy(runtime);
    test_teardown();
}

static q35_tensor_desc rows(int64_t n_rows, uint32_t flags)
{
    return (q35_tensor_desc){.dtype = Q35_DT_F32,
                             .rank = 2,
                             .dim = {K, n_rows, 1, 1},
                             .flags = flags,
                             .stride = {4, K * 4, n_rows * K * 4, n_rows * K * 4}};
}

/* sum = x + swiglu(rms_norm(x, w), up) */
typedef struct net {
    q35_tensor_desc tensors[N_TENSORS];
    uint32_t roles[N_TENSORS];
    uint32_t in[3][2], out[3][1];
    q35_norm_params norm;
    q35_node nodes[3];
    const q35_node *list[3];
    q35_region region;
} net;

static void make_net(net *n)
{
    static const uint32_t roles[N_TENSORS] = {Q35_ROLE_INPUT, Q35_ROLE_WEIGHT, Q35_ROLE_TEMP, Q35_ROLE_INPUT,
                                              Q35_ROLE_TEMP,  Q35_ROLE_OUTPUT, Q35_ROLE_STEP};
    static const uint32_t ops[3] = {Q35_OP_RMS_NORM, Q35_OP_SWIGLU, Q35_OP_ADD};
    static const uint32_t in[3][2] = {{X, W}, {NORMED, UP}, {X, GATED}}, out[3] = {NORMED, GATED, SUM};
    memset(n, 0, sizeof *n);
    for (uint32_t i = 0; i < N_TENSORS; i++)
        n->tensors[i] = rows(i == W ? 1 : T, i == W ? 0 : Q35_TF_TOKEN_ROWS);
    n->tensors[W].rank = 1;
    n->tensors[STEP] =
        (q35_tensor_desc){.dtype = Q35_DT_I32, .rank = 1, .dim = {8, 1, 1, 1}, .stride = {4, 32, 32, 32}};
    memcpy(n->roles, roles, sizeof roles);
    n->norm = (q35_norm_params){.h = {sizeof n->norm, Q35_STRUCT_NORM_PARAMS, NULL}, .eps = 1e-5f};
    for (uint32_t i = 0; i < 3; i++) {
        memcpy(n->in[i], in[i], sizeof in[i]);
        n->out[i][0] = out[i];
        n->nodes[i] = (q35_node){.h = {sizeof n->nodes[i], Q35_STRUCT_NODE, NULL},
                                 .op = ops[i],
                                 .n_in = 2,
                                 .n_out = 1,
                                 .in = n->in[i],
                                 .out = n->out[i],
                                 .params = i == 0 ? &n->norm.h : NULL};
        n->list[i] = &n->nodes[i];
    }
    n->region = (q35_region){.h = {sizeof n->region, Q35_STRUCT_REGION, NULL},
                             .n_tensors = N_TENSORS,
                             .n_nodes = 3,
                             .tensors = n->tensors,
                             .roles = n->roles,
                             .nodes = n->list,
                             .step = STEP};
}

static q35_support ask(const net *n)
{
    q35_support support = {.h = {sizeof support, Q35_STRUCT_SUPPORT, NULL}};
    ck_assert_uint_eq(device->api->op_support(device->dev, &n->region, &support), Q35_OK);
    return support;
}

START_TEST(computes_the_formulas)
{
    float x[T * K], w[K], up[T * K], normed[T * K], gated[T * K], sum[T * K];
    q35_step step = {.n_tokens = 3};
    net n;
    q35_plan *plan;
    make_net(&n);
    q35_support support = ask(&n);
    ck_assert_uint_eq(support.ok, 1);
    ck_assert_uint_eq(support.determinism, Q35_DET_BITWISE);
    ck_assert_uint_eq(device->api->plan_compile(device->dev, &n.region, &plan), Q35_OK);
    for (int i = 0; i < T * K; i++) {
        x[i] = (float)(i % 11) - 5.0f;
        up[i] = (float)(i % 7) * 0.25f;
        w[i % K] = 0.5f + (float)(i % K) / K;
        sum[i] = -777.0f;
    }
    q35_binding bind[N_TENSORS] = {{.host = x},     {.host = w},   {.host = normed}, {.host = up},
                                   {.host = gated}, {.host = sum}, {.host = &step}};
    ck_assert_uint_eq(device->api->plan_bind(plan, bind), Q35_OK);
    memset(&n, 0, sizeof n); /* the plan has copied what it needs */
    memset(bind, 0, sizeof bind);
    for (int run = 0; run < 3; run++)
        ck_assert_uint_eq(device->api->plan_run(plan), Q35_OK);
    for (int t = 0; t < T; t++) {
        double squares = 0.0;
        for (int k = 0; k < K; k++)
            squares += (double)x[t * K + k] * (double)x[t * K + k];
        for (int k = 0; k < K; k++) {
            double y = (double)x[t * K + k] / sqrt(squares / K + 1e-5) * (double)w[k];
            double expected = (double)x[t * K + k] + y / (1.0 + exp(-y)) * (double)up[t * K + k];
            if (t < step.n_tokens)
                ck_assert_double_le(fabs((double)sum[t * K + k] - expected), 1e-5 * (1.0 + fabs(expected)));
            else
                ck_assert(sum[t * K + k] == -777.0f); /* rows past the valid ones stay untouched */
        }
    }
    device->api->plan_free(plan);
}
END_TEST

static void expect_no(net *n, const char *reason)
{
    q35_plan *plan;
    q35_support support = ask(n);
    ck_assert_uint_eq(support.ok, 0);
    ck_assert_msg(strstr(support.reason, reason) != NULL, "reason '%s', need '%s'", support.reason, reason);
    EXPECT_FAILURE(device->api->plan_compile(device->dev, &n->region, &plan), Q35_E_UNSUPPORTED, reason);
}

START_TEST(says_why_not)
{
    net n;
    make_net(&n);
    n.nodes[1].op = Q35_OP_ATTENTION;
    expect_no(&n, "op 8: not one of rms_norm, swiglu, add");
    make_net(&n);
    n.tensors[UP].dtype = Q35_DT_F16;
    expect_no(&n, "op 9: need f32 rows");
    make_net(&n);
    n.tensors[W].dim[0] = K - 1;
    expect_no(&n, "op 2: need matching shapes");
    make_net(&n);
    n.tensors[UP].dim[1] = T + 1;
    expect_no(&n, "op 9: need matching shapes");
    make_net(&n);
    n.nodes[0].params = NULL;
    expect_no(&n, "op 2: need the norm parameters");
    make_net(&n);
    n.norm.h.size = sizeof(q35_hdr);
    expect_no(&n, "op 2: need the norm parameters");
    make_net(&n);
    struct {
        q35_norm_params norm;
        uint32_t newer[2];
    } later = {.norm = n.norm, .newer = {0, 5}};
    later.norm.h.size = sizeof later;
    n.nodes[0].params = &later.norm.h;
    expect_no(&n, "op 2: need norm parameters without newer, non-zero fields");
    later.newer[1] = 0;
    ck_assert_uint_eq(ask(&n).ok, 1);
    make_net(&n);
    n.nodes[2].n_in = 1;
    expect_no(&n, "op 10: need 2 inputs and 1 output");
}
END_TEST

START_TEST(survives_no_memory)
{
    net n;
    q35_plan *plan = NULL;
    q35t_alloc_sweep sweep = {.limit = 20};
    make_net(&n);
    while (q35t_alloc_sweep_next(&sweep))
        q35t_alloc_sweep_end(&sweep, device->api->plan_compile(device->dev, &n.region, &plan));
    device->api->plan_free(plan);
}
END_TEST

START_TEST(refuses_options)
{
    static const char *const key = "speed", *const value = "9";
    q35_open_options options = {
        .h = {sizeof options, Q35_STRUCT_OPEN_OPTIONS, NULL}, .n_options = 1, .keys = &key, .values = &value};
    q35_device *dev;
    ck_assert_uint_eq(device->api->device_open(0, &options, &dev), Q35_E_INVALID);
    ck_assert_uint_eq(device->api->device_open(1, &options, &dev), Q35_E_RANGE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("template");
    TCase *tc = tcase_create("template");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, open_template, close_template);
    tcase_add_test(tc, computes_the_formulas);
    tcase_add_test(tc, says_why_not);
    tcase_add_test(tc, survives_no_memory);
    tcase_add_test(tc, refuses_options);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
