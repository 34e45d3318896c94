/* SPDX-License-Identifier: Apache-2.0
 *
 * F32, F16, BF16 and FP8 rows to floats with one row per lane, and the integer chunk form to the same. Values are
 * exact, or one float rounding of the weight.
 */
#include "kernels-cpu/neon/tile4.h"

void q35i_decode_f32__neon(const uint8_t *at, int64_t rs, int blocks, float32x4_t *out)
{
    for (int i = 0; i < 8 * blocks; i++) {
        uint8x16_t v[4];
        q35i_load_t4(at + 16 * i, rs, v);
        for (int j = 0; j < 4; j++)
            out[4 * i + j] = vreinterpretq_f32_u8(v[j]);
    }
}

void q35i_decode_f16__neon(const uint8_t *at, int64_t rs, int blocks, float32x4_t *out)
{
    for (int i = 0; i < 4 * blocks; i++) {
        uint8x16_t v[4];
        q35i_load_t4(at + 16 * i, rs, v);
        for (int j = 0; j < 4; j++) {
            out[8 * i + 2 * j] = q35i_half_low(vreinterpretq_u32_u8(v[j]));
            out[8 * i + 2 * j + 1] = q35i_half_high(vreinterpretq_u32_u8(v[j]));
        }
    }
}

void q35i_decode_bf16__neon(const uint8_t *at, int64_t rs, int blocks, float32x4_t *out)
{
    const uint32x4_t high = vdupq_n_u32(0xffff0000);
    for (int i = 0; i < 4 * blocks; i++) {
        uint8x16_t v[4];
        q35i_load_t4(at + 16 * i, rs, v);
        for (int j = 0; j < 4; j++) {
            uint32x4_t two = vreinterpretq_u32_u8(v[j]);
            out[8 * i + 2 * j] = vreinterpretq_f32_u32(vshlq_n_u32(two, 16));
            out[8 * i + 2 * j + 1] = vreinterpretq_f32_u32(vandq_u32(two, high));
        }
    }
}

/* e4m3 codes in the low byte of each lane to 2^-8 times their values. */
Q35I_INLINE float32x4_t f8_to_f32(uint32x4_t v)
{
    uint32x4_t magnitude = vandq_u32(v, vdupq_n_u32(0x7f)), sign = vandq_u32(v, vdupq_n_u32(0x80));
    uint32x4_t half = vorrq_u32(vshlq_n_u32(magnitude, 7), vshlq_n_u32(sign, 8));
    uint32x4_t nan = vceqq_u32(magnitude, vdupq_n_u32(0x7f));
    return q35i_half_low(vorrq_u32(half, vandq_u32(nan, vdupq_n_u32(0x7e00))));
}

void q35i_decode_f8_32__neon(const uint8_t *at, int64_t rs, int blocks, float32x4_t *out)
{
    const float32x4_t bias = vdupq_n_f32(256);
    for (int b = 0; b < blocks; b++, at += 36, out += 32) {
        float32x4_t scale = vreinterpretq_f32_u32(q35i_gather_rows(at, rs));
        uint8x16_t v[8];
        q35i_load_t4(at + 4, rs, v);
        q35i_load_t4(at + 20, rs, v + 4);
        for (int j = 0; j < 8; j++)
            for (int i = 0; i < 4; i++) {
                uint32x4_t code = vshlq_u32(vreinterpretq_u32_u8(v[j]), vdupq_n_s32(-8 * i));
                float32x4_t w = vmulq_f32(f8_to_f32(code), bias);
                out[4 * j + i] = vmulq_f32(w, scale);
            }
    }
}

void q35i_chunk_to_f32__neon(const q35i_codec *codec, const q35i_chunk *chunk, int blocks, float32x4_t *out)
{
    const int by_16 = codec->form == Q35I_FORM_SUB16 || codec->form == Q35I_FORM_MIN16;
    const int has_min = codec->form == Q35I_FORM_MIN || codec->form == Q35I_FORM_MIN16;
    for (int j = 0; j < 8 * blocks; j++) {
        int part = by_16 ? j / 4 : j / 8;
        for (int i = 0; i < 4; i++) {
            float32x4_t w = q35i_scaled(chunk->scale[part], q35i_byte(chunk->w[j], i));
            out[4 * j + i] = has_min ? vaddq_f32(w, chunk->min[part]) : w;
        }
    }
}
