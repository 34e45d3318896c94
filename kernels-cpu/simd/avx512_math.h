/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions of f32 vectors that AVX-512 kernels share. Static inline only: a copy of them must never be linked
 * into code that runs on other machines.
 */
#ifndef Q35I_SIMD_AVX512_MATH_H
#define Q35I_SIMD_AVX512_MATH_H

#include "kernels-cpu/series.h"

#include <immintrin.h>

/* Without optimisation gcc's intrinsics are macros, whose inner conversions would be reported in our lines. */
#if defined(__GNUC__) && !defined(__OPTIMIZE__)
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wconversion"
#endif

/* q35k_exp: x <= 0. */
static inline __m512 q35i_exp__avx512(__m512 x)
{
    const __m512 shift = _mm512_set1_ps(Q35K_EXP_ROUND);
    const __m512 shifted = _mm512_fmadd_ps(x, _mm512_set1_ps(Q35K_EXP_LOG2E), shift);
    const __m512 n = _mm512_sub_ps(shifted, shift);
    const __mmask16 kept = _mm512_cmp_ps_mask(x, _mm512_set1_ps(Q35K_EXP_LOWEST), _CMP_NLT_UQ); /* NaN too */
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(Q35K_EXP_LN2), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(Q35K_EXP_LN2_REST), r);
    __m512 p = _mm512_set1_ps(q35k_exp_series[6]);
    for (int i = 5; i >= 0; i--)
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(q35k_exp_series[i]));
    return _mm512_maskz_mul_ps(kept, p, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(shifted), 23)));
}

/* The two halves of 16 floats as doubles, and back with one rounding. */
static inline __m512d q35i_low_f64__avx512(__m512 v)
{
    return _mm512_cvtps_pd(_mm512_castps512_ps256(v));
}

static inline __m512d q35i_high_f64__avx512(__m512 v)
{
    return _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1));
}

/* q35k_lanes_sum */
static inline float q35i_lanes_sum__avx512(__m512 v)
{
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    quarter = _mm_add_ps(quarter, _mm_movehdup_ps(quarter));
    return _mm_cvtss_f32(_mm_add_ss(quarter, _mm_movehl_ps(quarter, quarter)));
}

/* NaN in any lane: NaN or the largest of the others. */
static inline float q35i_max16__avx512(__m512 v)
{
    __m256 a = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_max_ps(b, _mm_movehl_ps(b, b));
    b = _mm_max_ss(b, _mm_movehdup_ps(b));
    return _mm_cvtss_f32(b);
}

/* q35k_lanes_sum_f64 of lanes 0 .. 7 and 8 .. 15 */
static inline double q35i_lanes_sum_f64__avx512(__m512d low, __m512d high)
{
    __m512d half = _mm512_add_pd(low, high);
    __m256d quarter = _mm256_add_pd(_mm512_castpd512_pd256(half), _mm512_extractf64x4_pd(half, 1));
    __m128d a = _mm256_castpd256_pd128(quarter), b = _mm256_extractf128_pd(quarter, 1);
    __m128d pairs = _mm_add_pd(_mm_unpacklo_pd(a, b), _mm_unpackhi_pd(a, b));
    return _mm_cvtsd_f64(_mm_add_sd(pairs, _mm_unpackhi_pd(pairs, pairs)));
}

/* The first n (0..16) lanes. */
static inline __mmask16 q35i_first16(long long n)
{
    return (__mmask16)(n >= 16 ? 0xffffu : (1u << n) - 1u);
}

#endif
