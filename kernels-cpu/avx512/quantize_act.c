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

INLINE __m512i codes16(const float *x, __mmask16 lanes, __m512 inverse)
{
    return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, x), inverse));
}

/* 64 codes; packing goes by 128-bit lanes, so that their dwords are sorted at last. */
INLINE __m512i codes64(const float *x, __m512 inverse)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i c[4];
    for (int j = 0; j < 4; j++)
        c[j] = codes16(x + LANES * j, 0xffff, inverse);
    c[0] = _mm512_packs_epi16(_mm512_packs_epi32(c[0], c[1]), _mm512_packs_epi32(c[2], c[3]));
    return _mm512_permutexvar_epi32(order, c[0]);
}

/* Codes of n inputs; the sum of the codes. */
INLINE int32_t codes_of(const float *x, int64_t n, float inverse, int8_t *q)
{
    const __m512 r = _mm512_set1_ps(inverse);
    __m512i sum = _mm512_setzero_si512();
    int64_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        __m512i c = codes64(x + i, r);
        sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), c);
        _mm512_storeu_si512((void *)(q + i), c);
    }
    for (; i < n; i += LANES) {
        __mmask16 lanes = q35i_first16(n - i);
        __m512i c = codes16(x + i, lanes, r);
        sum = _mm512_add_epi32(sum, c);
        _mm512_mask_cvtepi32_storeu_epi8(q + i, lanes, c);
    }
    return _mm512_reduce_add_epi32(sum);
}

#define rotate q35k_rotate__avx512

#include "kernels-cpu/simd/quantize_walk.h"

void q35k_quantize_act__avx512(const float *x, int64_t rs_x, int64_t k, const q35k_rotation *rotation,
                               uint32_t act_type, void *out, int64_t rs_out, int64_t begin, int64_t end,
                               float *scratch)
{
    quantize_rows(x, rs_x, k, rotation, act_type, out, rs_out, begin, end, scratch);
}
