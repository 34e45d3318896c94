/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions of f32 vectors that AVX2 kernels share. Static inline only: a copy of them must never be linked into
 * code that runs on other machines.
 */
#ifndef Q35I_SIMD_AVX2_MATH_H
#define Q35I_SIMD_AVX2_MATH_H

#include "kernels-cpu/series.h"

#include <immintrin.h>
#include <string.h>

/* q35k_exp: x <= 0. */
static inline __m256 q35i_exp__avx2(__m256 x)
{
    const __m256 shift = _mm256_set1_ps(Q35K_EXP_ROUND);
    const __m256 shifted = _mm256_fmadd_ps(x, _mm256_set1_ps(Q35K_EXP_LOG2E), shift);
    const __m256 n = _mm256_sub_ps(shifted, shift);
    const __m256 kept = _mm256_cmp_ps(x, _mm256_set1_ps(Q35K_EXP_LOWEST), _CMP_NLT_UQ); /* NaN too */
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(Q35K_EXP_LN2), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(Q35K_EXP_LN2_REST), r);
    __m256 p = _mm256_set1_ps(q35k_exp_series[6]);
    for (int i = 5; i >= 0; i--)
        p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(q35k_exp_series[i]));
    p = _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(shifted), 23)));
    return _mm256_and_ps(p, kept);
}

/* q35k_exp_f64 */
static inline __m256d q35i_exp_f64__avx2(__m256d x)
{
    /* min and max return their second operand when one is NaN. */
    x = _mm256_min_pd(_mm256_set1_pd(Q35K_EXP_F64_LARGEST), _mm256_max_pd(_mm256_set1_pd(Q35K_EXP_F64_LOWEST), x));
    __m256d n = _mm256_round_pd(_mm256_mul_pd(x, _mm256_set1_pd(Q35K_EXP_F64_LOG2E)),
                                _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256d r = _mm256_fnmadd_pd(n, _mm256_set1_pd(Q35K_EXP_F64_LN2), x);
    r = _mm256_fnmadd_pd(n, _mm256_set1_pd(Q35K_EXP_F64_LN2_REST), r);
    __m256d p = _mm256_set1_pd(q35k_inverse_factorial[13]);
    for (int i = 12; i >= 0; i--)
        p = _mm256_fmadd_pd(p, r, _mm256_set1_pd(q35k_inverse_factorial[i]));
    /* 2^n through the exponent bits: n is in [-1022, 1023] */
    __m256i bits = _mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_cvtpd_epi32(n)), _mm256_set1_epi64x(1023));
    return _mm256_mul_pd(p, _mm256_castsi256_pd(_mm256_slli_epi64(bits, 52)));
}

/* The two halves of 8 floats as doubles, and back with one rounding. */
static inline __m256d q35i_low_f64__avx2(__m256 v)
{
    return _mm256_cvtps_pd(_mm256_castps256_ps128(v));
}

static inline __m256d q35i_high_f64__avx2(__m256 v)
{
    return _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1));
}

static inline __m256 q35i_join_f32__avx2(__m256d low, __m256d high)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(low)), _mm256_cvtpd_ps(high), 1);
}

/* q35k_lanes_sum of lanes 0 .. 7 and 8 .. 15 */
static inline float q35i_lanes_sum__avx2(__m256 low, __m256 high)
{
    __m256 half = _mm256_add_ps(low, high);
    __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    quarter = _mm_add_ps(quarter, _mm_movehdup_ps(quarter));
    return _mm_cvtss_f32(_mm_add_ss(quarter, _mm_movehl_ps(quarter, quarter)));
}

static inline float q35i_max8__avx2(__m256 v)
{
    __m128 b = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    b = _mm_max_ps(b, _mm_movehl_ps(b, b));
    b = _mm_max_ss(b, _mm_movehdup_ps(b));
    return _mm_cvtss_f32(b);
}

/* q35k_lanes_sum_f64 of lanes 4 i .. 4 i + 3 */
static inline double q35i_lanes_sum_f64__avx2(const __m256d lane[4])
{
    __m256d v = _mm256_add_pd(_mm256_add_pd(lane[0], lane[2]), _mm256_add_pd(lane[1], lane[3]));
    __m128d low = _mm256_castpd256_pd128(v), high = _mm256_extractf128_pd(v, 1);
    __m128d pairs = _mm_add_pd(_mm_unpacklo_pd(low, high), _mm_unpackhi_pd(low, high));
    return _mm_cvtsd_f64(_mm_add_sd(pairs, _mm_unpackhi_pd(pairs, pairs)));
}

/* All bits set in the first n lanes. */
static inline __m256i q35i_first8(long long n)
{
    int k = n < 0 ? 0 : n > 8 ? 8 : (int)n;
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(k), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* 8 f16 at p, of which the first n exist; the others give 0. n may be 0 or less. */
static inline __m256 q35i_load_half8__avx2(const void *p, long long n)
{
    if (n >= 8)
        return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
    unsigned char buffer[16] = {0};
    if (n > 0)
        memcpy(buffer, p, (size_t)n * 2);
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)buffer));
}

#endif
