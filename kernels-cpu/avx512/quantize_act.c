/* SPDX-License-Identifier: Apache-2.0
 *
 * QUANTIZE_ACT with AVX-512: the two passes over the inputs that share a scale, for the shared walk
 * (quantize_walk.h). The magnitudes are compared as integers, whose order is that of the floats, with infinity and
 * NaN above all finite ones. Every other step is one the reference takes, so the bits are those of
 * q35k_quantize_act__ref.
 */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/simd/avx512_math.h"

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 16 };

/* Bits of the largest magnitude of n inputs. */
INLINE int32_t largest_bits(const float *x, int64_t n)
{
    const __m512i magnitude = _mm512_set1_epi32(INT32_MAX);
    __m512i top[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                      _mm512_setzero_si512()};
    int64_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        for (int j = 0; j < 4; j++)
            top[j] = _mm512_max_epi32(top[j], _mm512_and_si512(magnitude, _mm512_loadu_si512(x + i + LANES * j)));
    }
    for (; i < n; i += LANES) {
        __m512i v = _mm512_maskz_loadu_epi32(q35i_first16(n - i), x + i);
        top[0] = _mm512_max_epi32(top[0], _mm512_and_si512(magnitude, v));
    }
    return _mm512_reduce_max_epi32(
        _mm512_max_epi32(_mm512_max_epi32(top[0], top[1]), _mm512_max_epi32(top[2], top[3])));
}

/* Codes of n inputs; the sum of the codes. */
INLINE int32_t codes_of(const float *x, int64_t n, float inverse, int8_t *q)
{
    const __m512 r = _mm512_set1_ps(inverse);
    __m512i sum[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    int64_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        for (int j = 0; j < 2; j++) {
            __m512i code = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + i + LANES * j), r));
            sum[j] = _mm512_add_epi32(sum[j], code);
            _mm_storeu_si128((__m128i *)(void *)(q + i + LANES * j), _mm512_cvtepi32_epi8(code));
        }
    }
    for (; i < n; i += LANES) {
        __mmask16 lanes = q35i_first16(n - i);
        __m512i code = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, x + i), r));
        sum[0] = _mm512_add_epi32(sum[0], code);
        _mm512_mask_cvtepi32_storeu_epi8(q + i, lanes, code);
    }
    return _mm512_reduce_add_epi32(_mm512_add_epi32(sum[0], sum[1]));
}

#define rotate q35k_rotate__avx512

#include "kernels-cpu/simd/quantize_walk.h"

void q35k_quantize_act__avx512(const float *x, int64_t rs_x, int64_t k, const q35k_rotation *rotation,
                               uint32_t act_type, void *out, int64_t rs_out, int64_t begin, int64_t end,
                               float *scratch)
{
    quantize_rows(x, rs_x, k, rotation, act_type, out, rs_out, begin, end, scratch);
}
