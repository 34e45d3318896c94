/* SPDX-License-Identifier: Apache-2.0
 *
 * The 3.5-bit types to the chunk form (tile4.h), from 16-row tiles (kernels-cpu/tile16.h) and from canonical rows.
 * PAIR: a 128-entry lookup is two lookups in four registers. SPLIT: shift, mask and subtract.
 */
#include "kernels-cpu/neon/tile4.h"
#include "kernels-cpu/tile16.h"

void q35i_load_book__neon(const int8_t (*points)[2], q35i_book *book)
{
    for (int t = 0; t < 8; t++) {
        int8x16x2_t pairs = vld2q_s8(points[16 * t]);
        book->even[t / 4].val[t % 4] = pairs.val[0];
        book->odd[t / 4].val[t % 4] = pairs.val[1];
    }
}

/* One code vector (byte 4 r + i: row r, code i, bit 7 noise) to the weights of 8 inputs, in the order of the
 * inputs: w[0] the first four. */
Q35I_INLINE void weights_of_codes(uint8x16_t code, const q35i_book *book, int8x16_t w[2], int split)
{
    int8x16_t even, odd;
    if (split) { /* 7 * (code >> 3) and 15 * (code & 7) */
        uint8x16_t high = vandq_u8(vshrq_n_u8(code, 3), vdupq_n_u8(15)), low = vandq_u8(code, vdupq_n_u8(7));
        even = vreinterpretq_s8_u8(vsubq_u8(vshlq_n_u8(high, 3), high));
        odd = vreinterpretq_s8_u8(vsubq_u8(vshlq_n_u8(low, 4), low));
    } else {
        uint8x16_t index = vandq_u8(code, vdupq_n_u8(127));
        even = q35i_lookup128(book->even, index);
        odd = q35i_lookup128(book->odd, index);
    }
    int32x4_t low = vreinterpretq_s32_s8(vzip1q_s8(even, odd)), high = vreinterpretq_s32_s8(vzip2q_s8(even, odd));
    w[0] = vreinterpretq_s8_s32(vuzp1q_s32(low, high));
    w[1] = vreinterpretq_s8_s32(vuzp2q_s32(low, high));
}

/* quarter: rows 4 quarter .. 4 quarter + 3 of a set (kernels-cpu/tile16.h). */
Q35I_INLINE void load_set(const uint8_t *set, int64_t quarter, uint8x16_t v[8])
{
    for (int i = 0; i < 7; i++) {
        v[i] = vld1q_u8(set + 64 * i + 16 * quarter);
        if (quarter == 0)
            q35i_prefetch_stream(set + 64 * i);
    }
    v[7] = v[0];
    for (int i = 1; i < 7; i++)
        v[7] = vsriq_n_u8(v[i], v[7], 1);
    v[7] = vshrq_n_u8(v[7], 1);
}

Q35I_INLINE void decode_tile(const uint8_t *at, int64_t quarter, int blocks, const q35i_book *book,
                             q35i_chunk *out, int split)
{
    const uint8_t *sets = at + q35k_tile16_head_bytes(split);
    for (int b = 0; b < blocks; b++) {
        const uint8_t *head = at + (split ? 64 : 32) * (b >> 2) + 8 * quarter;
        out->scale[b] = vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(head)));
        if (split)
            out->min[b] = vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(head + 32)));
    }
    for (int s = 0; 2 * s < blocks; s++) {
        uint8x16_t v[8];
        load_set(sets + s * Q35K_TILE16_SET_BYTES, quarter, v);
        for (int j = 0; j < 8; j++)
            weights_of_codes(v[j], book, out->w + 16 * s + 2 * j, split);
    }
}

void q35i_decode_pair_tile__neon(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    decode_tile(at, rs, blocks, book, out, 0);
}

void q35i_decode_split_tile__neon(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book,
                                  q35i_chunk *out)
{
    decode_tile(at, rs, blocks, book, out, 1);
}

/* The 56 bytes of codes of a group to one lane of 16 code vectors. lane: byte 4 r of the first vector. Eight bytes
 * are read for every seven; the last seven are read from the byte before them. */
Q35I_INLINE void spread_group(const uint8_t *codes, uint8_t *lane)
{
    for (int i = 0; i < 8; i++) {
        uint64_t bits;
        memcpy(&bits, codes + (i < 7 ? 7 * i : 48), 8);
        if (i == 7)
            bits >>= 8;
        uint32_t low = q35k_tile16_spread((uint32_t)bits), high = q35k_tile16_spread((uint32_t)(bits >> 28));
        memcpy(lane + 32 * i, &low, 4);
        memcpy(lane + 32 * i + 16, &high, 4);
    }
}

Q35I_INLINE void decode_rows(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out,
                             int split)
{
    const int head = split ? 4 : 2;
    for (int g = 0; 4 * g < blocks; g++, at += head + Q35_CODE_BYTES) {
        uint8x16_t v[16];
        const uint32x4_t first = q35i_gather_rows(at, rs);
        for (int r = 0; r < 4; r++)
            spread_group(at + r * rs + head, (uint8_t *)v + 4 * r);
        for (int j = 0; j < 16; j++)
            weights_of_codes(v[j], book, out->w + 32 * g + 2 * j, split);
        for (int b = 4 * g; b < 4 * g + 4; b++) {
            out->scale[b] = q35i_half_low(first);
            out->min[b] = q35i_half_high(first);
        }
    }
}

void q35i_decode_pair_rows__neon(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    decode_rows(at, rs, blocks, book, out, 0);
}

void q35i_decode_split_rows__neon(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book,
                                  q35i_chunk *out)
{
    decode_rows(at, rs, blocks, book, out, 1);
}
