/* SPDX-License-Identifier: Apache-2.0
 *
 * SWIGLU with AVX-512: silu(a) * b. With e = exp(-|a|) <= 1, silu(a) = a / (1 + e) for a >= 0 and a e / (1 + e)
 * below, which neither overflows nor loses results that are subnormal. Mirrors q35k_swiglu__ref.
 */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/simd/avx512_math.h"

void q35k_swiglu__avx512(const float *a, const float *b, float *y, int64_t begin, int64_t end)
{
    const __m512 zero = _mm512_setzero_ps(), one = _mm512_set1_ps(1.0f);
    for (int64_t i = begin; i < end; i += 16) {
        __mmask16 m = q35i_first16(end - i);
        __m512 va = _mm512_maskz_loadu_ps(m, a + i), vb = _mm512_maskz_loadu_ps(m, b + i);
        __m512 e = q35i_exp__avx512(_mm512_sub_ps(zero, _mm512_abs_ps(va)));
        __m512 top = _mm512_mask_mul_ps(va, _mm512_cmp_ps_mask(va, zero, _CMP_LT_OQ), va, e);
        __m512 silu = _mm512_div_ps(top, _mm512_add_ps(one, e));
        _mm512_mask_storeu_ps(y + i, m, _mm512_mul_ps(silu, vb));
    }
}
