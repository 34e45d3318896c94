/* SPDX-License-Identifier: Apache-2.0
 *
 * ROTATE with AVX-512: up to 128 inputs live in 8 registers. Within a register a butterfly of distance h is one
 * permutation, which exchanges lanes h apart, and one fma with a factor of 1 or -1: partner + x where bit h of the
 * lane is clear, partner - x where it is set. The product is exact, so each step rounds as the reference's sum or
 * difference does. Wider blocks go through memory for the last distances. */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/rotation.h"
#include "kernels-cpu/simd/avx512_math.h"

enum { LANES = 16, SPAN = 128, PREFETCH_BYTES = 4096 };

#define INLINE static inline __attribute__((always_inline))

/* x, negated where the sign is below 0. */
INLINE __m512 signed_by(__m512 x, const int8_t *signs)
{
    __m512i s = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)signs));
    __m512i top = _mm512_and_si512(s, _mm512_set1_epi32(INT32_MIN));
    return _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(x), top));
}

/* Distances 1, 2, 4 and 8, of n registers side by side: each waits for the one before. by: +1 where the bit of the
 * lane is clear, -1 where it is set. */
INLINE void within(__m512 *v, int n)
{
    const __m512 by_1 = _mm512_setr4_ps(1, -1, 1, -1), by_2 = _mm512_setr4_ps(1, 1, -1, -1);
    const __m512 by_4 = _mm512_setr_ps(1, 1, 1, 1, -1, -1, -1, -1, 1, 1, 1, 1, -1, -1, -1, -1);
    const __m512 by_8 = _mm512_setr_ps(1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1, -1);
    for (int i = 0; i < n; i++)
        v[i] = _mm512_fmadd_ps(v[i], by_1, _mm512_permute_ps(v[i], 0xb1));
    for (int i = 0; i < n; i++)
        v[i] = _mm512_fmadd_ps(v[i], by_2, _mm512_permute_ps(v[i], 0x4e));
    for (int i = 0; i < n; i++)
        v[i] = _mm512_fmadd_ps(v[i], by_4, _mm512_shuffle_f32x4(v[i], v[i], 0xb1));
    for (int i = 0; i < n; i++)
        v[i] = _mm512_fmadd_ps(v[i], by_8, _mm512_shuffle_f32x4(v[i], v[i], 0x4e));
}

/* Rows of many tokens come from memory, across more pages than a core prefetches by itself. */
#define OWN_PREFETCH_INPUT
INLINE void prefetch_input(const float *x)
{
    _mm_prefetch((const char *)((uintptr_t)x + PREFETCH_BYTES), _MM_HINT_T0); /* may lie past the end */
}

typedef __m512 q35i_vector;

#define load  _mm512_loadu_ps
#define store _mm512_storeu_ps
#define all   _mm512_set1_ps

#include "kernels-cpu/simd/rotate_walk.h"

void q35k_rotate__avx512(const float *x, int64_t rs_x, int64_t k, const q35k_rotation *rotation, int inverse,
                         float *y, int64_t rs_y, int64_t begin, int64_t end)
{
    rotate_rows(x, rs_x, k, rotation, inverse, y, rs_y, begin, end);
}
