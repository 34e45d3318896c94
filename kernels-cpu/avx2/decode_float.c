/* SPDX-License-Identifier: Apache-2.0
 *
 * F32, F16, BF16 and FP8 rows to floats with one row per lane, and the integer chunk form to the same. Values are
 * exact, or one float rounding of the weight.
 */
#include "kernels-cpu/avx2/tile8.h"

void q35i_decode_f32__avx2(const uint8_t *at, int64_t rs, int blocks, __m256 *out)
{
    for (int i = 0; i < 8 * blocks; i++) {
        __m256i v[4];
        q35i_load_t8(at + 16 * i, rs, v);
        for (int j = 0; j < 4; j++)
            out[4 * i + j] = _mm256_castsi256_ps(v[j]);
    }
}

void q35i_decode_f16__avx2(const uint8_t *at, int64_t rs, int blocks, __m256 *out)
{
    for (int i = 0; i < 4 * blocks; i++) {
        __m256i v[4];
        q35i_load_t8(at + 16 * i, rs, v);
        for (int j = 0; j < 4; j++) {
            out[8 * i + 2 * j] = q35i_half_low(v[j]);
            out[8 * i + 2 * j + 1] = q35i_half_high(v[j]);
        }
    }
}

void q35i_decode_bf16__avx2(const uint8_t *at, int64_t rs, int blocks, __m256 *out)
{
    const __m256i high = _mm256_set1_epi32((int)0xffff0000);
    for (int i = 0; i < 4 * blocks; i++) {
        __m256i v[4];
        q35i_load_t8(at + 16 * i, rs, v);
        for (int j = 0; j < 4; j++) {
            out[8 * i + 2 * j] = _mm256_castsi256_ps(_mm256_slli_epi32(v[j], 16));
            out[8 * i + 2 * j + 1] = _mm256_castsi256_ps(_mm256_and_si256(v[j], high));
        }
    }
}

/* e4m3 codes in the low byte of each 32-bit lane to the f16 of 2^-8 times their values. */
Q35I_INLINE __m256i f8_to_half(__m256i v)
{
    const __m256i low7 = _mm256_set1_epi32(0x7f), sign = _mm256_set1_epi32(0x80);
    __m256i magnitude = _mm256_and_si256(v, low7);
    __m256i half =
        _mm256_or_si256(_mm256_slli_epi32(magnitude, 7), _mm256_slli_epi32(_mm256_and_si256(v, sign), 8));
    __m256i nan = _mm256_and_si256(_mm256_cmpeq_epi32(magnitude, low7), _mm256_set1_epi32(0x7e00));
    return _mm256_or_si256(half, nan);
}

void q35i_decode_f8_32__avx2(const uint8_t *at, int64_t rs, int blocks, __m256 *out)
{
    const __m256 bias = _mm256_set1_ps(256);
    for (int b = 0; b < blocks; b++, at += 36, out += 32) {
        __m256 scale = _mm256_castsi256_ps(q35i_gather_rows(at, rs));
        __m256i v[8];
        q35i_load_t8(at + 4, rs, v);
        q35i_load_t8(at + 20, rs, v + 4);
        for (int j = 0; j < 8; j++)
            for (int i = 0; i < 4; i++) {
                __m256i code = _mm256_srl_epi32(v[j], _mm_cvtsi32_si128(8 * i));
                __m256 w = _mm256_mul_ps(q35i_half_low(f8_to_half(code)), bias);
                out[4 * j + i] = _mm256_mul_ps(w, scale);
            }
    }
}

void q35i_chunk_to_f32__avx2(const q35i_codec *codec, const q35i_chunk *chunk, int blocks, __m256 *out)
{
    for (int j = 0; j < 8 * blocks; j++) {
        __m256i v = chunk->w[j];
        int part = codec->form == Q35I_FORM_SUB16 || codec->form == Q35I_FORM_MIN16 ? j / 4 : j / 8;
        int has_min = codec->form == Q35I_FORM_MIN || codec->form == Q35I_FORM_MIN16;
        for (int i = 0; i < 4; i++) {
            /* Unsigned weights are at most 105, so that the sign extension holds for them as well. */
            __m256i q = _mm256_srai_epi32(_mm256_sll_epi32(v, _mm_cvtsi32_si128(24 - 8 * i)), 24);
            __m256 w = _mm256_mul_ps(chunk->scale[part], _mm256_cvtepi32_ps(q));
            out[4 * j + i] = has_min ? _mm256_add_ps(w, chunk->min[part]) : w;
        }
    }
}
