/* SPDX-License-Identifier: Apache-2.0
 *
 * RMS_NORM and ADD_RMS_NORM with AVX2. Squares are summed, and the result is formed, in double, so that nothing
 * overflows and each output is one rounding. A square of a float is exact in double, so that an fma adds it with
 * the one rounding of a sum. Mirrors q35k_norm__ref.
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

/* Adds the squares of s to lanes 0 .. 7. */
static inline void add_squares(__m256 s, __m256d lane[2])
{
    __m256d low = q35i_low_f64__avx2(s), high = q35i_high_f64__avx2(s);
    lane[0] = _mm256_fmadd_pd(low, low, lane[0]);
    lane[1] = _mm256_fmadd_pd(high, high, lane[1]);
}

static void norm_row(const float *a, const float *b, const float *w, float eps, float *sum, float *y, int64_t k)
{
    __m256d lane[4] = {_mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd(), _mm256_setzero_pd()};
    for (int64_t i = 0; i < k; i += 16) {
        for (int half = 0; half < 2; half++) {
            __m256i m = q35i_first8(k - i - 8 * half);
            __m256 s = load_sum(a, b, i + 8 * half, m);
            if (sum)
                _mm256_maskstore_ps(sum + i + 8 * half, m, s);
            add_squares(s, lane + 2 * half);
        }
    }
    const double squares = q35i_lanes_sum_f64__avx2(lane);
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
