/* SPDX-License-Identifier: Apache-2.0
 *
 * What the shared walk (row_walk.h) needs with AVX-512 VBMI, but for the products themselves: the names of
 * operations, codes of activations in the order of the weights, weights to floats, scales in and results out.
 * Static only. */
#ifndef Q35I_AVX512_LINEAR_ROW_H
#define Q35I_AVX512_LINEAR_ROW_H

#include "kernels-cpu/avx512/row.h"

enum { ROW_BIAS = 128, PANEL_BIAS = ROW_BIAS };

typedef __m512i q35i_ints;
typedef __m512 q35i_floats;

#define splat_int    _mm512_set1_epi32
#define splat_float  _mm512_set1_ps
#define to_float     _mm512_cvtepi32_ps
#define multiply_add _mm512_fmadd_ps
#define multiply     _mm512_mul_ps
#define add_ints     _mm512_add_epi32
#define decode       q35i_row_decode__avx512
#define dot_f32      q35i_dot_f32__avx512

/* One rounding per weight. */
static inline void chunk_to_f32(uint32_t dtype, const __m512i *w, int inputs, __m512 scale, __m512 *out)
{
    (void)dtype;
    for (int i = 0; i < inputs; i++) {
        q35i_place at = q35i_sorted_place(i);
        __m512i level = _mm512_srli_epi32(w[at.vector], (unsigned)(8 * at.byte));
        level = _mm512_sub_epi32(_mm512_and_si512(level, _mm512_set1_epi32(255)), _mm512_set1_epi32(PANEL_BIAS));
        out[i] = _mm512_mul_ps(scale, _mm512_cvtepi32_ps(level));
    }
}

static inline __m512 load_scales(const void *p)
{
    return _mm512_loadu_ps(p);
}

static inline void store_rows(float *out, int64_t n_rows, __m512 y)
{
    if (n_rows >= Q35I_ROWS)
        q35i_store_rows(out, 0xffff, y);
    else
        q35i_store_rows(out, (__mmask16)((1u << n_rows) - 1u), y);
}

/* 64 codes: word 2 j takes inputs 8 j, + 2, + 4, + 6, word 2 j + 1 the odd ones between. */
Q35I_INLINE __m512i q35i_sorted(const int8_t *q)
{
    const __m512i order =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15));
    return _mm512_shuffle_epi8(_mm512_loadu_si512((const void *)q), order);
}

Q35I_INLINE void sort_codes(uint32_t dtype, const int8_t *q, int32_t *out)
{
    __m512i v = dtype == Q35_DT_Q60_ROW ? _mm512_loadu_si512((const void *)q) : q35i_sorted(q);
    _mm512_storeu_si512((void *)out, v);
}

/* Entries first .. first + 31 of a book, each component plus 128. */
Q35I_INLINE __m512i load_pairs(const q35k_weights *w, uint32_t first)
{
    return _mm512_xor_si512(_mm512_loadu_si512((const void *)(w->book + first)), _mm512_set1_epi8((char)0x80));
}

/* Both halves' even, or odd, bytes. */
Q35I_INLINE __m512i join_even(__m512i a, __m512i b)
{
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtepi16_epi8(a)), _mm512_cvtepi16_epi8(b), 1);
}

Q35I_INLINE __m512i join_odd(__m512i a, __m512i b)
{
    return join_even(_mm512_srli_epi16(a, 8), _mm512_srli_epi16(b, 8));
}

/* A quarter of the entries, those without signs, and the same with the component's sign. */
static inline void load_book(const q35k_weights *w, q35i_row_book *book)
{
    const uint32_t quarter = q35_book_entries(w->dtype) / 4;
    if (quarter == 32) {
        book->even[0] = join_even(load_pairs(w, 0), load_pairs(w, quarter));
        book->odd[0] = join_odd(load_pairs(w, 0), load_pairs(w, 2 * quarter));
    }
    for (uint32_t i = 0; i < 2 && quarter == 64; i++) {
        book->even[i] = join_even(load_pairs(w, i * quarter), load_pairs(w, i * quarter + 32));
        book->odd[i] = join_odd(load_pairs(w, 2 * i * quarter), load_pairs(w, 2 * i * quarter + 32));
    }
}

#endif
