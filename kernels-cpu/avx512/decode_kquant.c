/* SPDX-License-Identifier: Apache-2.0
 *
 * Q4_K, Q5_K and Q6_K (blocks of 256) to the chunk form (tile.h). The 6-bit scales of 16 rows are unpacked with
 * one row per lane. The last block of a row may be asked for only in part; it is decoded whole.
 */
#include "kernels-cpu/avx512/tile.h"

/* Scales and minima of Q4_K and Q5_K, sub-block k: q35_k_scale_min, 16 rows at once. at: the block. */
static void scales_k45(const uint8_t *at, int64_t rs, q35i_chunk *out)
{
    const __m512i m63 = _mm512_set1_epi32(63), m15 = _mm512_set1_epi32(15), m48 = _mm512_set1_epi32(48);
    __m512i dd = q35i_gather_rows(at, rs);
    __m512 d = q35i_half_low(dd), dmin = q35i_half_high(dd);
    __m512i b0 = q35i_gather_rows(at + 4, rs), b4 = q35i_gather_rows(at + 8, rs),
            b8 = q35i_gather_rows(at + 12, rs);
    for (int k = 0; k < 4; k++) {
        __m512i lo = _mm512_and_si512(b0, m63), lo_min = _mm512_and_si512(b4, m63);
        __m512i hi = _mm512_or_si512(_mm512_and_si512(b8, m15), _mm512_and_si512(_mm512_srli_epi32(b0, 2), m48));
        __m512i hi_min = _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi32(b8, 4), m15),
                                         _mm512_and_si512(_mm512_srli_epi32(b4, 2), m48));
        out->scale[k] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(lo));
        out->scale[k + 4] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(hi));
        /* The minimum is subtracted. 0 - x rather than a sign flip: the same value, but for the sign of zero. */
        out->min[k] = _mm512_sub_ps(_mm512_setzero_ps(), _mm512_mul_ps(dmin, _mm512_cvtepi32_ps(lo_min)));
        out->min[k + 4] = _mm512_sub_ps(_mm512_setzero_ps(), _mm512_mul_ps(dmin, _mm512_cvtepi32_ps(hi_min)));
        b0 = _mm512_srli_epi32(b0, 8);
        b4 = _mm512_srli_epi32(b4, 8);
        b8 = _mm512_srli_epi32(b8, 8);
    }
}

/* qs: 128 bytes, byte l of its 32-byte piece c holds input l of sub-blocks 2 c (low) and 2 c + 1 (high nibble). */
static void nibbles_k45(const uint8_t *qs, int64_t rs, uintptr_t ahead, int ahead_bytes, __m512i *w)
{
    const __m512i low = _mm512_set1_epi8(15);
    for (int c = 0; c < 4; c++) {
        __m512i v[8];
        q35i_prefetch(ahead + (uintptr_t)(c * ahead_bytes), ahead_bytes);
        q35i_load_t16(qs + 32 * c, rs, v);
        q35i_load_t16(qs + 32 * c + 16, rs, v + 4);
        for (int j = 0; j < 8; j++) {
            w[16 * c + j] = _mm512_and_si512(v[j], low);
            w[16 * c + 8 + j] = _mm512_and_si512(_mm512_srli_epi16(v[j], 4), low);
        }
    }
}

void q35i_decode_q4_k__avx512(const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead, const q35i_book *book,
                              q35i_chunk *out)
{
    (void)book;
    (void)blocks;
    scales_k45(at, rs, out);
    nibbles_k45(at + 16, rs, ahead, 4 * 144, out->w);
}

void q35i_decode_q5_k__avx512(const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead, const q35i_book *book,
                              q35i_chunk *out)
{
    const __m512i one = _mm512_set1_epi8(1);
    __m512i qh[8];
    (void)book;
    (void)blocks;
    scales_k45(at, rs, out);
    nibbles_k45(at + 48, rs, ahead, 4 * 176, out->w);
    q35i_load_t16(at + 16, rs, qh);
    q35i_load_t16(at + 32, rs, qh + 4);
    for (int k = 0; k < 8; k++)
        for (int j = 0; j < 8; j++) {
            __m512i bit = _mm512_slli_epi16(_mm512_and_si512(qh[j], one), 4);
            out->w[8 * k + j] = _mm512_or_si512(out->w[8 * k + j], bit);
            qh[j] = _mm512_srli_epi16(qh[j], 1);
        }
}

/* One half (128 inputs) of a Q6_K block: input 32 g + l has its low bits in nibble g / 2 of ql[l + 32 (g & 1)],
 * and its high bits at 2 g of qh[l]. */
static void half_q6k(const uint8_t *ql, const uint8_t *qh, int64_t rs, uintptr_t ahead, __m512i *w)
{
    const __m512i low = _mm512_set1_epi8(15), two = _mm512_set1_epi8(48);
    for (int part = 0; part < 2; part++) {
        __m512i a[4], b[4], h[4];
        q35i_prefetch(ahead + (uintptr_t)(part * 4 * 210), 4 * 210);
        q35i_load_t16(ql + 16 * part, rs, a);
        q35i_load_t16(ql + 32 + 16 * part, rs, b);
        q35i_load_t16(qh + 16 * part, rs, h);
        for (int j = 0; j < 4; j++) {
            __m512i *o = w + 4 * part + j;
            __m512i h0 = _mm512_and_si512(_mm512_slli_epi16(h[j], 4), two);
            __m512i h1 = _mm512_and_si512(_mm512_slli_epi16(h[j], 2), two);
            __m512i h2 = _mm512_and_si512(h[j], two);
            __m512i h3 = _mm512_and_si512(_mm512_srli_epi16(h[j], 2), two);
            o[0] = _mm512_or_si512(_mm512_and_si512(a[j], low), h0);
            o[8] = _mm512_or_si512(_mm512_and_si512(b[j], low), h1);
            o[16] = _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(a[j], 4), low), h2);
            o[24] = _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(b[j], 4), low), h3);
        }
    }
}

void q35i_decode_q6_k__avx512(const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead, const q35i_book *book,
                              q35i_chunk *out)
{
    (void)book;
    (void)blocks;
    half_q6k(at, at + 128, rs, ahead, out->w);
    half_q6k(at + 64, at + 160, rs, ahead + 8 * 210, out->w + 32);
    /* The scale is in the last two of the four bytes read; reading from it would pass the row's end. */
    __m512 d = q35i_half_high(q35i_gather_rows(at + 206, rs));
    __m512i s[4];
    q35i_load_t16(at + 192, rs, s);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) {
            __m512i v = _mm512_srai_epi32(_mm512_sll_epi32(s[i], _mm_cvtsi32_si128(24 - 8 * j)), 24);
            out->scale[4 * i + j] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(v));
        }
}
