/* SPDX-License-Identifier: Apache-2.0
 *
 * F32, F16 and BF16 rows to floats with one row per lane, and the integer chunk form to the same. Values are
 * exact, or one float rounding of the weight.
 */
#include "kernels-cpu/avx512/tile.h"

void q35i_decode_f32__avx512(const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead, __m512 *out)
{
    for (int i = 0; i < 8 * blocks; i++, ahead += 256) {
        __m512i v[4];
        q35i_prefetch(ahead, 256);
        q35i_load_t16(at + 16 * i, rs, v);
        for (int j = 0; j < 4; j++)
            out[4 * i + j] = _mm512_castsi512_ps(v[j]);
    }
}

void q35i_decode_f16__avx512(const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead, __m512 *out)
{
    for (int i = 0; i < 4 * blocks; i++, ahead += 256) {
        __m512i v[4];
        q35i_prefetch(ahead, 256);
        q35i_load_t16(at + 16 * i, rs, v);
        for (int j = 0; j < 4; j++) {
            out[8 * i + 2 * j] = q35i_half_low(v[j]);
            out[8 * i + 2 * j + 1] = q35i_half_high(v[j]);
        }
    }
}

void q35i_decode_bf16__avx512(const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead, __m512 *out)
{
    const __m512i high = _mm512_set1_epi32((int)0xffff0000);
    for (int i = 0; i < 4 * blocks; i++, ahead += 256) {
        __m512i v[4];
        q35i_prefetch(ahead, 256);
        q35i_load_t16(at + 16 * i, rs, v);
        for (int j = 0; j < 4; j++) {
            out[8 * i + 2 * j] = _mm512_castsi512_ps(_mm512_slli_epi32(v[j], 16));
            out[8 * i + 2 * j + 1] = _mm512_castsi512_ps(_mm512_and_si512(v[j], high));
        }
    }
}

void q35i_chunk_to_f32__avx512(const q35i_codec *codec, const q35i_chunk *chunk, int blocks, __m512 *out)
{
    const __m512i byte = _mm512_set1_epi32(255);
    const int bias = codec->form == Q35I_FORM_BIAS ? codec->bias : codec->form == Q35I_FORM_SUB16 ? 32 : 0;
    for (int j = 0; j < 8 * blocks; j++) {
        __m512i v = chunk->w[j];
        __m512 scale = codec->form == Q35I_FORM_SUB16 ? chunk->scale[j / 4] : chunk->scale[j / 8];
        for (int i = 0; i < 4; i++, v = _mm512_srli_epi32(v, 8)) {
            __m512i q = _mm512_sub_epi32(_mm512_and_si512(v, byte), _mm512_set1_epi32(bias));
            __m512 w = _mm512_mul_ps(scale, _mm512_cvtepi32_ps(q));
            out[4 * j + i] = codec->form == Q35I_FORM_MIN ? _mm512_add_ps(w, chunk->min[j / 8]) : w;
        }
    }
}
