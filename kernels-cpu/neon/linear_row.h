/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR of row types with NEON, of all but the products of integers (Q35I_PRODUCTS, products.h): what the shared
 * walk (row_walk.h) needs. Static only. Mirrors q35k_linear_row__ref: the same bits. */
#ifndef Q35I_NEON_LINEAR_ROW_H
#define Q35I_NEON_LINEAR_ROW_H

#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/neon/products.h"
#include "kernels-cpu/neon/row.h"

enum {
    Q35I_ROWS = 8,
    Q35I_ROW_BLOCK = 8,
    /* Tokens whose sums for 8 rows fill half of the registers. */
    TOKENS_AT_ONCE = Q35I_PRODUCTS == Q35I_PLAIN ? 4 : 8,
    PANEL_BIAS = 0
};

typedef struct q35i_floats {
    float32x4_t v[2];
} q35i_floats;

static inline q35i_ints splat_int(int32_t x)
{
    return (q35i_ints){{vdupq_n_s32(x), vdupq_n_s32(x)}};
}

static inline q35i_floats splat_float(float x)
{
    return (q35i_floats){{vdupq_n_f32(x), vdupq_n_f32(x)}};
}

static inline q35i_floats to_float(q35i_ints x)
{
    return (q35i_floats){{vcvtq_f32_s32(x.v[0]), vcvtq_f32_s32(x.v[1])}};
}

static inline q35i_floats multiply(q35i_floats a, q35i_floats b)
{
    return (q35i_floats){{vmulq_f32(a.v[0], b.v[0]), vmulq_f32(a.v[1], b.v[1])}};
}

/* a * b + c */
static inline q35i_floats multiply_add(q35i_floats a, q35i_floats b, q35i_floats c)
{
    return (q35i_floats){{vfmaq_f32(c.v[0], a.v[0], b.v[0]), vfmaq_f32(c.v[1], a.v[1], b.v[1])}};
}

/* Eight inputs of n tokens with rows 4 h .. 4 h + 3; w[0], w[1]: their vectors. */
Q35I_INLINE void add_rows(int n, const q35i_ints *w, int h, const int8_t *q, int64_t rs, q35i_partial *sum)
{
    int8x16_t w0 = vreinterpretq_s8_s32(w[0].v[h]), w1 = vreinterpretq_s8_s32(w[1].v[h]);
#if Q35I_PRODUCTS == Q35I_MATRIX
    if (n > 1) {
        int8x16_t pairs[2];
        q35i_row_pairs(w0, w1, pairs);
        for (int t = 0; t < n; t += 2)
            q35i_add_pairs(&sum[t], pairs, q35i_token_pair(q + t * rs, rs));
        return;
    }
#endif
    for (int t = 0; t < n; t++)
        q35i_add_eight(&sum[t], w0, w1, q + t * rs);
}

/* Rows 0..3 of token t of n. */
Q35I_INLINE int32x4_t sum_of_token(int n, const q35i_partial *sum, int t)
{
#if Q35I_PRODUCTS == Q35I_MATRIX
    if (n > 1)
        return t & 1 ? q35i_second_token(sum[t - 1]) : q35i_first_token(sum[t]);
#endif
    (void)n;
    return q35i_finish(sum[t]);
}

/* n <= TOKENS_AT_ONCE tokens from q on, tile u; a set of a token lies `rs` after the set before. */
Q35I_INLINE void add_tile(int n, const q35i_ints *w, int vectors, const int8_t *q, int64_t rs, q35i_ints (*to)[2],
                          int u)
{
    q35i_partial sum[2][TOKENS_AT_ONCE];
    for (int h = 0; h < 2; h++)
        for (int t = 0; t < n; t++)
            sum[h][t].a = sum[h][t].b = vdupq_n_s32(0);
    for (int set = 0; set < vectors / 16; set++, w += 16, q += rs)
        for (int j = 0; j < 16; j += 2)
            for (int h = 0; h < 2; h++)
                add_rows(n, w + j, h, q + 4 * j, Q35K_ROW16_SET, sum[h]);
    for (int h = 0; h < 2; h++)
        for (int t = 0; t < n; t++)
            to[t][u].v[h] = vaddq_s32(to[t][u].v[h], sum_of_token(n, sum[h], t));
}

#define PANEL_OF_ROWS
#define OWN_ADD_VECTORS

/* As row_walk.h says. */
Q35I_INLINE void add_vectors(int n, int tiles, const q35i_ints *w, int stride, int vectors, const uint8_t *q,
                             q35i_ints (*sum)[2], int64_t ahead)
{
    (void)ahead;
    const int8_t *codes = (const int8_t *)q, *later = codes + TOKENS_AT_ONCE * Q35K_ROW16_SET;
    const int64_t rs = n * Q35K_ROW16_SET;
    for (int u = 0; u < tiles; u++, w += stride) {
        if (n <= TOKENS_AT_ONCE) {
            add_tile(n, w, vectors, codes, rs, sum, u);
        } else {
            add_tile(TOKENS_AT_ONCE, w, vectors, codes, rs, sum, u);
            add_tile(TOKENS_AT_ONCE, w, vectors, later, rs, sum + TOKENS_AT_ONCE, u);
        }
    }
}

/* One rounding per weight. */
static inline void chunk_to_f32(uint32_t dtype, const q35i_ints *w, int inputs, q35i_floats scale,
                                q35i_floats *out)
{
    (void)dtype;
    for (int i = 0; i < inputs; i++)
        for (int h = 0; h < 2; h++)
            out[i].v[h] = q35i_scaled(scale.v[h], q35i_byte(vreinterpretq_s8_s32(w[i / 4].v[h]), i % 4));
}

static inline void dot_f32(const q35i_floats *w, int inputs, const uint8_t *x, int64_t rs, int64_t n, float *acc)
{
    q35i_dot_f32__neon(w->v, 2, inputs, x, rs, n, acc);
}

static inline q35i_floats load_scales(const void *p)
{
    const float *scales = p;
    return (q35i_floats){{vld1q_f32(scales), vld1q_f32(scales + 4)}};
}

static inline void store_rows(float *out, int64_t n_rows, q35i_floats y)
{
    q35i_store_lanes(out, n_rows, q35i_one_nan(y.v[0]));
    if (n_rows > 4)
        q35i_store_lanes(out + 4, n_rows - 4, q35i_one_nan(y.v[1]));
}

/* As the activations are. */
static inline void sort_codes(uint32_t dtype, const int8_t *q, int32_t *out)
{
    (void)dtype;
    memcpy(out, q, Q35K_ROW16_SET);
}

#define decode q35i_row_decode__neon

#include "kernels-cpu/simd/row_walk.h"

static inline void linear_row(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens,
                              const q35k_weights *w, float *out, int64_t rs_out, int64_t begin, int64_t end,
                              void *scratch)
{
    if (n_tokens <= 0 || begin >= end)
        return;
    work *wk = scratch;
    q35i_row_load_book__neon(w, &wk->book);
    linear_row_many(x, act_type, rs_x, n_tokens, w, out, rs_out, begin, end, wk, (uint8_t *)(wk + 1));
}

#endif
