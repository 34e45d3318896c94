/* SPDX-License-Identifier: Apache-2.0
 *
 * ROTATE with AVX2: up to 64 inputs live in 8 of the 16 registers. Within a register a butterfly of distance h is
 * one permutation, which exchanges lanes h apart, and one fma with a factor of 1 or -1: partner + x where bit h of
 * the lane is clear, partner - x where it is set. The product is exact, so each step rounds as the reference's sum
 * or difference does. Wider blocks go through memory for the last distances. */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/rotation.h"
#include "kernels-cpu/simd/avx2_math.h"

enum { LANES = 8, SPAN = 64 };

#define INLINE static inline __attribute__((always_inline))

/* x, negated where the sign is below 0. */
INLINE __m256 signed_by(__m256 x, const int8_t *signs)
{
    __m256i s = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)signs));
    __m256i top = _mm256_and_si256(s, _mm256_set1_epi32(INT32_MIN));
    return _mm256_castsi256_ps(_mm256_xor_si256(_mm256_castps_si256(x), top));
}

/* Distances 1, 2 and 4, of n registers side by side: each waits for the one before. */
INLINE void within(__m256 *v, int n)
{
    const __m256 by_1 = _mm256_setr_ps(1, -1, 1, -1, 1, -1, 1, -1);
    const __m256 by_2 = _mm256_setr_ps(1, 1, -1, -1, 1, 1, -1, -1);
    const __m256 by_4 = _mm256_setr_ps(1, 1, 1, 1, -1, -1, -1, -1);
    for (int i = 0; i < n; i++)
        v[i] = _mm256_fmadd_ps(v[i], by_1, _mm256_permute_ps(v[i], 0xb1));
    for (int i = 0; i < n; i++)
        v[i] = _mm256_fmadd_ps(v[i], by_2, _mm256_permute_ps(v[i], 0x4e));
    for (int i = 0; i < n; i++)
        v[i] = _mm256_fmadd_ps(v[i], by_4, _mm256_permute2f128_ps(v[i], v[i], 0x01));
}

typedef __m256 q35i_vector;

#define load  _mm256_loadu_ps
#define store _mm256_storeu_ps
#define all   _mm256_set1_ps

#include "kernels-cpu/simd/rotate_walk.h"

void q35k_rotate__avx2(const float *x, int64_t rs_x, int64_t k, const q35k_rotation *rotation, int inverse,
                       float *y, int64_t rs_y, int64_t begin, int64_t end)
{
    rotate_rows(x, rs_x, k, rotation, inverse, y, rs_y, begin, end);
}
