/* SPDX-License-Identifier: Apache-2.0
 *
 * Plans of the CUDA plugin on the mock driver: graphs and what happens without them, failures of launches, the end
 * of a context, memory that runs out at every allocation, weights that come canonical. */
#define _GNU_SOURCE
#include "cuda_support.h"

enum { K = 192, N = 40, T = 3, X = 0, NORM, SIGNS, WEIGHT, NORMED, CODES, Y, STEP, N_TENSORS };

/* norm and quantize (rotated), one launch, and linear of Q60_ROW weights, T tokens at most. */
typedef struct net {
    q35_tensor_desc tensors[N_TENSORS];
    uint32_t roles[N_TENSORS];
    q35_node nodes[3];
    const q35_node *node_list[3];
    q35_norm_params norm;
    q35_quantize_params quantize;
    q35_region region;
    uint32_t in[3][2], out[3][1];
    q35_binding bind[N_TENSORS];
    q35_plan *plan;
    q35_queue *queue;
    q35_timeline *done;
    uint64_t n_done;
} net;

static const float eps = 1e-5F;

static void node(net *n, uint32_t i, uint32_t op, const q35_hdr *params, uint32_t a, uint32_t b, uint32_t out)
{
    n->in[i][0] = a;
    n->in[i][1] = b;
    n->out[i][0] = out;
    n->nodes[i] = (q35_node){.h = {sizeof(q35_node), Q35_STRUCT_NODE, NULL},
                             .op = op,
                             .n_in = 2,
                             .n_out = 1,
                             .in = n->in[i],
                             .out = n->out[i],
                             .params = params};
    n->node_list[i] = &n->nodes[i];
}

static void describe(net *n)
{
    static const uint32_t roles[N_TENSORS] = {Q35_ROLE_INPUT, Q35_ROLE_WEIGHT, Q35_ROLE_WEIGHT, Q35_ROLE_WEIGHT,
                                              Q35_ROLE_TEMP,  Q35_ROLE_TEMP,   Q35_ROLE_OUTPUT, Q35_ROLE_STEP};
    memset(n, 0, sizeof *n);
    memcpy(n->roles, roles, sizeof roles);
    n->tensors[X] = n->tensors[NORMED] = matrix(Q35_DT_F32, K, T, Q35_TF_TOKEN_ROWS);
    n->tensors[NORM] = vector(Q35_DT_F32, K);
    n->tensors[SIGNS] = vector(Q35_DT_I8, K);
    n->tensors[WEIGHT] = matrix(Q35_DT_Q60_ROW, K, N, 0);
    n->tensors[CODES] = matrix(Q35_DT_A8_ROW, K, T, Q35_TF_TOKEN_ROWS);
    n->tensors[Y] = matrix(Q35_DT_F32, N, T, Q35_TF_TOKEN_ROWS);
    n->tensors[STEP] = vector(Q35_DT_I32, 8);
    n->norm = (q35_norm_params){.h = {sizeof n->norm, Q35_STRUCT_NORM_PARAMS, NULL}, .eps = eps};
    n->quantize = (q35_quantize_params){
        .h = {sizeof n->quantize, Q35_STRUCT_QUANTIZE_PARAMS, NULL}, .dtype = Q35_DT_A8_ROW, .width = 64};
    node(n, 0, Q35_OP_RMS_NORM, &n->norm.h, X, NORM, NORMED);
    node(n, 1, Q35_OP_QUANTIZE_ACT, &n->quantize.h, NORMED, SIGNS, CODES);
    node(n, 2, Q35_OP_LINEAR, NULL, CODES, WEIGHT, Y);
    n->region = (q35_region){.h = {sizeof n->region, Q35_STRUCT_REGION, NULL},
                             .n_tensors = N_TENSORS,
                             .n_nodes = 3,
                             .tensors = n->tensors,
                             .roles = n->roles,
                             .nodes = n->node_list,
                             .step = STEP};
}

/* Bytes that look random, but with floats of use: f32 of -1 .. 1, signs of 1 and -1. */
static void fill(uint32_t tensor, const q35_tensor_desc *d, unsigned char *data, uint64_t bytes)
{
    uint32_t r = 12345u + tensor;
    for (uint64_t i = 0; i < bytes; i++) {
        r = r * 1664525u + 1013904223u;
        data[i] = tensor == SIGNS ? (unsigned char)(r >> 31 ? 1 : -1) : (unsigned char)(r >> 24);
    }
    for (uint64_t i = 0; d->dtype == Q35_DT_F32 && i < bytes / 4; i++) {
        const float f = (float)(int8_t)data[4 * i] / 128.0F;
        memcpy(data + 4 * i, &f, 4);
    }
    for (int64_t row = 0; tensor == WEIGHT && row < N; row++) {
        const float scale = 0.001F * (float)(row + 1);
        memcpy(data + row * d->stride[1], &scale, 4);
    }
}

static void write_bytes(net *n, uint32_t tensor, void *data, uint64_t bytes)
{
    const q35_binding src = on_host(data);
    const q35_point p = {n->done, ++n->n_done};
    copy(n->queue, src, n->bind[tensor], bytes, NULL, &p);
    wait_for(n->done, n->n_done);
}

/* Weights in the layout that the device asks for. */
static void *packed_weight(const net *n, q35_layout *layout)
{
    const q35_tensor_desc *w = &n->tensors[WEIGHT];
    uint64_t slices;
    *layout = (q35_layout){.h = {sizeof *layout, Q35_STRUCT_LAYOUT, NULL}};
    EXPECT_OK(api->layout_query(device->dev, Q35_OP_LINEAR, w, 0, layout));
    slices = (N + layout->slice_rows - 1) / layout->slice_rows;
    unsigned char *rows = malloc((uint64_t)w->stride[1] * N), *packed = calloc(slices, layout->slice_bytes);
    ck_assert(rows && packed);
    fill(WEIGHT, w, rows, (uint64_t)w->stride[1] * N);
    for (uint64_t s = 0; s < slices; s++) {
        const uint64_t row = s * layout->slice_rows, left = N - row;
        EXPECT_OK(api->pack(device->dev, layout->layout, w, row,
                            left < layout->slice_rows ? left : layout->slice_rows,
                            rows + row * (uint64_t)w->stride[1], packed + s * layout->slice_bytes));
    }
    free(rows);
    return packed;
}

static void make_memory(net *n, int packs)
{
    q35_layout layout;
    n->queue = queue_of(Q35_QUEUE_COMPUTE);
    n->done = timeline();
    for (uint32_t t = 0; t < N_TENSORS; t++) {
        q35_tensor_desc *d = &n->tensors[t];
        uint64_t bytes = (uint64_t)d->stride[1] * (uint64_t)d->dim[1];
        unsigned char *data = malloc(bytes);
        ck_assert_ptr_nonnull(data);
        fill(t, d, data, bytes);
        if (t == WEIGHT && packs) {
            free(data);
            data = packed_weight(n, &layout);
            d->layout = layout.layout;
            d->stride[1] = (int64_t)layout.slice_bytes;
            bytes = layout.slice_bytes * ((N + layout.slice_rows - 1) / layout.slice_rows);
        }
        n->bind[t] = in_buf(buffer(bytes), 0, bytes);
        write_bytes(n, t, data, bytes);
        free(data);
    }
}

static void make_net(net *n, int packs)
{
    describe(n);
    make_memory(n, packs);
    EXPECT_OK(api->plan_compile(device->dev, &n->region, &n->plan));
    EXPECT_OK(api->plan_bind(n->plan, n->bind));
}

static void free_net(net *n)
{
    if (n->plan)
        api->plan_free(n->plan);
    api->queue_destroy(n->queue);
    api->timeline_destroy(n->done);
    for (uint32_t t = 0; t < N_TENSORS; t++)
        api->buf_free(n->bind[t].buf);
}

/* One run of n_tokens; y [T][N] as it is after it. */
static q35_status run(net *n, int32_t n_tokens, float y[T * N])
{
    q35_step step = {.n_tokens = n_tokens, .n_out = n_tokens, .n_sequences = n_tokens};
    q35_point p = {n->done, ++n->n_done};
    write_bytes(n, STEP, &step, sizeof step);
    p.value = ++n->n_done;
    EXPECT_OK(api->plan_submit(n->queue, n->plan, NULL, 0, &p, 1));
    q35_status status = api->timeline_wait(n->done, p.value, UINT64_MAX);
    if (status != Q35_OK)
        return status;
    p.value = ++n->n_done;
    copy(n->queue, n->bind[Y], on_host(y), T * N * sizeof(float), NULL, &p);
    wait_for(n->done, p.value);
    return Q35_OK;
}

static void run_with(const char *options, const char *faults, int packs, float y[2][T * N])
{
    net n;
    if (options)
        setenv("Q35RT_DEVICE_OPTIONS", options, 1);
    open_device(faults);
    unsetenv("Q35RT_DEVICE_OPTIONS");
    make_net(&n, packs);
    EXPECT_OK(run(&n, T, y[0]));
    for (int i = 0; i < 3; i++)
        EXPECT_OK(run(&n, i, y[1])); /* 0, 1, 2 tokens: rows past them keep what they had */
    free_net(&n);
}

START_TEST(a_graph_gives_the_bits_of_launches)
{
    float graph[2][T * N], eager[2][T * N];
    run_with(NULL, "", 1, graph);
    q35_mock_counts c = counts_now();
    ck_assert_uint_eq(c.captures, 1);
    ck_assert_uint_eq(c.graph_launches, 4);
    ck_assert_uint_eq(c.launches, 2);
    ck_assert_uint_eq(c.kernels, 8);
    close_device();
    run_with("cuda.graphs=off", "order=1", 1, eager);
    c = counts_now();
    ck_assert_uint_eq(c.captures, 0);
    ck_assert_uint_eq(c.launches, 8);
    close_device();
    ck_assert_mem_eq(graph, eager, sizeof graph);
    ck_assert_mem_eq(graph[0], graph[1], sizeof graph[0]);
    for (uint32_t i = 0; i < T * N; i++)
        ck_assert(graph[0][i] > -1e6F && graph[0][i] < 1e6F);
}
END_TEST

/* What cannot be captured runs launch by launch. */
START_TEST(a_failed_capture_costs_no_result)
{
    float whole[2][T * N], failed[2][T * N];
    run_with(NULL, "", 1, whole);
    close_device();
    run_with(NULL, "launch_fails_at=2", 1, failed);
    const q35_mock_counts c = counts_now();
    ck_assert_uint_eq(c.captures, 1);
    ck_assert_uint_eq(c.graph_launches, 0);
    ck_assert_uint_eq(c.launches, 2 + 8);
    close_device();
    ck_assert_mem_eq(whole, failed, sizeof whole);
}
END_TEST

/* Kernels that wait start early, but the first of a run, and none where the code or the driver cannot. */
START_TEST(kernels_start_early)
{
    static const char *const not_early[] = {"capability=89", "capability=90,version=12020",
                                            "capability=100,code=80"};
    float plain[2][T * N], early[2][T * N];
    run_with(NULL, "", 1, plain);
    ck_assert_uint_eq(counts_now().early, 0);
    close_device();
    run_with(NULL, "capability=90", 1, early);
    ck_assert_uint_eq(counts_now().early, 1);
    ck_assert_uint_eq(counts_now().launches, 2);
    ck_assert_uint_eq(counts_now().graph_launches, 4);
    close_device();
    ck_assert_mem_eq(plain, early, sizeof plain);
    run_with("cuda.graphs=off", "capability=120", 1, early);
    ck_assert_uint_eq(counts_now().early, 4);
    close_device();
    ck_assert_mem_eq(plain, early, sizeof plain);
    for (size_t i = 0; i < sizeof not_early / sizeof *not_early; i++) {
        run_with(NULL, not_early[i], 1, early);
        ck_assert_uint_eq(counts_now().early, 0);
        ck_assert_uint_eq(counts_now().graph_launches, 4);
        close_device();
        ck_assert_mem_eq(plain, early, sizeof plain);
    }
}
END_TEST

/* A graph without early starts is better than early starts without a graph. */
START_TEST(a_graph_without_early_starts)
{
    float plain[2][T * N], late[2][T * N];
    run_with(NULL, "", 1, plain);
    close_device();
    run_with(NULL, "capability=90,early_capture=400", 1, late);
    const q35_mock_counts c = counts_now();
    ck_assert_uint_eq(c.captures, 2);
    ck_assert_uint_eq(c.early, 1);
    ck_assert_uint_eq(c.graph_launches, 4);
    close_device();
    ck_assert_mem_eq(plain, late, sizeof plain);
}
END_TEST

START_TEST(canonical_weights_are_packed)
{
    float packed[2][T * N], canonical[2][T * N];
    run_with(NULL, "", 1, packed);
    const uint64_t launches = counts_now().launches;
    close_device();
    run_with(NULL, "", 0, canonical);
    const q35_mock_counts c = counts_now();
    ck_assert_uint_eq(c.launches, 1 + launches); /* by a kernel, and nothing comes back to the host for it */
    ck_assert_uint_eq(c.blocking_copies, 0);
    close_device();
    ck_assert_mem_eq(packed, canonical, sizeof packed);
}
END_TEST

/* A refused launch fails the bind, a fault ends the device; both come back. */
START_TEST(packing_fails)
{
    net n;
    float y[T * N];
    open_device("launch_fails_at=1");
    describe(&n);
    make_memory(&n, 0);
    EXPECT_OK(api->plan_compile(device->dev, &n.region, &n.plan));
    EXPECT_FAILURE(api->plan_bind(n.plan, n.bind), Q35_E_DEVICE,
                   "packing a weight: CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES");
    EXPECT_OK(api->plan_bind(n.plan, n.bind));
    EXPECT_OK(run(&n, T, y));
    free_net(&n);
    close_device();
    open_device("sticky_at=1");
    describe(&n);
    make_memory(&n, 0);
    EXPECT_OK(api->plan_compile(device->dev, &n.region, &n.plan));
    EXPECT_FAILURE(api->plan_bind(n.plan, n.bind), Q35_E_DEVICE_LOST,
                   "packing a weight: CUDA_ERROR_ILLEGAL_ADDRESS");
    free_net(&n);
    close_device();
    open_device("");
    make_net(&n, 0);
    EXPECT_OK(run(&n, T, y));
    free_net(&n);
    close_device();
}
END_TEST

START_TEST(bound_anew)
{
    net n;
    float a[T * N], b[T * N];
    open_device("");
    make_net(&n, 1);
    EXPECT_OK(run(&n, T, a));
    q35_buf *other = buffer(T * N * sizeof(float)), *first = n.bind[Y].buf;
    n.bind[Y].buf = other;
    EXPECT_OK(api->plan_bind(n.plan, n.bind));
    EXPECT_OK(run(&n, T, b));
    ck_assert_mem_eq(a, b, sizeof a);
    ck_assert_uint_eq(counts_now().captures, 2);
    api->buf_free(first);
    free_net(&n);
    close_device();
}
END_TEST

START_TEST(a_refused_launch_fails_one_run)
{
    net n;
    float y[T * N], again[T * N];
    setenv("Q35RT_DEVICE_OPTIONS", "cuda.graphs=off", 1);
    open_device("launch_fails_at=4");
    unsetenv("Q35RT_DEVICE_OPTIONS");
    make_net(&n, 1);
    EXPECT_OK(run(&n, T, y));
    ck_assert_uint_eq(run(&n, T, again), Q35_E_DEVICE);
    EXPECT_ERROR("running a plan: CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES (701): too many resources requested");
    api->timeline_destroy(n.done); /* a failed timeline stays so */
    n.done = timeline();
    n.n_done = 0;
    EXPECT_OK(run(&n, T, again));
    ck_assert_mem_eq(y, again, sizeof y);
    free_net(&n);
    close_device();
}
END_TEST

/* The context ends in the middle of a run, with a copy queued behind it and one on another queue that waits. */
static void lose(const char *faults, const char *text)
{
    net n;
    float y[T * N];
    open_device(faults);
    make_net(&n, 1);
    q35_queue *other = queue_of(Q35_QUEUE_COPY);
    q35_timeline *later = timeline();
    q35_buf *buf = NULL;
    EXPECT_OK(run(&n, T, y));
    const q35_point ran = {n.done, 1000}, behind = {later, 1}, waited = {later, 2};
    EXPECT_OK(api->plan_submit(n.queue, n.plan, NULL, 0, &ran, 1));
    copy(n.queue, n.bind[Y], on_host(y), sizeof y, NULL, &behind);
    copy(other, n.bind[Y], on_host(y), sizeof y, &ran, &waited);
    ck_assert_uint_eq(api->timeline_wait(n.done, 1000, UINT64_MAX), Q35_E_DEVICE_LOST);
    EXPECT_ERROR(text);
    ck_assert_uint_eq(api->timeline_wait(later, 2, UINT64_MAX), Q35_E_DEVICE_LOST);
    ck_assert_uint_eq(api->buf_alloc(device->dev, 0, 64, 64, Q35_USE_ACT, &buf) != Q35_OK, 1);
    api->timeline_destroy(later);
    later = timeline();
    const q35_point never = {later, 1};
    copy(n.queue, n.bind[Y], on_host(y), sizeof y, NULL, &never); /* refused through its timeline */
    ck_assert_uint_eq(api->timeline_wait(later, 1, UINT64_MAX), Q35_E_DEVICE_LOST);
    api->queue_destroy(other);
    api->timeline_destroy(later);
    free_net(&n);
    close_device();
}

START_TEST(a_lost_device_comes_back_when_opened)
{
    net n;
    float y[T * N];
    lose("sticky_at=4", "cuda device 0: lost: CUDA_ERROR_ILLEGAL_ADDRESS (700)");
    lose("lost_at=3", "cuda device 0: lost: CUDA_ERROR_UNKNOWN (999)");
    open_device("");
    make_net(&n, 1);
    EXPECT_OK(run(&n, T, y));
    free_net(&n);
    close_device();
}
END_TEST

/* Every allocation fails once: a sentence, nothing leaked, and the next attempt works. */
START_TEST(memory_runs_out_anywhere)
{
    net n;
    char faults[32];
    uint32_t failed = 0;
    for (uint32_t k = 1; k <= N_TENSORS + 1; k++) {
        float y[T * N];
        snprintf(faults, sizeof faults, "oom_at=%u", k);
        open_device("");
        describe(&n);
        make_memory(&n, 0);
        q35_mock_set(faults);
        q35_buf *extra = NULL;
        q35_status status = api->buf_alloc(device->dev, 0, 64, 64, Q35_USE_ACT, &extra);
        if (status == Q35_OK)
            api->buf_free(extra);
        else
            failed++;
        ck_assert(status == Q35_OK || status == Q35_E_NOMEM);
        status = api->plan_compile(device->dev, &n.region, &n.plan);
        if (status != Q35_OK) {
            ck_assert_uint_eq(status, Q35_E_NOMEM);
            EXPECT_ERROR("bytes for intermediate results: CUDA_ERROR_OUT_OF_MEMORY");
            EXPECT_OK(api->plan_compile(device->dev, &n.region, &n.plan));
            failed++;
        }
        status = api->plan_bind(n.plan, n.bind);
        if (status != Q35_OK) {
            ck_assert_uint_eq(status, Q35_E_NOMEM);
            EXPECT_ERROR("packing a weight: CUDA_ERROR_OUT_OF_MEMORY");
            EXPECT_OK(api->plan_bind(n.plan, n.bind));
            failed++;
        }
        EXPECT_OK(run(&n, T, y));
        free_net(&n);
        close_device();
    }
    ck_assert_uint_eq(failed, 3);
}
END_TEST

/* Launch by launch, with the same bits; time goes to the nodes that took it. */
START_TEST(runs_are_profiled)
{
    net n;
    float y[T * N], again[T * N];
    uint64_t node_ns[3];
    q35_profile profile = {.h = {sizeof profile, Q35_STRUCT_PROFILE, NULL}, .n_nodes = 3, .node_ns = node_ns};
    open_device("");
    const q35_measure *measure = (const q35_measure *)(const void *)api->extension(Q35_STRUCT_MEASURE);
    make_net(&n, 1);
    EXPECT_FAILURE(measure->profile_read(n.plan, &profile), Q35_E_INVALID, "runs are not being counted");
    EXPECT_OK(run(&n, T, y));
    EXPECT_OK(measure->profile(n.plan, 1));
    for (int i = 0; i < 3; i++)
        EXPECT_OK(run(&n, T, again));
    ck_assert_mem_eq(y, again, sizeof y);
    EXPECT_OK(measure->profile_read(n.plan, &profile));
    ck_assert_uint_eq(profile.runs, 3);
    ck_assert_uint_eq(profile.run_ns, node_ns[0] + node_ns[1] + node_ns[2]);
    for (int i = 0; i < 3; i++)
        ck_assert_uint_gt(node_ns[i], 0);
    ck_assert_uint_eq(counts_now().graph_launches, 1);
    EXPECT_OK(measure->profile(n.plan, 0));
    EXPECT_OK(run(&n, T, again));
    ck_assert_uint_eq(counts_now().graph_launches, 2);
    EXPECT_OK(measure->profile(n.plan, 1)); /* goes with the plan */
    free_net(&n);
    close_device();
}
END_TEST

START_TEST(wrong_bindings)
{
    net n;
    uint64_t host = 0;
    open_device("");
    make_net(&n, 1);
    const q35_binding saved = n.bind[Y];
    n.bind[Y] = on_host(&host);
    EXPECT_FAILURE(api->plan_bind(n.plan, n.bind), Q35_E_INVALID,
                   "tensor 6 has no buffer, need one of the device");
    n.bind[Y] = saved;
    n.bind[Y].offset = 64;
    EXPECT_FAILURE(api->plan_bind(n.plan, n.bind), Q35_E_INVALID, "tensor 6 is bound to");
    n.bind[Y] = saved;
    const q35_point p = {n.done, 1000};
    EXPECT_FAILURE(api->plan_submit(n.queue, n.plan, NULL, 0, &p, 1), Q35_E_INVALID, "not bound");
    free_net(&n);
    close_device();
}
END_TEST

/* Reasons for a refusal name what was found and what is needed. */
START_TEST(refusals)
{
    net n;
    open_device("");
    describe(&n);
    q35_support s = {.h = {sizeof s, Q35_STRUCT_SUPPORT, NULL}};
    n.tensors[WEIGHT] = matrix(Q35_DT_Q4_0, K, N, 0);
    n.in[2][0] = NORMED;
    EXPECT_OK(api->op_support(device->dev, &n.region, &s));
    ck_assert_uint_eq(s.ok, 0);
    ck_assert_str_eq(s.reason, "linear (node 2): no kernel for Q4_0 weights with F32 activations");
    describe(&n);
    n.quantize.width = 48;
    EXPECT_OK(api->op_support(device->dev, &n.region, &s));
    ck_assert_str_eq(s.reason, "quantize_act (node 1): width is 48, need a power of two from 2 to 4096");
    ck_assert_uint_eq(api->plan_compile(device->dev, &n.region, &n.plan), Q35_E_UNSUPPORTED);
    describe(&n);
    EXPECT_OK(api->op_support(device->dev, &n.region, &s));
    ck_assert_uint_eq(s.ok, 1);
    ck_assert_uint_eq(s.determinism, Q35_DET_BITWISE);
    close_device();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cuda_plan");
    TCase *tc = tcase_create("plan");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, cuda_setup, test_teardown);
    tcase_add_test(tc, a_graph_gives_the_bits_of_launches);
    tcase_add_test(tc, a_failed_capture_costs_no_result);
    tcase_add_test(tc, kernels_start_early);
    tcase_add_test(tc, a_graph_without_early_starts);
    tcase_add_test(tc, canonical_weights_are_packed);
    tcase_add_test(tc, packing_fails);
    tcase_add_test(tc, bound_anew);
    tcase_add_test(tc, a_refused_launch_fails_one_run);
    tcase_add_test(tc, a_lost_device_comes_back_when_opened);
    tcase_add_test(tc, memory_runs_out_anywhere);
    tcase_add_test(tc, runs_are_profiled);
    tcase_add_test(tc, wrong_bindings);
    tcase_add_test(tc, refusals);
    suite_add_tcase(s, tc);
    return q35t_run(s);
}
