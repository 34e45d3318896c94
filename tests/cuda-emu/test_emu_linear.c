/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR kernels on the emulation against the reference, bit by bit: every type of weights and activations, shapes
 * at the edges of tiles, slices and slabs, every kernel of a type whatever the number of tokens, several linears
 * in one launch, and SWIGLU of two. */
#include "emu_weights.h"
#include "support/suite.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const int32_t tokens[] = {1, 2, 3, 7, 8, 9, 16, 17, 33, 64, 65, 130};
enum { N_TOKENS = sizeof tokens / sizeof *tokens, SPARE = 2 };

/* Activations of m tokens; some rows are zero or have a NaN. */
static uint8_t *make_inputs(q35t_rng *rng, uint32_t act, int32_t m, int32_t k)
{
    const uint64_t row = q35_row_bytes(act, (uint64_t)k);
    uint8_t *x = emu_memory((size_t)m * row, 8);
    float *v = emu_memory((size_t)k * sizeof *v, 4), *scratch = emu_memory((size_t)k * sizeof *scratch, 4);
    for (int32_t t = 0; t < m; t++) {
        for (int32_t i = 0; i < k; i++)
            v[i] = t == 3 ? 0 : q35t_rng_signed(rng);
        if (t == 6)
            v[k / 2] = NAN;
        if (act == Q35_DT_F32)
            memcpy(x + (uint64_t)t * row, v, row);
        else
            emu_reference()->quantize_act(v, 0, k, NULL, act, x + (uint64_t)t * row, (int64_t)row, 0, 1, scratch);
    }
    return x;
}

/* What the reference gives for m tokens of m + SPARE. */
static float *expect(const q35k_weights *w, const uint8_t *x, uint32_t act, int32_t m)
{
    float *y = emu_memory((size_t)(m + SPARE) * (size_t)w->n * sizeof(float), 4);
    q35k_linear_fn *fn = q35_is_row_type(w->dtype) ? emu_reference()->linear_row : emu_reference()->linear;
    fn(x, act, (int64_t)q35_row_bytes(act, (uint64_t)w->k), m, w, y, w->n * (int64_t)sizeof(float), 0, w->n, NULL);
    return y;
}

/* One more output of the case, f32 [m + SPARE][n]. */
static void add_output(emu_case *c, uint64_t *field, const float *expected, int32_t n, int32_t m)
{
    c->outputs[c->n_outputs++] = (emu_output){
        .field = field, .expected = expected, .bytes = (size_t)(m + SPARE) * (size_t)n * sizeof(float)};
}

/* Linears of one input, of n[i] rows each, in one launch. */
typedef struct parts {
    q35_linear_args args;
    const float *y[Q35_CUDA_PARTS];
} parts;

static parts make_parts(uint32_t dtype, uint32_t act, const int32_t *n, int n_parts, int32_t k, int32_t m)
{
    q35t_rng rng = q35t_rng_seed((uint64_t)(n[0] * 100000 + k * 100 + m));
    const int8_t(*book)[2] = emu_book(&rng, dtype);
    const uint8_t *x = make_inputs(&rng, act, m, k);
    parts p = {.args = {.x = emu_address(x),
                        .book = emu_address(book),
                        .rows_at = emu_count(m),
                        .rs_x = (int64_t)q35_row_bytes(act, (uint64_t)k),
                        .n_rows = m + SPARE,
                        .k = k,
                        .dtype = dtype}};
    for (int i = 0; i < n_parts; i++) {
        const uint8_t *stored = emu_weights(&rng, dtype, n[i], k);
        const q35k_weights w = {.data = stored,
                                .dtype = dtype,
                                .n = n[i],
                                .k = k,
                                .book = book,
                                .rs = (int64_t)q35_row_bytes(dtype, (uint64_t)k)};
        p.y[i] = expect(&w, x, act, m);
        p.args.part[i] = (q35_linear_part){.w = emu_address(emu_packed(dtype, n[i], k, stored)),
                                           .rs_y = n[i] * (int64_t)sizeof(float),
                                           .n = n[i]};
    }
    return p;
}

static void check_parts(uint32_t dtype, uint32_t act, const int32_t *n, int n_parts, int32_t k, int32_t m,
                        uint32_t kernel)
{
    parts p = make_parts(dtype, act, n, n_parts, k, m);
    emu_case c = {.kernels = {kernel}, .n_kernels = 1, .args = &p.args};
    snprintf(c.what, sizeof c.what, "%s: %d parts, n %d, k %d, %d tokens", q35_cuda_kernel_name(kernel), n_parts,
             n[0], k, m);
    for (int i = 0; i < n_parts; i++)
        add_output(&c, &p.args.part[i].y, p.y[i], n[i], m);
    emu_check(&c);
    emu_release();
}

static void check_packed(uint32_t dtype, uint32_t act, int32_t n, int32_t k, int32_t m, uint32_t kernel)
{
    check_parts(dtype, act, &n, 1, k, m, kernel);
}

static const uint32_t row_types[] = {Q35_DT_Q35_ROW, Q35_DT_Q40_ROW, Q35_DT_Q60_ROW};
static const uint32_t row_acts[] = {Q35_DT_A8_ROW, Q35_DT_A8_128};

/* Every number of tokens with the kernel that it takes. */
START_TEST(test_row_tokens)
{
    const uint32_t dtype = row_types[_i / 2], act = row_acts[_i % 2];
    for (int i = 0; i < N_TOKENS; i++)
        for (int wide = 0; wide < (tokens[i] < Q35_CUDA_WIDE_LEAST ? 1 : 2); wide++)
            check_packed(dtype, act, 80, 576, tokens[i],
                         q35_cuda_linear_kernel(q35_cuda_linear_first(dtype, act), tokens[i], wide));
}
END_TEST

/* Every kernel with few and with many tokens, at the edges of rows, of inputs and of slabs. */
START_TEST(test_row_shapes)
{
    static const int32_t shapes[][2] = {{1, 1},     {15, 63},  {16, 64},    {17, 65},   {32, 128}, {33, 129},
                                        {64, 1100}, {48, 192}, {130, 2064}, {31, 4096}, {16, 4353}};
    const uint32_t dtype = row_types[_i / 2], act = row_acts[_i % 2];
    const uint32_t first = q35_cuda_linear_first(dtype, act);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (uint32_t variant = 0; variant < 4; variant++)
            check_packed(dtype, act, shapes[i][0], shapes[i][1], i % 2 ? 1 : 11, first + variant);
}
END_TEST

/* K of a type with blocks, in blocks; of the types whose last block may be padded, in inputs. */
static int32_t blocks_k(uint32_t dtype, int32_t blocks, int32_t inputs)
{
    const int32_t len = (int32_t)q35_dtype_describe(dtype).block_len;
    return len == Q35_GROUP ? inputs : blocks * len;
}

static uint32_t first_of_blocks(uint32_t dtype)
{
    return q35_cuda_linear_first(dtype, Q35_DT_A8_32);
}

/* Every number of tokens with the kernel that it takes, and with more rows than one round of a block's warps. */
START_TEST(test_block_tokens)
{
    const uint32_t dtype = emu_block_types[_i];
    const int32_t k = dtype == Q35_DT_Q35_PAIR || q35_dtype_describe(dtype).block_len < 256 ? 576 : 768;
    for (int i = 0; i < N_TOKENS; i++)
        check_packed(dtype, Q35_DT_A8_32, 80, k, tokens[i],
                     q35_cuda_linear_kernel(first_of_blocks(dtype), tokens[i], 0));
}
END_TEST

/* Both kernels with few and with many tokens, at the edges of rows, of tiles and of rounds. */
START_TEST(test_block_shapes)
{
    static const int32_t shapes[][3] = {{1, 1, 1},    {15, 2, 63},   {16, 3, 64},   {17, 4, 65},   {32, 5, 127},
                                        {33, 7, 129}, {70, 29, 897}, {48, 9, 1792}, {20, 16, 1793}};
    const uint32_t dtype = emu_block_types[_i];
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (uint32_t variant = 0; variant < 2; variant++)
            check_packed(dtype, Q35_DT_A8_32, shapes[i][0], blocks_k(dtype, shapes[i][1], shapes[i][2]),
                         i % 2 ? 1 : 11, first_of_blocks(dtype) + variant);
}
END_TEST

START_TEST(test_block_parts)
{
    static const int32_t ns[][Q35_CUDA_PARTS] = {{1, 1, 1}, {33, 16, 50}, {80, 31, 0}};
    const uint32_t dtype = emu_block_types[_i];
    for (size_t i = 0; i < sizeof ns / sizeof *ns; i++)
        for (uint32_t variant = 0; variant < 2; variant++)
            check_parts(dtype, Q35_DT_A8_32, ns[i], ns[i][2] ? 3 : 2, 256, i % 2 ? 1 : 9,
                        first_of_blocks(dtype) + variant);
}
END_TEST

/* Slices of the parts share blocks, and the last block is not full. */
START_TEST(test_parts)
{
    static const int32_t ns[][Q35_CUDA_PARTS] = {{1, 1, 1}, {33, 16, 50}, {16, 17, 100}, {80, 31, 0}};
    const uint32_t dtype = row_types[_i / 2], act = row_acts[_i % 2];
    const uint32_t first = q35_cuda_linear_first(dtype, act);
    for (size_t i = 0; i < sizeof ns / sizeof *ns; i++)
        for (uint32_t variant = 0; variant < 4; variant++)
            check_parts(dtype, act, ns[i], ns[i][2] ? 3 : 2, 200, i % 2 ? 1 : 9, first + variant);
}
END_TEST

/* A result of -0, from a product too small for f32, in a row that ends inside a tile: what is not there adds
 * nothing, not even +0. */
START_TEST(test_minus_zero)
{
    enum { N = 16, K = 32, BYTES = 34 };
    const uint16_t scale = q35_f32_to_f16(6e-8F);
    const uint32_t kernel = first_of_blocks(Q35_DT_Q8_0) + (uint32_t)_i;
    float v[K] = {3.8e-37F, 3e-39F}, y[1 + SPARE][N], minus = -0.0F;
    uint8_t *w = emu_memory(N * BYTES, 4), *x = emu_memory(sizeof(q35_act_block), 8);
    memset(w, 0, N * BYTES);
    for (int r = 0; r < N; r++) {
        memcpy(w + r * BYTES, &scale, sizeof scale);
        w[r * BYTES + 3] = 0xff; /* level -1 */
    }
    emu_reference()->quantize_act(v, 0, K, NULL, Q35_DT_A8_32, x, sizeof(q35_act_block), 0, 1, NULL);
    const q35k_weights weights = {.data = w, .dtype = Q35_DT_Q8_0, .n = N, .k = K, .rs = BYTES};
    emu_fill(y, sizeof y);
    memcpy(y, expect(&weights, x, Q35_DT_A8_32, 1), sizeof y[0]);
    ck_assert_mem_eq(&y[0][3], &minus, sizeof minus);
    q35_linear_args a = {
        .part = {{.w = emu_address(emu_packed(Q35_DT_Q8_0, N, K, w)), .rs_y = sizeof y[0], .n = N}},
        .x = emu_address(x),
        .rows_at = emu_count(1),
        .rs_x = sizeof(q35_act_block),
        .n_rows = 1 + SPARE,
        .k = K,
        .dtype = Q35_DT_Q8_0};
    emu_case c = {.kernels = {kernel}, .n_kernels = 1, .args = &a};
    snprintf(c.what, sizeof c.what, "%s: -0", q35_cuda_kernel_name(kernel));
    add_output(&c, &a.part[0].y, &y[0][0], N, 1);
    emu_check(&c);
    emu_release();
}
END_TEST

/* SWIGLU of two linears; written: with their own results, too. */
static void check_product(uint32_t dtype, uint32_t act, int32_t n, int32_t k, int32_t m, uint32_t kernel,
                          int written)
{
    const int32_t both[] = {n, n};
    parts p = make_parts(dtype, act, both, 2, k, m);
    float *product = emu_memory((size_t)(m + SPARE) * (size_t)n * sizeof *product, 4);
    emu_reference()->swiglu(p.y[0], p.y[1], product, 0, (int64_t)m * n);
    emu_case c = {.kernels = {kernel}, .n_kernels = 1, .args = &p.args};
    snprintf(c.what, sizeof c.what, "%s: product, n %d, k %d, %d tokens", q35_cuda_kernel_name(kernel), n, k, m);
    p.args.rs_product = n * (int64_t)sizeof(float);
    add_output(&c, &p.args.product, product, n, m);
    c.outputs[0].floats = 1;
    for (int i = 0; written && i < 2; i++)
        add_output(&c, &p.args.part[i].y, p.y[i], n, m);
    emu_check(&c);
    emu_release();
}

START_TEST(test_products)
{
    static const int32_t ns[] = {1, 16, 17, 70};
    const uint32_t dtype = row_types[_i / 2], act = row_acts[_i % 2];
    const uint32_t first = q35_cuda_linear_first(dtype, act);
    for (size_t i = 0; i < sizeof ns / sizeof *ns; i++)
        for (int written = 0; written < 2; written++) {
            check_product(dtype, act, ns[i], 300, 1, first, written);
            check_product(dtype, act, ns[i], 300, 3 + 6 * (int32_t)(i % 2), first + 1, written);
        }
}
END_TEST

static void check_float(uint32_t dtype, uint32_t act, int32_t n, int32_t k, int32_t m)
{
    q35t_rng rng = q35t_rng_seed((uint64_t)(n * 1000 + k + m));
    const uint8_t *stored = emu_weights(&rng, dtype, n, k), *x = make_inputs(&rng, act, m, k);
    const q35k_weights w = {
        .data = stored, .dtype = dtype, .n = n, .k = k, .rs = (int64_t)q35_row_bytes(dtype, (uint64_t)k)};
    q35_linear_float_args a = {.x = emu_address(x),
                               .w = emu_address(stored),
                               .rows_at = emu_count(m),
                               .rs_x = (int64_t)q35_row_bytes(act, (uint64_t)k),
                               .rs_w = w.rs,
                               .rs_y = n * (int64_t)sizeof(float),
                               .n_rows = m + SPARE,
                               .n = n,
                               .k = k,
                               .dtype = dtype,
                               .act = act};
    emu_case c = {.kernels = {Q35_CUDA_K_linear_float}, .n_kernels = 1, .args = &a};
    snprintf(c.what, sizeof c.what, "linear_float: type %u, activations %u, n %d, k %d, %d tokens", dtype, act, n,
             k, m);
    add_output(&c, &a.y, expect(&w, x, act, m), n, m);
    emu_check(&c);
    emu_release();
}

START_TEST(test_float)
{
    static const uint32_t types[] = {Q35_DT_F32, Q35_DT_F16, Q35_DT_BF16, Q35_DT_F8_32};
    static const int32_t shapes[][2] = {{1, 1}, {3, 255}, {4, 256}, {5, 257}, {9, 2048}, {7, 2600}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        check_float(types[_i], Q35_DT_F32, shapes[i][0], shapes[i][1], 1 + (int32_t)i);
        check_float(types[_i], Q35_DT_A8_32, shapes[i][0], shapes[i][1], 4);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("emu_linear");
    TCase *rows = tcase_create("rows");
    tcase_add_loop_test(rows, test_row_tokens, 0, 6);
    tcase_add_loop_test(rows, test_row_shapes, 0, 6);
    tcase_add_loop_test(rows, test_parts, 0, 6);
    tcase_add_loop_test(rows, test_products, 0, 6);
    tcase_add_loop_test(rows, test_float, 0, 4);
    tcase_add_loop_test(rows, test_block_tokens, 0, EMU_BLOCK_TYPES);
    tcase_add_loop_test(rows, test_block_shapes, 0, EMU_BLOCK_TYPES);
    tcase_add_loop_test(rows, test_minus_zero, 0, 2);
    tcase_add_loop_test(rows, test_block_parts, 0, EMU_BLOCK_TYPES);
    tcase_set_timeout(rows, 120);
    suite_add_tcase(suite, rows);
    return q35t_run(suite);
}
