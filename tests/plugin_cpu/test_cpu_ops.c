/* SPDX-License-Identifier: Apache-2.0
 *
 * Every op of the CPU plugin against double loops written here, with fewer valid rows than the capacity and padded
 * rows; with the reference kernels and with the best this machine has; and the same bits without a pool and with
 * one, two and three workers. */
#include "fixture.h"
#include "support/suite.h"

#include <math.h>
#include <stdlib.h>

enum { CAPACITY = 7, TOKENS = 5, POS = 3, OUT = 2, TOKEN_ROWS = Q35_TF_TOKEN_ROWS };

/* |found - need| within 2 k roundings of terms that sum to `size` in magnitude. */
static void expect_near(const fixture *f, uint32_t t, int64_t r, int64_t c, double need, double size, double k)
{
    double found = (double)*fixture_at(f, t, r, c), bound = 2 * k * ldexp(1, -24) * size + 1e-30;
    ck_assert_msg(fabs(found - need) <= bound, "tensor %u [%lld][%lld] is %.9g, need %.9g within %.3g", t,
                  (long long)r, (long long)c, found, need, bound);
}

/* Rows past the valid ones are as they were. */
static void expect_blank(const fixture *f, uint32_t t, int64_t first)
{
    for (int64_t r = first; r < f->tensors[t].dim[1]; r++)
        ck_assert_msg(fixture_row_blank(f, t, r), "row %lld of tensor %u was written", (long long)r, t);
}

static uint32_t input(fixture *f, int64_t cols)
{
    return fixture_matrix(f, Q35_ROLE_INPUT, cols, CAPACITY, TOKEN_ROWS);
}

static uint32_t result(fixture *f, int64_t cols)
{
    uint32_t t = fixture_matrix(f, Q35_ROLE_OUTPUT, cols, CAPACITY, TOKEN_ROWS);
    fixture_blank(f, t);
    return t;
}

static double at(const fixture *f, uint32_t t, int64_t r, int64_t c)
{
    return (double)*fixture_at(f, t, r, c);
}

static fixture_params norm_params(float eps)
{
    return (fixture_params){.norm = {{sizeof(q35_norm_params), Q35_STRUCT_NORM_PARAMS, NULL}, eps, 0}};
}

/* ------------------------------------------------------------------ get_rows, take_rows */

static void build_get_rows(fixture *f)
{
    static const int32_t ids[CAPACITY] = {8, 0, 3, 3, 1, -1, 99}; /* those past TOKENS are not looked at */
    static const int32_t taken[3] = {4, 1, -1};
    uint32_t in[2] = {fixture_indices(f, CAPACITY, TOKEN_ROWS, ids), fixture_matrix(f, Q35_ROLE_WEIGHT, 37, 9, 0)};
    uint32_t rows = result(f, 37), some = fixture_matrix(f, Q35_ROLE_OUTPUT, 37, 3, Q35_TF_OUT_ROWS);
    uint32_t take[2] = {rows, fixture_indices(f, 3, Q35_TF_OUT_ROWS, taken)};
    fixture_blank(f, some);
    fixture_node(f, Q35_OP_GET_ROWS, NULL, 2, in, 1, &rows);
    fixture_node(f, Q35_OP_TAKE_ROWS, NULL, 2, take, 1, &some);
}

static void verify_get_rows(const fixture *f)
{
    const int32_t *ids = f->memory[f->in[0][0]], *taken = f->memory[f->in[1][1]];
    for (int64_t t = 0; t < TOKENS; t++)
        for (int64_t c = 0; c < 37; c++)
            expect_near(f, f->out[0][0], t, c, at(f, f->in[0][1], ids[t], c), 0, 0);
    for (int64_t t = 0; t < OUT; t++)
        for (int64_t c = 0; c < 37; c++)
            expect_near(f, f->out[1][0], t, c, at(f, f->out[0][0], taken[t], c), 0, 0);
    expect_blank(f, f->out[0][0], TOKENS);
    expect_blank(f, f->out[1][0], OUT);
}

/* ------------------------------------------------------------------ norms */

static void build_norms(fixture *f)
{
    fixture_params p = norm_params(1e-5f);
    uint32_t in[3] = {input(f, 75), input(f, 75), fixture_vector(f, Q35_ROLE_WEIGHT, 75)};
    uint32_t sums[2] = {result(f, 75), result(f, 75)}, plain = result(f, 75), one[2] = {in[1], in[2]};
    fixture_node(f, Q35_OP_ADD_RMS_NORM, &p, 3, in, 2, sums);
    fixture_node(f, Q35_OP_RMS_NORM, &p, 2, one, 1, &plain);
}

/* sqrt(mean(x^2) + eps) of a row of 75. */
static double row_root(const fixture *f, uint32_t x, int64_t t)
{
    double squares = 0;
    for (int64_t c = 0; c < 75; c++)
        squares += at(f, x, t, c) * at(f, x, t, c);
    return sqrt(squares / 75 + (double)1e-5f);
}

static void verify_norm(const fixture *f, uint32_t x, uint32_t w, uint32_t y)
{
    for (int64_t t = 0; t < TOKENS; t++) {
        double root = row_root(f, x, t);
        for (int64_t c = 0; c < 75; c++)
            expect_near(f, y, t, c, at(f, x, t, c) / root * at(f, w, 0, c), fabs(at(f, x, t, c) / root), 80);
    }
    expect_blank(f, y, TOKENS);
}

static void verify_norms(const fixture *f)
{
    for (int64_t t = 0; t < TOKENS; t++)
        for (int64_t c = 0; c < 75; c++)
            expect_near(f, f->out[0][0], t, c, at(f, f->in[0][0], t, c) + at(f, f->in[0][1], t, c), 2, 1);
    verify_norm(f, f->out[0][0], f->in[0][2], f->out[0][1]);
    verify_norm(f, f->in[1][0], f->in[1][1], f->out[1][0]);
}

/* ------------------------------------------------------------------ linear */

enum { K = 160, N = 53 };

static uint32_t act_tensor(fixture *f, int64_t k)
{
    int64_t dim[2] = {k, CAPACITY};
    return fixture_tensor(f, Q35_ROLE_TEMP, Q35_DT_A8_32, 2, dim, TOKEN_ROWS);
}

static const q35_act_block *act_row(const fixture *f, uint32_t t, int64_t r)
{
    return (const q35_act_block *)(const void *)((const char *)f->memory[t] + r * f->tensors[t].stride[1]);
}

static void build_linear_f32(fixture *f)
{
    uint32_t x = input(f, K), codes = act_tensor(f, K), y[2] = {result(f, N), result(f, N)};
    uint32_t in[2] = {x, fixture_matrix(f, Q35_ROLE_WEIGHT, K, N, 0)}, quantised[2] = {codes, in[1]};
    fixture_node(f, Q35_OP_LINEAR, NULL, 2, in, 1, &y[0]);
    fixture_node(f, Q35_OP_QUANTIZE_ACT, NULL, 1, &x, 1, &codes);
    fixture_node(f, Q35_OP_LINEAR, NULL, 2, quantised, 1, &y[1]);
}

/* The blocks follow from the inputs by the definition of the op. */
static void verify_codes(const fixture *f, uint32_t x, uint32_t codes)
{
    for (int64_t t = 0; t < TOKENS; t++) {
        for (int64_t b = 0; b < K / 32; b++) {
            const q35_act_block *block = &act_row(f, codes, t)[b];
            float amax = 0;
            int sum = 0;
            for (int64_t c = 32 * b; c < 32 * b + 32; c++)
                amax = fmaxf(amax, fabsf(*fixture_at(f, x, t, c)));
            ck_assert(block->scale == amax / 127.0f);
            for (int64_t i = 0; i < 32; i++) {
                double exact = at(f, x, t, 32 * b + i) * 127 / (double)amax;
                ck_assert_msg(fabs((double)block->q[i] - exact) <= 0.5001, "code %d for %.6g", block->q[i], exact);
                sum += block->q[i];
            }
            ck_assert_int_eq(block->sum, sum);
        }
    }
    expect_blank(f, codes, TOKENS);
}

static void verify_linear_f32(const fixture *f)
{
    uint32_t x = f->in[0][0], w = f->in[0][1], codes = f->out[1][0];
    verify_codes(f, x, codes);
    for (int64_t t = 0; t < TOKENS; t++) {
        for (int64_t r = 0; r < N; r++) {
            double exact = 0, size = 0, exact8 = 0, size8 = 0;
            for (int64_t c = 0; c < K; c++) {
                const q35_act_block *b = &act_row(f, codes, t)[c / 32];
                exact += at(f, x, t, c) * at(f, w, r, c);
                size += fabs(at(f, x, t, c) * at(f, w, r, c));
                exact8 += (double)b->scale * b->q[c % 32] * at(f, w, r, c);
                size8 += fabs((double)b->scale * b->q[c % 32] * at(f, w, r, c));
            }
            expect_near(f, f->out[0][0], t, r, exact, size, K);
            expect_near(f, f->out[2][0], t, r, exact8, size8, K);
        }
    }
    expect_blank(f, f->out[0][0], TOKENS);
    expect_blank(f, f->out[2][0], TOKENS);
}

/* Scale of group g of row r. */
static float pair_scale(int64_t r, int64_t g)
{
    return ldexpf((float)(9 + (r * 5 + g * 3) % 13), -10);
}

/* Code i of group g of row r. Codes that lie past K stay 0, as a tile does not keep all of them. */
static unsigned pair_code(int64_t r, int64_t g, int64_t i)
{
    return 128 * g + 2 * i < K ? (unsigned)((r * 31 + g * 17 + i * 29 + r * i) % 128) : 0;
}

static void fill_pair(fixture *f, uint32_t w)
{
    memset(f->memory[w], 0, f->bindings[w].bytes);
    for (int64_t r = 0; r < N; r++) {
        q35_pair_block *blocks = (q35_pair_block *)(void *)((char *)f->memory[w] + r * f->tensors[w].stride[1]);
        for (int64_t g = 0; g < 2; g++) {
            blocks[g].scale = q35_f32_to_f16(pair_scale(r, g));
            for (int64_t bit = 0; bit < 448; bit++)
                blocks[g].codes[bit / 8] |= (uint8_t)((pair_code(r, g, bit / 7) >> (bit % 7) & 1) << (bit % 8));
        }
    }
}

static void fill_book(const fixture *f, uint32_t book)
{
    int8_t *points = f->memory[book];
    for (int i = 0; i < 2 * Q35_BOOK_POINTS; i++)
        points[i] = (int8_t)((i * 37 + i / 3) % 251 - 125);
}

static void build_linear_pair(fixture *f)
{
    int64_t w_dim[2] = {K, N}, book_dim[2] = {2, Q35_BOOK_POINTS};
    uint32_t x = input(f, K), codes = act_tensor(f, K), y[2] = {result(f, N), result(f, N)};
    uint32_t in[3] = {x, fixture_tensor(f, Q35_ROLE_WEIGHT, Q35_DT_Q35_PAIR, 2, w_dim, 0),
                      fixture_tensor(f, Q35_ROLE_WEIGHT, Q35_DT_I8, 2, book_dim, 0)};
    uint32_t quantised[3] = {codes, in[1], in[2]};
    fill_pair(f, in[1]);
    fill_book(f, in[2]);
    fixture_node(f, Q35_OP_LINEAR, NULL, 3, in, 1, &y[0]);
    fixture_node(f, Q35_OP_QUANTIZE_ACT, NULL, 1, &x, 1, &codes);
    fixture_node(f, Q35_OP_LINEAR, NULL, 3, quantised, 1, &y[1]);
}

static void verify_linear_pair(const fixture *f)
{
    uint32_t x = f->in[0][0], codes = f->out[1][0];
    const int8_t *book = f->memory[f->in[0][2]];
    for (int64_t t = 0; t < TOKENS; t++) {
        for (int64_t r = 0; r < N; r++) {
            double exact = 0, size = 0, exact8 = 0, size8 = 0;
            for (int64_t c = 0; c < K; c++) {
                int64_t g = c / 128;
                double w = (double)pair_scale(r, g) * book[2 * pair_code(r, g, c % 128 / 2) + (unsigned)(c % 2)];
                const q35_act_block *b = &act_row(f, codes, t)[c / 32];
                exact += at(f, x, t, c) * w;
                size += fabs(at(f, x, t, c) * w);
                exact8 += (double)b->scale * b->q[c % 32] * w;
                size8 += fabs((double)b->scale * b->q[c % 32] * w);
            }
            expect_near(f, f->out[0][0], t, r, exact, size, K);
            expect_near(f, f->out[2][0], t, r, exact8, size8, K);
        }
    }
    expect_blank(f, f->out[2][0], TOKENS);
}

/* The same with the weight in the first layout the device offers, where it offers one. */
static void build_linear_packed(fixture *f)
{
    build_linear_pair(f);
    uint32_t w = f->in[0][1];
    q35_tensor_desc desc = f->tensors[w];
    q35_layout layout = {.h = {sizeof layout, Q35_STRUCT_LAYOUT, NULL}};
    if (f->api->layout_query(f->dev, Q35_OP_LINEAR, &desc, 0, &layout) != Q35_OK)
        return;
    uint64_t slices = ((uint64_t)N + layout.slice_rows - 1) / layout.slice_rows;
    uint64_t bytes = slices * layout.slice_bytes;
    void *packed = aligned_alloc(layout.align, (bytes + 64 + layout.align - 1) / layout.align * layout.align);
    ck_assert_ptr_nonnull(packed);
    memset((char *)packed + bytes, 0x5a, 64);
    for (uint64_t s = slices; s-- > 0;) {
        uint64_t row = s * layout.slice_rows, n = N - row < layout.slice_rows ? N - row : layout.slice_rows;
        char *src = (char *)f->memory[w] + row * (uint64_t)desc.stride[1];
        char *dst = (char *)packed + s * layout.slice_bytes;
        ck_assert_uint_eq(f->api->pack(f->dev, layout.layout, &desc, row, n, src, dst), Q35_OK);
        char back[16 * 2 * sizeof(q35_pair_block)];
        ck_assert_uint_eq(f->api->unpack(f->dev, layout.layout, &desc, row, n, dst, back), Q35_OK);
        ck_assert_mem_eq(back, src, n * (uint64_t)desc.stride[1]);
    }
    free(f->memory[w]);
    f->memory[w] = packed;
    f->bindings[w] = (q35_binding){.host = packed, .bytes = bytes};
    f->tensors[w].layout = layout.layout;
}

/* ------------------------------------------------------------------ rope, cache, attention */

enum { HEADS = 6, KV_HEADS = 2, DIM = 32, ROTATED = 8, PAGES = 2, CTX = PAGES * Q35_KV_PAGE, TEMPERED = 2 };
#define BETA 0.25f

static uint32_t state(fixture *f, uint32_t dtype)
{
    int64_t dim[4] = {DIM, Q35_KV_PAGE, KV_HEADS, PAGES};
    uint32_t t = fixture_tensor(f, Q35_ROLE_STATE, dtype, 4, dim, 0);
    for (int64_t i = 0; i < DIM * CTX * KV_HEADS; i++) {
        float x = fixture_random(f);
        uint8_t *block = (uint8_t *)f->memory[t] + i / 32 * 34;
        if (dtype == Q35_DT_F32)
            ((float *)f->memory[t])[i] = x;
        else if (dtype == Q35_DT_F16)
            ((uint16_t *)f->memory[t])[i] = q35_f32_to_f16(x);
        else
            block[2 + i % 32] = (uint8_t)(int8_t)(127 * x);
        if (dtype == Q35_DT_Q8_0)
            memcpy(block, &(uint16_t){q35_f32_to_f16(1.0f / 127)}, 2);
    }
    return t;
}

static double state_at(const fixture *f, uint32_t t, int64_t g, int64_t p, int64_t d)
{
    int64_t i = (((PAGES - 1 - p / Q35_KV_PAGE) * KV_HEADS + g) * Q35_KV_PAGE + p % Q35_KV_PAGE) * DIM + d;
    q35_dtype_info info = q35_dtype_describe(f->tensors[t].dtype);
    float block[32];
    q35_block_decode(f->tensors[t].dtype, (const char *)f->memory[t] + i / info.block_len * info.block_bytes, NULL,
                     block);
    return (double)block[i % info.block_len];
}

static void build_attention(fixture *f, uint32_t dtype)
{
    fixture_params q_rope = {
        .rope = {{sizeof(q35_rope_params), Q35_STRUCT_ROPE_PARAMS, NULL}, DIM, ROTATED, BETA, TEMPERED}};
    fixture_params k_rope = q_rope; /* as a host has it that does not know the temperature */
    k_rope.h.size = offsetof(q35_rope_params, temperature_beta);
    fixture_params kv = {.kv = {{sizeof(q35_kv_params), Q35_STRUCT_KV_PARAMS, NULL}, KV_HEADS, DIM}};
    fixture_params attention = {
        .attention = {
            {sizeof(q35_attention_params), Q35_STRUCT_ATTENTION_PARAMS, NULL}, HEADS, KV_HEADS, DIM, 0.3f}};
    uint32_t freq = fixture_vector(f, Q35_ROLE_WEIGHT, ROTATED / 2);
    uint32_t q = input(f, HEADS * DIM), k = input(f, KV_HEADS * DIM), v = input(f, KV_HEADS * DIM);
    fixture_sequence s = fixture_one_sequence(f, CAPACITY, PAGES);
    uint32_t q_out = result(f, HEADS * DIM), k_out = result(f, KV_HEADS * DIM), out = result(f, HEADS * DIM);
    uint32_t q_in[3] = {q, freq, s.positions}, k_in[3] = {k, freq, s.positions};
    uint32_t cache[5] = {k_out, v, state(f, dtype), state(f, dtype), s.slots};
    uint32_t att[6] = {q_out, cache[2], cache[3], s.positions, s.sequence, s.pages};
    fixture_place(f, &s, POS);
    fixture_node(f, Q35_OP_ROPE, &q_rope, 3, q_in, 1, &q_out);
    fixture_node(f, Q35_OP_ROPE, &k_rope, 3, k_in, 1, &k_out);
    fixture_node(f, Q35_OP_KV_APPEND, &kv, 5, cache, 0, NULL);
    fixture_node(f, Q35_OP_ATTENTION, &attention, 6, att, 1, &out);
}

static void build_attention_f16(fixture *f)
{
    build_attention(f, Q35_DT_F16);
}

static void build_attention_f32(fixture *f)
{
    build_attention(f, Q35_DT_F32);
}

static void build_attention_q8(fixture *f)
{
    build_attention(f, Q35_DT_Q8_0);
}

static void verify_rope(const fixture *f, uint32_t node, int64_t cols, double beta)
{
    uint32_t x = f->in[node][0], y = f->out[node][0];
    for (int64_t t = 0; t < TOKENS; t++) {
        double factor = 1 + beta * log(1 + floor((double)(POS + t) / TEMPERED));
        for (int64_t c = 0; c < cols; c++) {
            int64_t d = c % DIM;
            double need = at(f, x, t, c);
            if (d < ROTATED) {
                double angle = (double)(float)((double)(POS + t) * at(f, f->in[node][1], 0, d / 2));
                need = d % 2 ? at(f, x, t, c - 1) * sin(angle) + need * cos(angle)
                             : need * cos(angle) - at(f, x, t, c + 1) * sin(angle);
            }
            expect_near(f, y, t, c, need * factor, 2 * factor, 3);
        }
    }
    expect_blank(f, y, TOKENS);
}

static void verify_head(const fixture *f, int64_t t, int64_t h)
{
    uint32_t q = f->in[3][0], k = f->in[3][1], v = f->in[3][2];
    int64_t g = h / (HEADS / KV_HEADS);
    double score[CTX], top = -1e300, total = 0;
    for (int64_t p = 0; p <= POS + t; p++) {
        score[p] = 0;
        for (int64_t d = 0; d < DIM; d++)
            score[p] += at(f, q, t, h * DIM + d) * state_at(f, k, g, p, d);
        score[p] *= (double)0.3f;
        top = fmax(top, score[p]);
    }
    for (int64_t p = 0; p <= POS + t; p++)
        total += exp(score[p] - top);
    for (int64_t d = 0; d < DIM; d++) {
        double need = 0;
        for (int64_t p = 0; p <= POS + t; p++)
            need += exp(score[p] - top) / total * state_at(f, v, g, p, d);
        expect_near(f, f->out[3][0], t, h * DIM + d, need, 1, 64);
    }
}

static void verify_attention(const fixture *f)
{
    verify_rope(f, 0, HEADS * DIM, (double)BETA);
    verify_rope(f, 1, KV_HEADS * DIM, 0);
    for (int64_t t = 0; t < TOKENS; t++) {
        for (int64_t c = 0; c < KV_HEADS * DIM; c++) {
            for (uint32_t s = 0; s < 2; s++) {
                uint32_t cache = f->in[2][2 + s];
                float x = *fixture_at(f, f->in[2][s], t, c);
                double found = state_at(f, cache, c / DIM, POS + t, c % DIM), step = 0, largest = 0;
                for (int64_t i = c / 32 * 32; i < c / 32 * 32 + 32; i++)
                    largest = fmax(largest, fabs(at(f, f->in[2][s], t, i)));
                if (f->tensors[cache].dtype == Q35_DT_Q8_0)
                    step = largest / 127; /* half of it, and the scale's own rounding */
                double need =
                    (double)(f->tensors[cache].dtype == Q35_DT_F16 ? q35_f16_to_f32(q35_f32_to_f16(x)) : x);
                ck_assert(fabs(found - need) <= 0.57 * step);
            }
        }
        for (int64_t h = 0; h < HEADS; h++)
            verify_head(f, t, h);
    }
    expect_blank(f, f->out[3][0], TOKENS);
}

/* ------------------------------------------------------------------ elementwise, sum of squares */

static void build_elementwise(fixture *f)
{
    uint32_t ab[2] = {input(f, 333), input(f, 333)}, y[4];
    uint32_t sum[2] = {ab[0], fixture_vector(f, Q35_ROLE_STATE, 333)};
    static const uint32_t ops[4] = {Q35_OP_SWIGLU, Q35_OP_ADD, Q35_OP_MUL, Q35_OP_SILU};
    for (uint32_t i = 0; i < 333; i++)
        *fixture_at(f, sum[1], 0, i) = 0.25f;
    for (uint32_t i = 0; i < 4; i++) {
        y[i] = result(f, 333);
        fixture_node(f, ops[i], NULL, i == 3 ? 1 : 2, ab, 1, &y[i]);
    }
    fixture_node(f, Q35_OP_SUM_SQUARES, NULL, 2, sum, 0, NULL);
}

static void verify_elementwise(const fixture *f)
{
    uint32_t x = f->in[0][0], z = f->in[0][1];
    for (int64_t c = 0; c < 333; c++) {
        double squares = 0.25;
        for (int64_t t = 0; t < TOKENS; t++) {
            double a = at(f, x, t, c), b = at(f, z, t, c), silu = a / (1 + exp(-a));
            expect_near(f, f->out[0][0], t, c, silu * b, fabs(silu * b), 8);
            expect_near(f, f->out[1][0], t, c, a + b, fabs(a + b), 1);
            expect_near(f, f->out[2][0], t, c, a * b, fabs(a * b), 1);
            expect_near(f, f->out[3][0], t, c, silu, fabs(silu), 8);
            squares += a * a;
        }
        expect_near(f, f->in[4][1], 0, c, squares, squares, 1);
    }
    for (uint32_t i = 0; i < 4; i++)
        expect_blank(f, f->out[i][0], TOKENS);
}

/* ------------------------------------------------------------------ shared memory */

/* Temporaries of disjoint lives in one place, as the host's arena would put them, and an addition in place. Steps
 * 2 and 6 wait for an earlier step only because of the memory they write; step 6 splits other rows than step 5
 * did. */
static void build_shared(fixture *f)
{
    fixture_params p = norm_params(1e-5f);
    uint32_t w = fixture_vector(f, Q35_ROLE_WEIGHT, 75), matrix = fixture_matrix(f, Q35_ROLE_WEIGHT, 75, 75, 0);
    uint32_t x = input(f, 75), y = result(f, 75), z = result(f, 75), u = result(f, 75);
    uint32_t last = fixture_matrix(f, Q35_ROLE_INPUT, 75, CAPACITY, Q35_TF_OUT_ROWS);
    uint32_t normed = input(f, 75), silu = input(f, 75),
             tail = fixture_matrix(f, Q35_ROLE_OUTPUT, 75, CAPACITY, Q35_TF_OUT_ROWS);
    uint32_t norm[2] = {x, w}, linear[2] = {normed, matrix}, mul[2] = {y, y}, add[2] = {z, silu},
             late[2] = {last, w};
    f->bindings[silu] = f->bindings[normed];
    f->bindings[tail] = f->bindings[u];
    fixture_node(f, Q35_OP_RMS_NORM, &p, 2, norm, 1, &normed);
    fixture_node(f, Q35_OP_LINEAR, NULL, 2, linear, 1, &y);
    fixture_node(f, Q35_OP_SILU, NULL, 1, &x, 1, &silu);
    fixture_node(f, Q35_OP_MUL, NULL, 2, mul, 1, &z);
    fixture_node(f, Q35_OP_ADD, NULL, 2, add, 1, &z);
    fixture_node(f, Q35_OP_RMS_NORM, &p, 2, norm, 1, &u);
    fixture_node(f, Q35_OP_RMS_NORM, &p, 2, late, 1, &tail);
}

static void verify_shared(const fixture *f)
{
    uint32_t x = f->in[0][0], w = f->in[0][1], matrix = f->in[1][1], y = f->out[1][0], tail = f->out[6][0];
    for (int64_t t = 0; t < TOKENS; t++) {
        double root = row_root(f, x, t);
        for (int64_t r = 0; r < 75; r++) {
            double exact = 0, size = 0, a = at(f, y, t, r), b = at(f, x, t, r);
            for (int64_t c = 0; c < 75; c++) {
                exact += at(f, x, t, c) / root * at(f, w, 0, c) * at(f, matrix, r, c);
                size += fabs(at(f, x, t, c) / root * at(f, w, 0, c) * at(f, matrix, r, c));
            }
            expect_near(f, y, t, r, exact, size, 160);
            expect_near(f, f->out[4][0], t, r, a * a + b / (1 + exp(-b)), a * a + fabs(b), 8);
        }
    }
    for (int64_t t = 0; t < OUT; t++) {
        double root = row_root(f, f->in[6][0], t);
        for (int64_t c = 0; c < 75; c++) {
            double need = at(f, f->in[6][0], t, c) / root * at(f, w, 0, c);
            expect_near(f, tail, t, c, need, fabs(need), 80);
        }
    }
}

/* ------------------------------------------------------------------ runner */

static const struct {
    const char *name;
    void (*build)(fixture *f);
    void (*verify)(const fixture *f);
} cases[] = {
    {"get_rows", build_get_rows, verify_get_rows},
    {"norms", build_norms, verify_norms},
    {"linear_f32", build_linear_f32, verify_linear_f32},
    {"linear_pair", build_linear_pair, verify_linear_pair},
    {"linear_packed", build_linear_packed, verify_linear_pair},
    {"attention_f16", build_attention_f16, verify_attention},
    {"attention_f32", build_attention_f32, verify_attention},
    {"attention_q8", build_attention_q8, verify_attention},
    {"elementwise", build_elementwise, verify_elementwise},
    {"shared", build_shared, verify_shared},
};
enum { N_CASES = sizeof cases / sizeof cases[0], MAX_WORKERS = 3 };

/* Copies, or with `compare` checks against, the memory of all tensors. */
static void keep_memory(const fixture *f, void *kept[MAX_TENSORS], bool compare)
{
    for (uint32_t t = 0; t < f->region.n_tensors; t++) {
        uint64_t bytes = f->bindings[t].bytes;
        if (compare) {
            ck_assert_msg(memcmp(kept[t], f->bindings[t].host, bytes) == 0, "tensor %u differs with %u workers", t,
                          f->pool.n_workers);
            continue;
        }
        kept[t] = malloc(bytes);
        ck_assert_ptr_nonnull(kept[t]);
        memcpy(kept[t], f->bindings[t].host, bytes);
    }
}

static void run_case(int i, const char *isa)
{
    void *kept[MAX_TENSORS] = {NULL};
    for (uint32_t n_workers = 0; n_workers <= MAX_WORKERS; n_workers++) {
        fixture f;
        fixture_open(&f, isa, n_workers);
        cases[i].build(&f);
        fixture_set_step(&f, TOKENS, OUT, 1);
        fixture_prepare(&f);
        q35_status status = fixture_run(&f);
        ck_assert_msg(status == Q35_OK, "%s: %s", cases[i].name, fixture_error());
        cases[i].verify(&f);
        keep_memory(&f, kept, n_workers > 0);
        fixture_close(&f);
    }
    for (uint32_t t = 0; t < MAX_TENSORS; t++)
        free(kept[t]);
}

START_TEST(reference_kernels_agree)
{
    run_case(_i, "ref");
}
END_TEST

START_TEST(best_kernels_agree)
{
    run_case(_i, NULL);
}
END_TEST

START_TEST(no_tokens_touch_nothing)
{
    fixture f;
    void *kept[MAX_TENSORS];
    fixture_open(&f, NULL, 2);
    cases[_i].build(&f);
    fixture_set_step(&f, 0, 0, 0);
    fixture_prepare(&f);
    keep_memory(&f, kept, false);
    ck_assert_uint_eq(fixture_run(&f), Q35_OK);
    keep_memory(&f, kept, true);
    for (uint32_t t = 0; t < f.region.n_tensors; t++)
        free(kept[t]);
    fixture_close(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plugin_cpu_ops");
    TCase *tcase = tcase_create("ops");
    tcase_add_loop_test(tcase, reference_kernels_agree, 0, N_CASES);
    tcase_add_loop_test(tcase, best_kernels_agree, 0, N_CASES);
    tcase_add_loop_test(tcase, no_tokens_touch_nothing, 0, N_CASES);
    suite_add_tcase(suite, tcase);
    return q35t_run(suite);
}
