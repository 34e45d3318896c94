/* SPDX-License-Identifier: Apache-2.0
 *
 * A chunk of 8 rows of a row type to signed bytes in the order of the inputs, from 16-row tiles
 * (kernels-cpu/row16.h) or from canonical rows. Magnitudes are looked up in two or four registers, then the signs
 * of the code are applied. */
#include "kernels-cpu/neon/row.h"

void q35i_row_load_book__neon(const q35k_weights *w, q35i_row_book *book)
{
    int n_tables = (int)q35_book_entries(w->dtype) / 4 / 16;
    for (int t = 0; t < n_tables; t++) {
        int8x16x2_t pairs = vld2q_s8(w->book[16 * t]);
        book->even.val[t] = pairs.val[0];
        book->odd.val[t] = pairs.val[1];
    }
}

/* sign: the bit of the code that makes the weight negative. */
Q35I_INLINE int8x16_t lookup(uint32_t dtype, const int8x16x4_t *table, uint8x16_t code, uint8_t sign)
{
    const uint8x16_t index = vandq_u8(code, vdupq_n_u8(dtype == Q35_DT_Q35_ROW ? 31 : 63));
    const int8x16_t minus = vreinterpretq_s8_u8(vtstq_u8(code, vdupq_n_u8(sign)));
    const int8x16x2_t first = {{table->val[0], table->val[1]}};
    int8x16_t w = dtype == Q35_DT_Q35_ROW ? vqtbl2q_s8(first, index) : vqtbl4q_s8(*table, index);
    return vsubq_s8(veorq_s8(w, minus), minus);
}

/* v: the code vectors of one set of four rows; w: their half h of its 16 vectors of weights. */
Q35I_INLINE void weights_of_set(uint32_t dtype, const uint8x16_t *v, const q35i_row_book *book, int h,
                                q35i_ints *w)
{
    if (dtype == Q35_DT_Q60_ROW) {
        for (int j = 0; j < 16; j++) {
            int8x16_t c = vreinterpretq_s8_u8(vandq_u8(v[j], vdupq_n_u8(63)));
            w[j].v[h] = vreinterpretq_s32_s8(vsubq_s8(vaddq_s8(c, c), vdupq_n_s8(63)));
        }
        return;
    }
    const uint8_t sign = dtype == Q35_DT_Q35_ROW ? 32 : 64;
    for (int j = 0; j < 8; j++) {
        int8x16_t even = lookup(dtype, &book->even, v[j], sign);
        int8x16_t odd = lookup(dtype, &book->odd, v[j], (uint8_t)(2 * sign));
        int32x4_t low = vreinterpretq_s32_s8(vzip1q_s8(even, odd));
        int32x4_t high = vreinterpretq_s32_s8(vzip2q_s8(even, odd));
        w[2 * j].v[h] = vuzp1q_s32(low, high);
        w[2 * j + 1].v[h] = vuzp2q_s32(low, high);
    }
}

/* ---- packed ---- */

/* The code vectors of four rows of a set; the bits above a code's are noise, but in Q40_ROW there are none. */
Q35I_INLINE void load_set(uint32_t dtype, const uint8_t *four, uint8x16_t *v)
{
    if (dtype == Q35_DT_Q40_ROW) {
        for (int j = 0; j < 8; j++)
            v[j] = vld1q_u8(four + 64 * j);
    } else if (dtype == Q35_DT_Q35_ROW) {
        for (int j = 0; j < 7; j++)
            v[j] = vld1q_u8(four + 64 * j);
        v[7] = v[0];
        for (int j = 1; j < 7; j++)
            v[7] = vsriq_n_u8(v[j], v[7], 1);
        v[7] = vshrq_n_u8(v[7], 1);
    } else {
        for (int g = 0; g < 4; g++, four += 192, v += 4) {
            for (int b = 0; b < 3; b++)
                v[b] = vld1q_u8(four + 64 * b);
            v[3] = vshrq_n_u8(vsriq_n_u8(v[2], vsriq_n_u8(v[1], v[0], 2), 2), 2);
        }
    }
}

/* half: 0 or 1 for rows 0..7 or 8..15. */
Q35I_INLINE void decode_tile(uint32_t dtype, const uint8_t *set, int64_t half, int sets, const q35i_row_book *book,
                             q35i_ints *w)
{
    for (int s = 0; s < sets; s++, set += q35k_row16_set_bytes(dtype), w += 16) {
        uint8x16_t v[16];
        for (uint32_t i = 0; half == 0 && i < q35k_row16_set_bytes(dtype); i += 64)
            q35i_prefetch_stream(set + i);
        for (int h = 0; h < 2; h++) {
            load_set(dtype, set + 32 * half + 16 * h, v);
            weights_of_set(dtype, v, book, h, w);
        }
    }
}

/* ---- canonical ---- */

/* Bits width i .. width i + width - 1 of the bytes of p, i = 0 .. 15, from `first` on, one code per byte. */
Q35I_INLINE uint8x16_t spread(uint8x16_t p, int width, uint8_t first)
{
    static const uint8_t index7[16] = {0, 1, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7};
    static const uint8_t index6[16] = {0, 1, 0, 1, 1, 2, 2, 3, 3, 4, 3, 4, 4, 5, 5, 6};
    static const int16_t shift7[8] = {0, -7, -6, -5, -4, -3, -2, -1}, shift6[8] = {0, -6, -4, -2, 0, -6, -4, -2};
    const int16x8_t shift = vld1q_s16(width == 7 ? shift7 : shift6);
    const uint8x16_t index = vaddq_u8(vld1q_u8(width == 7 ? index7 : index6), vdupq_n_u8(first));
    const uint8x16_t next = vaddq_u8(index, vdupq_n_u8((uint8_t)width)); /* 8 codes later */
    uint16x8_t low = vshlq_u16(vreinterpretq_u16_u8(vqtbl1q_u8(p, index)), shift);
    uint16x8_t high = vshlq_u16(vreinterpretq_u16_u8(vqtbl1q_u8(p, next)), shift);
    uint8x16_t codes = vuzp1q_u8(vreinterpretq_u8_u16(low), vreinterpretq_u8_u16(high));
    return vandq_u8(codes, vdupq_n_u8(width == 7 ? 127 : 63));
}

/* The codes of one row of a set, one per byte; left: bytes of the row that are there. */
Q35I_INLINE void spread_row(uint32_t dtype, const uint8_t *at, int64_t left, uint8_t *out)
{
    const int bytes = (int)q35k_row16_set_bytes(dtype) / 16;
    uint8_t whole[48] = {0};
    if (left < bytes) {
        memcpy(whole, at, (size_t)(left > 0 ? left : 0));
        at = whole;
    }
    if (dtype == Q35_DT_Q40_ROW) {
        vst1q_u8(out, vld1q_u8(at));
        vst1q_u8(out + 16, vld1q_u8(at + 16));
    } else if (dtype == Q35_DT_Q35_ROW) {
        vst1q_u8(out, spread(vld1q_u8(at), 7, 0));
        vst1q_u8(out + 16, spread(vld1q_u8(at + 12), 7, 2));
    } else {
        for (int i = 0; i < 3; i++)
            vst1q_u8(out + 16 * i, spread(vld1q_u8(at + 12 * i), 6, 0));
        vst1q_u8(out + 48, spread(vld1q_u8(at + 32), 6, 4));
    }
}

/* at: the chunk's first byte in row 0; left: bytes of codes from there to the row's end. */
Q35I_INLINE void decode_rows(uint32_t dtype, const uint8_t *at, int64_t rs, int64_t n_rows, int64_t left, int sets,
                             const q35i_row_book *book, q35i_ints *w)
{
    const int bytes = (int)q35k_row16_set_bytes(dtype) / 16, codes = dtype == Q35_DT_Q60_ROW ? 64 : 32;
    uint8_t rows[8 * 64] = {0};
    for (int s = 0; s < sets; s++, at += bytes, left -= bytes, w += 16) {
        uint8x16_t v[16];
        for (int64_t r = 0; r < n_rows; r++) { /* with the same bytes of the tiles that come next */
            const uint8_t *row = at + r * rs;
            __builtin_prefetch((const void *)((uintptr_t)row + 16 * (uintptr_t)rs), 0, 3);
            spread_row(dtype, row, left, rows + r * codes);
        }
        for (int h = 0; h < 2; h++) {
            for (int j = 0; j < codes / 16; j++)
                q35i_load_t4(rows + 4 * h * codes + 16 * j, codes, v + 4 * j);
            weights_of_set(dtype, v, book, h, w);
        }
    }
}

/* dtype is a constant where this is inlined. */
Q35I_INLINE void decode(uint32_t dtype, const q35k_weights *m, int64_t r0, int64_t n_rows, int64_t k0, int sets,
                        const q35i_row_book *book, q35i_ints *w)
{
    const uint8_t *data = m->data;
    const int64_t at = k0 / Q35K_ROW16_SET * (int64_t)q35k_row16_set_bytes(dtype);
    if (m->layout == Q35K_LAYOUT_ROW16) {
        decode_tile(dtype, data + r0 / 16 * m->rs + Q35K_ROW16_HEAD_BYTES + at, r0 % 16 / 8, sets, book, w);
        return;
    }
    int64_t first = 4 + at / 16, left = (int64_t)q35_row_bytes(dtype, (uint64_t)m->k) - first;
    decode_rows(dtype, data + r0 * m->rs + first, m->rs, n_rows, left, sets, book, w);
}

void q35i_row_decode__neon(const q35k_weights *m, int64_t r0, int64_t n_rows, int64_t k0, int sets,
                           const q35i_row_book *book, q35i_ints *w)
{
    switch (m->dtype) {
    case Q35_DT_Q35_ROW: decode(Q35_DT_Q35_ROW, m, r0, n_rows, k0, sets, book, w); return;
    case Q35_DT_Q40_ROW: decode(Q35_DT_Q40_ROW, m, r0, n_rows, k0, sets, book, w); return;
    default: decode(Q35_DT_Q60_ROW, m, r0, n_rows, k0, sets, book, w); return;
    }
}
