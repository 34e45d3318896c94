/* SPDX-License-Identifier: Apache-2.0
 *
 * F32, F16, BF16 and FP8 rows to floats with one row per lane, and the integer chunk form to the same. Values are
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

/* Upper and lower bytes of the bf16 of each e4m3 magnitude: exponent plus 120 and fraction; subnormals; NaN. */
#define UPPER(e)  ((e) + 120) >> 1
#define UPPERS(e) UPPER(e), UPPER(e), UPPER(e), UPPER(e), UPPER(e), UPPER(e), UPPER(e), UPPER(e)
#define LOWERS(e)                                                                                                 \
    ((e)&1) << 7, ((e)&1) << 7 | 16, ((e)&1) << 7 | 32, ((e)&1) << 7 | 48, ((e)&1) << 7 | 64, ((e)&1) << 7 | 80,  \
        ((e)&1) << 7 | 96, ((e)&1) << 7 | 112
static const uint8_t f8_upper[128] = {0,          0x3b,       0x3b,       0x3b,       0x3c,      0x3c,
                                      0x3c,       0x3c,       UPPERS(1),  UPPERS(2),  UPPERS(3), UPPERS(4),
                                      UPPERS(5),  UPPERS(6),  UPPERS(7),  UPPERS(8),  UPPERS(9), UPPERS(10),
                                      UPPERS(11), UPPERS(12), UPPERS(13), UPPERS(14), UPPER(15), UPPER(15),
                                      UPPER(15),  UPPER(15),  UPPER(15),  UPPER(15),  UPPER(15), 0x7f};
static const uint8_t f8_lower[128] = {0,          0,          0x80,       0xc0,       0,         0x20,
                                      0x40,       0x60,       LOWERS(1),  LOWERS(2),  LOWERS(3), LOWERS(4),
                                      LOWERS(5),  LOWERS(6),  LOWERS(7),  LOWERS(8),  LOWERS(9), LOWERS(10),
                                      LOWERS(11), LOWERS(12), LOWERS(13), LOWERS(14), 0x80,      0x90,
                                      0xa0,       0xb0,       0xc0,       0xd0,       0xe0,      0xc0};

/* Input i of the four in each lane, from the upper and lower bytes of its bf16. */
Q35I_INLINE __m512 join_f8(__m512i upper, __m512i lower, int i)
{
    const __m512i top = _mm512_set1_epi32((int)0xff000000), next = _mm512_set1_epi32(0x00ff0000);
    __m512i u = i == 3 ? upper : _mm512_slli_epi32(upper, (unsigned)(24 - 8 * i));
    __m512i l = i == 3   ? _mm512_srli_epi32(lower, 8)
                : i == 2 ? lower
                         : _mm512_slli_epi32(lower, (unsigned)(16 - 8 * i));
    /* 0xca: top ? u : l */
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(top, u, _mm512_and_si512(l, next), 0xca));
}

void q35i_decode_f8_32__avx512(const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead, __m512 *out)
{
    const __m512i uppers[2] = {_mm512_loadu_si512((const void *)f8_upper),
                               _mm512_loadu_si512((const void *)(f8_upper + 64))};
    const __m512i lowers[2] = {_mm512_loadu_si512((const void *)f8_lower),
                               _mm512_loadu_si512((const void *)(f8_lower + 64))};
    const __m512i sign = _mm512_set1_epi8((char)0x80);
    for (int b = 0; b < blocks; b++, at += 36, ahead += 576, out += 32) {
        __m512 scale = _mm512_castsi512_ps(q35i_gather_rows(at, rs));
        __m512i v[8];
        q35i_prefetch(ahead, 576);
        q35i_load_t16(at + 4, rs, v);
        q35i_load_t16(at + 20, rs, v + 4);
        for (int j = 0; j < 8; j++) {
            /* 0xf8: a | (b & c) */
            __m512i upper = _mm512_ternarylogic_epi32(q35i_lookup(uppers, v[j]), v[j], sign, 0xf8);
            __m512i lower = q35i_lookup(lowers, v[j]);
            for (int i = 0; i < 4; i++)
                out[4 * j + i] = _mm512_mul_ps(join_f8(upper, lower, i), scale);
        }
    }
}

void q35i_chunk_to_f32__avx512(const q35i_codec *codec, const q35i_chunk *chunk, int blocks, __m512 *out)
{
    const __m512i byte = _mm512_set1_epi32(255);
    const int bias = codec->form == Q35I_FORM_BIAS ? codec->bias : codec->form == Q35I_FORM_SUB16 ? 32 : 0;
    for (int j = 0; j < 8 * blocks; j++) {
        __m512i v = chunk->w[j];
        int part = codec->form == Q35I_FORM_SUB16 || codec->form == Q35I_FORM_MIN16 ? j / 4 : j / 8;
        int has_min = codec->form == Q35I_FORM_MIN || codec->form == Q35I_FORM_MIN16;
        for (int i = 0; i < 4; i++, v = _mm512_srli_epi32(v, 8)) {
            __m512i q = _mm512_sub_epi32(_mm512_and_si512(v, byte), _mm512_set1_epi32(bias));
            __m512 w = _mm512_mul_ps(chunk->scale[part], _mm512_cvtepi32_ps(q));
            out[4 * j + i] = has_min ? _mm512_add_ps(w, chunk->min[part]) : w;
        }
    }
}
