/* SPDX-License-Identifier: Apache-2.0
 *
 * SWIGLU with AVX-512: a / (1 + exp(-a)) * b in double, 8 lanes at a time, and one rounding. Mirrors
 * q35k_swiglu__ref.
 */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/simd/avx512_math.h"

static inline __m512d swiglu8(__m512d a, __m512d b)
{
    __m512d e = q35i_exp_f64__avx512(_mm512_sub_pd(_mm512_setzero_pd(), a));
    return _mm512_mul_pd(_mm512_div_pd(a, _mm512_add_pd(_mm512_set1_pd(1), e)), b);
}

void q35k_swiglu__avx512(const float *a, const float *b, float *y, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i += 16) {
        __mmask16 m = q35i_first16(end - i);
        __m512 va = _mm512_maskz_loadu_ps(m, a + i), vb = _mm512_maskz_loadu_ps(m, b + i);
        __m512d low = swiglu8(q35i_low_f64__avx512(va), q35i_low_f64__avx512(vb));
        __m512d high = swiglu8(q35i_high_f64__avx512(va), q35i_high_f64__avx512(vb));
        _mm512_mask_storeu_ps(y + i, m, q35i_join_f32__avx512(low, high));
    }
}
