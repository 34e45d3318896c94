/* SPDX-License-Identifier: Apache-2.0
 *
 * RMS_NORM and ADD_RMS_NORM with AVX2. Squares are summed and the result is formed in double, 4 lanes at a time,
 * so that nothing overflows and each output is one rounding. Mirrors q35k_norm__ref.
 */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/simd/avx2_math.h"

#include <math.h>

static inline __m256 load_sum(const float *a, const float *b, int64_t i, __m256i m)
{
    __m256 s = _mm256_maskload_ps(a + i, m);
    return b ? _mm256_add_ps(s, _mm256_maskload_ps(b + i, m)) : s;
}

static inline __m256 scale_pd(__m256 s, __m256d factor, __m256 w)
{
    __m256d low = _mm256_mul_pd(_mm256_mul_pd(q35i_low_f64__avx2(s), factor), q35i_low_f64__avx2(w));
    __m256d high = _mm256_mul_pd(_mm256_mul_pd(q35i_high_f64__avx2(s), factor), q35i_high_f64__avx2(w));
    return q35i_join_f32__avx2(low, high);
}

static void norm_row(const float *a, const float *b, const float *w, float eps, float *sum, float *y, int64_t k)
{
    __m256d low = _mm256_setzero_pd(), high = low;
    for (int64_t i = 0; i < k; i += 8) {
        __m256i m = q35i_first8(k - i);
        __m256 s = load_sum(a, b, i, m);
        if (sum)
            _mm256_maskstore_ps(sum + i, m, s);
        low = _mm256_fmadd_pd(q35i_low_f64__avx2(s), q35i_low_f64__avx2(s), low);
        high = _mm256_fmadd_pd(q35i_high_f64__avx2(s), q35i_high_f64__avx2(s), high);
    }
    double squares = q35i_sum4_f64__avx2(_mm256_add_pd(low, high));
    __m256d factor = _mm256_set1_pd(1 / sqrt(squares / (double)k + (double)eps));
    for (int64_t i = 0; i < k; i += 8) {
        __m256i m = q35i_first8(k - i);
        __m256 s = sum ? _mm256_maskload_ps(sum + i, m) : load_sum(a, b, i, m);
        _mm256_maskstore_ps(y + i, m, scale_pd(s, factor, _mm256_maskload_ps(w + i, m)));
    }
}

void q35k_norm__avx2(const float *a, const float *b, const float *w, float eps, float *sum, float *y, int64_t rs,
                     int64_t k, int64_t begin, int64_t end)
{
    int64_t step = rs / (int64_t)sizeof(float);
    for (int64_t t = begin; t < end; t++)
        norm_row(a + t * step, b ? b + t * step : NULL, w, eps, sum ? sum + t * step : NULL, y + t * step, k);
}
