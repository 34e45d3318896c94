/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the AVX2 LINEAR of row types share: half tiles of 8 rows, codes to magnitudes and signs.
 *
 * A lookup of magnitudes is two byte shuffles of 16 entries each, or four: an index below those of table t is
 * negative and gives 0, and table t is stored as the difference (xor) to table t - 1, so that the results of
 * tables 0 .. t combine to entry t. The sign of a weight goes to the activation.
 *
 * Products: vpmaddubsw adds two u8 * s8 products with saturation at 32767. Magnitudes are at most 127, and
 * activation codes are within +-127 by contract, so a sum of two is at most 32258 and nothing saturates. vpmaddwd
 * with ones widens it to int32, where it is added.
 */
#ifndef Q35I_AVX2_ROW_H
#define Q35I_AVX2_ROW_H

#include "kernels-cpu/avx2/tile8.h"
#include "kernels-cpu/row16.h"
#include "kernels-cpu/simd/stream.h"

/* Magnitudes as byte lookups, alike in both 128-bit lanes: 2 tables, or 4 for Q40_ROW. */
typedef struct q35i_row_book {
    __m256i even[4], odd[4];
} q35i_row_book;

/* The weights of 32 codes; a sign vector is negative where its weight is, and never 0. */
typedef struct q35i_row_pair {
    __m256i even, odd, even_sign, odd_sign;
} q35i_row_pair;

void q35i_row_load_book__avx2(const q35k_weights *w, q35i_row_book *book);

/* Weights of `sets` sets of 64 inputs from k0 (a multiple of 256) on, of the 8 rows from r0 (a multiple of 8) on,
 * of which n_rows are there. w: 16 vectors per set; in w[j] byte 4 r + i belongs to row r, its input is
 * that of q35i_sorted_place. Inputs and rows that are not there have any weights. */
void q35i_row_decode__avx2(const q35k_weights *m, int64_t r0, int64_t n_rows, int64_t k0, int sets,
                           const q35i_row_book *book, __m256i *w);

Q35I_INLINE __m256i q35i_load32(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

/* Of Q35_ROW bit 7 of a code is noise. */
Q35I_INLINE q35i_row_pair q35i_row_lookup(uint32_t dtype, __m256i code, const q35i_row_book *book)
{
    const int bits = dtype == Q35_DT_Q35_ROW ? 5 : 6, tables = 1 << (bits - 4);
    __m256i index = _mm256_and_si256(code, _mm256_set1_epi8((char)((1 << bits) - 1)));
    __m256i odd_number = _mm256_or_si256(code, _mm256_set1_epi8(1));
    q35i_row_pair p = {_mm256_shuffle_epi8(book->even[0], index), _mm256_shuffle_epi8(book->odd[0], index),
                       _mm256_slli_epi16(odd_number, 7 - bits), _mm256_slli_epi16(odd_number, 6 - bits)};
    for (int t = 1; t < tables; t++) {
        __m256i at = _mm256_sub_epi8(index, _mm256_set1_epi8((char)(16 * t)));
        p.even = _mm256_xor_si256(p.even, _mm256_shuffle_epi8(book->even[t], at));
        p.odd = _mm256_xor_si256(p.odd, _mm256_shuffle_epi8(book->odd[t], at));
    }
    return p;
}

/* The weight 2 c - 63 of a 6-bit code; bits 6 and 7 of each byte are noise. */
Q35I_INLINE __m256i q35i_row_weight6(__m256i code)
{
    __m256i c = _mm256_and_si256(code, _mm256_set1_epi8(63));
    return _mm256_sub_epi8(_mm256_add_epi8(c, c), _mm256_set1_epi8(63));
}

/* acc >> n of each byte, with the top n bits of v above. */
Q35I_INLINE __m256i q35i_take_top(__m256i acc, __m256i v, int n, __m256i top)
{
    return _mm256_or_si256(_mm256_andnot_si256(top, _mm256_srli_epi16(acc, n)), _mm256_and_si256(top, v));
}

/* The code vectors of half a set (kernels-cpu/row16.h); the bits above a code's are noise. */
Q35I_INLINE void q35i_row_load_set(uint32_t dtype, const uint8_t *half, __m256i *v)
{
    const __m256i top1 = _mm256_set1_epi8((char)0x80), top2 = _mm256_set1_epi8((char)0xc0);
    if (dtype == Q35_DT_Q40_ROW) {
        for (int j = 0; j < 8; j++)
            v[j] = q35i_load32(half + 64 * j);
    } else if (dtype == Q35_DT_Q35_ROW) {
        for (int j = 0; j < 7; j++)
            v[j] = q35i_load32(half + 64 * j);
        v[7] = v[0];
        for (int j = 1; j < 7; j++)
            v[7] = q35i_take_top(v[7], v[j], 1, top1);
        v[7] = _mm256_srli_epi16(v[7], 1);
    } else {
        for (int g = 0; g < 4; g++, half += 192, v += 4) {
            for (int b = 0; b < 3; b++)
                v[b] = q35i_load32(half + 64 * b);
            __m256i acc = q35i_take_top(q35i_take_top(v[0], v[1], 2, top2), v[2], 2, top2);
            v[3] = _mm256_srli_epi16(acc, 2);
        }
    }
}

/* The bytes of one set into L2. */
Q35I_INLINE void q35i_row_prefetch_set(uint32_t dtype, uintptr_t set)
{
    for (uint32_t i = 0; i < q35k_row16_set_bytes(dtype); i += 64)
        _mm_prefetch((const char *)(set + i), _MM_HINT_T1);
}

#endif
