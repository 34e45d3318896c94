/* SPDX-License-Identifier: Apache-2.0
 *
 * One chunk of integer weights of 4 rows (tile4.h) times tokens, 8, 4, 2 or 1 at a time; for each token the
 * operations are the same. Per block of 32 (or 16) an exact int32 sum, then sum += float(isum) * act scale *
 * weight scale, the last product and the sum fused; a minimum adds min * (act scale * act sum). Static inline
 * only; Q35I_PRODUCTS: products.h. */
#ifndef Q35I_NEON_DOT_A8_H
#define Q35I_NEON_DOT_A8_H

#include "kernels-cpu/neon/products.h"

enum { Q35I_ROWS = 4, MOST_TOKENS = 8 };

Q35I_INLINE const q35_act_block *block_of(const uint8_t *x, int64_t rs, int token, int block)
{
    return (const q35_act_block *)(const void *)(x + token * rs) + block;
}

/* s[t] = sum of `width` vectors from w times the codes from q on of n tokens. */
Q35I_INLINE void sums_of_part(int n, const int8x16_t *w, int width, const int8_t *q, int64_t rs, int32x4_t *s)
{
    q35i_partial sum[MOST_TOKENS];
    for (int t = 0; t < n; t++)
        sum[t].a = sum[t].b = vdupq_n_s32(0);
    for (int j = 0; j < width; j += 2) {
#if Q35I_PRODUCTS == Q35I_MATRIX
        int8x16_t pairs[2];
        q35i_row_pairs(w[j], w[j + 1], pairs);
        for (int t = 0; t + 1 < n; t += 2)
            q35i_add_pairs(&sum[t], pairs, q35i_token_pair(q + t * rs + 4 * j, rs));
        if (n == 1)
            q35i_add_eight(&sum[0], w[j], w[j + 1], q + 4 * j);
#else
        for (int t = 0; t < n; t++)
            q35i_add_eight(&sum[t], w[j], w[j + 1], q + t * rs + 4 * j);
#endif
    }
    for (int t = 0; t < n; t++) {
#if Q35I_PRODUCTS == Q35I_MATRIX
        if (n > 1) {
            s[t] = t & 1 ? q35i_second_token(sum[t - 1]) : q35i_first_token(sum[t]);
            continue;
        }
#endif
        s[t] = q35i_finish(sum[t]);
    }
}

/* Part h of block b for n tokens. */
Q35I_INLINE void part_a8(q35i_form form, int n, const q35i_chunk *c, int b, int h, const uint8_t *x, int64_t rs,
                         float32x4_t *sum)
{
    const int halves = form == Q35I_FORM_SUB16 || form == Q35I_FORM_MIN16, part = halves ? 2 * b + h : b;
    int32x4_t s[MOST_TOKENS];
    sums_of_part(n, c->w + 8 * b + 4 * h, halves ? 4 : 8, block_of(x, rs, 0, b)->q + 16 * h, rs, s);
    for (int t = 0; t < n; t++) {
        const q35_act_block *act = block_of(x, rs, t, b);
        float32x4_t scaled = vmulq_n_f32(vcvtq_f32_s32(s[t]), act->scale);
        sum[t] = vfmaq_f32(sum[t], scaled, c->scale[part]);
        if (form == Q35I_FORM_MIN)
            sum[t] = vfmaq_n_f32(sum[t], c->min[part], act->scale * (float)act->sum);
        if (form == Q35I_FORM_MIN16)
            sum[t] = vfmaq_n_f32(sum[t], c->min[part], act->scale * (float)vaddlvq_s8(vld1q_s8(act->q + 16 * h)));
    }
}

/* n tokens, n a constant where this is inlined. */
Q35I_INLINE void tokens_a8(q35i_form form, int n, const q35i_chunk *c, int blocks, const uint8_t *x, int64_t rs,
                           float *acc)
{
    float32x4_t sum[MOST_TOKENS];
    for (int t = 0; t < n; t++)
        sum[t] = vld1q_f32(acc + Q35I_ROWS * t);
    for (int b = 0; b < blocks; b++) {
        part_a8(form, n, c, b, 0, x, rs, sum);
        if (form == Q35I_FORM_SUB16 || form == Q35I_FORM_MIN16)
            part_a8(form, n, c, b, 1, x, rs, sum);
    }
    for (int t = 0; t < n; t++)
        vst1q_f32(acc + Q35I_ROWS * t, sum[t]);
}

Q35I_INLINE void all_tokens_a8(q35i_form form, const q35i_chunk *c, int blocks, const uint8_t *x, int64_t rs,
                               int64_t n, float *acc)
{
    for (; n >= 8; n -= 8, x += 8 * rs, acc += 8 * Q35I_ROWS)
        tokens_a8(form, 8, c, blocks, x, rs, acc);
    if (n & 4) {
        tokens_a8(form, 4, c, blocks, x, rs, acc);
        x += 4 * rs;
        acc += 4 * Q35I_ROWS;
    }
    if (n & 2) {
        tokens_a8(form, 2, c, blocks, x, rs, acc);
        x += 2 * rs;
        acc += 2 * Q35I_ROWS;
    }
    if (n & 1)
        tokens_a8(form, 1, c, blocks, x, rs, acc);
}

/* Sums of n_tokens tokens over one chunk are added to acc [n_tokens][4]. x: the tokens' first block of the chunk.
 */
static void dot_a8(const q35i_codec *codec, const q35i_chunk *chunk, int blocks, const uint8_t *x, int64_t rs_x,
                   int64_t n_tokens, float *acc)
{
    switch (codec->form) {
    case Q35I_FORM_SIGNED: all_tokens_a8(Q35I_FORM_SIGNED, chunk, blocks, x, rs_x, n_tokens, acc); return;
    case Q35I_FORM_SUB16: all_tokens_a8(Q35I_FORM_SUB16, chunk, blocks, x, rs_x, n_tokens, acc); return;
    case Q35I_FORM_MIN: all_tokens_a8(Q35I_FORM_MIN, chunk, blocks, x, rs_x, n_tokens, acc); return;
    case Q35I_FORM_MIN16: all_tokens_a8(Q35I_FORM_MIN16, chunk, blocks, x, rs_x, n_tokens, acc); return;
    case Q35I_FORM_FLOAT: return;
    }
}

#endif
