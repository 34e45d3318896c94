/* SPDX-License-Identifier: Apache-2.0
 *
 * Q4_K, Q5_K and Q6_K (blocks of 256) to the chunk form (tile8.h). The 6-bit scales of 8 rows are unpacked with
 * one row per lane. The last block of a row may be asked for only in part; it is decoded whole.
 */
#include "kernels-cpu/avx2/tile8.h"

Q35I_INLINE __m256 product(__m256 d, __m256i v)
{
    return _mm256_mul_ps(d, _mm256_cvtepi32_ps(v));
}

/* Scales and minima of Q4_K and Q5_K, sub-block k: q35_k_scale_min, 8 rows at once. at: the block. */
static void scales_k45(const uint8_t *at, int64_t rs, q35i_chunk *out)
{
    const __m256i m63 = _mm256_set1_epi32(63), m15 = _mm256_set1_epi32(15), m48 = _mm256_set1_epi32(48);
    const __m256 zero = _mm256_setzero_ps();
    __m256i dd = q35i_gather_rows(at, rs);
    __m256 d = q35i_half_low(dd), dmin = q35i_half_high(dd);
    __m256i b0 = q35i_gather_rows(at + 4, rs), b4 = q35i_gather_rows(at + 8, rs),
            b8 = q35i_gather_rows(at + 12, rs);
    for (int k = 0; k < 4; k++) {
        __m256i hi = _mm256_or_si256(_mm256_and_si256(b8, m15), _mm256_and_si256(_mm256_srli_epi32(b0, 2), m48));
        __m256i hi_min = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi32(b8, 4), m15),
                                         _mm256_and_si256(_mm256_srli_epi32(b4, 2), m48));
        out->scale[k] = product(d, _mm256_and_si256(b0, m63));
        out->scale[k + 4] = product(d, hi);
        out->min[k] = _mm256_sub_ps(zero, product(dmin, _mm256_and_si256(b4, m63)));
        out->min[k + 4] = _mm256_sub_ps(zero, product(dmin, hi_min));
        b0 = _mm256_srli_epi32(b0, 8);
        b4 = _mm256_srli_epi32(b4, 8);
        b8 = _mm256_srli_epi32(b8, 8);
    }
}

/* qs: 128 bytes, byte l of its 32-byte piece c holds input l of sub-blocks 2 c (low) and 2 c + 1 (high nibble). */
static void nibbles_k45(const uint8_t *qs, int64_t rs, __m256i *w)
{
    const __m256i low = _mm256_set1_epi8(15);
    for (int c = 0; c < 4; c++) {
        __m256i v[8];
        q35i_load_t8(qs + 32 * c, rs, v);
        q35i_load_t8(qs + 32 * c + 16, rs, v + 4);
        for (int j = 0; j < 8; j++) {
            w[16 * c + j] = _mm256_and_si256(v[j], low);
            w[16 * c + 8 + j] = _mm256_and_si256(_mm256_srli_epi16(v[j], 4), low);
        }
    }
}

void q35i_decode_q4_k__avx2(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    (void)book;
    (void)blocks;
    scales_k45(at, rs, out);
    nibbles_k45(at + 16, rs, out->w);
}

void q35i_decode_q5_k__avx2(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    const __m256i one = _mm256_set1_epi8(1);
    __m256i qh[8];
    (void)book;
    (void)blocks;
    scales_k45(at, rs, out);
    nibbles_k45(at + 48, rs, out->w);
    q35i_load_t8(at + 16, rs, qh);
    q35i_load_t8(at + 32, rs, qh + 4);
    for (int k = 0; k < 8; k++)
        for (int j = 0; j < 8; j++) {
            __m256i bit = _mm256_slli_epi16(_mm256_and_si256(qh[j], one), 4);
            out->w[8 * k + j] = _mm256_or_si256(out->w[8 * k + j], bit);
            qh[j] = _mm256_srli_epi16(qh[j], 1);
        }
}

/* One half (128 inputs) of a Q6_K block, minus 32: input 32 g + l has its low bits in nibble g / 2 of
 * ql[l + 32 (g & 1)], and its high bits at 2 g of qh[l]. */
static void half_q6k(const uint8_t *ql, const uint8_t *qh, int64_t rs, __m256i *w)
{
    const __m256i low = _mm256_set1_epi8(15), two = _mm256_set1_epi8(48), bias = _mm256_set1_epi8(32);
    for (int part = 0; part < 2; part++) {
        __m256i l[2][4], h[4];
        q35i_load_t8(ql + 16 * part, rs, l[0]);
        q35i_load_t8(ql + 32 + 16 * part, rs, l[1]);
        q35i_load_t8(qh + 16 * part, rs, h);
        for (int j = 0; j < 4; j++) {
            __m256i high[4] = {_mm256_slli_epi16(h[j], 4), _mm256_slli_epi16(h[j], 2), h[j],
                               _mm256_srli_epi16(h[j], 2)};
            for (int g = 0; g < 4; g++) {
                __m256i nib = g < 2 ? l[g][j] : _mm256_srli_epi16(l[g - 2][j], 4);
                __m256i q = _mm256_or_si256(_mm256_and_si256(nib, low), _mm256_and_si256(high[g], two));
                w[8 * g + 4 * part + j] = _mm256_sub_epi8(q, bias);
            }
        }
    }
}

void q35i_decode_q6_k__avx2(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    (void)book;
    (void)blocks;
    half_q6k(at, at + 128, rs, out->w);
    half_q6k(at + 64, at + 160, rs, out->w + 32);
    /* The scale is in the last two of the four bytes read; reading from it would pass the row's end. */
    __m256 d = q35i_half_high(q35i_gather_rows(at + 206, rs));
    __m256i s[4];
    q35i_load_t8(at + 192, rs, s);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            __m256i v = _mm256_srai_epi32(_mm256_sll_epi32(s[i], _mm_cvtsi32_si128(24 - 8 * j)), 24);
            out->scale[4 * i + j] = product(d, v);
        }
}
