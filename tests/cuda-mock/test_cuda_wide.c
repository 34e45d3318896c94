/* SPDX-License-Identifier: Apache-2.0
 *
 * Products by wgmma are used for many tokens on the GPUs that have them, once their test has passed, and not where
 * it fails: a mock whose wgmma goes wrong afterwards shows which kernel a plan takes. */
#define _GNU_SOURCE
#include "cuda_support.h"

enum { K = 192, N = 40, X = 0, WEIGHT, Y, STEP, N_TENSORS, MAX_TOKENS = 70 };
#define WORKS "capability=90,wgmma=1"
#define WRONG "capability=90,wgmma=2"

static char logged[CUDA_LOG_BYTES];

static void setup(void)
{
    cuda_setup_logged(logged);
}

static q35_binding bytes_of(q35_queue *q, q35_timeline *t, uint64_t *at, const void *data, uint64_t bytes)
{
    q35_buf *buf = buffer(bytes);
    const q35_point p = {t, ++*at};
    copy(q, on_host((void *)(uintptr_t)data), in_buf(buf, 0, bytes), bytes, NULL, &p);
    wait_for(t, *at);
    return in_buf(buf, 0, bytes);
}

/* A linear of n_tokens on the open device, y [n_tokens][N]. after: what the mock does from the plan on; NULL: as
 * before. */
static void multiply(int32_t n_tokens, const char *after, float *y)
{
    static const uint32_t roles[N_TENSORS] = {Q35_ROLE_INPUT, Q35_ROLE_WEIGHT, Q35_ROLE_OUTPUT, Q35_ROLE_STEP};
    static unsigned char data[N_TENSORS][MAX_TOKENS * N * K];
    const q35_tensor_desc tensors[N_TENSORS] = {
        matrix(Q35_DT_A8_ROW, K, n_tokens, Q35_TF_TOKEN_ROWS), matrix(Q35_DT_Q60_ROW, K, N, 0),
        matrix(Q35_DT_F32, N, n_tokens, Q35_TF_TOKEN_ROWS), vector(Q35_DT_I32, 8)};
    const uint32_t in[] = {X, WEIGHT}, out[] = {Y};
    const q35_node node = {.h = {sizeof node, Q35_STRUCT_NODE, NULL},
                           .op = Q35_OP_LINEAR,
                           .n_in = 2,
                           .n_out = 1,
                           .in = in,
                           .out = out};
    const q35_node *nodes[] = {&node};
    const q35_region region = {.h = {sizeof region, Q35_STRUCT_REGION, NULL},
                               .n_tensors = N_TENSORS,
                               .n_nodes = 1,
                               .tensors = tensors,
                               .roles = roles,
                               .nodes = nodes,
                               .step = STEP};
    const q35_step step = {.n_tokens = n_tokens, .n_out = n_tokens, .n_sequences = 1};
    q35_queue *q = queue_of(Q35_QUEUE_COMPUTE);
    q35_timeline *t = timeline();
    q35_binding bind[N_TENSORS];
    q35_plan *plan = NULL;
    uint64_t at = 0;
    uint32_t r = 5;
    for (uint32_t i = 0; i < sizeof data; i++) {
        r = r * 1664525u + 1013904223u;
        data[i / sizeof data[0]][i % sizeof data[0]] = (unsigned char)(r >> 24);
    }
    for (int32_t row = 0; row < MAX_TOKENS; row++) {
        const float scale = 0.01F * (float)(row + 1);
        memcpy(data[X] + row * tensors[X].stride[1], &scale, 4);
        memset(data[X] + row * tensors[X].stride[1] + 4, 0, 4);
        memcpy(data[WEIGHT] + row * tensors[WEIGHT].stride[1], &scale, 4);
    }
    memcpy(data[STEP], &step, sizeof step);
    for (uint32_t i = 0; i < N_TENSORS; i++)
        bind[i] = bytes_of(q, t, &at, data[i], (uint64_t)tensors[i].stride[1] * (uint64_t)tensors[i].dim[1]);
    EXPECT_OK(api->plan_compile(device->dev, &region, &plan));
    EXPECT_OK(api->plan_bind(plan, bind));
    if (after)
        q35_mock_set(after);
    const q35_point ran = {t, ++at}, read = {t, ++at};
    EXPECT_OK(api->plan_submit(q, plan, NULL, 0, &ran, 1));
    copy(q, bind[Y], on_host(y), (uint64_t)n_tokens * N * sizeof *y, &ran, &read);
    wait_for(t, at);
    api->plan_free(plan);
    api->queue_destroy(q);
    api->timeline_destroy(t);
    for (uint32_t i = 0; i < N_TENSORS; i++)
        api->buf_free(bind[i].buf);
}

/* What a device without wgmma gives. */
static const float *expected(int32_t n_tokens)
{
    static float y[MAX_TOKENS * N];
    open_device("");
    multiply(n_tokens, NULL, y);
    close_device();
    return y;
}

START_TEST(many_tokens_take_wgmma)
{
    static const struct {
        const char *options, *faults;
        int32_t n_tokens;
        int wide;
    } cases[] = {{NULL, WORKS, 31, 0},
                 {NULL, WORKS, 32, 1},
                 {NULL, WORKS, MAX_TOKENS, 1},
                 {"cuda.wgmma=off", WORKS, MAX_TOKENS, 0},
                 {NULL, "capability=90", MAX_TOKENS, 0},
                 {NULL, "capability=100,wgmma=1", MAX_TOKENS, 0}};
    float y[MAX_TOKENS * N], needed[MAX_TOKENS * N];
    memcpy(needed, expected(cases[_i].n_tokens), sizeof needed);
    if (cases[_i].options)
        setenv("Q35RT_DEVICE_OPTIONS", cases[_i].options, 1);
    open_device(cases[_i].faults);
    unsetenv("Q35RT_DEVICE_OPTIONS");
    const uint64_t bytes = (uint64_t)cases[_i].n_tokens * N * sizeof *y;
    multiply(cases[_i].n_tokens, NULL, y);
    ck_assert_mem_eq(y, needed, bytes);
    multiply(cases[_i].n_tokens, WRONG, y);
    ck_assert_int_eq(memcmp(y, needed, bytes) != 0, cases[_i].wide);
    ck_assert_str_eq(logged, "");
    close_device();
}
END_TEST

/* The log says what is wrong, and results are right. */
START_TEST(a_failed_test_leaves_mma)
{
    static const struct {
        const char *faults, *why;
    } cases[] = {{WRONG, "q35_linear_wide_q35_row gives "},
                 {WRONG, " for row 19 of token 1 of 40, need "},
                 {"capability=90,wgmma=3", "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"},
                 {WORKS ",oom_at=1", "CUDA_ERROR_OUT_OF_MEMORY"}};
    float y[MAX_TOKENS * N], needed[MAX_TOKENS * N];
    memcpy(needed, expected(MAX_TOKENS), sizeof needed);
    open_device(cases[_i].faults);
    ck_assert_msg(strstr(logged, "products by wgmma failed their test, so mma is used: ") &&
                      strstr(logged, cases[_i].why),
                  "%s: '%s'", cases[_i].faults, logged);
    multiply(MAX_TOKENS, WRONG, y);
    ck_assert_mem_eq(y, needed, sizeof y);
    close_device();
}
END_TEST

START_TEST(lost_while_trying)
{
    make_runtime(_i == 0 ? WORKS ",sticky_at=2" : WORKS ",lost_at=1");
    EXPECT_FAILURE(q35i_device_open(runtime, 0, &device), Q35_E_DEVICE_LOST,
                   "testing products by wgmma: CUDA_ERROR_");
    q35_runtime_destroy(runtime);
    ck_assert_uint_eq(counts_now().bytes_in_use, 0);
    ck_assert_uint_eq(counts_now().objects, 0);
    open_device(WORKS);
    ck_assert_str_eq(logged, "");
    close_device();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cuda_wide");
    TCase *tc = tcase_create("wide");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, test_teardown);
    tcase_add_loop_test(tc, many_tokens_take_wgmma, 0, 6);
    tcase_add_loop_test(tc, a_failed_test_leaves_mma, 0, 4);
    tcase_add_loop_test(tc, lost_while_trying, 0, 2);
    suite_add_tcase(s, tc);
    return q35t_run(s);
}
