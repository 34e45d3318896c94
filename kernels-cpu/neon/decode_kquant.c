/* SPDX-License-Identifier: Apache-2.0
 *
 * Q4_K, Q5_K and Q6_K (blocks of 256) to the chunk form (tile4.h). The 6-bit scales of 4 rows are unpacked with
 * one row per lane. The last block of a row may be asked for only in part; it is decoded whole.
 */
#include "kernels-cpu/neon/tile4.h"

/* d times the bits of v that are in mask. */
Q35I_INLINE float32x4_t product(float32x4_t d, uint32x4_t v, uint32_t mask)
{
    return q35i_scaled(d, vreinterpretq_s32_u32(vandq_u32(v, vdupq_n_u32(mask))));
}

/* The low four bits of v, with bits 6 and 7 of top above them. */
Q35I_INLINE uint32x4_t join(uint32x4_t v, uint32x4_t top)
{
    uint32x4_t high = vandq_u32(vshrq_n_u32(top, 2), vdupq_n_u32(48));
    return vorrq_u32(vandq_u32(v, vdupq_n_u32(15)), high);
}

/* Scales and minima of Q4_K and Q5_K, sub-block k: q35_k_scale_min, 4 rows at once. at: the block. */
static void scales_k45(const uint8_t *at, int64_t rs, q35i_chunk *out)
{
    const float32x4_t zero = vdupq_n_f32(0);
    uint32x4_t both = q35i_gather_rows(at, rs);
    float32x4_t d = q35i_half_low(both), dmin = q35i_half_high(both);
    uint32x4_t b0 = q35i_gather_rows(at + 4, rs), b4 = q35i_gather_rows(at + 8, rs);
    uint32x4_t b8 = q35i_gather_rows(at + 12, rs);
    for (int k = 0; k < 4; k++) {
        out->scale[k] = product(d, b0, 63);
        out->scale[k + 4] = product(d, join(b8, b0), 63);
        out->min[k] = vsubq_f32(zero, product(dmin, b4, 63));
        out->min[k + 4] = vsubq_f32(zero, product(dmin, join(vshrq_n_u32(b8, 4), b4), 63));
        b0 = vshrq_n_u32(b0, 8);
        b4 = vshrq_n_u32(b4, 8);
        b8 = vshrq_n_u32(b8, 8);
    }
}

/* qs: 128 bytes, byte l of its 32-byte piece c holds input l of sub-blocks 2 c (low) and 2 c + 1 (high nibble).
 * qh: bit k of byte l is the fifth bit of input l of sub-block k; NULL: none. */
Q35I_INLINE void nibbles_k45(const uint8_t *qs, const uint8_t *qh, int64_t rs, int8x16_t *w)
{
    uint8x16_t high[8];
    if (qh) {
        q35i_load_t4(qh, rs, high);
        q35i_load_t4(qh + 16, rs, high + 4);
    }
    for (int c = 0; c < 4; c++) {
        uint8x16_t v[8];
        q35i_load_t4(qs + 32 * c, rs, v);
        q35i_load_t4(qs + 32 * c + 16, rs, v + 4);
        for (int j = 0; j < 8; j++) {
            uint8x16_t low = vandq_u8(v[j], vdupq_n_u8(15)), top = vshrq_n_u8(v[j], 4);
            if (qh) {
                const uint8x16_t sixteen = vdupq_n_u8(16);
                low = vorrq_u8(low, vandq_u8(vshlq_n_u8(high[j], 4), sixteen));
                top = vorrq_u8(top, vandq_u8(vshlq_n_u8(high[j], 3), sixteen));
                high[j] = vshrq_n_u8(high[j], 2);
            }
            w[16 * c + j] = vreinterpretq_s8_u8(low);
            w[16 * c + 8 + j] = vreinterpretq_s8_u8(top);
        }
    }
}

void q35i_decode_q4_k__neon(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    (void)book;
    (void)blocks;
    scales_k45(at, rs, out);
    nibbles_k45(at + 16, NULL, rs, out->w);
}

void q35i_decode_q5_k__neon(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    (void)book;
    (void)blocks;
    scales_k45(at, rs, out);
    nibbles_k45(at + 48, at + 16, rs, out->w);
}

/* One half (128 inputs) of a Q6_K block, minus 32: input 32 g + l has its low bits in nibble g / 2 of
 * ql[l + 32 (g & 1)], and its high bits at 2 g of qh[l]. */
static void half_q6k(const uint8_t *ql, const uint8_t *qh, int64_t rs, int8x16_t *w)
{
    const uint8x16_t low = vdupq_n_u8(15), two = vdupq_n_u8(48);
    for (int part = 0; part < 2; part++) {
        uint8x16_t l[2][4], h[4];
        q35i_load_t4(ql + 16 * part, rs, l[0]);
        q35i_load_t4(ql + 32 + 16 * part, rs, l[1]);
        q35i_load_t4(qh + 16 * part, rs, h);
        for (int j = 0; j < 4; j++) {
            const uint8x16_t high[4] = {vshlq_n_u8(h[j], 4), vshlq_n_u8(h[j], 2), h[j], vshrq_n_u8(h[j], 2)};
            for (int g = 0; g < 4; g++) {
                uint8x16_t nibble = g < 2 ? vandq_u8(l[g][j], low) : vshrq_n_u8(l[g - 2][j], 4);
                uint8x16_t q = vorrq_u8(nibble, vandq_u8(high[g], two));
                w[8 * g + 4 * part + j] = vsubq_s8(vreinterpretq_s8_u8(q), vdupq_n_s8(32));
            }
        }
    }
}

void q35i_decode_q6_k__neon(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    (void)book;
    (void)blocks;
    half_q6k(at, at + 128, rs, out->w);
    half_q6k(at + 64, at + 160, rs, out->w + 32);
    /* The scale is in the last two of the four bytes read; reading from it would pass the row's end. */
    float32x4_t d = q35i_half_high(q35i_gather_rows(at + 206, rs));
    uint8x16_t s[4];
    q35i_load_t4(at + 192, rs, s);
    for (int k = 0; k < 16; k++)
        out->scale[k] = q35i_scaled(d, q35i_byte(vreinterpretq_s8_u8(s[k / 4]), k % 4));
}
