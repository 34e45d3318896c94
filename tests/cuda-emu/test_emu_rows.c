/* SPDX-License-Identifier: Apache-2.0
 *
 * Every other kernel but attention on the emulation, against the reference, bit by bit; and the layout of weights:
 * packing and unpacking give every byte back. */
#include "emu_weights.h"
#include "support/suite.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SPARE = 2, T = 3 };

static float *make_floats(q35t_rng *rng, int64_t n)
{
    float *x = emu_memory((size_t)n * sizeof *x, 4);
    for (int64_t i = 0; i < n; i++)
        x[i] = 4 * q35t_rng_signed(rng);
    return x;
}

static float *blank(int64_t n)
{
    return emu_memory((size_t)n * sizeof(float), 4);
}

static void one_output(emu_case *c, uint32_t kernel, void *args, uint64_t *field, const void *expected,
                       size_t bytes)
{
    c->kernels[0] = kernel;
    c->n_kernels = 1;
    c->args = args;
    c->outputs[0] = (emu_output){.field = field, .expected = expected, .bytes = bytes, .floats = 1};
    c->n_outputs = 1;
}

/* form: 0 plain, 1 a + b, 2 a + b stored, 3 stored in the place of a. */
static void check_norm(int32_t k, int form)
{
    q35t_rng rng = q35t_rng_seed((uint64_t)(k + form));
    const int64_t rs = k * (int64_t)sizeof(float), n = (int64_t)(T + SPARE) * k;
    float *a = make_floats(&rng, n), *b = make_floats(&rng, n), *w = make_floats(&rng, k);
    float *sum = form == 3 ? memcpy(blank(n), a, (size_t)n * sizeof *a) : blank(n), *y = blank(n);
    emu_reference()->norm(form == 3 ? sum : a, form ? b : NULL, w, 1e-5f, form > 1 ? sum : NULL, y, rs, k, 0, T);
    q35_norm_args args = {.a = emu_address(a),
                          .b = form ? emu_address(b) : 0,
                          .w = emu_address(w),
                          .rows_at = emu_count(T),
                          .rs_a = rs,
                          .rs_b = rs,
                          .rs_sum = rs,
                          .rs_y = rs,
                          .n_rows = T + SPARE,
                          .k = k,
                          .eps = 1e-5f};
    emu_case c = {.n_kernels = 0};
    snprintf(c.what, sizeof c.what, "norm: k %d, form %d", k, form);
    one_output(&c, Q35_CUDA_K_norm, &args, &args.y, y, (size_t)n * sizeof *y);
    if (form > 1) {
        c.n_outputs = 2;
        c.outputs[1] =
            (emu_output){.field = &args.sum, .expected = sum, .bytes = (size_t)n * sizeof *y, .floats = 1};
        c.outputs[1].initial = form == 3 ? a : NULL;
        c.outputs[1].also = form == 3 ? &args.a : NULL;
    }
    emu_check(&c);
    emu_release();
}

START_TEST(test_norm)
{
    static const int32_t ks[] = {1, 15, 16, 17, 576, 4096, 4097, 9000};
    for (size_t i = 0; i < sizeof ks / sizeof *ks; i++)
        for (int form = 0; form < 4; form++)
            check_norm(ks[i], form);
}
END_TEST

static const int32_t widths[] = {0, 2, 64, 128, 4096};
static const int32_t lengths[] = {1, 31, 33, 100, 576, 1536, 4097, 8320};

static int8_t *make_signs(q35t_rng *rng, int32_t k)
{
    int8_t *signs = emu_memory((size_t)k, 1);
    for (int32_t i = 0; i < k; i++)
        signs[i] = q35t_rng_u64(rng) & 1 ? 1 : -1;
    return signs;
}

static void check_quantize(uint32_t dtype, int32_t k, int32_t width, int32_t chunk)
{
    const int64_t rows = 5, rs_y = (int64_t)q35_row_bytes(dtype, (uint64_t)k);
    q35t_rng rng = q35t_rng_seed((uint64_t)(k + width));
    float *x = make_floats(&rng, rows * k);
    const q35k_rotation rotation = {make_signs(&rng, k), width};
    uint8_t *y = emu_memory((size_t)(rows * rs_y), 8);
    for (int32_t i = 0; i < k; i++) {
        x[k + i] = 0;
        x[2 * k + i] *= 1e-38f;
    }
    x[3 * k + k / 2] = INFINITY;
    x[4 * k + k - 1] = NAN;
    emu_reference()->quantize_act(x, k * 4, k, width ? &rotation : NULL, dtype, y, rs_y, 0, rows, blank(k));
    q35_quantize_args args = {.x = emu_address(x),
                              .signs = width ? emu_address(rotation.signs) : 0,
                              .rs_x = k * 4,
                              .rs_y = rs_y,
                              .n_rows = (int32_t)rows,
                              .k = k,
                              .dtype = dtype,
                              .width = (uint32_t)width,
                              .chunk = chunk};
    emu_case c = {.n_kernels = 0};
    snprintf(c.what, sizeof c.what, "quantize: type %x, k %d, width %d, chunk %d", dtype, k, width, chunk);
    one_output(&c, Q35_CUDA_K_quantize, &args, &args.y, y, (size_t)(rows * rs_y));
    emu_check(&c);
    emu_release();
}

START_TEST(test_quantize)
{
    static const uint32_t types[] = {Q35_DT_A8_32, Q35_DT_A8_128, Q35_DT_A8_ROW};
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
        for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
            check_quantize(types[_i], lengths[l], widths[w], q35_cuda_quantize_chunk(lengths[l]));
        if (lengths[l] > Q35_CUDA_CHUNK) /* as a row that does not fit */
            check_quantize(types[_i], lengths[l], 128, Q35_CUDA_CHUNK);
    }
}
END_TEST

/* form: 0 plain, 1 stored a + b, 2 that in the place of a, 3 as 1 with the norm's own result. */
static void check_norm_quantize(uint32_t dtype, int32_t k, int32_t width, int form)
{
    q35t_rng rng = q35t_rng_seed((uint64_t)(k + form));
    const int64_t rs = k * (int64_t)sizeof(float), rows = T + SPARE, n = rows * k;
    const int64_t rs_y = (int64_t)q35_row_bytes(dtype, (uint64_t)k);
    float *a = make_floats(&rng, n), *b = make_floats(&rng, n), *w = make_floats(&rng, k), *y = blank(n);
    float *sum = form == 2 ? memcpy(blank(n), a, (size_t)n * sizeof *a) : blank(n);
    const q35k_rotation rotation = {make_signs(&rng, k), width};
    uint8_t *codes = emu_memory((size_t)(rows * rs_y), 8);
    a[2 * k] = INFINITY;
    emu_reference()->norm(a, form ? b : NULL, w, 1e-5f, form ? sum : NULL, y, rs, k, 0, T);
    emu_reference()->quantize_act(y, rs, k, width ? &rotation : NULL, dtype, codes, rs_y, 0, T, blank(k));
    q35_norm_quantize_args args = {.norm = {.a = emu_address(a),
                                            .b = form ? emu_address(b) : 0,
                                            .w = emu_address(w),
                                            .rows_at = emu_count(T),
                                            .rs_a = rs,
                                            .rs_b = rs,
                                            .rs_sum = rs,
                                            .rs_y = rs,
                                            .n_rows = (int32_t)rows,
                                            .k = k,
                                            .eps = 1e-5f},
                                   .quantize = {.signs = width ? emu_address(rotation.signs) : 0,
                                                .rs_y = rs_y,
                                                .n_rows = (int32_t)rows,
                                                .k = k,
                                                .dtype = dtype,
                                                .width = (uint32_t)width,
                                                .chunk = q35_cuda_quantize_chunk(k)}};
    emu_case c = {.n_kernels = 0};
    snprintf(c.what, sizeof c.what, "norm_quantize: type %x, k %d, width %d, form %d", dtype, k, width, form);
    one_output(&c, Q35_CUDA_K_norm_quantize, &args, &args.quantize.y, codes, (size_t)(rows * rs_y));
    if (form) {
        c.outputs[c.n_outputs++] = (emu_output){.field = &args.norm.sum,
                                                .initial = form == 2 ? a : NULL,
                                                .also = form == 2 ? &args.norm.a : NULL,
                                                .expected = sum,
                                                .bytes = (size_t)n * sizeof *sum,
                                                .floats = 1};
    }
    if (form == 3)
        c.outputs[c.n_outputs++] =
            (emu_output){.field = &args.norm.y, .expected = y, .bytes = (size_t)n * sizeof *y, .floats = 1};
    emu_check(&c);
    emu_release();
}

START_TEST(test_norm_quantize)
{
    static const uint32_t types[] = {Q35_DT_A8_32, Q35_DT_A8_128, Q35_DT_A8_ROW};
    static const int32_t ks[] = {1, 33, 576, 4096, 4097, Q35_CUDA_MAX_CHUNK};
    for (size_t i = 0; i < sizeof ks / sizeof *ks; i++)
        for (int form = 0; form < 4; form++)
            check_norm_quantize(types[_i], ks[i], form % 2 ? 128 : 0, form);
}
END_TEST

static void check_rotate(int32_t k, int32_t width, uint32_t inverse)
{
    q35t_rng rng = q35t_rng_seed((uint64_t)(k + width));
    float *x = make_floats(&rng, (int64_t)T * k), *y = blank((int64_t)T * k);
    const q35k_rotation rotation = {make_signs(&rng, k), width};
    emu_reference()->rotate(x, k * 4, k, &rotation, (int)inverse, y, k * 4, 0, T);
    q35_rotate_args args = {.signs = emu_address(rotation.signs),
                            .rs_x = k * 4,
                            .rs_y = k * 4,
                            .n_rows = T,
                            .k = k,
                            .width = (uint32_t)width,
                            .inverse = inverse};
    emu_case c = {.n_kernels = 0};
    snprintf(c.what, sizeof c.what, "rotate: k %d, width %d, inverse %u", k, width, inverse);
    one_output(&c, Q35_CUDA_K_rotate, &args, &args.y, y, (size_t)T * (size_t)k * sizeof *y);
    c.outputs[0].initial = x; /* in place */
    c.outputs[0].also = &args.x;
    emu_check(&c);
    emu_release();
}

START_TEST(test_rotate)
{
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
        for (size_t w = 1; w < sizeof widths / sizeof *widths; w++)
            check_rotate(lengths[l], widths[w], (uint32_t)_i);
}
END_TEST

static void check_rope(int32_t heads, int32_t head_dim, int32_t n_rot, int32_t length)
{
    static const int32_t at[] = {0, 17, 262143, 100, 5};
    q35t_rng rng = q35t_rng_seed((uint64_t)(heads + head_dim));
    const int64_t n = (int64_t)heads * head_dim;
    float *x = make_floats(&rng, (T + SPARE) * n), *y = blank((T + SPARE) * n), *frequency = blank(n_rot / 2);
    int32_t *positions = memcpy(emu_memory(sizeof at, 4), at, sizeof at);
    for (int32_t i = 0; i < n_rot / 2; i++)
        frequency[i] = powf(10000.0f, -2.0f * (float)i / (float)n_rot);
    const q35k_rope rope = {.n_heads = heads,
                            .head_dim = head_dim,
                            .n_rot = n_rot,
                            .inv_freq = frequency,
                            .temperature_beta = 0.1f,
                            .temperature_length = length};
    memcpy(y, x, (size_t)((T + SPARE) * n) * sizeof *y);
    emu_reference()->rope(x, y, n * 4, &rope, positions, 0, T);
    q35_rope_args args = {.inv_freq = emu_address(frequency),
                          .positions = emu_address(positions),
                          .rows_at = emu_count(T),
                          .rs_x = n * 4,
                          .rs_y = n * 4,
                          .n_rows = T + SPARE,
                          .n_heads = heads,
                          .head_dim = head_dim,
                          .n_rot = n_rot,
                          .temperature_beta = 0.1f,
                          .temperature_length = length};
    emu_case c = {.n_kernels = 0};
    snprintf(c.what, sizeof c.what, "rope: %d heads of %d, %d turn, length %d", heads, head_dim, n_rot, length);
    one_output(&c, Q35_CUDA_K_rope, &args, &args.y, y, (size_t)((T + SPARE) * n) * sizeof *y);
    c.outputs[0].initial = x;
    c.outputs[0].also = &args.x;
    emu_check(&c);
    emu_release();
}

START_TEST(test_rope)
{
    check_rope(1, 2, 2, 0);
    check_rope(9, 64, 64, 0);
    check_rope(8, 128, 96, 16);
    check_rope(3, 512, 512, 8192);
}
END_TEST

static void check_kv(uint32_t dtype, int32_t heads, int32_t head_dim)
{
    static const int32_t slot[] = {70, 0, 33, -1, 999, 95};
    enum { ROWS = 6, PAGES = 3 };
    q35t_rng rng = q35t_rng_seed((uint64_t)(heads + head_dim));
    const int64_t n = (int64_t)heads * head_dim;
    const size_t bytes = (size_t)(PAGES * Q35_KV_PAGE * heads) * q35_row_bytes(dtype, (uint64_t)head_dim);
    float *k = make_floats(&rng, ROWS * n), *v = make_floats(&rng, ROWS * n);
    int32_t *slots = memcpy(emu_memory(sizeof slot, 4), slot, sizeof slot);
    q35k_kv kv = {.k = emu_memory(bytes, 8),
                  .v = emu_memory(bytes, 8),
                  .dtype = dtype,
                  .n_pages = PAGES,
                  .n_kv_heads = heads,
                  .head_dim = head_dim};
    k[n] = INFINITY;
    k[2 * n] = 1e9f;
    v[0] = 1e-9f;
    for (int32_t d = 0; d < 32 && d < head_dim; d++)
        v[n + d] = 0;
    for (int t = 0; t < ROWS; t++)
        if (slot[t] >= 0 && slot[t] / Q35_KV_PAGE < PAGES)
            emu_reference()->kv_append(k, n * 4, v, n * 4, &kv, slots, t, t + 1);
    q35_kv_append_args args = {.k = emu_address(k),
                               .v = emu_address(v),
                               .slots = emu_address(slots),
                               .rs_k = n * 4,
                               .rs_v = n * 4,
                               .n_rows = ROWS,
                               .n_kv_heads = heads,
                               .head_dim = head_dim,
                               .n_pages = PAGES,
                               .dtype = dtype};
    emu_case c = {.n_kernels = 0};
    snprintf(c.what, sizeof c.what, "kv_append: type %u, %d heads of %d", dtype, heads, head_dim);
    one_output(&c, Q35_CUDA_K_kv_append, &args, &args.cache_k, kv.k, bytes);
    c.outputs[1] = (emu_output){.field = &args.cache_v, .expected = kv.v, .bytes = bytes};
    c.n_outputs = 2;
    emu_check(&c);
    emu_release();
}

START_TEST(test_kv_append)
{
    static const uint32_t types[] = {Q35_DT_F16, Q35_DT_F32, Q35_DT_Q8_0};
    check_kv(types[_i], 3, 64);
    check_kv(types[_i], 1, 256);
    check_kv(types[_i], 2, 32);
}
END_TEST

/* Queries of 11 heads and keys of 2 turned, keys and values into the cache; written: turned keys, too. */
static void check_rope_append(uint32_t dtype, int32_t head_dim, int32_t n_rot, int written)
{
    static const int32_t at[] = {3, 262143, 5, 0, 9}, slot[] = {70, 0, -1, 64, 1};
    enum { ROWS = T + SPARE, PAGES = 3, QUERIES = 11, KEYS = 2 };
    q35t_rng rng = q35t_rng_seed((uint64_t)head_dim);
    const int64_t n_q = (int64_t)QUERIES * head_dim, n_k = (int64_t)KEYS * head_dim;
    const size_t bytes = (size_t)(PAGES * Q35_KV_PAGE * KEYS) * q35_row_bytes(dtype, (uint64_t)head_dim);
    float *q = make_floats(&rng, ROWS * n_q), *k = make_floats(&rng, ROWS * n_k),
          *v = make_floats(&rng, ROWS * n_k);
    float *turned_q = blank(ROWS * n_q), *turned_k = blank(ROWS * n_k), *frequency = make_floats(&rng, n_rot / 2);
    const int32_t *positions = memcpy(emu_memory(sizeof at, 4), at, sizeof at);
    const int32_t *slots = memcpy(emu_memory(sizeof slot, 4), slot, sizeof slot);
    for (int32_t i = 0; i < n_rot / 2; i++)
        frequency[i] = powf(10000.0f, -2.0f * (float)i / (float)n_rot);
    q35k_rope rope = {
        .n_heads = KEYS, .head_dim = head_dim, .n_rot = n_rot, .inv_freq = frequency, .temperature_beta = 0.1f};
    q35k_kv kv = {.k = emu_memory(bytes, 8),
                  .v = emu_memory(bytes, 8),
                  .dtype = dtype,
                  .n_pages = PAGES,
                  .n_kv_heads = KEYS,
                  .head_dim = head_dim};
    q35_rope_args turn = {.inv_freq = emu_address(frequency),
                          .positions = emu_address(positions),
                          .rows_at = emu_count(T),
                          .n_rows = ROWS,
                          .head_dim = head_dim,
                          .n_rot = n_rot,
                          .temperature_beta = 0.1f};
    q35_rope_append_args args = {.q = turn,
                                 .k = turn,
                                 .kv = {.v = emu_address(v),
                                        .slots = emu_address(slots),
                                        .rows_at = turn.rows_at,
                                        .rs_v = n_k * 4,
                                        .n_rows = ROWS,
                                        .n_kv_heads = KEYS,
                                        .head_dim = head_dim,
                                        .n_pages = PAGES,
                                        .dtype = dtype}};
    emu_reference()->rope(k, turned_k, n_k * 4, &rope, positions, 0, T);
    for (int t = 0; t < T; t++)
        if (slot[t] >= 0)
            emu_reference()->kv_append(turned_k, n_k * 4, v, n_k * 4, &kv, slots, t, t + 1);
    rope.n_heads = args.q.n_heads = QUERIES;
    rope.temperature_length = args.q.temperature_length = 16;
    emu_reference()->rope(q, turned_q, n_q * 4, &rope, positions, 0, T);
    args.q.x = emu_address(q);
    args.k.x = emu_address(k);
    args.q.rs_x = args.q.rs_y = n_q * 4;
    args.k.rs_x = args.k.rs_y = n_k * 4;
    args.k.n_heads = KEYS;
    emu_case c = {.n_kernels = 0};
    snprintf(c.what, sizeof c.what, "rope_append: type %u, heads of %d, %d turn", dtype, head_dim, n_rot);
    one_output(&c, Q35_CUDA_K_rope_append, &args, &args.q.y, turned_q, (size_t)(ROWS * n_q) * 4);
    c.outputs[1] = (emu_output){.field = &args.kv.cache_k, .expected = kv.k, .bytes = bytes};
    c.outputs[2] = (emu_output){.field = &args.kv.cache_v, .expected = kv.v, .bytes = bytes};
    c.outputs[3] =
        (emu_output){.field = &args.k.y, .expected = turned_k, .bytes = (size_t)(ROWS * n_k) * 4, .floats = 1};
    c.n_outputs = written ? 4 : 3;
    emu_check(&c);
    emu_release();
}

START_TEST(test_rope_append)
{
    static const uint32_t types[] = {Q35_DT_F16, Q35_DT_F32, Q35_DT_Q8_0};
    check_rope_append(types[_i], 64, 64, 0);
    check_rope_append(types[_i], 64, 48, 1);
    check_rope_append(types[_i], 256, 256, 1);
}
END_TEST

START_TEST(test_elementwise)
{
    static const uint32_t kernels[] = {Q35_CUDA_K_swiglu, Q35_CUDA_K_add, Q35_CUDA_K_mul, Q35_CUDA_K_silu};
    static const int32_t ns[] = {1, 255, 1024, 1025, 3000};
    const q35k_table *ref = emu_reference();
    q35k_binary_fn *const fns[] = {ref->swiglu, ref->add, ref->mul, ref->silu};
    for (size_t i = 0; i < sizeof ns / sizeof *ns; i++) {
        q35t_rng rng = q35t_rng_seed((uint64_t)ns[i]);
        const int64_t n = (int64_t)T * ns[i];
        float *a = make_floats(&rng, n), *b = make_floats(&rng, n), *y = blank(n);
        a[0] = 900;
        a[n - 1] = -900;
        b[n / 2] = NAN;
        fns[_i](a, b, y, 0, n);
        q35_elementwise_args args = {.a = emu_address(a),
                                     .b = emu_address(b),
                                     .rs_a = ns[i] * 4,
                                     .rs_b = ns[i] * 4,
                                     .rs_y = ns[i] * 4,
                                     .n_rows = T,
                                     .n = ns[i]};
        emu_case c = {.n_kernels = 0};
        snprintf(c.what, sizeof c.what, "%s: n %d", q35_cuda_kernel_name(kernels[_i]), ns[i]);
        one_output(&c, kernels[_i], &args, &args.y, y, (size_t)n * sizeof *y);
        emu_check(&c);
        emu_release();
    }
}
END_TEST

/* Rows in disorder, and one that there is not. */
START_TEST(test_take_rows)
{
    static const int32_t wanted[] = {4, 0, 5, 4, -1};
    enum { ROWS = 5, N = 5, K = 700 };
    q35t_rng rng = q35t_rng_seed(1);
    float *x = make_floats(&rng, N * K), *y = blank(ROWS * K);
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < K; j++)
            y[i * K + j] = wanted[i] >= 0 && wanted[i] < N ? x[wanted[i] * K + j] : NAN;
    q35_take_rows_args args = {.x = emu_address(x),
                               .rs_x = K * 4,
                               .rs_y = K * 4,
                               .n_rows = ROWS,
                               .n = N,
                               .k = K,
                               .rows = emu_address(memcpy(emu_memory(sizeof wanted, 4), wanted, sizeof wanted))};
    emu_case c = {.what = "take_rows"};
    one_output(&c, Q35_CUDA_K_take_rows, &args, &args.y, y, ROWS * K * sizeof *y);
    emu_check(&c);
    emu_release();
}
END_TEST

START_TEST(test_sum_squares)
{
    enum { ROWS = 19, K = 300 };
    q35t_rng rng = q35t_rng_seed(1);
    float *x = make_floats(&rng, ROWS * K), *before = make_floats(&rng, K);
    float *after = memcpy(blank(K), before, K * sizeof *before);
    emu_reference()->sum_squares(x, K * 4, ROWS - 2, after, 0, K);
    q35_sum_squares_args args = {
        .x = emu_address(x), .rows_at = emu_count(ROWS - 2), .rs_x = K * 4, .n_rows = ROWS, .k = K};
    emu_case c = {.what = "sum_squares"};
    one_output(&c, Q35_CUDA_K_sum_squares, &args, &args.acc, after, K * sizeof *after);
    c.outputs[0].initial = before;
    emu_check(&c);
    emu_release();
}
END_TEST

static const uint32_t table_types[] = {Q35_DT_F32,     Q35_DT_F16,     Q35_DT_BF16,   Q35_DT_F8_32,
                                       Q35_DT_Q35_ROW, Q35_DT_Q40_ROW, Q35_DT_Q60_ROW};
enum { OTHER_TABLES = sizeof table_types / sizeof *table_types, TABLE_ROWS = 70 };

static void check_get_rows(uint32_t dtype, int32_t k)
{
    static const int32_t id[] = {5, 33, TABLE_ROWS - 1, 0, 32};
    q35t_rng rng = q35t_rng_seed((uint64_t)k);
    const uint8_t *table = emu_weights(&rng, dtype, TABLE_ROWS, k);
    const int8_t(*book)[2] = emu_book(&rng, dtype);
    int32_t *ids = memcpy(emu_memory(sizeof id, 4), id, sizeof id);
    const q35k_weights w = {.data = table,
                            .dtype = dtype,
                            .n = TABLE_ROWS,
                            .k = k,
                            .rs = (int64_t)q35_row_bytes(dtype, (uint64_t)k),
                            .book = book};
    float *y = blank((T + SPARE) * (int64_t)k);
    emu_reference()->get_rows(ids, &w, y, k * 4, 0, T);
    q35_get_rows_args args = {.ids = emu_address(ids),
                              .table = emu_address(table),
                              .book = emu_address(book),
                              .rows_at = emu_count(T),
                              .rs_table = w.rs,
                              .rs_y = k * 4,
                              .n_rows = T + SPARE,
                              .n = TABLE_ROWS,
                              .k = k,
                              .dtype = dtype};
    emu_case c = {.n_kernels = 0};
    snprintf(c.what, sizeof c.what, "get_rows: type %x, k %d", dtype, k);
    one_output(&c, Q35_CUDA_K_get_rows, &args, &args.y, y, (size_t)((T + SPARE) * k) * sizeof *y);
    emu_check(&c);
    emu_release();
}

START_TEST(test_get_rows)
{
    static const int32_t ks[] = {1, 33, 576, 1029};
    for (size_t i = 0; i < sizeof ks / sizeof *ks; i++)
        check_get_rows(_i < OTHER_TABLES ? table_types[_i] : emu_block_types[_i - OTHER_TABLES], ks[i]);
}
END_TEST

/* All bytes of random rows come back, and every code at every place of a tile. */
START_TEST(test_layout)
{
    static const uint32_t types[] = {Q35_DT_Q35_ROW, Q35_DT_Q40_ROW, Q35_DT_Q60_ROW};
    static const int32_t ks[] = {1, 31, 127, 128, 129, 576, 1000};
    const uint32_t dtype = types[_i];
    for (size_t i = 0; i < sizeof ks / sizeof *ks; i++) {
        q35t_rng rng = q35t_rng_seed((uint64_t)ks[i]);
        const int32_t n = Q35_CUDA_SLICE_ROWS - (int32_t)i % 2;
        const int64_t rs = (int64_t)q35_row_bytes(dtype, (uint64_t)ks[i]);
        const uint8_t *rows = emu_weights(&rng, dtype, n, ks[i]);
        uint8_t *back = emu_memory((size_t)(n * rs), 4);
        q35_cuda_unpack(dtype, ks[i], n, emu_packed(dtype, n, ks[i], rows), back, rs);
        ck_assert_msg(memcmp(rows, back, (size_t)(n * rs)) == 0, "type %x, k %d", dtype, ks[i]);
        emu_release();
    }
    const uint32_t step = q35_cuda_code_weights(dtype), codes = 1u << q35_cuda_code_bits(dtype);
    for (uint32_t code = 0; code < codes; code++) {
        uint8_t tile[1536] = {0};
        uint32_t set = 0;
        for (uint32_t r = 0; r < 16; r++)
            for (uint32_t k = 0; k < Q35_CUDA_TILE_K; k += step)
                q35_cuda_tile_put(dtype, tile, r, k, code ^ (r * 5 + k / step) % codes);
        for (uint32_t r = 0; r < 16; r++)
            for (uint32_t k = 0; k < Q35_CUDA_TILE_K; k += step, set++)
                ck_assert_uint_eq(q35_cuda_tile_get(dtype, tile, r, k), code ^ (r * 5 + k / step) % codes);
        ck_assert_uint_eq(set * q35_cuda_code_bits(dtype), q35_cuda_tile_bytes(dtype) * 8);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("emu_rows");
    TCase *rows = tcase_create("rows");
    tcase_add_test(rows, test_norm);
    tcase_add_loop_test(rows, test_quantize, 0, 3);
    tcase_add_loop_test(rows, test_norm_quantize, 0, 3);
    tcase_add_loop_test(rows, test_rotate, 0, 2);
    tcase_add_test(rows, test_rope);
    tcase_add_loop_test(rows, test_kv_append, 0, 3);
    tcase_add_loop_test(rows, test_rope_append, 0, 3);
    tcase_add_loop_test(rows, test_elementwise, 0, 4);
    tcase_add_test(rows, test_take_rows);
    tcase_add_test(rows, test_sum_squares);
    tcase_add_loop_test(rows, test_get_rows, 0, OTHER_TABLES + EMU_BLOCK_TYPES);
    tcase_add_loop_test(rows, test_layout, 0, 3);
    tcase_set_timeout(rows, 120);
    suite_add_tcase(suite, rows);
    return q35t_run(suite);
}
