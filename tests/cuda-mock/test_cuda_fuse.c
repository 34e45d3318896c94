/* SPDX-License-Identifier: Apache-2.0
 *
 * Launches of a layer: as few as kernels-cuda/README.md says, and with the bits that its nodes give when each is a
 * plan of its own, whoever else reads the results between, and wherever the host has bound them. */
#define _GNU_SOURCE
#include "cuda_support.h"
#include "kernels-cuda/q35_cuda.h"

enum { HIDDEN = 96, HEADS = 4, KV_HEADS = 2, DIM = 32, Q_COLS = HEADS * DIM, KV_COLS = KV_HEADS * DIM, FF = 160 };
enum { MAX_TOKENS = 12, N_PAGES = 2, MAX_NODES = 24 };
enum { W = Q35_ROLE_WEIGHT, IN = Q35_ROLE_INPUT, OUT = Q35_ROLE_OUTPUT, TEMP = Q35_ROLE_TEMP };

/* TENSOR(name, type, cols, rows, role). rows 0: one per token; 1: a vector. */
#define TENSORS(TENSOR)                                                                                           \
    TENSOR(HIDDEN_IN, Q35_DT_F32, HIDDEN, 0, IN)                                                                  \
    TENSOR(ADDED, Q35_DT_F32, HIDDEN, 0, IN)                                                                      \
    TENSOR(NORM_1, Q35_DT_F32, HIDDEN, 1, W)                                                                      \
    TENSOR(NORM_2, Q35_DT_F32, HIDDEN, 1, W)                                                                      \
    TENSOR(SIGNS, Q35_DT_I8, HIDDEN, 1, W)                                                                        \
    TENSOR(SIGNS_ATT, Q35_DT_I8, Q_COLS, 1, W)                                                                    \
    TENSOR(SIGNS_FF, Q35_DT_I8, FF, 1, W)                                                                         \
    TENSOR(W_Q, Q35_DT_Q60_ROW, HIDDEN, Q_COLS, W)                                                                \
    TENSOR(W_K, Q35_DT_Q60_ROW, HIDDEN, KV_COLS, W)                                                               \
    TENSOR(W_V, Q35_DT_Q60_ROW, HIDDEN, KV_COLS, W)                                                               \
    TENSOR(W_O, Q35_DT_Q60_ROW, Q_COLS, HIDDEN, W)                                                                \
    TENSOR(W_GATE, Q35_DT_Q60_ROW, HIDDEN, FF, W)                                                                 \
    TENSOR(W_UP, Q35_DT_Q60_ROW, HIDDEN, FF, W)                                                                   \
    TENSOR(W_DOWN, Q35_DT_Q60_ROW, FF, HIDDEN, W)                                                                 \
    TENSOR(FREQUENCIES, Q35_DT_F32, DIM / 2, 1, W)                                                                \
    TENSOR(POSITIONS, Q35_DT_I32, 1, 0, IN)                                                                       \
    TENSOR(SLOTS, Q35_DT_I32, 1, 0, IN)                                                                           \
    TENSOR(SEQUENCE, Q35_DT_I32, 1, 0, IN)                                                                        \
    TENSOR(PAGES, Q35_DT_I32, N_PAGES, 0, IN)                                                                     \
    TENSOR(STEP, Q35_DT_I32, 8, 1, Q35_ROLE_STEP)                                                                 \
    TENSOR(CACHE_K, Q35_DT_F16, DIM, Q35_KV_PAGE *KV_HEADS *N_PAGES, Q35_ROLE_STATE)                              \
    TENSOR(CACHE_V, Q35_DT_F16, DIM, Q35_KV_PAGE *KV_HEADS *N_PAGES, Q35_ROLE_STATE)                              \
    TENSOR(SQUARES, Q35_DT_F32, HIDDEN, 1, Q35_ROLE_STATE)                                                        \
    TENSOR(SUM_1, Q35_DT_F32, HIDDEN, 0, TEMP)                                                                    \
    TENSOR(NORMED_1, Q35_DT_F32, HIDDEN, 0, TEMP)                                                                 \
    TENSOR(CODES_1, Q35_DT_A8_ROW, HIDDEN, 0, TEMP)                                                               \
    TENSOR(CODES_K, Q35_DT_A8_ROW, HIDDEN, 0, TEMP)                                                               \
    TENSOR(Q, Q35_DT_F32, Q_COLS, 0, TEMP)                                                                        \
    TENSOR(K, Q35_DT_F32, KV_COLS, 0, TEMP)                                                                       \
    TENSOR(V, Q35_DT_F32, KV_COLS, 0, TEMP)                                                                       \
    TENSOR(TURNED_Q, Q35_DT_F32, Q_COLS, 0, TEMP)                                                                 \
    TENSOR(TURNED_K, Q35_DT_F32, KV_COLS, 0, TEMP)                                                                \
    TENSOR(ATTENDED, Q35_DT_F32, Q_COLS, 0, TEMP)                                                                 \
    TENSOR(CODES_2, Q35_DT_A8_ROW, Q_COLS, 0, TEMP)                                                               \
    TENSOR(OF_ATTENTION, Q35_DT_F32, HIDDEN, 0, TEMP)                                                             \
    TENSOR(SUM_2, Q35_DT_F32, HIDDEN, 0, OUT)                                                                     \
    TENSOR(NORMED_2, Q35_DT_F32, HIDDEN, 0, TEMP)                                                                 \
    TENSOR(CODES_3, Q35_DT_A8_ROW, HIDDEN, 0, TEMP)                                                               \
    TENSOR(GATE, Q35_DT_F32, FF, 0, TEMP)                                                                         \
    TENSOR(UP, Q35_DT_F32, FF, 0, TEMP)                                                                           \
    TENSOR(PRODUCT, Q35_DT_F32, FF, 0, TEMP)                                                                      \
    TENSOR(CODES_4, Q35_DT_A8_ROW, FF, 0, TEMP)                                                                   \
    TENSOR(DOWN, Q35_DT_F32, HIDDEN, 0, OUT)

enum {
#define NAME(name, dtype, cols, rows, role) name,
    TENSORS(NAME)
#undef NAME
        N_TENSORS
};

typedef struct shape {
    const char *name;
    uint32_t dtype, role;
    int64_t cols, rows;
} shape;

static const shape shapes[N_TENSORS] = {
#define SHAPE(name, dtype, cols, rows, role) {#name, dtype, role, cols, rows},
    TENSORS(SHAPE)
#undef SHAPE
};

static const q35_norm_params norm = {.h = {sizeof norm, Q35_STRUCT_NORM_PARAMS, NULL}, .eps = 1e-5F};
static const q35_quantize_params quantize = {
    .h = {sizeof quantize, Q35_STRUCT_QUANTIZE_PARAMS, NULL}, .dtype = Q35_DT_A8_ROW, .width = 32};
static const q35_rope_params rope = {
    .h = {sizeof rope, Q35_STRUCT_ROPE_PARAMS, NULL}, .head_dim = DIM, .n_rot = DIM};
static const q35_kv_params kv = {
    .h = {sizeof kv, Q35_STRUCT_KV_PARAMS, NULL}, .n_kv_heads = KV_HEADS, .head_dim = DIM};
static const q35_attention_params attention = {.h = {sizeof attention, Q35_STRUCT_ATTENTION_PARAMS, NULL},
                                               .n_heads = HEADS,
                                               .n_kv_heads = KV_HEADS,
                                               .head_dim = DIM,
                                               .scale = 0.1F};

typedef struct op {
    uint32_t op;
    const q35_hdr *params;
    uint32_t n_in, in[6], n_out, out[2];
} op;

#define NORM_OP(a, b, w, sum, y)                                                                                  \
    {                                                                                                             \
        Q35_OP_ADD_RMS_NORM, &norm.h, 3, {a, b, w}, 2,                                                            \
        {                                                                                                         \
            sum, y                                                                                                \
        }                                                                                                         \
    }
#define QUANTIZE_OP(x, signs, y)                                                                                  \
    {                                                                                                             \
        Q35_OP_QUANTIZE_ACT, &quantize.h, 2, {x, signs}, 1,                                                       \
        {                                                                                                         \
            y                                                                                                     \
        }                                                                                                         \
    }
#define LINEAR_OP(x, w, y)                                                                                        \
    {                                                                                                             \
        Q35_OP_LINEAR, NULL, 2, {x, w}, 1,                                                                        \
        {                                                                                                         \
            y                                                                                                     \
        }                                                                                                         \
    }
#define ROPE_OP(x, y)                                                                                             \
    {                                                                                                             \
        Q35_OP_ROPE, &rope.h, 3, {x, FREQUENCIES, POSITIONS}, 1,                                                  \
        {                                                                                                         \
            y                                                                                                     \
        }                                                                                                         \
    }
#define SQUARES_OP(x)                                                                                             \
    {                                                                                                             \
        Q35_OP_SUM_SQUARES, NULL, 2, {x, SQUARES}, 0,                                                             \
        {                                                                                                         \
            0                                                                                                     \
        }                                                                                                         \
    }

#define ATTENTION_OPS                                                                                             \
    {Q35_OP_KV_APPEND, &kv.h, 5, {TURNED_K, V, CACHE_K, CACHE_V, SLOTS}, 0, {0}},                                 \
        {Q35_OP_ATTENTION, &attention.h, 6, {TURNED_Q, CACHE_K, CACHE_V, POSITIONS, SEQUENCE, PAGES}, 1,          \
         {ATTENDED}},                                                                                             \
        QUANTIZE_OP(ATTENDED, SIGNS_ATT, CODES_2), LINEAR_OP(CODES_2, W_O, OF_ATTENTION)

#define FIRST_HALF ROPE_OP(Q, TURNED_Q), ROPE_OP(K, TURNED_K), ATTENTION_OPS

#define SECOND_HALF                                                                                               \
    NORM_OP(SUM_1, OF_ATTENTION, NORM_2, SUM_2, NORMED_2), QUANTIZE_OP(NORMED_2, SIGNS, CODES_3),                 \
        LINEAR_OP(CODES_3, W_GATE, GATE), LINEAR_OP(CODES_3, W_UP, UP),                                           \
        {Q35_OP_SWIGLU, NULL, 2, {GATE, UP}, 1, {PRODUCT}}, QUANTIZE_OP(PRODUCT, SIGNS_FF, CODES_4),              \
        LINEAR_OP(CODES_4, W_DOWN, DOWN)

/* As the graph of a llama layer has them. */
static const op llama[] = {NORM_OP(HIDDEN_IN, ADDED, NORM_1, SUM_1, NORMED_1),
                           QUANTIZE_OP(NORMED_1, SIGNS, CODES_1),
                           LINEAR_OP(CODES_1, W_Q, Q),
                           LINEAR_OP(CODES_1, W_K, K),
                           LINEAR_OP(CODES_1, W_V, V),
                           FIRST_HALF,
                           SECOND_HALF};

/* The norm has two more readers, one between it and its QUANTIZE_ACT, and keys have codes of their own. */
static const op other[] = {NORM_OP(HIDDEN_IN, ADDED, NORM_1, SUM_1, NORMED_1),
                           SQUARES_OP(NORMED_1),
                           QUANTIZE_OP(NORMED_1, SIGNS, CODES_1),
                           LINEAR_OP(CODES_1, W_Q, Q),
                           QUANTIZE_OP(NORMED_1, SIGNS, CODES_K),
                           LINEAR_OP(CODES_K, W_K, K),
                           LINEAR_OP(CODES_1, W_V, V),
                           FIRST_HALF,
                           SECOND_HALF};

/* Keys come to be between the ROPEs. */
static const op apart[] = {NORM_OP(HIDDEN_IN, ADDED, NORM_1, SUM_1, NORMED_1),
                           QUANTIZE_OP(NORMED_1, SIGNS, CODES_1),
                           LINEAR_OP(CODES_1, W_Q, Q),
                           ROPE_OP(Q, TURNED_Q),
                           QUANTIZE_OP(NORMED_1, SIGNS, CODES_K),
                           LINEAR_OP(CODES_K, W_K, K),
                           LINEAR_OP(CODES_1, W_V, V),
                           ROPE_OP(K, TURNED_K),
                           ATTENTION_OPS,
                           SECOND_HALF};

enum {
    N_LLAMA = sizeof llama / sizeof *llama,
    N_OTHER = sizeof other / sizeof *other,
    N_APART = sizeof apart / sizeof *apart
};

typedef struct layer {
    int32_t n_tokens;
    q35_tensor_desc tensors[N_TENSORS];
    uint32_t roles[N_TENSORS];
    q35_binding bind[N_TENSORS];
    q35_buf *buffers[N_TENSORS];
    q35_queue *queue;
    q35_timeline *done;
    uint64_t n_done;
} layer;

static q35_tensor_desc describe(uint32_t t, int64_t n_tokens)
{
    const shape *s = &shapes[t];
    q35_tensor_desc d =
        s->rows == 1 ? vector(s->dtype, s->cols)
                     : matrix(s->dtype, s->cols, s->rows ? s->rows : n_tokens, s->rows ? 0 : Q35_TF_TOKEN_ROWS);
    if (t == POSITIONS || t == SLOTS || t == SEQUENCE) {
        d = vector(s->dtype, n_tokens);
        d.flags = Q35_TF_TOKEN_ROWS;
    }
    if (t == PAGES)
        d.flags = Q35_TF_SEQUENCES;
    if (t == CACHE_K || t == CACHE_V) {
        d.rank = 4;
        d.dim[1] = Q35_KV_PAGE;
        d.dim[2] = KV_HEADS;
        d.dim[3] = N_PAGES;
        d.stride[2] = Q35_KV_PAGE * d.stride[1];
        d.stride[3] = KV_HEADS * d.stride[2];
    }
    return d;
}

static uint64_t bytes_of(const layer *l, uint32_t t)
{
    const q35_tensor_desc *d = &l->tensors[t];
    return (uint64_t)d->stride[d->rank - 1] * (uint64_t)d->dim[d->rank - 1];
}

static void fill(const layer *l, uint32_t t, unsigned char *data)
{
    const q35_tensor_desc *d = &l->tensors[t];
    const uint64_t bytes = bytes_of(l, t);
    const q35_step step = {.n_tokens = l->n_tokens, .n_out = l->n_tokens, .n_sequences = 1};
    uint32_t r = 99u + t;
    memset(data, 0, bytes);
    if (t == STEP)
        memcpy(data, &step, sizeof step);
    for (uint64_t i = 0; i < bytes && shapes[t].role != TEMP && shapes[t].role != OUT && t != STEP; i++) {
        r = r * 1664525u + 1013904223u;
        const float f = (float)(r >> 24) / 128.0F - 1.0F, scale = 0.002F;
        const int32_t index = (int32_t)(i / 4);
        if (d->dtype == Q35_DT_I8)
            data[i] = (unsigned char)(r >> 31 ? 1 : -1);
        else if (d->dtype == Q35_DT_Q60_ROW)
            data[i] = (unsigned char)(r >> 24);
        if (d->dtype == Q35_DT_F32 && i % 4 == 0)
            memcpy(data + i, &f, 4);
        if ((t == POSITIONS || t == SLOTS) && i % 4 == 0)
            memcpy(data + i, &index, 4);
        if (t == PAGES && i % 4 == 0)
            data[i] = (unsigned char)(index % N_PAGES);
        if (d->dtype == Q35_DT_Q60_ROW && i % (uint64_t)d->stride[1] == 3)
            memcpy(data + i - 3, &scale, 4);
    }
}

static void transfer(layer *l, q35_binding src, q35_binding dst, uint64_t bytes)
{
    const q35_point p = {l->done, ++l->n_done};
    copy(l->queue, src, dst, bytes, NULL, &p);
    wait_for(l->done, p.value);
}

/* All tensors as they are before a run. */
static void reset(layer *l)
{
    for (uint32_t t = 0; t < N_TENSORS; t++) {
        unsigned char *data = malloc(bytes_of(l, t));
        ck_assert_ptr_nonnull(data);
        fill(l, t, data);
        if (l->bind[t].buf == l->buffers[t])
            transfer(l, on_host(data), l->bind[t], bytes_of(l, t));
        free(data);
    }
}

static void make_layer(layer *l, int32_t n_tokens)
{
    memset(l, 0, sizeof *l);
    open_device("");
    l->n_tokens = n_tokens;
    l->queue = queue_of(Q35_QUEUE_COMPUTE);
    l->done = timeline();
    for (uint32_t t = 0; t < N_TENSORS; t++) {
        l->tensors[t] = describe(t, n_tokens);
        l->roles[t] = shapes[t].role;
        l->buffers[t] = buffer(bytes_of(l, t));
        l->bind[t] = in_buf(l->buffers[t], 0, bytes_of(l, t));
    }
}

static void free_layer(layer *l)
{
    for (uint32_t t = 0; t < N_TENSORS; t++)
        api->buf_free(l->buffers[t]);
    api->queue_destroy(l->queue);
    api->timeline_destroy(l->done);
    close_device();
}

/* Runs the ops as one region; returns the number of launches. */
static uint64_t run_region(layer *l, const op *ops, uint32_t n, const uint32_t *roles)
{
    q35_node nodes[MAX_NODES];
    const q35_node *list[MAX_NODES];
    q35_plan *plan = NULL;
    for (uint32_t i = 0; i < n; i++) {
        nodes[i] = (q35_node){.h = {sizeof(q35_node), Q35_STRUCT_NODE, NULL},
                              .op = ops[i].op,
                              .n_in = ops[i].n_in,
                              .n_out = ops[i].n_out,
                              .in = ops[i].in,
                              .out = ops[i].out,
                              .params = ops[i].params};
        list[i] = &nodes[i];
    }
    const q35_region region = {.h = {sizeof region, Q35_STRUCT_REGION, NULL},
                               .n_tensors = N_TENSORS,
                               .n_nodes = n,
                               .tensors = l->tensors,
                               .roles = roles,
                               .nodes = list,
                               .step = STEP};
    const q35_point p = {l->done, ++l->n_done};
    EXPECT_OK(api->plan_compile(device->dev, &region, &plan));
    EXPECT_OK(api->plan_bind(plan, l->bind));
    const uint64_t before = counts_now().launches; /* binding packs weights */
    EXPECT_OK(api->plan_submit(l->queue, plan, NULL, 0, &p, 1));
    wait_for(l->done, p.value);
    api->plan_free(plan);
    return counts_now().launches - before;
}

/* Runs each op as a region of its own. */
static uint64_t run_nodes(layer *l, const op *ops, uint32_t n)
{
    uint64_t launches = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t roles[N_TENSORS];
        for (uint32_t t = 0; t < N_TENSORS; t++)
            roles[t] = shapes[t].role == TEMP ? IN : shapes[t].role;
        for (uint32_t o = 0; o < ops[i].n_out; o++)
            roles[ops[i].out[o]] = OUT;
        launches += run_region(l, &ops[i], 1, roles);
    }
    return launches;
}

static unsigned char *read_tensor(layer *l, uint32_t t)
{
    unsigned char *data = malloc(bytes_of(l, t));
    ck_assert_ptr_nonnull(data);
    transfer(l, l->bind[t], on_host(data), bytes_of(l, t));
    return data;
}

/* One region and node by node: the same bytes in whatever outlives the region. */
static void check(layer *l, const op *ops, uint32_t n, uint64_t launches)
{
    unsigned char *alone[N_TENSORS];
    reset(l);
    ck_assert_uint_eq(run_nodes(l, ops, n), n);
    for (uint32_t t = 0; t < N_TENSORS; t++)
        alone[t] = read_tensor(l, t);
    reset(l);
    ck_assert_uint_eq(run_region(l, ops, n, l->roles), launches);
    for (uint32_t t = 0; t < N_TENSORS; t++) {
        unsigned char *together = read_tensor(l, t);
        if (l->roles[t] != TEMP)
            ck_assert_msg(memcmp(together, alone[t], bytes_of(l, t)) == 0, "%s differs, %d tokens", shapes[t].name,
                          l->n_tokens);
        free(together);
        free(alone[t]);
    }
}

static const int32_t token_counts[] = {1, 3, 8, MAX_TOKENS};
enum { N_COUNTS = sizeof token_counts / sizeof *token_counts };

/* With more tokens than linear_few takes, SWIGLU has a launch. */
static uint64_t of_swiglu(int32_t n_tokens)
{
    return n_tokens > Q35_CUDA_FEW_TOKENS;
}

START_TEST(a_layer_takes_few_launches)
{
    layer l;
    make_layer(&l, token_counts[_i]);
    ck_assert_uint_eq(N_LLAMA, 18);
    check(&l, llama, N_LLAMA, 10 + of_swiglu(l.n_tokens));
    free_layer(&l);
}
END_TEST

START_TEST(results_that_others_need_are_written)
{
    layer l;
    make_layer(&l, token_counts[_i]);
    for (uint32_t t = 0; t < N_TENSORS; t++)
        l.roles[t] = l.roles[t] == TEMP ? (uint32_t)OUT : l.roles[t];
    check(&l, llama, N_LLAMA, 10 + of_swiglu(l.n_tokens));
    free_layer(&l);
}
END_TEST

/* Q and V share a launch, past the nodes of K. */
START_TEST(nodes_move_past_others)
{
    layer l;
    make_layer(&l, token_counts[_i]);
    check(&l, other, N_OTHER, 13 + of_swiglu(l.n_tokens));
    free_layer(&l);
}
END_TEST

START_TEST(nodes_stay_behind_what_they_read)
{
    layer l;
    make_layer(&l, token_counts[_i]);
    check(&l, apart, N_APART, 14 + of_swiglu(l.n_tokens));
    free_layer(&l);
}
END_TEST

static void bind_at(layer *l, uint32_t t, uint32_t at)
{
    l->bind[t] = l->bind[at];
    ck_assert_uint_le(bytes_of(l, t), l->bind[at].bytes);
}

/* A result in memory of what a node before has read for the last time. */
START_TEST(memory_is_used_again)
{
    layer l;
    make_layer(&l, 3);
    bind_at(&l, CODES_3, OF_ATTENTION);
    check(&l, llama, N_LLAMA, 10);
    l.roles[CODES_3] = OUT; /* it must be there, and the norm still reads there */
    check(&l, llama, N_LLAMA, 11);
    free_layer(&l);
    make_layer(&l, 3);
    bind_at(&l, CODES_3, PRODUCT);
    check(&l, llama, N_LLAMA, 10);
    l.roles[PRODUCT] = OUT;
    check(&l, llama, N_LLAMA, 10); /* the codes are elsewhere */
    l.roles[CODES_3] = OUT;
    check(&l, llama, N_LLAMA, 11);
    free_layer(&l);
    make_layer(&l, 3);
    l.roles[TURNED_Q] = OUT;
    bind_at(&l, TURNED_K, Q);
    check(&l, llama, N_LLAMA, 10); /* keys stay in shared memory */
    l.roles[TURNED_K] = OUT;
    check(&l, llama, N_LLAMA, 12);
    free_layer(&l);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cuda_fuse");
    TCase *tc = tcase_create("fuse");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, cuda_setup, test_teardown);
    tcase_add_loop_test(tc, a_layer_takes_few_launches, 0, N_COUNTS);
    tcase_add_loop_test(tc, results_that_others_need_are_written, 0, N_COUNTS);
    tcase_add_loop_test(tc, nodes_move_past_others, 0, N_COUNTS);
    tcase_add_loop_test(tc, nodes_stay_behind_what_they_read, 0, N_COUNTS);
    tcase_add_test(tc, memory_is_used_again);
    suite_add_tcase(s, tc);
    return q35t_run(s);
}
