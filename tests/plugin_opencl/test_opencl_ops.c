/* SPDX-License-Identifier: Apache-2.0
 *
 * Every op of the OpenCL plugin against the CPU's reference kernels, in both families of kernels: the same bits,
 * but where the GPU family sums floats in slices. */
#include "rig.h"
#include "support/suite.h"

#include <q35rt/measure.h>
#include <stdio.h>

static const char *const families[2] = {"cpu", "gpu"};
static q35_device *dev;
static int family;
static bool tolerant; /* of a device without fma, which rounds the products of floats, too */

static void open_device(int f)
{
    family = f;
    dev = rig_open(rig_opencl(), "family", families[f]);
}

static void close_device(void)
{
    rig_opencl()->device_close(dev);
}

static const char *text(const char *op, uint32_t dtype, int64_t k, int64_t n)
{
    static char out[128];
    snprintf(out, sizeof out, "%s, %s, k %lld, rows %lld, family %s", op, q35_dtype_describe(dtype).name,
             (long long)k, (long long)n, families[family]);
    return out;
}

static rig_params quantize_params(uint32_t dtype, uint32_t width)
{
    return (rig_params){.quantize = {.h = {sizeof(q35_quantize_params), Q35_STRUCT_QUANTIZE_PARAMS, NULL},
                                     .dtype = dtype,
                                     .width = width}};
}

static uint32_t signs(rig *r, int64_t k)
{
    const uint32_t t = rig_tensor(r, Q35_ROLE_WEIGHT, Q35_DT_I8, 0, k, 0);
    for (int64_t i = 0; i < k; i++)
        r->data[t][i] = r->data[t][i] & 1 ? 1 : 0xff;
    return t;
}

/* Rows that a quantisation must treat apart: zeros, tiny, infinite. */
static void odd_rows(rig *r, uint32_t t, int64_t k)
{
    float *x = (float *)(void *)r->data[t];
    memset(x, 0, (size_t)k * sizeof *x);
    if (r->tensors[t].dim[1] < 3)
        return;
    for (int64_t i = 0; i < k; i++)
        x[k + i] *= 1e-40f;
    x[2 * k + k / 2] = 1.0f / 0.0f * (k % 2 ? 1.0f : -1.0f);
}

static void quantize(uint32_t dtype, int64_t k, uint32_t width)
{
    rig r;
    const rig_params p = quantize_params(dtype, width);
    rig_init(&r, 4, 1, 1);
    const uint32_t x = rig_tensor(&r, Q35_ROLE_INPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, k, 5);
    const uint32_t in[2] = {x, width ? signs(&r, k) : 0};
    const uint32_t y = rig_tensor(&r, Q35_ROLE_OUTPUT, dtype, Q35_TF_TOKEN_ROWS, k, 5);
    odd_rows(&r, x, k);
    rig_node(&r, Q35_OP_QUANTIZE_ACT, &p, width ? 2 : 1, in, 1, &y);
    rig_compare(&r, dev, text(width ? "quantize_act with signs" : "quantize_act", dtype, k, 5));
    rig_free(&r);
}

START_TEST(quantize_act)
{
    static const uint32_t types[3] = {Q35_DT_A8_32, Q35_DT_A8_128, Q35_DT_A8_ROW};
    open_device(_i);
    for (int t = 0; t < 3; t++) {
        quantize(types[t], 576, 0);
        quantize(types[t], 300, 0);
        quantize(types[t], 576, 128);
        quantize(types[t], 333, 4096);
    }
    close_device();
}
END_TEST

static void rotate_once(int64_t k, uint32_t width, uint32_t inverse)
{
    rig r;
    const rig_params p = {.rotate = {.h = {sizeof(q35_rotate_params), Q35_STRUCT_ROTATE_PARAMS, NULL},
                                     .width = width,
                                     .inverse = inverse}};
    rig_init(&r, 2, 1, 1);
    const uint32_t in[2] = {rig_tensor(&r, Q35_ROLE_INPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, k, 3), signs(&r, k)};
    const uint32_t y = rig_tensor(&r, Q35_ROLE_OUTPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, k, 3);
    rig_node(&r, Q35_OP_ROTATE, &p, 2, in, 1, &y);
    rig_compare(&r, dev, text(inverse ? "rotate back" : "rotate", Q35_DT_F32, k, 3));
    rig_free(&r);
}

START_TEST(rotate)
{
    open_device(_i);
    for (uint32_t inverse = 0; inverse < 2; inverse++) {
        rotate_once(576, 128, inverse);
        rotate_once(4096 + 37, 4096, inverse);
        rotate_once(7, 2, inverse);
    }
    close_device();
}
END_TEST

/* ---- linear */

static void linear(uint32_t wtype, uint32_t act, int64_t k, int64_t n, int64_t tokens, bool packs)
{
    rig r;
    const rig_params p = quantize_params(act, 0);
    const bool exact = q35_is_row_type(wtype) && act != Q35_DT_F32;
    rig_init(&r, (int32_t)tokens, 1, 1);
    r.packs = packs;
    const int64_t capacity = tokens == 1 ? 1 : tokens + 1;
    uint32_t x = rig_tensor(&r, Q35_ROLE_INPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, k, capacity);
    if (act != Q35_DT_F32) {
        const uint32_t codes = rig_tensor(&r, Q35_ROLE_OUTPUT, act, Q35_TF_TOKEN_ROWS, k, capacity);
        rig_node(&r, Q35_OP_QUANTIZE_ACT, &p, 1, &x, 1, &codes);
        x = codes;
    }
    const bool has_book = q35_book_entries(wtype) > 0;
    const uint32_t w = rig_weights(&r, wtype, k, n), book = has_book ? rig_book(&r, wtype) : 0;
    const uint32_t in[3] = {x, w, book};
    const uint32_t y = rig_tensor(&r, Q35_ROLE_OUTPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, n, capacity);
    rig_node(&r, Q35_OP_LINEAR, NULL, has_book ? 3 : 2, in, 1, &y);
    const char *what = text(act == Q35_DT_F32 ? "linear of f32" : "linear of codes", wtype, k, n);
    if (exact || (family == 0 && !tolerant))
        rig_compare(&r, dev, what);
    else
        rig_compare_near(&r, dev, what, 2e-5);
    rig_free(&r);
}

START_TEST(linear_row_types)
{
    static const uint32_t types[3] = {Q35_DT_Q35_ROW, Q35_DT_Q40_ROW, Q35_DT_Q60_ROW};
    open_device(_i);
    for (int t = 0; t < 3; t++) {
        linear(types[t], Q35_DT_A8_ROW, 1500, 40, 1, true);
        linear(types[t], Q35_DT_A8_ROW, 100, 7, 1, false);
    }
    linear(Q35_DT_Q35_ROW, Q35_DT_A8_ROW, 2112, 16, 6, true);
    linear(Q35_DT_Q35_ROW, Q35_DT_A8_128, 576, 19, 1, true);
    linear(Q35_DT_Q40_ROW, Q35_DT_A8_128, 300, 33, 5, true);
    linear(Q35_DT_Q60_ROW, Q35_DT_F32, 576, 33, 1, true);
    close_device();
}
END_TEST

START_TEST(linear_other_types)
{
    open_device(_i);
    linear(Q35_DT_Q35_PAIR, Q35_DT_A8_32, 576, 40, 1, true);
    linear(Q35_DT_Q35_SPLIT, Q35_DT_A8_32, 320, 21, 6, true);
    linear(Q35_DT_Q35_SPLIT, Q35_DT_F32, 576, 17, 1, true);
    linear(Q35_DT_Q8_0, Q35_DT_A8_32, 320, 40, 1, true);
    linear(Q35_DT_Q4_K, Q35_DT_A8_32, 512, 19, 1, true);
    linear(Q35_DT_Q2_K, Q35_DT_A8_32, 512, 19, 1, true);
    linear(Q35_DT_F16, Q35_DT_F32, 300, 19, 1, true);
    linear(Q35_DT_F8_32, Q35_DT_A8_32, 320, 19, 1, true);
    close_device();
}
END_TEST

enum { SHARING = 3 };

/* Codes of x for `capacity` tokens, and weights of `rows` each that read them; y: their outputs */
static void build_sharing(rig *r, uint32_t wtype, uint32_t act, uint32_t role, int64_t capacity,
                          uint32_t y[SHARING])
{
    static const int64_t rows[SHARING] = {40, 7, 33};
    const rig_params p = quantize_params(act, 0);
    rig_init(r, capacity == 1 ? 1 : 2, 1, 1);
    const uint32_t x = rig_tensor(r, Q35_ROLE_INPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, 320, capacity);
    const uint32_t codes = rig_tensor(r, Q35_ROLE_OUTPUT, act, Q35_TF_TOKEN_ROWS, 320, capacity);
    rig_node(r, Q35_OP_QUANTIZE_ACT, &p, 1, &x, 1, &codes);
    for (int i = 0; i < SHARING; i++) {
        const bool has_book = q35_book_entries(wtype) > 0;
        const uint32_t w = rig_weights(r, wtype, 320, rows[i]), book = has_book ? rig_book(r, wtype) : 0;
        y[i] = rig_tensor(r, i + 1 < SHARING ? role : Q35_ROLE_OUTPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, rows[i],
                          capacity);
        rig_node(r, Q35_OP_LINEAR, NULL, has_book ? 3 : 2, (uint32_t[]){codes, w, book}, 1, &y[i]);
    }
}

/* Linears of one input, each with its own number of rows and its own codebook. */
START_TEST(linears_of_one_input)
{
    static const uint32_t types[4][3] = {{Q35_DT_Q8_0, Q35_DT_A8_32, 3},
                                         {Q35_DT_Q35_ROW, Q35_DT_A8_ROW, 3},
                                         {Q35_DT_Q35_ROW, Q35_DT_A8_ROW, 1},
                                         {Q35_DT_Q35_ROW, Q35_DT_A8_128, 3}};
    open_device(_i);
    for (int i = 0; i < 4; i++) {
        uint32_t y[SHARING];
        rig r;
        build_sharing(&r, types[i][0], types[i][1], Q35_ROLE_OUTPUT, types[i][2], y);
        const char *what = text("three linears", types[i][0], 320, 80);
        if (family == 0 || i > 0)
            rig_compare(&r, dev, what);
        else
            rig_compare_near(&r, dev, what, 2e-5);
        rig_free(&r);
    }
    close_device();
}
END_TEST

/* They are one kernel, whose time counts for the first, unless a result that nobody reads may lie where the next
 * is written. */
START_TEST(linears_in_one_kernel)
{
    static const uint32_t roles[2] = {Q35_ROLE_OUTPUT, Q35_ROLE_TEMP};
    const q35_measure *measure = (const q35_measure *)(const void *)rig_opencl()->extension(Q35_STRUCT_MEASURE);
    open_device(_i);
    for (int apart = 0; apart < 2; apart++) {
        uint64_t ns[1 + SHARING];
        q35_profile p = {.h = {sizeof p, Q35_STRUCT_PROFILE, NULL}, .n_nodes = 1 + SHARING, .node_ns = ns};
        uint32_t y[SHARING];
        rig_session s;
        rig r;
        build_sharing(&r, Q35_DT_Q8_0, Q35_DT_A8_32, roles[apart], 3, y);
        ck_assert_uint_eq(rig_prepare(&s, &r, dev), Q35_OK);
        ck_assert_uint_eq(measure->profile(s.plan, 1), Q35_OK);
        ck_assert_uint_eq(rig_submit(&s), Q35_OK);
        ck_assert_uint_eq(measure->profile_read(s.plan, &p), Q35_OK);
        ck_assert(ns[0] > 0 && ns[1] > 0 && (ns[2] > 0) == apart && (ns[3] > 0) == apart);
        rig_finish(&s);
        rig_free(&r);
    }
    close_device();
}
END_TEST

/* ---- the other ops */

static void elementwise(uint32_t op, uint32_t n_in)
{
    rig r;
    rig_init(&r, 3, 1, 1);
    const uint32_t in[2] = {rig_tensor(&r, Q35_ROLE_INPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, 300, 4),
                            rig_tensor(&r, Q35_ROLE_INPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, 300, 4)};
    const uint32_t y = rig_tensor(&r, Q35_ROLE_OUTPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, 300, 4);
    float *x = (float *)(void *)r.data[in[0]];
    for (int i = 0; i < 900; i++)
        x[i] *= i % 3 == 0 ? 100.0f : 8.0f;
    rig_node(&r, op, NULL, n_in, in, 1, &y);
    rig_compare(&r, dev, text("elementwise", Q35_DT_F32, 300, op));
    rig_free(&r);
}

static void norm(bool adds, int64_t k)
{
    rig r;
    const rig_params p = {.norm = {.h = {sizeof(q35_norm_params), Q35_STRUCT_NORM_PARAMS, NULL}, .eps = 1e-5f}};
    rig_init(&r, 3, 1, 1);
    const uint32_t a = rig_tensor(&r, Q35_ROLE_INPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, k, 4);
    const uint32_t b = rig_tensor(&r, Q35_ROLE_INPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, k, 4);
    const uint32_t w = rig_tensor(&r, Q35_ROLE_WEIGHT, Q35_DT_F32, 0, k, 0);
    const uint32_t out[2] = {rig_tensor(&r, Q35_ROLE_OUTPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, k, 4),
                             rig_tensor(&r, Q35_ROLE_OUTPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, k, 4)};
    const uint32_t both[3] = {a, b, w}, one[2] = {a, w};
    rig_node(&r, adds ? Q35_OP_ADD_RMS_NORM : Q35_OP_RMS_NORM, &p, adds ? 3 : 2, adds ? both : one, adds ? 2 : 1,
             out);
    rig_compare(&r, dev, text(adds ? "add_rms_norm" : "rms_norm", Q35_DT_F32, k, 4));
    rig_free(&r);
}

static void take_rows(void)
{
    rig r;
    const int32_t rows[3] = {2, 0, 2};
    rig_init(&r, 3, 2, 1);
    const uint32_t in[2] = {rig_tensor(&r, Q35_ROLE_INPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, 130, 4),
                            rig_indices(&r, Q35_TF_OUT_ROWS, rows, 3)};
    const uint32_t y = rig_tensor(&r, Q35_ROLE_OUTPUT, Q35_DT_F32, Q35_TF_OUT_ROWS, 130, 3);
    rig_node(&r, Q35_OP_TAKE_ROWS, NULL, 2, in, 1, &y);
    rig_compare(&r, dev, text("take_rows", Q35_DT_F32, 130, 3));
    rig_free(&r);
}

/* ties: few values; columns: several parts of a row in either family. */
static void top_k(int64_t columns, uint32_t k, int ties)
{
    rig r;
    const rig_params p = {.top_k = {.h = {sizeof(q35_top_k_params), Q35_STRUCT_TOP_K_PARAMS, NULL}, .k = k}};
    rig_init(&r, 2, 2, 1);
    const uint32_t x = rig_tensor(&r, Q35_ROLE_INPUT, Q35_DT_F32, Q35_TF_OUT_ROWS, columns, 3);
    const uint32_t out[2] = {rig_tensor(&r, Q35_ROLE_OUTPUT, Q35_DT_F32, Q35_TF_OUT_ROWS, k, 3),
                             rig_tensor(&r, Q35_ROLE_OUTPUT, Q35_DT_I32, Q35_TF_OUT_ROWS, k, 3)};
    float *values = (float *)(void *)r.data[x];
    for (int64_t i = 0; ties && i < 3 * columns; i++)
        values[i] = i % 7 == 0 ? -0.0f : i % 3 == 0 ? 0.0f : -1.0f;
    rig_node(&r, Q35_OP_TOP_K, &p, 1, &x, 2, out);
    rig_compare(&r, dev, text("top_k", Q35_DT_F32, columns, k));
    rig_free(&r);
}

START_TEST(row_ops)
{
    open_device(_i);
    elementwise(Q35_OP_ADD, 2);
    elementwise(Q35_OP_MUL, 2);
    elementwise(Q35_OP_SWIGLU, 2);
    elementwise(Q35_OP_SILU, 1);
    norm(false, 576);
    norm(true, 577);
    norm(true, 9);
    take_rows();
    top_k(1, 1, 0);
    top_k(100, 64, 1);
    top_k(2500, 40, 1);
    top_k(tolerant ? 20000 : 70000, 64, 0); /* interpreted, it would take minutes */
    close_device();
}
END_TEST

static void get_rows(uint32_t dtype)
{
    rig r;
    const int32_t ids[4] = {5, 0, 8, 3};
    rig_init(&r, 3, 1, 1);
    const bool has_book = q35_book_entries(dtype) > 0;
    const uint32_t table = rig_weights(&r, dtype, 512, 9), book = has_book ? rig_book(&r, dtype) : 0;
    const uint32_t in[3] = {rig_indices(&r, Q35_TF_TOKEN_ROWS, ids, 4), table, book};
    const uint32_t y = rig_tensor(&r, Q35_ROLE_OUTPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, 512, 4);
    rig_node(&r, Q35_OP_GET_ROWS, NULL, has_book ? 3 : 2, in, 1, &y);
    rig_compare(&r, dev, text("get_rows", dtype, 512, 9));
    rig_free(&r);
}

START_TEST(tables)
{
    static const uint32_t types[] = {Q35_DT_F32,       Q35_DT_F16,     Q35_DT_BF16,    Q35_DT_Q8_0,
                                     Q35_DT_Q4_0,      Q35_DT_Q4_1,    Q35_DT_Q5_0,    Q35_DT_Q5_1,
                                     Q35_DT_Q4_K,      Q35_DT_Q5_K,    Q35_DT_Q6_K,    Q35_DT_Q35_PAIR,
                                     Q35_DT_Q35_SPLIT, Q35_DT_Q35_ROW, Q35_DT_Q40_ROW, Q35_DT_Q60_ROW};
    open_device(_i);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        get_rows(types[i]);
    close_device();
}
END_TEST

/* ---- attention and what it reads */

static void rope(uint32_t n_rot, float beta)
{
    rig r;
    const int32_t positions[3] = {0, 4099, 17};
    const rig_params p = {.rope = {.h = {sizeof(q35_rope_params), Q35_STRUCT_ROPE_PARAMS, NULL},
                                   .head_dim = 40,
                                   .n_rot = n_rot,
                                   .temperature_beta = beta,
                                   .temperature_length = beta != 0 ? 1024 : 0}};
    rig_init(&r, 3, 1, 1);
    const uint32_t x = rig_tensor(&r, Q35_ROLE_INPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, 120, 3);
    const uint32_t freq = rig_tensor(&r, Q35_ROLE_WEIGHT, Q35_DT_F32, 0, n_rot / 2, 0);
    const uint32_t in[3] = {x, freq, rig_indices(&r, Q35_TF_TOKEN_ROWS, positions, 3)};
    const uint32_t y = rig_tensor(&r, Q35_ROLE_OUTPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, 120, 3);
    float *f = (float *)(void *)r.data[freq];
    for (uint32_t i = 0; i < n_rot / 2; i++)
        f[i] = f[i] < 0 ? -f[i] : f[i];
    rig_node(&r, Q35_OP_ROPE, &p, 3, in, 1, &y);
    rig_compare(&r, dev, text("rope", Q35_DT_F32, n_rot, 3));
    rig_free(&r);
}

enum { PAGES = 12, KV_HEADS = 2, HEADS = 4 };

static uint32_t cache(rig *r, uint32_t dtype, int64_t dim)
{
    const uint32_t t = rig_tensor(r, Q35_ROLE_STATE, dtype, 0, dim, PAGES * KV_HEADS * Q35_KV_PAGE);
    q35_tensor_desc *d = &r->tensors[t];
    d->rank = 4;
    d->dim[1] = Q35_KV_PAGE;
    d->dim[2] = KV_HEADS;
    d->dim[3] = PAGES;
    d->stride[2] = d->stride[1] * d->dim[1];
    d->stride[3] = d->stride[2] * d->dim[2];
    for (int64_t row = 0; row < PAGES * KV_HEADS * Q35_KV_PAGE; row++)
        for (int64_t i = 0; i < dim && dtype != Q35_DT_F32; i += dtype == Q35_DT_F16 ? 1 : 32)
            memcpy(r->data[t] + row * d->stride[1] + i / (dtype == Q35_DT_F16 ? 1 : 32) * d->stride[0],
                   &(uint16_t){(uint16_t)(0x2000u + (rig_random_u32() & 0x9fffu))}, 2);
    return t;
}

/* Two sequences: two tokens of the second at 298 and 299, one of the first at 40. */
static void append_and_attend(uint32_t dtype, int64_t dim)
{
    rig r;
    const int32_t positions[4] = {298, 299, 40}, sequence[4] = {1, 1, 0},
                  slots[4] = {9 * 32 + 10, 9 * 32 + 11, 40};
    const rig_params kv = {.kv = {.h = {sizeof(q35_kv_params), Q35_STRUCT_KV_PARAMS, NULL},
                                  .n_kv_heads = KV_HEADS,
                                  .head_dim = (uint32_t)dim}};
    const rig_params att = {.attention = {.h = {sizeof(q35_attention_params), Q35_STRUCT_ATTENTION_PARAMS, NULL},
                                          .n_heads = HEADS,
                                          .n_kv_heads = KV_HEADS,
                                          .head_dim = (uint32_t)dim,
                                          .scale = 0.125f}};
    rig_init(&r, 3, 1, 2);
    const uint32_t k = rig_tensor(&r, Q35_ROLE_INPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, KV_HEADS * dim, 4);
    const uint32_t v = rig_tensor(&r, Q35_ROLE_INPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, KV_HEADS * dim, 4);
    const uint32_t q = rig_tensor(&r, Q35_ROLE_INPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, HEADS * dim, 4);
    const uint32_t cache_k = cache(&r, dtype, dim), cache_v = cache(&r, dtype, dim);
    const uint32_t append[5] = {k, v, cache_k, cache_v, rig_indices(&r, Q35_TF_TOKEN_ROWS, slots, 4)};
    const uint32_t pos = rig_indices(&r, Q35_TF_TOKEN_ROWS, positions, 4);
    const uint32_t seq = rig_indices(&r, Q35_TF_TOKEN_ROWS, sequence, 4);
    const uint32_t pages = rig_tensor(&r, Q35_ROLE_INPUT, Q35_DT_I32, Q35_TF_SEQUENCES, 10, 2);
    const uint32_t attend[6] = {q, cache_k, cache_v, pos, seq, pages};
    const uint32_t y = rig_tensor(&r, Q35_ROLE_OUTPUT, Q35_DT_F32, Q35_TF_TOKEN_ROWS, HEADS * dim, 4);
    int32_t *table = (int32_t *)(void *)r.data[pages];
    for (int i = 0; i < 20; i++)
        table[i] = i < 10 ? (i < 2 ? i : 99) : (i * 7) % 10 + 2;
    table[19] = 9;
    rig_node(&r, Q35_OP_KV_APPEND, &kv, 5, append, 0, NULL);
    rig_node(&r, Q35_OP_ATTENTION, &att, 6, attend, 1, &y);
    rig_compare(&r, dev, text("kv_append and attention", dtype, dim, 3));
    rig_free(&r);
}

START_TEST(attention)
{
    open_device(_i);
    rope(40, 0);
    rope(22, 0.1f);
    append_and_attend(Q35_DT_F16, 64);
    append_and_attend(Q35_DT_F16, 40);
    append_and_attend(Q35_DT_F32, 24);
    append_and_attend(Q35_DT_Q8_0, 64);
    close_device();
}
END_TEST

/* ---- one row: one group does several nodes */

enum { CHAIN = 4 };

/* Runs the region on both sides, then with a profile: how many of its nodes have a time, which are those that
 * kernels begin with. */
static void compare_kernels(rig *r, const char *what, uint32_t expected)
{
    const q35_measure *measure = (const q35_measure *)(const void *)rig_opencl()->extension(Q35_STRUCT_MEASURE);
    uint64_t ns[CHAIN];
    q35_profile p = {.h = {sizeof p, Q35_STRUCT_PROFILE, NULL}, .n_nodes = r->region.n_nodes, .node_ns = ns};
    rig_session s;
    uint32_t kernels = 0;
    rig_compare(r, dev, what);
    ck_assert_uint_eq(rig_prepare(&s, r, dev), Q35_OK);
    ck_assert_uint_eq(measure->profile(s.plan, 1), Q35_OK);
    ck_assert_uint_eq(rig_submit(&s), Q35_OK);
    ck_assert_uint_eq(measure->profile_read(s.plan, &p), Q35_OK);
    for (uint32_t i = 0; i < p.n_nodes; i++)
        kernels += ns[i] > 0;
    ck_assert_msg(kernels == expected, "%s: kernels begin with %u nodes, need %u", what, kernels, expected);
    rig_finish(&s);
}

static uint32_t row_tensor(rig *r, uint32_t role, uint32_t dtype, int64_t k, int64_t rows)
{
    return rig_tensor(r, role, dtype, Q35_TF_TOKEN_ROWS, k, rows);
}

/* A norm or swiglu, quantised with rotation or without, as the input of a linear. */
static void quantized(uint32_t op, uint32_t act, uint32_t wtype, uint32_t width, int64_t rows)
{
    rig r;
    const int64_t k = 576;
    const rig_params norm = {.norm = {.h = {sizeof(q35_norm_params), Q35_STRUCT_NORM_PARAMS, NULL}, .eps = 1e-5f}};
    const rig_params quantize = quantize_params(act, width);
    const bool adds = op == Q35_OP_ADD_RMS_NORM, has_book = q35_book_entries(wtype) > 0;
    rig_init(&r, (int32_t)rows, 1, 1);
    const uint32_t a = row_tensor(&r, Q35_ROLE_INPUT, Q35_DT_F32, k, rows);
    const uint32_t b = row_tensor(&r, Q35_ROLE_INPUT, Q35_DT_F32, k, rows);
    const uint32_t w = rig_tensor(&r, Q35_ROLE_WEIGHT, Q35_DT_F32, 0, k, 0);
    const uint32_t s = row_tensor(&r, Q35_ROLE_OUTPUT, Q35_DT_F32, k, rows);
    const uint32_t x = row_tensor(&r, Q35_ROLE_OUTPUT, Q35_DT_F32, k, rows);
    const uint32_t codes = row_tensor(&r, Q35_ROLE_OUTPUT, act, k, rows);
    const uint32_t y = row_tensor(&r, Q35_ROLE_OUTPUT, Q35_DT_F32, 40, rows);
    const uint32_t out[2] = {s, x}, of_swiglu[2] = {a, b}, of_norm[2] = {a, w}, of_sum[3] = {a, b, w};
    if (op == Q35_OP_SWIGLU)
        rig_node(&r, op, NULL, 2, of_swiglu, 1, &x);
    else
        rig_node(&r, op, &norm, adds ? 3 : 2, adds ? of_sum : of_norm, adds ? 2 : 1, adds ? out : &x);
    rig_node(&r, Q35_OP_QUANTIZE_ACT, &quantize, width ? 2 : 1, (uint32_t[]){x, width ? signs(&r, k) : 0}, 1,
             &codes);
    const uint32_t weight = rig_weights(&r, wtype, k, 40), book = has_book ? rig_book(&r, wtype) : 0;
    rig_node(&r, Q35_OP_LINEAR, NULL, has_book ? 3 : 2, (uint32_t[]){codes, weight, book}, 1, &y);
    compare_kernels(&r, text("a quantised row", act, k, rows), rows == 1 && act == Q35_DT_A8_ROW ? 2 : 3);
    rig_free(&r);
}

START_TEST(quantized_rows)
{
    static const uint32_t ops[3] = {Q35_OP_RMS_NORM, Q35_OP_ADD_RMS_NORM, Q35_OP_SWIGLU};
    open_device(_i);
    for (int i = 0; i < 3; i++) {
        quantized(ops[i], Q35_DT_A8_ROW, Q35_DT_Q35_ROW, 512, 1);
        quantized(ops[i], Q35_DT_A8_ROW, Q35_DT_Q60_ROW, 0, 1);
        quantized(ops[i], Q35_DT_A8_ROW, Q35_DT_Q35_ROW, 128, 2);
        quantized(ops[i], Q35_DT_A8_128, Q35_DT_Q35_ROW, 128, 1);
    }
    close_device();
}
END_TEST

/* Queries and keys turned, keys and values appended. */
static void rope_append(int64_t rows)
{
    rig r;
    const int32_t positions[2] = {33, 34}, slots[2] = {65, 66};
    const int64_t dim = 40;
    const rig_params turn = {.rope = {.h = {sizeof(q35_rope_params), Q35_STRUCT_ROPE_PARAMS, NULL},
                                      .head_dim = (uint32_t)dim,
                                      .n_rot = 24}};
    const rig_params kv = {.kv = {.h = {sizeof(q35_kv_params), Q35_STRUCT_KV_PARAMS, NULL},
                                  .n_kv_heads = KV_HEADS,
                                  .head_dim = (uint32_t)dim}};
    rig_init(&r, (int32_t)rows, 1, 1);
    const uint32_t q = row_tensor(&r, Q35_ROLE_INPUT, Q35_DT_F32, HEADS * dim, rows);
    const uint32_t k = row_tensor(&r, Q35_ROLE_INPUT, Q35_DT_F32, KV_HEADS * dim, rows);
    const uint32_t v = row_tensor(&r, Q35_ROLE_INPUT, Q35_DT_F32, KV_HEADS * dim, rows);
    const uint32_t turned_q = row_tensor(&r, Q35_ROLE_OUTPUT, Q35_DT_F32, HEADS * dim, rows);
    const uint32_t turned_k = row_tensor(&r, Q35_ROLE_OUTPUT, Q35_DT_F32, KV_HEADS * dim, rows);
    const uint32_t freq = rig_tensor(&r, Q35_ROLE_WEIGHT, Q35_DT_F32, 0, 12, 0);
    const uint32_t pos = rig_indices(&r, Q35_TF_TOKEN_ROWS, positions, rows);
    const uint32_t cache_k = cache(&r, Q35_DT_F16, dim), cache_v = cache(&r, Q35_DT_F16, dim);
    const uint32_t append[5] = {turned_k, v, cache_k, cache_v, rig_indices(&r, Q35_TF_TOKEN_ROWS, slots, rows)};
    for (int i = 0; i < 12; i++)
        ((float *)(void *)r.data[freq])[i] = 1.0f / (float)(1 + i);
    rig_node(&r, Q35_OP_ROPE, &turn, 3, (uint32_t[]){q, freq, pos}, 1, &turned_q);
    rig_node(&r, Q35_OP_ROPE, &turn, 3, (uint32_t[]){k, freq, pos}, 1, &turned_k);
    rig_node(&r, Q35_OP_KV_APPEND, &kv, 5, append, 0, NULL);
    compare_kernels(&r, text("ropes and kv_append", Q35_DT_F16, dim, rows), rows == 1 ? 1 : 3);
    rig_free(&r);
}

START_TEST(ropes)
{
    open_device(_i);
    rope_append(1);
    rope_append(2);
    close_device();
}
END_TEST

static void add_case(Suite *suite, const char *name, const TTest *test)
{
    TCase *c = tcase_create(name);
    tcase_set_timeout(c, 600);
    tcase_add_loop_test(c, test, 0, 2);
    suite_add_tcase(suite, c);
}

/* test_opencl_ops [tolerant] */
int main(int argc, char **argv)
{
    Suite *suite = suite_create("opencl_ops");
    tolerant = argc > 1 && strcmp(argv[1], "tolerant") == 0;
    if (!rig_has_device()) {
        printf("skipped: no OpenCL device (install pocl-opencl-icd)\n");
        return 77;
    }
    add_case(suite, "quantize_act", quantize_act);
    add_case(suite, "rotate", rotate);
    add_case(suite, "linear_row_types", linear_row_types);
    add_case(suite, "linear_other_types", linear_other_types);
    add_case(suite, "linears_of_one_input", linears_of_one_input);
    add_case(suite, "linears_in_one_kernel", linears_in_one_kernel);
    add_case(suite, "row_ops", row_ops);
    add_case(suite, "tables", tables);
    add_case(suite, "attention", attention);
    add_case(suite, "quantized_rows", quantized_rows);
    add_case(suite, "ropes", ropes);
    return q35t_run(suite);
}
