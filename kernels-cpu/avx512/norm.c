/* SPDX-License-Identifier: Apache-2.0
 *
 * RMS_NORM and ADD_RMS_NORM with AVX-512. Squares are summed, and the result is formed, in double, so that nothing
 * overflows and each output is one rounding; the row is read from cache anyway. A square of a float is exact in
 * double, so that an fma adds it with the one rounding of a sum. Mirrors q35k_norm__ref.
 */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/simd/avx512_math.h"

#include <math.h>

static inline __m512 load_sum(const float *a, const float *b, int64_t i, __mmask16 m)
{
    __m512 s = _mm512_maskz_loadu_ps(m, a + i);
    return b ? _mm512_add_ps(s, _mm512_maskz_loadu_ps(m, b + i)) : s;
}

static inline __m512 scale_pd(__m512 s, __m512d factor, __m512 w)
{
    __m512d low = _mm512_mul_pd(_mm512_mul_pd(q35i_low_f64__avx512(s), factor), q35i_low_f64__avx512(w));
    __m512d high = _mm512_mul_pd(_mm512_mul_pd(q35i_high_f64__avx512(s), factor), q35i_high_f64__avx512(w));
    return q35i_join_f32__avx512(low, high);
}

static void norm_row(const float *a, const float *b, const float *w, float eps, float *sum, float *y, int64_t k)
{
    __m512d low = _mm512_setzero_pd(), high = low;
    for (int64_t i = 0; i < k; i += 16) {
        __mmask16 m = q35i_first16(k - i);
        __m512 s = load_sum(a, b, i, m);
        if (sum)
            _mm512_mask_storeu_ps(sum + i, m, s);
        low = _mm512_fmadd_pd(q35i_low_f64__avx512(s), q35i_low_f64__avx512(s), low);
        high = _mm512_fmadd_pd(q35i_high_f64__avx512(s), q35i_high_f64__avx512(s), high);
    }
    double squares = q35i_lanes_sum_f64__avx512(low, high);
    __m512d factor = _mm512_set1_pd(1 / sqrt(squares / (double)k + (double)eps));
    for (int64_t i = 0; i < k; i += 16) {
        __mmask16 m = q35i_first16(k - i);
        __m512 s = sum ? _mm512_maskz_loadu_ps(m, sum + i) : load_sum(a, b, i, m);
        _mm512_mask_storeu_ps(y + i, m, scale_pd(s, factor, _mm512_maskz_loadu_ps(m, w + i)));
    }
}

void q35k_norm__avx512(const float *a, const float *b, const float *w, float eps, float *sum, float *y, int64_t rs,
                       int64_t k, int64_t begin, int64_t end)
{
    int64_t step = rs / (int64_t)sizeof(float);
    for (int64_t t = begin; t < end; t++)
        norm_row(a + t * step, b ? b + t * step : NULL, w, eps, sum ? sum + t * step : NULL, y + t * step, k);
}
