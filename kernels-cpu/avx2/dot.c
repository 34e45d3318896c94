/* SPDX-License-Identifier: Apache-2.0
 *
 * One chunk of 8 rows (tile8.h) times tokens, 4, 2 or 1 at a time; for each token the operations are the same.
 * Int8: per block of 32 (or 16) an exact int32 sum, then sum += float(isum) * act scale * weight scale, the last
 * product and the sum fused; a minimum adds min * (act scale * act sum). F32: 256 fused products in
 * CHAINS interleaved sums from 0, which are then added.
 */
#include "kernels-cpu/avx2/tile8.h"

Q35I_INLINE const q35_act_block *block_of(const uint8_t *x, int64_t rs, int token, int block)
{
    return (const q35_act_block *)(const void *)(x + token * rs) + block;
}

/* isum + the four products of each lane; weights w and their absolute values (signed form). */
Q35I_INLINE __m256i add_products(q35i_form form, __m256i isum, __m256i w, __m256i abs_w, const q35_act_block *act,
                                 int j)
{
    __m256i a = _mm256_set1_epi32(q35i_load_i32((const uint8_t *)act->q + 4 * j));
    __m256i pairs = form == Q35I_FORM_MIN || form == Q35I_FORM_MIN16
                        ? _mm256_maddubs_epi16(w, a)
                        : _mm256_maddubs_epi16(abs_w, _mm256_sign_epi8(a, w));
    return _mm256_add_epi32(isum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

/* Part h of n_parts of block b for n tokens. */
Q35I_INLINE void part_a8(q35i_form form, int n, const q35i_chunk *c, int b, int h, const uint8_t *x, int64_t rs,
                         __m256 sum[4])
{
    const int halves = form == Q35I_FORM_SUB16 || form == Q35I_FORM_MIN16, width = halves ? 4 : 8;
    const __m256i ones = _mm256_set1_epi8(1);
    __m256 scale = halves ? c->scale[2 * b + h] : c->scale[b];
    __m256i s[4];
    for (int t = 0; t < n; t++)
        s[t] = _mm256_setzero_si256();
    for (int j = width * h; j < width * h + width; j++) {
        __m256i w = _mm256_load_si256(&c->w[8 * b + j]), abs_w = _mm256_abs_epi8(w);
        for (int t = 0; t < n; t++)
            s[t] = add_products(form, s[t], w, abs_w, block_of(x, rs, t, b), j);
    }
    for (int t = 0; t < n; t++) {
        const q35_act_block *act = block_of(x, rs, t, b);
        __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(s[t]), _mm256_set1_ps(act->scale));
        sum[t] = _mm256_fmadd_ps(scaled, scale, sum[t]);
        if (form == Q35I_FORM_MIN)
            sum[t] = _mm256_fmadd_ps(c->min[b], _mm256_set1_ps(act->scale * (float)act->sum), sum[t]);
        if (form == Q35I_FORM_MIN16) {
            __m256i total = _mm256_setzero_si256();
            for (int j = 4 * h; j < 4 * h + 4; j++)
                total = add_products(form, total, ones, ones, act, j);
            scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(total), _mm256_set1_ps(act->scale));
            sum[t] = _mm256_fmadd_ps(scaled, c->min[2 * b + h], sum[t]);
        }
    }
}

/* n tokens, n a constant where this is inlined. */
Q35I_INLINE void tokens_a8(q35i_form form, int n, const q35i_chunk *c, int blocks, const uint8_t *x, int64_t rs,
                           float *acc)
{
    __m256 sum[4];
    for (int t = 0; t < n; t++)
        sum[t] = _mm256_load_ps(acc + Q35I_ROWS * t);
    for (int b = 0; b < blocks; b++) {
        part_a8(form, n, c, b, 0, x, rs, sum);
        if (form == Q35I_FORM_SUB16 || form == Q35I_FORM_MIN16)
            part_a8(form, n, c, b, 1, x, rs, sum);
    }
    for (int t = 0; t < n; t++)
        _mm256_store_ps(acc + Q35I_ROWS * t, sum[t]);
}

Q35I_INLINE void all_tokens_a8(q35i_form form, const q35i_chunk *c, int blocks, const uint8_t *x, int64_t rs,
                               int64_t n, float *acc)
{
    for (; n >= 4; n -= 4, x += 4 * rs, acc += 4 * Q35I_ROWS)
        tokens_a8(form, 4, c, blocks, x, rs, acc);
    if (n & 2) {
        tokens_a8(form, 2, c, blocks, x, rs, acc);
        x += 2 * rs;
        acc += 2 * Q35I_ROWS;
    }
    if (n & 1)
        tokens_a8(form, 1, c, blocks, x, rs, acc);
}

void q35i_dot_a8__avx2(const q35i_codec *codec, const q35i_chunk *chunk, int blocks, const uint8_t *x,
                       int64_t rs_x, int64_t n_tokens, float *acc)
{
    switch (codec->form) {
    case Q35I_FORM_SIGNED: all_tokens_a8(Q35I_FORM_SIGNED, chunk, blocks, x, rs_x, n_tokens, acc); return;
    case Q35I_FORM_SUB16: all_tokens_a8(Q35I_FORM_SUB16, chunk, blocks, x, rs_x, n_tokens, acc); return;
    case Q35I_FORM_MIN: all_tokens_a8(Q35I_FORM_MIN, chunk, blocks, x, rs_x, n_tokens, acc); return;
    case Q35I_FORM_MIN16: all_tokens_a8(Q35I_FORM_MIN16, chunk, blocks, x, rs_x, n_tokens, acc); return;
    case Q35I_FORM_FLOAT: return;
    }
}

enum {
    CHAINS = 4,    /* sums of a chunk per token */
    REGISTERS = 16 /* of which half are sums: with more of them they would be stored and loaded */
};

/* Input i of n tokens, into sum c. */
Q35I_INLINE void add_input(int n, const __m256 *w, int i, const uint8_t *x, int64_t rs, int c,
                           __m256 sum[4][CHAINS])
{
    __m256 v = _mm256_load_ps((const float *)(w + i));
    for (int t = 0; t < n; t++) {
        float a;
        memcpy(&a, x + t * rs + 4 * (int64_t)i, 4);
        sum[t][c] = _mm256_fmadd_ps(v, _mm256_set1_ps(a), sum[t][c]);
    }
}

/* `chains` sums from chain `first` on, of n tokens, into sum[t][0 ..]. */
Q35I_INLINE void sum_chains(int n, int first, int chains, const __m256 *w, int inputs, const uint8_t *x,
                            int64_t rs, __m256 sum[4][CHAINS])
{
    for (int t = 0; t < n; t++)
        for (int c = 0; c < chains; c++)
            sum[t][c] = _mm256_setzero_ps();
    int i = first;
    for (; i + chains <= inputs; i += CHAINS)
        for (int c = 0; c < chains; c++)
            add_input(n, w, i + c, x, rs, c, sum);
    for (int c = 0; i + c < inputs && c < chains; c++)
        add_input(n, w, i + c, x, rs, c, sum);
}

/* Four tokens take two chains at a time, fewer all four. */
Q35I_INLINE void tokens_f32(int n, const __m256 *w, int inputs, const uint8_t *x, int64_t rs, float *acc)
{
    __m256 sum[4][CHAINS], half[4];
    const int chains = n * CHAINS > REGISTERS / 2 ? 2 : 4;
    sum_chains(n, 0, chains, w, inputs, x, rs, sum);
    for (int t = 0; t < n; t++)
        half[t] = _mm256_add_ps(sum[t][0], sum[t][1]);
    if (chains == 2)
        sum_chains(n, 2, 2, w, inputs, x, rs, sum);
    for (int t = 0; t < n; t++) {
        float *to = acc + Q35I_ROWS * t;
        __m256 other = _mm256_add_ps(sum[t][chains - 2], sum[t][chains - 1]);
        _mm256_store_ps(to, _mm256_add_ps(_mm256_load_ps(to), _mm256_add_ps(half[t], other)));
    }
}

void q35i_dot_f32__avx2(const __m256 *w, int inputs, const uint8_t *x, int64_t rs_x, int64_t n_tokens, float *acc)
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
