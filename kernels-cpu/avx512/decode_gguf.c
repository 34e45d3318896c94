/* SPDX-License-Identifier: Apache-2.0
 *
 * GGUF types with blocks of 32 to the chunk form (tile.h). Bytes of 16 rows are transposed while they are still
 * packed (24 loads and shuffles for 512 weights), nibbles are split afterwards. Scales of the 16 rows come by one
 * gather.
 */
#include "kernels-cpu/avx512/tile.h"

/* Nibble blocks: low nibbles are inputs 0..15, high ones 16..31. qh: 32 fifth bits, or NULL. */
Q35I_INLINE void nibbles(const uint8_t *qs, const uint8_t *qh, int64_t rs, __m512i w[8])
{
    const __m512i low = _mm512_set1_epi8(15), bit4 = _mm512_set1_epi8(16);
    __m512i v[4];
    q35i_load_t16(qs, rs, v);
    for (int j = 0; j < 4; j++) {
        w[j] = _mm512_and_si512(v[j], low);
        w[4 + j] = _mm512_and_si512(_mm512_srli_epi16(v[j], 4), low);
    }
    if (!qh)
        return;
    /* Bits 8 p .. 8 p + 7 of a lane, as one byte repeated, serve vectors 2 p and 2 p + 1. */
    __m512i bits = q35i_gather_rows(qh, rs), pick = _mm512_set4_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0);
    for (int p = 0; p < 4; p++) {
        __m512i byte = _mm512_shuffle_epi8(bits, pick);
        __mmask64 first = _mm512_test_epi8_mask(byte, _mm512_set1_epi32(0x08040201));
        __mmask64 second = _mm512_test_epi8_mask(byte, _mm512_set1_epi32((int)0x80402010));
        w[2 * p] = _mm512_mask_add_epi8(w[2 * p], first, w[2 * p], bit4);
        w[2 * p + 1] = _mm512_mask_add_epi8(w[2 * p + 1], second, w[2 * p + 1], bit4);
        pick = _mm512_add_epi8(pick, _mm512_set1_epi8(1));
    }
}

void q35i_decode_q4_0__avx512(const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead, const q35i_book *book,
                              q35i_chunk *out)
{
    (void)book;
    for (int b = 0; b < blocks; b++, at += 18, ahead += 288) {
        q35i_prefetch(ahead, 288);
        out->scale[b] = q35i_half_low(q35i_gather_rows(at, rs));
        nibbles(at + 2, NULL, rs, out->w + 8 * b);
    }
}

void q35i_decode_q4_1__avx512(const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead, const q35i_book *book,
                              q35i_chunk *out)
{
    (void)book;
    for (int b = 0; b < blocks; b++, at += 20, ahead += 320) {
        q35i_prefetch(ahead, 320);
        __m512i dm = q35i_gather_rows(at, rs);
        out->scale[b] = q35i_half_low(dm);
        out->min[b] = q35i_half_high(dm);
        nibbles(at + 4, NULL, rs, out->w + 8 * b);
    }
}

void q35i_decode_q5_0__avx512(const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead, const q35i_book *book,
                              q35i_chunk *out)
{
    (void)book;
    for (int b = 0; b < blocks; b++, at += 22, ahead += 352) {
        q35i_prefetch(ahead, 352);
        out->scale[b] = q35i_half_low(q35i_gather_rows(at, rs));
        nibbles(at + 6, at + 2, rs, out->w + 8 * b);
    }
}

void q35i_decode_q5_1__avx512(const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead, const q35i_book *book,
                              q35i_chunk *out)
{
    (void)book;
    for (int b = 0; b < blocks; b++, at += 24, ahead += 384) {
        q35i_prefetch(ahead, 384);
        __m512i dm = q35i_gather_rows(at, rs);
        out->scale[b] = q35i_half_low(dm);
        out->min[b] = q35i_half_high(dm);
        nibbles(at + 8, at + 4, rs, out->w + 8 * b);
    }
}

/* From L2 into L1: sixteen streams are too many for the hardware. */
Q35I_INLINE void prefetch_rows(uintptr_t at, int64_t rs)
{
    for (int r = 0; r < Q35I_ROWS; r++)
        _mm_prefetch((const char *)(at + (uintptr_t)(r * rs)), _MM_HINT_T0);
}

void q35i_decode_q8_0__avx512(const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead, const q35i_book *book,
                              q35i_chunk *out)
{
    const __m512i sign = _mm512_set1_epi8((char)0x80); /* int8 + 128 */
    (void)book;
    for (int b = 0; b < blocks; b++, at += 34, ahead += 544) {
        q35i_prefetch(ahead, 544);
        prefetch_rows((uintptr_t)at + 34 * Q35I_CHUNK_BLOCKS, rs);
        __m512i *w = out->w + 8 * b;
        out->scale[b] = q35i_half_low(q35i_gather_rows(at, rs));
        q35i_load_t16(at + 2, rs, w);
        q35i_load_t16(at + 18, rs, w + 4);
        for (int j = 0; j < 8; j++)
            w[j] = _mm512_xor_si512(w[j], sign);
    }
}
