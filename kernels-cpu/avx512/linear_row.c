/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR of row types with AVX-512 VBMI and VNNI: what the shared walks (row_walk.h, row_few.h) need. Mirrors
 * q35k_linear_row__ref: the same bits.
 */
#include "kernels-cpu/avx512/linear_row.h"
#include "kernels-cpu/kernels_decl.h"

enum {
    Q35I_ROW_BLOCK = 8, /* by 32 rows: 16 sums in registers */
    Q35I_ROW_FEW = 8,   /* tokens of the walk that keeps codes in registers */
    PARTS = 1,
    CHAINS = 4
};
#define FEW_UP_TO_8

/* Four inputs of n tokens, whose codes lie side by side. Vector u of w lies `stride` after vector u - 1. vpdpbusd
 * does not saturate. */
Q35I_INLINE void add_products(int n, int tiles, const __m512i *w, int stride, const uint8_t *q, __m512i (*sum)[2])
{
    for (int t = 0; t < n; t++) {
        int32_t codes;
        memcpy(&codes, q + 4 * t, 4);
        __m512i a = _mm512_set1_epi32(codes);
        for (int u = 0; u < tiles; u++)
            sum[t][u] = _mm512_dpbusd_epi32(sum[t][u], w[u * stride], a);
    }
}

/* The 16 words of each of 8 tokens to 16 vectors of 8. */
#define OWN_PACK_SET
static void pack_set(const int8_t *codes, int64_t rs, int32_t *set)
{
    const __m512i pairs = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11); /* 128-bit lanes 0 of both, 1 of both */
    const __m512i later = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    __m512i fours[2][4]; /* lane l of vector j: word 4 l + j of four tokens */
    for (int h = 0; h < 2; h++) {
        __m512i row[4];
        for (int i = 0; i < 4; i++)
            row[i] = q35i_sorted(codes + (4 * h + i) * rs);
        q35i_transpose4(row, fours[h]);
    }
    for (int j = 0; j < 4; j += 2) {
        __m512i a = _mm512_permutex2var_epi64(fours[0][j], pairs, fours[1][j]);
        __m512i b = _mm512_permutex2var_epi64(fours[0][j + 1], pairs, fours[1][j + 1]);
        __m512i c = _mm512_permutex2var_epi64(fours[0][j], later, fours[1][j]);
        __m512i d = _mm512_permutex2var_epi64(fours[0][j + 1], later, fours[1][j + 1]);
        _mm512_storeu_si512((void *)(set + 8 * j), _mm512_shuffle_i64x2(a, b, 0x44));
        _mm512_storeu_si512((void *)(set + 8 * j + 32), _mm512_shuffle_i64x2(a, b, 0xee));
        _mm512_storeu_si512((void *)(set + 8 * j + 64), _mm512_shuffle_i64x2(c, d, 0x44));
        _mm512_storeu_si512((void *)(set + 8 * j + 96), _mm512_shuffle_i64x2(c, d, 0xee));
    }
}

#include "kernels-cpu/simd/row_walk.h"

/* The weights of code vector j, or of 6-bit codes of two; i: even ones, or odd. */
Q35I_INLINE __m512i weights_of(uint32_t dtype, const q35i_row_book *book, const __m512i *v, int j, int i)
{
    if (dtype == Q35_DT_Q60_ROW)
        return q35i_row_weight6(v[2 * j + i]);
    return i == 0 ? q35i_row_even(dtype, book, v[j]) : q35i_row_odd(dtype, book, v[j]);
}

/* One set for n tokens; a: its activations. A sum waits for itself, so all tokens take their turn between two
 * products of one; and gcc keeps sums in their registers only where the loop over j is unrolled. */
Q35I_INLINE void add_set(uint32_t dtype, int n, const uint8_t *set, const q35i_row_book *book, const int32_t *a,
                         __m512i sum[Q35I_ROW_FEW][PARTS][CHAINS])
{
    __m512i v[16];
    q35i_stream_ahead(set, (int)q35k_row16_set_bytes(dtype));
    q35i_row_load_set(dtype, set, v);
#pragma GCC unroll 8
    for (int j = 0; j < 8; j++)
        for (int i = 0; i < 2; i++) {
            const __m512i w = weights_of(dtype, book, v, j, i);
            const int c = n > 2 ? i : 2 * (j & 1) + i;
            for (int t = 0; t < n; t++)
                sum[t][0][c] = _mm512_dpbusd_epi32(sum[t][0][c], w, _mm512_set1_epi32(a[16 * t + 2 * j + i]));
        }
}

#include "kernels-cpu/simd/row_few.h"

void q35k_pack_act__avx512(const void *x, uint32_t act_type, int64_t rs_x, int64_t k, int64_t n_tokens,
                           void *panel, int64_t begin, int64_t end)
{
    pack_tokens(x, act_type, rs_x, k, n_tokens, panel, begin, end);
}

void q35k_linear_row__avx512(const void *x, uint32_t act_type, int64_t rs_x, int64_t n_tokens,
                             const q35k_weights *w, float *out, int64_t rs_out, int64_t begin, int64_t end,
                             void *scratch)
{
    if (n_tokens <= 0 || begin >= end)
        return;
    work *wk = scratch;
    load_book(w, &wk->book);
    if (n_tokens <= Q35I_ROW_FEW && act_type != Q35_DT_F32 && !(act_type & Q35K_PANEL) &&
        w->layout == Q35K_LAYOUT_ROW16) {
        few_tokens(x, act_type, rs_x, (int)n_tokens, w, &wk->book, out, rs_out, begin, end, wk + 1);
        return;
    }
    linear_row_many(x, act_type, rs_x, n_tokens, w, out, rs_out, begin, end, wk, (uint8_t *)(wk + 1));
}
