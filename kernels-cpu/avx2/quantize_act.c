/* SPDX-License-Identifier: Apache-2.0
 *
 * QUANTIZE_ACT with AVX2: the two passes over the inputs that share a scale, for the shared walk
 * (quantize_walk.h). The magnitudes are compared as integers, whose order is that of the floats, with infinity and
 * NaN above all finite ones. Every other step is one the reference takes, so the bits are those of
 * q35k_quantize_act__ref.
 */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/simd/avx2_math.h"

#include <stdbool.h>

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 8 };

/* Bits of the largest magnitude of n inputs. */
INLINE int32_t largest_bits(const float *x, int64_t n)
{
    const __m256i magnitude = _mm256_set1_epi32(INT32_MAX);
    __m256i top[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                      _mm256_setzero_si256()};
    int64_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        for (int j = 0; j < 4; j++) {
            __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(x + i + LANES * j));
            top[j] = _mm256_max_epi32(top[j], _mm256_and_si256(magnitude, v));
        }
    }
    for (; i < n; i += LANES) {
        __m256i v = _mm256_castps_si256(_mm256_maskload_ps(x + i, q35i_first8(n - i)));
        top[0] = _mm256_max_epi32(top[0], _mm256_and_si256(magnitude, v));
    }
    __m256i all = _mm256_max_epi32(_mm256_max_epi32(top[0], top[1]), _mm256_max_epi32(top[2], top[3]));
    __m128i b = _mm_max_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
    b = _mm_max_epi32(b, _mm_unpackhi_epi64(b, b));
    return _mm_cvtsi128_si32(_mm_max_epi32(b, _mm_srli_epi64(b, 32)));
}

static inline int32_t sum_lanes(__m256i v)
{
    __m128i b = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    b = _mm_add_epi32(b, _mm_unpackhi_epi64(b, b));
    return _mm_cvtsi128_si32(_mm_add_epi32(b, _mm_srli_epi64(b, 32)));
}

/* Four vectors of codes as bytes. Packing works within 128-bit lanes: groups of four come out as 0 2 4 6 1 3 5 7.
 */
static inline __m256i pack(const __m256i q[4])
{
    __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
    return _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/* Codes of n inputs; the sum of the codes. */
INLINE int32_t codes_of(const float *x, int64_t n, float inverse, int8_t *q)
{
    const __m256 r = _mm256_set1_ps(inverse);
    __m256i sum = _mm256_setzero_si256(), code[4];
    for (int64_t i = 0; i < n; i += 4 * LANES) {
        bool whole = i + 4 * LANES <= n;
        for (int j = 0; j < 4; j++) {
            const float *at = x + i + LANES * j;
            __m256 v = whole ? _mm256_loadu_ps(at) : _mm256_maskload_ps(at, q35i_first8(n - i - LANES * j));
            code[j] = _mm256_cvtps_epi32(_mm256_mul_ps(v, r));
            sum = _mm256_add_epi32(sum, code[j]);
        }
        if (whole) {
            _mm256_storeu_si256((__m256i *)(void *)(q + i), pack(code));
        } else {
            int8_t last[4 * LANES];
            _mm256_storeu_si256((__m256i *)(void *)last, pack(code));
            memcpy(q + i, last, (size_t)(n - i));
        }
    }
    return sum_lanes(sum);
}

#define rotate q35k_rotate__avx2

#include "kernels-cpu/simd/quantize_walk.h"

void q35k_quantize_act__avx2(const float *x, int64_t rs_x, int64_t k, const q35k_rotation *rotation,
                             uint32_t act_type, void *out, int64_t rs_out, int64_t begin, int64_t end,
                             float *scratch)
{
    quantize_rows(x, rs_x, k, rotation, act_type, out, rs_out, begin, end, scratch);
}
