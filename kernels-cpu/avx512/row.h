/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the AVX-512 LINEAR of row types share: the codebook in registers, and a set of codes (vectors
 * as in kernels-cpu/row16.h) to weights. A weight is its level plus 128, so that vpdpbusd takes it as the unsigned
 * operand; 128 times the sum of the activations, which their heads carry, is taken off again. All sums are int32
 * and wrap on the way at most: kernels.h bounds what they end at.
 */
#ifndef Q35I_AVX512_ROW_H
#define Q35I_AVX512_ROW_H

#include "kernels-cpu/avx512/tile.h"
#include "kernels-cpu/row16.h"
#include "kernels-cpu/simd/stream.h"

/* The codebook, each component plus 128, indexed by the bits of a code that it depends on: magnitude and own sign.
 * One register, or for Q40_ROW two. */
typedef struct q35i_row_book {
    __m512i even[2], odd[2];
} q35i_row_book;

/* Weights plus 128 of `sets` sets of 64 inputs from k0 (a multiple of 128) on, of the tile at row r0, n_rows of
 * whose rows are there. w: 16 vectors per set, and 16 more where sets is odd; in w[j] byte 4 r + i belongs to row
 * r, its input is that of q35i_sorted_place. Inputs and rows that are not there have any weights. */
void q35i_row_decode__avx512(const q35k_weights *m, int64_t r0, int64_t n_rows, int64_t k0, int sets,
                             const q35i_row_book *book, __m512i *w);

/* 16 vectors of 6-bit codes; bits 6 and 7 of each byte are noise. */
Q35I_INLINE void q35i_load_set6(const uint8_t *set, __m512i v[16])
{
    const __m512i top = _mm512_set1_epi8((char)0xc0);
    for (int g = 0; g < 4; g++, set += 192, v += 4) {
        for (int b = 0; b < 3; b++)
            v[b] = _mm512_loadu_si512((const void *)(set + 64 * b));
        __m512i acc = v[0];
        for (int b = 1; b < 3; b++) /* 0xca: top ? v : acc >> 2 */
            acc = _mm512_ternarylogic_epi32(top, v[b], _mm512_srli_epi16(acc, 2), 0xca);
        v[3] = _mm512_srli_epi16(acc, 2);
    }
}

/* The vectors of codes of one set. */
Q35I_INLINE void q35i_row_load_set(uint32_t dtype, const uint8_t *set, __m512i *v)
{
    if (dtype == Q35_DT_Q60_ROW) {
        q35i_load_set6(set, v);
    } else if (dtype == Q35_DT_Q40_ROW) {
        for (int j = 0; j < 8; j++)
            v[j] = _mm512_loadu_si512((const void *)(set + 64 * j));
    } else {
        q35i_load_set(set, v);
    }
}

/* The even weights of 64 codes; bits above the index count nowhere. */
Q35I_INLINE __m512i q35i_row_even(uint32_t dtype, const q35i_row_book *book, __m512i code)
{
    if (dtype == Q35_DT_Q40_ROW)
        return q35i_lookup(book->even, code);
    return _mm512_permutexvar_epi8(code, book->even[0]);
}

/* The odd ones: their sign, the bit above that of the even weight, takes its place. */
Q35I_INLINE __m512i q35i_row_odd(uint32_t dtype, const q35i_row_book *book, __m512i code)
{
    const __m512i sign = _mm512_set1_epi8(dtype == Q35_DT_Q40_ROW ? 64 : 32);
    code = _mm512_ternarylogic_epi32(sign, _mm512_srli_epi16(code, 1), code, 0xca); /* sign ? code >> 1 : code */
    if (dtype == Q35_DT_Q40_ROW)
        return q35i_lookup(book->odd, code);
    return _mm512_permutexvar_epi8(code, book->odd[0]);
}

/* 2 c - 63 + 128. */
Q35I_INLINE __m512i q35i_row_weight6(__m512i code)
{
    __m512i c = _mm512_and_si512(code, _mm512_set1_epi8(63));
    return _mm512_add_epi8(_mm512_add_epi8(c, c), _mm512_set1_epi8(65));
}

/* Weights of inputs 8 j .. 8 j + 3 and of the next four, to even and odd ones. */
Q35I_INLINE void q35i_row_sort_singles(__m512i first, __m512i second, __m512i *w)
{
    const __m512i order =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15));
    const __mmask32 high = 0xaaaaaaaa;
    __m512i a = _mm512_shuffle_epi8(q35i_row_weight6(first), order);
    __m512i b = _mm512_shuffle_epi8(q35i_row_weight6(second), order);
    w[0] = _mm512_mask_blend_epi16(high, a, _mm512_slli_epi32(b, 16));
    w[1] = _mm512_mask_blend_epi16(high, _mm512_srli_epi32(a, 16), b);
}

/* v: the code vectors of one set; w: its 16 vectors of weights. */
Q35I_INLINE void q35i_row_weights(uint32_t dtype, const __m512i *v, const q35i_row_book *book, __m512i *w)
{
    for (int j = 0; j < 16 && dtype == Q35_DT_Q60_ROW; j += 2)
        q35i_row_sort_singles(v[j], v[j + 1], w + j);
    for (int j = 0; j < 8 && dtype != Q35_DT_Q60_ROW; j++) {
        w[2 * j] = q35i_row_even(dtype, book, v[j]);
        w[2 * j + 1] = q35i_row_odd(dtype, book, v[j]);
    }
}

/* One set of a packed tile to its 16 vectors of weights. */
Q35I_INLINE void q35i_row_decode_set(uint32_t dtype, const uint8_t *set, const q35i_row_book *book, __m512i *w)
{
    __m512i v[16];
    q35i_row_load_set(dtype, set, v);
    q35i_row_weights(dtype, v, book, w);
}

/* The bytes of one set into L2. */
Q35I_INLINE void q35i_row_prefetch_set(uint32_t dtype, uintptr_t set)
{
    for (uint32_t i = 0; i < q35k_row16_set_bytes(dtype); i += 64)
        _mm_prefetch((const char *)(set + i), _MM_HINT_T1);
}

#endif
