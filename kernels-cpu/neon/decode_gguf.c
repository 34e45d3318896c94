/* SPDX-License-Identifier: Apache-2.0
 *
 * GGUF types with blocks of 32 to the chunk form (tile4.h). Bytes of 4 rows are transposed while they are still
 * packed, nibbles are split afterwards.
 */
#include "kernels-cpu/neon/tile4.h"

/* Nibble blocks: low nibbles are inputs 0..15, high ones 16..31. qh: 32 fifth bits, or NULL. Less bias. */
Q35I_INLINE void nibbles(const uint8_t *qs, const uint8_t *qh, int64_t rs, int8_t bias, int8x16_t w[8])
{
    uint8x16_t v[4], u[8];
    q35i_load_t4(qs, rs, v);
    for (int j = 0; j < 4; j++) {
        u[j] = vandq_u8(v[j], vdupq_n_u8(15));
        u[4 + j] = vshrq_n_u8(v[j], 4);
    }
    if (qh) {
        /* Bits 8 p .. 8 p + 7 of a lane, as one byte repeated, serve vectors 2 p and 2 p + 1. */
        const uint8x16_t first = vreinterpretq_u8_u32(vdupq_n_u32(0x08040201));
        const uint8x16_t second = vreinterpretq_u8_u32(vdupq_n_u32(0x80402010));
        const uint8x16_t bits = vreinterpretq_u8_u32(q35i_gather_rows(qh, rs));
        uint8x16_t pick = vcombine_u8(vcreate_u8(0x0404040400000000), vcreate_u8(0x0c0c0c0c08080808));
        for (int p = 0; p < 4; p++) {
            uint8x16_t byte = vqtbl1q_u8(bits, pick);
            u[2 * p] = vorrq_u8(u[2 * p], vandq_u8(vtstq_u8(byte, first), vdupq_n_u8(16)));
            u[2 * p + 1] = vorrq_u8(u[2 * p + 1], vandq_u8(vtstq_u8(byte, second), vdupq_n_u8(16)));
            pick = vaddq_u8(pick, vdupq_n_u8(1));
        }
    }
    for (int j = 0; j < 8; j++)
        w[j] = vsubq_s8(vreinterpretq_s8_u8(u[j]), vdupq_n_s8(bias));
}

void q35i_decode_q4_0__neon(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    (void)book;
    for (int b = 0; b < blocks; b++, at += 18) {
        out->scale[b] = q35i_half_low(q35i_gather_rows(at, rs));
        nibbles(at + 2, NULL, rs, 8, out->w + 8 * b);
    }
}

void q35i_decode_q4_1__neon(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    (void)book;
    for (int b = 0; b < blocks; b++, at += 20) {
        uint32x4_t both = q35i_gather_rows(at, rs);
        out->scale[b] = q35i_half_low(both);
        out->min[b] = q35i_half_high(both);
        nibbles(at + 4, NULL, rs, 0, out->w + 8 * b);
    }
}

void q35i_decode_q5_0__neon(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    (void)book;
    for (int b = 0; b < blocks; b++, at += 22) {
        out->scale[b] = q35i_half_low(q35i_gather_rows(at, rs));
        nibbles(at + 6, at + 2, rs, 16, out->w + 8 * b);
    }
}

void q35i_decode_q5_1__neon(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    (void)book;
    for (int b = 0; b < blocks; b++, at += 24) {
        uint32x4_t both = q35i_gather_rows(at, rs);
        out->scale[b] = q35i_half_low(both);
        out->min[b] = q35i_half_high(both);
        nibbles(at + 8, at + 4, rs, 0, out->w + 8 * b);
    }
}

void q35i_decode_q8_0__neon(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    (void)book;
    for (int b = 0; b < blocks; b++, at += 34) {
        uint8x16_t v[8];
        out->scale[b] = q35i_half_low(q35i_gather_rows(at, rs));
        q35i_load_t4(at + 2, rs, v);
        q35i_load_t4(at + 18, rs, v + 4);
        for (int j = 0; j < 8; j++)
            out->w[8 * b + j] = vreinterpretq_s8_u8(v[j]);
    }
}
