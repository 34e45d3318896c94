/* SPDX-License-Identifier: Apache-2.0
 *
 * One chunk of a tile (tile.h) times tokens. Int8 takes tokens 8, 4, 2 or 1 at a time, f32 4, 2 or 1; for each of
 * them the operations are the same. Int8: per block of 32 an exact int32 sum, then sum += float(isum) * act scale
 * * weight scale, the last product and the sum fused; a minimum adds min * (act scale * act sum). Registers of the
 * 8-token form: 8 integer and 8 float sums, one weight vector; one activation dword is broadcast from memory per
 * vpdpbusd. F32: 256 fused products in CHAINS interleaved sums from 0, which are then added.
 */
#include "kernels-cpu/avx512/tile.h"

Q35I_INLINE __m512i four_codes(const q35_act_block *block, int j)
{
    int32_t v;
    memcpy(&v, block->q + 4 * j, 4);
    return _mm512_set1_epi32(v);
}

Q35I_INLINE const q35_act_block *block_of(const uint8_t *x, int64_t rs, int token, int block)
{
    return (const q35_act_block *)(const void *)(x + token * rs) + block;
}

/* sum + float(isum) * act scale * scale. */
Q35I_INLINE __m512 add_scaled(__m512 sum, __m512i isum, const q35_act_block *act, __m512 scale)
{
    return _mm512_fmadd_ps(_mm512_mul_ps(_mm512_cvtepi32_ps(isum), _mm512_set1_ps(act->scale)), scale, sum);
}

Q35I_INLINE void block_bias_min(q35i_form form, int bias, int n, const q35i_chunk *c, int b, const uint8_t *x,
                                int64_t rs, __m512 sum[8])
{
    __m512i s[8];
    for (int t = 0; t < n; t++)
        s[t] = form == Q35I_FORM_BIAS ? _mm512_set1_epi32(-bias * block_of(x, rs, t, b)->sum)
                                      : _mm512_setzero_si512();
    for (int j = 0; j < 8; j++) {
        __m512i w = _mm512_load_si512((const void *)&c->w[8 * b + j]);
        for (int t = 0; t < n; t++)
            s[t] = _mm512_dpbusd_epi32(s[t], w, four_codes(block_of(x, rs, t, b), j));
    }
    for (int t = 0; t < n; t++) {
        const q35_act_block *act = block_of(x, rs, t, b);
        sum[t] = add_scaled(sum[t], s[t], act, c->scale[b]);
        if (form == Q35I_FORM_MIN)
            sum[t] = _mm512_fmadd_ps(c->min[b], _mm512_set1_ps(act->scale * (float)act->sum), sum[t]);
    }
}

/* Sub-blocks of 16: their activation sums are not stored, so the bias is a second dot with the constant 32. */
Q35I_INLINE void block_sub16(int n, const q35i_chunk *c, int b, const uint8_t *x, int64_t rs, __m512 sum[8])
{
    const __m512i bias = _mm512_set1_epi8(32);
    for (int h = 2 * b; h < 2 * b + 2; h++)
        for (int t = 0; t < n; t++) {
            const q35_act_block *act = block_of(x, rs, t, b);
            __m512i s = _mm512_setzero_si512(), minus = s;
            for (int j = 0; j < 4; j++) {
                __m512i q = four_codes(act, 4 * (h & 1) + j);
                s = _mm512_dpbusd_epi32(s, c->w[4 * h + j], q);
                minus = _mm512_dpbusd_epi32(minus, bias, q);
            }
            sum[t] = add_scaled(sum[t], _mm512_sub_epi32(s, minus), act, c->scale[h]);
        }
}

/* Here the sum of the 16 codes is a dot with the constant 1. */
Q35I_INLINE void block_min16(int n, const q35i_chunk *c, int b, const uint8_t *x, int64_t rs, __m512 sum[8])
{
    const __m512i ones = _mm512_set1_epi8(1);
    for (int h = 2 * b; h < 2 * b + 2; h++)
        for (int t = 0; t < n; t++) {
            const q35_act_block *act = block_of(x, rs, t, b);
            __m512i s = _mm512_setzero_si512(), total = s;
            for (int j = 0; j < 4; j++) {
                __m512i q = four_codes(act, 4 * (h & 1) + j);
                s = _mm512_dpbusd_epi32(s, c->w[4 * h + j], q);
                total = _mm512_dpbusd_epi32(total, ones, q);
            }
            sum[t] = add_scaled(sum[t], s, act, c->scale[h]);
            sum[t] = add_scaled(sum[t], total, act, c->min[h]);
        }
}

/* n tokens, n a constant where this is inlined. */
Q35I_INLINE void tokens_a8(q35i_form form, int bias, int n, const q35i_chunk *c, int blocks, const uint8_t *x,
                           int64_t rs, float *acc)
{
    __m512 sum[8];
    for (int t = 0; t < n; t++)
        sum[t] = _mm512_load_ps(acc + Q35I_ROWS * t);
    for (int b = 0; b < blocks; b++) {
        if (form == Q35I_FORM_SUB16)
            block_sub16(n, c, b, x, rs, sum);
        else if (form == Q35I_FORM_MIN16)
            block_min16(n, c, b, x, rs, sum);
        else
            block_bias_min(form, bias, n, c, b, x, rs, sum);
    }
    for (int t = 0; t < n; t++)
        _mm512_store_ps(acc + Q35I_ROWS * t, sum[t]);
}

Q35I_INLINE void all_tokens_a8(q35i_form form, int bias, const q35i_chunk *c, int blocks, const uint8_t *x,
                               int64_t rs, int64_t n, float *acc)
{
    for (; n >= 8; n -= 8, x += 8 * rs, acc += 8 * Q35I_ROWS)
        tokens_a8(form, bias, 8, c, blocks, x, rs, acc);
    if (n & 4) {
        tokens_a8(form, bias, 4, c, blocks, x, rs, acc);
        x += 4 * rs;
        acc += 4 * Q35I_ROWS;
    }
    if (n & 2) {
        tokens_a8(form, bias, 2, c, blocks, x, rs, acc);
        x += 2 * rs;
        acc += 2 * Q35I_ROWS;
    }
    if (n & 1)
        tokens_a8(form, bias, 1, c, blocks, x, rs, acc);
}

void q35i_dot_a8__avx512(const q35i_codec *codec, const q35i_chunk *chunk, int blocks, const uint8_t *x,
                         int64_t rs_x, int64_t n_tokens, float *acc)
{
    switch (codec->form) {
    case Q35I_FORM_BIAS: all_tokens_a8(Q35I_FORM_BIAS, codec->bias, chunk, blocks, x, rs_x, n_tokens, acc); return;
    case Q35I_FORM_MIN: all_tokens_a8(Q35I_FORM_MIN, 0, chunk, blocks, x, rs_x, n_tokens, acc); return;
    case Q35I_FORM_SUB16: all_tokens_a8(Q35I_FORM_SUB16, 0, chunk, blocks, x, rs_x, n_tokens, acc); return;
    case Q35I_FORM_MIN16: all_tokens_a8(Q35I_FORM_MIN16, 0, chunk, blocks, x, rs_x, n_tokens, acc); return;
    case Q35I_FORM_FLOAT: return;
    }
}

enum { CHAINS = 4 }; /* sums per token: one alone waits for itself */

/* Input i of n tokens, into chain c. */
Q35I_INLINE void add_input(int n, const __m512 *w, int i, const uint8_t *x, int64_t rs, int c,
                           __m512 sum[4][CHAINS])
{
    __m512 v = _mm512_load_ps((const float *)(w + i));
    for (int t = 0; t < n; t++) {
        float a;
        memcpy(&a, x + t * rs + 4 * (int64_t)i, 4);
        sum[t][c] = _mm512_fmadd_ps(v, _mm512_set1_ps(a), sum[t][c]);
    }
}

Q35I_INLINE void tokens_f32(int n, const __m512 *w, int inputs, const uint8_t *x, int64_t rs, float *acc)
{
    __m512 sum[4][CHAINS];
    for (int t = 0; t < n; t++)
        for (int c = 0; c < CHAINS; c++)
            sum[t][c] = _mm512_setzero_ps();
    int i = 0;
    for (; i + CHAINS <= inputs; i += CHAINS)
        for (int c = 0; c < CHAINS; c++)
            add_input(n, w, i + c, x, rs, c, sum);
    for (; i < inputs; i++)
        add_input(n, w, i, x, rs, i % CHAINS, sum);
    for (int t = 0; t < n; t++) {
        float *to = acc + Q35I_ROWS * t;
        _mm512_store_ps(to, _mm512_add_ps(_mm512_load_ps(to), _mm512_add_ps(_mm512_add_ps(sum[t][0], sum[t][1]),
                                                                            _mm512_add_ps(sum[t][2], sum[t][3]))));
    }
}

void q35i_dot_f32__avx512(const __m512 *w, int inputs, const uint8_t *x, int64_t rs_x, int64_t n_tokens,
                          float *acc)
{
    int64_t n = n_tokens;
    for (; n >= 4; n -= 4, x += 4 * rs_x, acc += 4 * Q35I_ROWS)
        tokens_f32(4, w, inputs, x, rs_x, acc);
    if (n & 2) {
        tokens_f32(2, w, inputs, x, rs_x, acc);
        x += 2 * rs_x;
        acc += 2 * Q35I_ROWS;
    }
    if (n & 1)
        tokens_f32(1, w, inputs, x, rs_x, acc);
}
