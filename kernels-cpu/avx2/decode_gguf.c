/* SPDX-License-Identifier: Apache-2.0
 *
 * GGUF types with blocks of 32 to the chunk form (tile8.h). Bytes of 8 rows are transposed while they are still
 * packed, nibbles are split afterwards.
 */
#include "kernels-cpu/avx2/tile8.h"

/* Nibble blocks: low nibbles are inputs 0..15, high ones 16..31. qh: 32 fifth bits, or NULL. */
Q35I_INLINE void nibbles(const uint8_t *qs, const uint8_t *qh, int64_t rs, __m256i w[8])
{
    const __m256i low = _mm256_set1_epi8(15), bit4 = _mm256_set1_epi8(16);
    __m256i v[4];
    q35i_load_t8(qs, rs, v);
    for (int j = 0; j < 4; j++) {
        w[j] = _mm256_and_si256(v[j], low);
        w[4 + j] = _mm256_and_si256(_mm256_srli_epi16(v[j], 4), low);
    }
    if (!qh)
        return;
    /* Bits 8 p .. 8 p + 7 of a lane, as one byte repeated, serve vectors 2 p and 2 p + 1. */
    const __m256i first = _mm256_set1_epi32(0x08040201), second = _mm256_set1_epi32((int)0x80402010);
    __m256i bits = q35i_gather_rows(qh, rs);
    __m256i pick = _mm256_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c, 0, 0x04040404, 0x08080808, 0x0c0c0c0c);
    for (int p = 0; p < 4; p++) {
        __m256i byte = _mm256_shuffle_epi8(bits, pick);
        __m256i a = _mm256_cmpeq_epi8(_mm256_and_si256(byte, first), first);
        __m256i b = _mm256_cmpeq_epi8(_mm256_and_si256(byte, second), second);
        w[2 * p] = _mm256_or_si256(w[2 * p], _mm256_and_si256(a, bit4));
        w[2 * p + 1] = _mm256_or_si256(w[2 * p + 1], _mm256_and_si256(b, bit4));
        pick = _mm256_add_epi8(pick, _mm256_set1_epi8(1));
    }
}

Q35I_INLINE void subtract(__m256i w[8], char bias)
{
    for (int j = 0; j < 8; j++)
        w[j] = _mm256_sub_epi8(w[j], _mm256_set1_epi8(bias));
}

void q35i_decode_q4_0__avx2(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    (void)book;
    for (int b = 0; b < blocks; b++, at += 18) {
        out->scale[b] = q35i_half_low(q35i_gather_rows(at, rs));
        nibbles(at + 2, NULL, rs, out->w + 8 * b);
        subtract(out->w + 8 * b, 8);
    }
}

void q35i_decode_q4_1__avx2(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    (void)book;
    for (int b = 0; b < blocks; b++, at += 20) {
        __m256i dm = q35i_gather_rows(at, rs);
        out->scale[b] = q35i_half_low(dm);
        out->min[b] = q35i_half_high(dm);
        nibbles(at + 4, NULL, rs, out->w + 8 * b);
    }
}

void q35i_decode_q5_0__avx2(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    (void)book;
    for (int b = 0; b < blocks; b++, at += 22) {
        out->scale[b] = q35i_half_low(q35i_gather_rows(at, rs));
        nibbles(at + 6, at + 2, rs, out->w + 8 * b);
        subtract(out->w + 8 * b, 16);
    }
}

void q35i_decode_q5_1__avx2(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    (void)book;
    for (int b = 0; b < blocks; b++, at += 24) {
        __m256i dm = q35i_gather_rows(at, rs);
        out->scale[b] = q35i_half_low(dm);
        out->min[b] = q35i_half_high(dm);
        nibbles(at + 8, at + 4, rs, out->w + 8 * b);
    }
}

void q35i_decode_q8_0__avx2(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    (void)book;
    for (int b = 0; b < blocks; b++, at += 34) {
        out->scale[b] = q35i_half_low(q35i_gather_rows(at, rs));
        q35i_load_t8(at + 2, rs, out->w + 8 * b);
        q35i_load_t8(at + 18, rs, out->w + 8 * b + 4);
    }
}
