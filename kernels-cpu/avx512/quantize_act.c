/* SPDX-License-Identifier: Apache-2.0
 *
 * QUANTIZE_ACT with AVX-512: a pass over the inputs that share a scale for their largest magnitude, one for their
 * codes. The magnitudes are compared as integers, whose order is that of the floats, with infinity and NaN above
 * all finite ones. Every other step is one the reference takes, so the bits are those of q35k_quantize_act__ref.
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

/* n inputs that share a scale; codes n .. padded - 1 are 0. */
INLINE void quantize(const float *x, int64_t n, int64_t padded, char *out)
{
    int8_t *q = (int8_t *)out + sizeof(q35_act_row);
    q35_act_row head = {0};
    int32_t bits = largest_bits(x, n);
    float amax, inverse;
    memcpy(&amax, &bits, sizeof amax);
    inverse = 127.0f / amax;
    if (bits <= 0x7f7fffff && amax > 0 && inverse <= 3.402823466e38f) {
        head.scale = amax / 127.0f;
        head.sum = codes_of(x, n, inverse, q);
        if (n < padded)
            memset(q + n, 0, (size_t)(padded - n));
    } else { /* amax below 127 / FLT_MAX counts as 0 */
        head.scale = bits > 0x7f7fffff ? NAN : 0;
        memset(q, 0, (size_t)padded);
    }
    memcpy(out, &head, sizeof head);
}

/* Units of a constant length, so that whole ones become straight code. */
INLINE void quantize_units(const float *x, int64_t k, int64_t unit, char *out)
{
    int64_t i = 0;
    for (; i + unit <= k; i += unit, out += (int64_t)sizeof(q35_act_row) + unit)
        quantize(x + i, unit, unit, out);
    if (i < k)
        quantize(x + i, k - i, unit, out);
}

static void quantize_row(const float *x, int64_t k, uint32_t act_type, char *out)
{
    switch (act_type) {
    case Q35_DT_A8_32: quantize_units(x, k, Q35_ACT_BLOCK, out); break;
    case Q35_DT_A8_128: quantize_units(x, k, Q35_ACT_GROUP, out); break;
    default: quantize(x, k, (k + 63) / 64 * 64, out); break;
    }
}

void q35k_quantize_act__avx512(const float *x, int64_t rs_x, int64_t k, const q35k_rotation *rotation,
                               uint32_t act_type, void *out, int64_t rs_out, int64_t begin, int64_t end,
                               float *scratch)
{
    for (int64_t t = begin; t < end; t++) {
        const float *row = (const float *)(const void *)((const char *)x + t * rs_x);
        if (rotation) {
            q35k_rotate__avx512(row, 0, k, rotation, 0, scratch, 0, 0, 1);
            row = scratch;
        }
        quantize_row(row, k, act_type, (char *)out + t * rs_out);
    }
}
