/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions of f32 vectors that AVX-512 kernels share. Static inline only: a copy of them must never be linked
 * into code that runs on other machines.
 */
#ifndef Q35I_SIMD_AVX512_MATH_H
#define Q35I_SIMD_AVX512_MATH_H

#include <immintrin.h>

/* Without optimisation gcc's intrinsics are macros, whose inner conversions would be reported in our lines. */
#if defined(__GNUC__) && !defined(__OPTIMIZE__)
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wconversion"
#endif

/* exp(x), relative error below 1e-7 where the result is normal, less than one step of 2^-149
 * where it is not; 0 below -104, +inf from 88.73 on, NaN for NaN.
 * x = n ln 2 + r, |r| <= ln 2 / 2; exp(r) by its Taylor polynomial of degree 7 (next term: 5.3e-9 relative); 2^n
 * by scaling. ln 2 in two parts, so that n ln 2 is exact. */
static inline __m512 q35i_exp__avx512(__m512 x)
{
    /* min and max return their second operand when one is NaN. */
    x = _mm512_min_ps(_mm512_set1_ps(89.0f), _mm512_max_ps(_mm512_set1_ps(-105.0f), x));
    __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    __m512 p = _mm512_set1_ps(1.0f / 5040);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 720));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 120));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
    /* 1 + (r + r^2 p): the large term is added last. */
    p = _mm512_fmadd_ps(_mm512_mul_ps(r, r), p, r);
    p = _mm512_add_ps(p, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(p, n);
}

/* exp(x) in double, relative error below 2^-50; x is taken as -708 or 709 beyond those, NaN for NaN. As
 * q35i_exp__avx512, with the Taylor polynomial of degree 13 (next term: 4.2e-18 relative). */
static inline __m512d q35i_exp_f64__avx512(__m512d x)
{
    static const double inverse_factorial[14] = {
        1,          1,           1.0 / 2,      1.0 / 6,       1.0 / 24,       1.0 / 120,       1.0 / 720,
        1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0};
    x = _mm512_min_pd(_mm512_set1_pd(709), _mm512_max_pd(_mm512_set1_pd(-708), x));
    __m512d n =
        _mm512_roundscale_pd(_mm512_mul_pd(x, _mm512_set1_pd(1.4426950408889634)), _MM_FROUND_TO_NEAREST_INT);
    __m512d r = _mm512_fnmadd_pd(n, _mm512_set1_pd(0.6931471805599453), x); /* ln 2 as the sum of two doubles */
    r = _mm512_fnmadd_pd(n, _mm512_set1_pd(2.3190468138462996e-17), r);
    __m512d p = _mm512_set1_pd(inverse_factorial[13]);
    for (int i = 12; i >= 0; i--)
        p = _mm512_fmadd_pd(p, r, _mm512_set1_pd(inverse_factorial[i]));
    return _mm512_scalef_pd(p, n);
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

static inline __m512 q35i_join_f32__avx512(__m512d low, __m512d high)
{
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low)), _mm512_cvtpd_ps(high), 1);
}

/* Lanes in a fixed order: halves are added until one is left. */
static inline float q35i_sum16__avx512(__m512 v)
{
    __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    b = _mm_add_ss(b, _mm_movehdup_ps(b));
    return _mm_cvtss_f32(b);
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

static inline double q35i_sum8_f64__avx512(__m512d v)
{
    __m256d a = _mm256_add_pd(_mm512_castpd512_pd256(v), _mm512_extractf64x4_pd(v, 1));
    __m128d b = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_add_sd(b, _mm_unpackhi_pd(b, b)));
}

/* The first n (0..16) lanes. */
static inline __mmask16 q35i_first16(long long n)
{
    return (__mmask16)(n >= 16 ? 0xffffu : (1u << n) - 1u);
}

#endif
