/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions of f32 vectors that AVX2 kernels share. Static inline only: a copy of them must never be linked into
 * code that runs on other machines.
 */
#ifndef Q35I_SIMD_AVX2_MATH_H
#define Q35I_SIMD_AVX2_MATH_H

#include <immintrin.h>
#include <string.h>

/* 2^n for n in [-126, 127]. */
static inline __m256 q35i_pow2__avx2(__m256i n)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}

/* exp(x), as q35i_exp__avx512: relative error below 1e-7 where the result is normal; 0 below -104, +inf
 * from 88.73 on, NaN for NaN. 2^n in two factors, so that subnormal results and the largest ones come out. */
static inline __m256 q35i_exp__avx2(__m256 x)
{
    /* min and max return their second operand when one is NaN. */
    x = _mm256_min_ps(_mm256_set1_ps(89.0f), _mm256_max_ps(_mm256_set1_ps(-105.0f), x));
    __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)),
                               _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
    __m256 p = _mm256_set1_ps(1.0f / 5040);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 720));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 120));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 24));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 6));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
    p = _mm256_fmadd_ps(_mm256_mul_ps(r, r), p, r);
    p = _mm256_add_ps(p, _mm256_set1_ps(1.0f));
    __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    p = _mm256_mul_ps(p, q35i_pow2__avx2(half));
    return _mm256_mul_ps(p, q35i_pow2__avx2(_mm256_sub_epi32(whole, half)));
}

/* exp(x) in double, as q35i_exp_f64__avx512. */
static inline __m256d q35i_exp_f64__avx2(__m256d x)
{
    static const double inverse_factorial[14] = {
        1,          1,           1.0 / 2,      1.0 / 6,       1.0 / 24,       1.0 / 120,       1.0 / 720,
        1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0};
    x = _mm256_min_pd(_mm256_set1_pd(709), _mm256_max_pd(_mm256_set1_pd(-708), x));
    __m256d n = _mm256_round_pd(_mm256_mul_pd(x, _mm256_set1_pd(1.4426950408889634)),
                                _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256d r = _mm256_fnmadd_pd(n, _mm256_set1_pd(0.6931471805599453), x);
    r = _mm256_fnmadd_pd(n, _mm256_set1_pd(2.3190468138462996e-17), r);
    __m256d p = _mm256_set1_pd(inverse_factorial[13]);
    for (int i = 12; i >= 0; i--)
        p = _mm256_fmadd_pd(p, r, _mm256_set1_pd(inverse_factorial[i]));
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

/* Lanes in a fixed order: halves are added until one is left. */
static inline float q35i_sum8__avx2(__m256 v)
{
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    b = _mm_add_ss(b, _mm_movehdup_ps(b));
    return _mm_cvtss_f32(b);
}

static inline float q35i_max8__avx2(__m256 v)
{
    __m128 b = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    b = _mm_max_ps(b, _mm_movehl_ps(b, b));
    b = _mm_max_ss(b, _mm_movehdup_ps(b));
    return _mm_cvtss_f32(b);
}

static inline double q35i_sum4_f64__avx2(__m256d v)
{
    __m128d b = _mm_add_pd(_mm256_castpd256_pd128(v), _mm256_extractf128_pd(v, 1));
    return _mm_cvtsd_f64(_mm_add_sd(b, _mm_unpackhi_pd(b, b)));
}

/* All bits set in the first n lanes. */
static inline __m256i q35i_first8(long long n)
{
    int k = n < 0 ? 0 : n > 8 ? 8 : (int)n;
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(k), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* 8 f16 at p, of which the first n exist; the others give 0. */
static inline __m256 q35i_load_half8__avx2(const void *p, long long n)
{
    if (n >= 8)
        return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
    unsigned char buffer[16] = {0};
    memcpy(buffer, p, (size_t)n * 2);
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)buffer));
}

#endif
