/* SPDX-License-Identifier: Apache-2.0
 *
 * RMS_NORM and ADD_RMS_NORM with AVX-512. Squares are summed, and the result is formed, in double, so that nothing
 * overflows and each output is one rounding; the row is read from cache anyway. A square of a float is exact in
 * double, so that an fma adds it with the one rounding of a sum. Mirrors q35k_norm__ref.
 */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/simd/avx512_math.h"

#include <math.h>

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 16, HALF = 8 };

/* s of LANES elements or, at the row's end, of the first lanes m; it is stored where `sum` is not NULL. */
INLINE __m512 load_sum(const float *a, const float *b, float *sum, __mmask16 m)
{
    __m512 s = _mm512_maskz_loadu_ps(m, a);
    s = b ? _mm512_add_ps(s, _mm512_maskz_loadu_ps(m, b)) : s;
    if (sum)
        _mm512_mask_storeu_ps(sum, m, s);
    return s;
}

INLINE void add_squares(__m512 s, __m512d *low, __m512d *high)
{
    *low = _mm512_fmadd_pd(q35i_low_f64__avx512(s), q35i_low_f64__avx512(s), *low);
    *high = _mm512_fmadd_pd(q35i_high_f64__avx512(s), q35i_high_f64__avx512(s), *high);
}

INLINE double sum_squares(const float *a, const float *b, float *sum, int64_t k)
{
    __m512d low = _mm512_setzero_pd(), high = low;
    int64_t i = 0;
    for (; i + LANES <= k; i += LANES)
        add_squares(load_sum(a + i, b ? b + i : NULL, sum ? sum + i : NULL, 0xffff), &low, &high);
    if (i < k)
        add_squares(load_sum(a + i, b ? b + i : NULL, sum ? sum + i : NULL, q35i_first16(k - i)), &low, &high);
    return q35i_lanes_sum_f64__avx512(low, high);
}

INLINE __m256 scaled(__m256 s, __m512d factor, __m256 w)
{
    return _mm512_cvtpd_ps(_mm512_mul_pd(_mm512_mul_pd(_mm512_cvtps_pd(s), factor), _mm512_cvtps_pd(w)));
}

/* y of s, which is sum or a + b. */
INLINE void scale(const float *a, const float *b, const float *w, __m512d factor, float *y, int64_t k)
{
    int64_t i = 0;
    for (; i + HALF <= k; i += HALF) {
        __m256 s = _mm256_loadu_ps(a + i);
        s = b ? _mm256_add_ps(s, _mm256_loadu_ps(b + i)) : s;
        _mm256_storeu_ps(y + i, scaled(s, factor, _mm256_loadu_ps(w + i)));
    }
    if (i < k) {
        const __mmask8 m = (__mmask8)q35i_first16(k - i);
        __m256 s = _mm256_maskz_loadu_ps(m, a + i);
        s = b ? _mm256_add_ps(s, _mm256_maskz_loadu_ps(m, b + i)) : s;
        _mm256_mask_storeu_ps(y + i, m, scaled(s, factor, _mm256_maskz_loadu_ps(m, w + i)));
    }
}

static void norm_row(const float *a, const float *b, const float *w, float eps, float *sum, float *y, int64_t k)
{
    const double squares = sum_squares(a, b, sum, k);
    const __m512d factor = _mm512_set1_pd(1 / sqrt(squares / (double)k + (double)eps));
    scale(sum ? sum : a, sum ? NULL : b, w, factor, y, k);
}

void q35k_norm__avx512(const float *a, const float *b, const float *w, float eps, float *sum, float *y, int64_t rs,
                       int64_t k, int64_t begin, int64_t end)
{
    int64_t step = rs / (int64_t)sizeof(float);
    for (int64_t t = begin; t < end; t++)
        norm_row(a + t * step, b ? b + t * step : NULL, w, eps, sum ? sum + t * step : NULL, y + t * step, k);
}
