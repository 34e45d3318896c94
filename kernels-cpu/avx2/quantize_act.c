/* SPDX-License-Identifier: Apache-2.0
 *
 * QUANTIZE_ACT with AVX2: blocks of 32 as four vectors. Every step is one the reference takes (largest magnitude,
 * one division, one product and one rounding to even per code), so the bits are those of q35k_quantize_act__ref.
 */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/simd/avx2_math.h"

#include <math.h>

/* x scaled to codes; sets *sum. */
static inline __m256i codes_of(const __m256 x[4], float inverse, int32_t *sum)
{
    __m256i q[4];
    for (int i = 0; i < 4; i++)
        q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(x[i], _mm256_set1_ps(inverse)));
    __m256i total = _mm256_add_epi32(_mm256_add_epi32(q[0], q[1]), _mm256_add_epi32(q[2], q[3]));
    __m128i t = _mm_add_epi32(_mm256_castsi256_si128(total), _mm256_extracti128_si256(total, 1));
    t = _mm_add_epi32(t, _mm_unpackhi_epi64(t, t));
    *sum = _mm_cvtsi128_si32(_mm_add_epi32(t, _mm_srli_epi64(t, 32)));
    /* Packing works within 128-bit lanes: groups of four codes come out as 0 2 4 6 1 3 5 7. */
    __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    return _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/* n <= 32 inputs; codes past n are 0. */
static void quantize_block(const float *in, int64_t n, q35_act_block *out)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    const __m256i largest_finite = _mm256_set1_epi32(0x7f7fffff);
    __m256 x[4], top = _mm256_setzero_ps();
    __m256i wrong = _mm256_setzero_si256();
    for (int i = 0; i < 4; i++) {
        x[i] = _mm256_maskload_ps(in + 8 * i, q35i_first8(n - 8 * i));
        __m256 magnitude = _mm256_andnot_ps(sign, x[i]);
        wrong = _mm256_or_si256(wrong, _mm256_cmpgt_epi32(_mm256_castps_si256(magnitude), largest_finite));
        top = _mm256_max_ps(top, magnitude);
    }
    *out = (q35_act_block){0};
    if (!_mm256_testz_si256(wrong, wrong)) {
        out->scale = NAN;
        return;
    }
    float amax = q35i_max8__avx2(top), inverse = 127.0f / amax;
    if (amax == 0 || inverse > 3.402823466e38f) /* amax below 127 / FLT_MAX counts as 0 */
        return;
    out->scale = amax / 127.0f;
    _mm256_storeu_si256((__m256i *)(void *)out->q, codes_of(x, inverse, &out->sum));
}

void q35k_quantize_act__avx2(const float *x, int64_t rs_x, int64_t k, q35_act_block *out, int64_t rs_out,
                             int64_t begin, int64_t end)
{
    for (int64_t t = begin; t < end; t++) {
        const float *row = (const float *)(const void *)((const char *)x + t * rs_x);
        q35_act_block *blocks = (q35_act_block *)(void *)((char *)out + t * rs_out);
        for (int64_t i = 0; i < k; i += Q35_ACT_BLOCK)
            quantize_block(row + i, k - i < Q35_ACT_BLOCK ? k - i : Q35_ACT_BLOCK, &blocks[i / Q35_ACT_BLOCK]);
    }
}
