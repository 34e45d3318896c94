/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR of row types on 256-bit registers: what the shared walks (row_walk.h, row_few.h) need. Mirrors
 * q35k_linear_row__ref: the same bits. Static only; the including file brings first
 *   multiply_bytes  (sum, u8, s8): sum + the products of each dword's four bytes
 *   PANEL_BIAS      what the weights of many tokens are above their levels, 0 or 128
 *   decode          q35i_row_decode__avx2, with this bias
 *   add_products    as row_walk.h asks for it
 */
#ifndef Q35I_AVX2_LINEAR_ROW_H
#define Q35I_AVX2_LINEAR_ROW_H

#include "kernels-cpu/avx2/row.h"

enum {
    Q35I_ROW_BLOCK = 4, /* by 16 rows: 8 sums in registers */
    Q35I_ROW_FEW = 4,   /* tokens of the walk that keeps codes in registers */
    ROW_BIAS = 0,       /* of that walk */
    PARTS = 2,
    CHAINS = 2
};

typedef __m256i q35i_ints;
typedef __m256 q35i_floats;

#define splat_int    _mm256_set1_epi32
#define splat_float  _mm256_set1_ps
#define to_float     _mm256_cvtepi32_ps
#define multiply_add _mm256_fmadd_ps
#define multiply     _mm256_mul_ps
#define add_ints     _mm256_add_epi32
#define dot_f32      q35i_dot_f32__avx2

/* One rounding per weight. */
static void chunk_to_f32(uint32_t dtype, const __m256i *w, int inputs, __m256 scale, __m256 *out)
{
    (void)dtype;
    for (int i = 0; i < inputs; i++) {
        q35i_place at = q35i_sorted_place(i);
        __m256i levels = _mm256_xor_si256(w[at.vector], _mm256_set1_epi8((char)PANEL_BIAS));
        __m256i level = _mm256_srai_epi32(_mm256_slli_epi32(levels, 24 - 8 * at.byte), 24);
        out[i] = _mm256_mul_ps(scale, _mm256_cvtepi32_ps(level));
    }
}

static inline __m256 load_scales(const void *p)
{
    return _mm256_loadu_ps(p);
}

#define store_rows q35i_store_rows

/* 64 codes: word 2 j takes inputs 8 j, + 2, + 4, + 6, word 2 j + 1 the odd ones between; of single weights as they
 * are. */
Q35I_INLINE void sort_codes(uint32_t dtype, const int8_t *q, int32_t *out)
{
    const __m256i order =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15));
    for (int i = 0; i < 2; i++) {
        __m256i v = q35i_load32((const uint8_t *)q + 32 * i);
        _mm256_storeu_si256((__m256i *)(void *)(out + 8 * i),
                            dtype == Q35_DT_Q60_ROW ? v : _mm256_shuffle_epi8(v, order));
    }
}

#include "kernels-cpu/simd/row_walk.h"

/* 32 codes of pairs, or 64 of single weights, as what multiplies. */
Q35I_INLINE q35i_row_pair pair_of(uint32_t dtype, const __m256i *v, int j, const q35i_row_book *book)
{
    if (dtype != Q35_DT_Q60_ROW)
        return q35i_row_lookup(dtype, v[j], book);
    __m256i first = q35i_row_weight6(v[2 * j]), second = q35i_row_weight6(v[2 * j + 1]);
    return (q35i_row_pair){_mm256_abs_epi8(first), _mm256_abs_epi8(second), first, second};
}

/* One set for n tokens; a: its activations. */
Q35I_INLINE void add_set(uint32_t dtype, int n, const uint8_t *set, const q35i_row_book *book, const int32_t *a,
                         __m256i sum[Q35I_ROW_FEW][PARTS][CHAINS])
{
    q35i_stream_ahead(set, (int)q35k_row16_set_bytes(dtype));
    for (int u = 0; u < PARTS; u++) {
        __m256i v[16];
        q35i_row_load_set(dtype, set + 32 * u, v);
        for (int j = 0; j < 8; j++) {
            q35i_row_pair p = pair_of(dtype, v, j, book);
            for (int t = 0; t < n; t++) {
                __m256i even = _mm256_set1_epi32(a[16 * t + 2 * j]),
                        odd = _mm256_set1_epi32(a[16 * t + 2 * j + 1]);
                sum[t][u][0] = multiply_bytes(sum[t][u][0], p.even, _mm256_sign_epi8(even, p.even_sign));
                sum[t][u][1] = multiply_bytes(sum[t][u][1], p.odd, _mm256_sign_epi8(odd, p.odd_sign));
            }
        }
    }
}

#include "kernels-cpu/simd/row_few.h"

static void linear_row(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens, const q35k_weights *w,
                       float *out, int64_t rs_out, int64_t begin, int64_t end, void *scratch)
{
    if (n_tokens <= 0 || begin >= end)
        return;
    work *wk = scratch;
    q35i_row_load_book__avx2(w, &wk->book);
    if (n_tokens <= Q35I_ROW_FEW && act_type != Q35_DT_F32 && !(act_type & Q35K_PANEL) &&
        w->layout == Q35K_LAYOUT_ROW16) {
        few_tokens(x, act_type, rs_x, (int)n_tokens, w, &wk->book, out, rs_out, begin, end, wk + 1);
        return;
    }
    linear_row_many(x, act_type, rs_x, n_tokens, w, out, rs_out, begin, end, wk, (uint8_t *)(wk + 1));
}

#endif
