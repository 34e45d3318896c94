/* SPDX-License-Identifier: Apache-2.0
 *
 * SWIGLU with AVX2: silu(a) * b. With e = exp(-|a|) <= 1, silu(a) = a / (1 + e) for a >= 0 and a e / (1 + e)
 * below, which neither overflows nor loses results that are subnormal. Mirrors q35k_swiglu__ref.
 */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/simd/avx2_math.h"

void q35k_swiglu__avx2(const float *a, const float *b, float *y, int64_t begin, int64_t end)
{
    const __m256 zero = _mm256_setzero_ps(), one = _mm256_set1_ps(1.0f), sign = _mm256_set1_ps(-0.0f);
    for (int64_t i = begin; i < end; i += 8) {
        __m256i m = q35i_first8(end - i);
        __m256 va = _mm256_maskload_ps(a + i, m), vb = _mm256_maskload_ps(b + i, m);
        __m256 e = q35i_exp__avx2(_mm256_or_ps(va, sign));
        __m256 factor = _mm256_blendv_ps(one, e, _mm256_cmp_ps(va, zero, _CMP_LT_OQ));
        __m256 silu = _mm256_div_ps(_mm256_mul_ps(va, factor), _mm256_add_ps(one, e));
        _mm256_maskstore_ps(y + i, m, _mm256_mul_ps(silu, vb));
    }
}
