/* SPDX-License-Identifier: Apache-2.0
 *
 * SWIGLU with AVX2: a / (1 + exp(-a)) * b in double, 4 lanes at a time, and one rounding. Mirrors
 * q35k_swiglu__ref.
 */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/simd/avx2_math.h"

static inline __m256d swiglu4(__m256d a, __m256d b)
{
    __m256d e = q35i_exp_f64__avx2(_mm256_sub_pd(_mm256_setzero_pd(), a));
    return _mm256_mul_pd(_mm256_div_pd(a, _mm256_add_pd(_mm256_set1_pd(1), e)), b);
}

void q35k_swiglu__avx2(const float *a, const float *b, float *y, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i += 8) {
        __m256i m = q35i_first8(end - i);
        __m256 va = _mm256_maskload_ps(a + i, m), vb = _mm256_maskload_ps(b + i, m);
        __m256d low = swiglu4(q35i_low_f64__avx2(va), q35i_low_f64__avx2(vb));
        __m256d high = swiglu4(q35i_high_f64__avx2(va), q35i_high_f64__avx2(vb));
        _mm256_maskstore_ps(y + i, m, q35i_join_f32__avx2(low, high));
    }
}
