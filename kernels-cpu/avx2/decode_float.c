/* SPDX-License-Identifier: Apache-2.0
 *
 * F32, F16 and BF16 rows to floats with one row per lane, and the integer chunk form to the same. Values are
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

void q35i_chunk_to_f32__avx2(const q35i_codec *codec, const q35i_chunk *chunk, int blocks, __m256 *out)
{
    for (int j = 0; j < 8 * blocks; j++) {
        __m256i v = chunk->w[j];
        __m256 scale = codec->form == Q35I_FORM_SUB16 ? chunk->scale[j / 4] : chunk->scale[j / 8];
        for (int i = 0; i < 4; i++) {
            /* Unsigned weights are at most 105, so that the sign extension holds for them as well. */
            __m256i q = _mm256_srai_epi32(_mm256_sll_epi32(v, _mm_cvtsi32_si128(24 - 8 * i)), 24);
            __m256 w = _mm256_mul_ps(scale, _mm256_cvtepi32_ps(q));
            out[4 * j + i] = codec->form == Q35I_FORM_MIN ? _mm256_add_ps(w, chunk->min[j / 8]) : w;
        }
    }
}
