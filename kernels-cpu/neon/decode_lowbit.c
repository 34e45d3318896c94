/* SPDX-License-Identifier: Apache-2.0
 *
 * Q2_K and Q3_K (two bits of four passes in a byte), IQ4_NL and IQ4_XS (a table of 16 levels) to the chunk form
 * (tile4.h). As in decode_kquant.c scales are unpacked with one row per lane, and the last block of 256 is decoded
 * whole.
 */
#include "kernels-cpu/neon/tile4.h"

/* The bits of v >> n (v << -n) that are in mask. */
Q35I_INLINE uint32x4_t bits(uint32x4_t v, int n, uint32_t mask)
{
    return vandq_u32(vshlq_u32(v, vdupq_n_s32(-n)), vdupq_n_u32(mask));
}

/* qs: 64 bytes; input 128 h + 32 t + l has bits 2 t and 2 t + 1 of byte 32 h + l. */
static void crumbs(const uint8_t *qs, int64_t rs, int8x16_t *w)
{
    for (int h = 0; h < 2; h++) {
        uint8x16_t v[8];
        q35i_load_t4(qs + 32 * h, rs, v);
        q35i_load_t4(qs + 32 * h + 16, rs, v + 4);
        for (int t = 0; t < 4; t++)
            for (int j = 0; j < 8; j++) {
                w[32 * h + 8 * t + j] = vreinterpretq_s8_u8(vandq_u8(v[j], vdupq_n_u8(3)));
                v[j] = vshrq_n_u8(v[j], 2);
            }
    }
}

void q35i_decode_q2_k__neon(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    uint8x16_t s[4];
    uint32x4_t both = q35i_gather_rows(at + 80, rs);
    float32x4_t d = q35i_half_low(both), dmin = q35i_half_high(both);
    (void)book;
    (void)blocks;
    crumbs(at + 16, rs, out->w);
    q35i_load_t4(at, rs, s);
    for (int k = 0; k < 16; k++) {
        uint32x4_t v = vreinterpretq_u32_u8(s[k / 4]);
        out->scale[k] = q35i_scaled(d, vreinterpretq_s32_u32(bits(v, 8 * (k & 3), 15)));
        float32x4_t min = q35i_scaled(dmin, vreinterpretq_s32_u32(bits(v, 8 * (k & 3) + 4, 15)));
        out->min[k] = vsubq_f32(vdupq_n_f32(0), min);
    }
}

/* d times a 6-bit scale, less 32. */
Q35I_INLINE float32x4_t scale6(float32x4_t d, uint32x4_t low4, uint32x4_t high2)
{
    uint32x4_t v = vorrq_u32(low4, vshlq_n_u32(high2, 4));
    return q35i_scaled(d, vsubq_s32(vreinterpretq_s32_u32(v), vdupq_n_s32(32)));
}

/* Scales of Q3_K, sub-block k: q35_q3_k_scale, 4 rows at once. sc: 12 bytes. */
static void scales_q3_k(const uint8_t *sc, int64_t rs, float32x4_t d, q35i_chunk *out)
{
    const uint32x4_t low[2] = {q35i_gather_rows(sc, rs), q35i_gather_rows(sc + 4, rs)};
    const uint32x4_t high = q35i_gather_rows(sc + 8, rs);
    for (int k = 0; k < 16; k++)
        out->scale[k] = scale6(d, bits(low[k / 4 & 1], 8 * (k & 3) + 4 * (k >> 3), 15),
                               bits(high, 8 * (k & 3) + 2 * (k >> 2), 3));
}

void q35i_decode_q3_k__neon(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    uint8x16_t high[8];
    (void)book;
    (void)blocks;
    crumbs(at + 32, rs, out->w);
    q35i_load_t4(at, rs, high);
    q35i_load_t4(at + 16, rs, high + 4);
    for (int k = 0; k < 8; k++)
        for (int j = 0; j < 8; j++) {
            int8x16_t bit = vreinterpretq_s8_u8(vandq_u8(vshlq_n_u8(high[j], 2), vdupq_n_u8(4)));
            out->w[8 * k + j] = vsubq_s8(vorrq_s8(out->w[8 * k + j], bit), vdupq_n_s8(4));
            high[j] = vshrq_n_u8(high[j], 1);
        }
    /* The scale is in the last two of the four bytes read; reading from it would pass the row's end. */
    scales_q3_k(at + 96, rs, q35i_half_high(q35i_gather_rows(at + 106, rs)), out);
}

/* 16 bytes of nibbles of each row to 32 levels. */
Q35I_INLINE void levels(const uint8_t *qs, int64_t rs, int8x16_t w[8])
{
    const int8x16_t table = vld1q_s8(q35_iq4_levels());
    uint8x16_t v[4];
    q35i_load_t4(qs, rs, v);
    for (int j = 0; j < 4; j++) {
        w[j] = vqtbl1q_s8(table, vandq_u8(v[j], vdupq_n_u8(15)));
        w[4 + j] = vqtbl1q_s8(table, vshrq_n_u8(v[j], 4));
    }
}

void q35i_decode_iq4_nl__neon(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    (void)book;
    for (int b = 0; b < blocks; b++, at += 18) {
        out->scale[b] = q35i_half_low(q35i_gather_rows(at, rs));
        levels(at + 2, rs, out->w + 8 * b);
    }
}

void q35i_decode_iq4_xs__neon(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    const uint32x4_t first = q35i_gather_rows(at, rs), low = q35i_gather_rows(at + 4, rs);
    const float32x4_t d = q35i_half_low(first);
    (void)book;
    (void)blocks;
    for (int k = 0; k < 8; k++) {
        out->scale[k] = scale6(d, bits(low, 4 * k, 15), bits(first, 16 + 2 * k, 3));
        levels(at + 8 + 16 * k, rs, out->w + 8 * k);
    }
}
