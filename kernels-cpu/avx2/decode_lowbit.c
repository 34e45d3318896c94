/* SPDX-License-Identifier: Apache-2.0
 *
 * Q2_K and Q3_K (two bits of four passes in a byte), IQ4_NL and IQ4_XS (a table of 16 levels) to the chunk form
 * (tile8.h). As in decode_kquant.c scales are unpacked with one row per lane, and the last block of 256 is decoded
 * whole.
 */
#include "kernels-cpu/avx2/tile8.h"

Q35I_INLINE __m256 product(__m256 d, __m256i v)
{
    return _mm256_mul_ps(d, _mm256_cvtepi32_ps(v));
}

/* qs: 64 bytes; input 128 h + 32 t + l has bits 2 t and 2 t + 1 of byte 32 h + l. */
static void crumbs(const uint8_t *qs, int64_t rs, __m256i *w)
{
    const __m256i low = _mm256_set1_epi8(3);
    for (int h = 0; h < 2; h++) {
        __m256i v[8];
        q35i_load_t8(qs + 32 * h, rs, v);
        q35i_load_t8(qs + 32 * h + 16, rs, v + 4);
        for (int t = 0; t < 4; t++)
            for (int j = 0; j < 8; j++) {
                w[32 * h + 8 * t + j] = _mm256_and_si256(v[j], low);
                v[j] = _mm256_srli_epi16(v[j], 2);
            }
    }
}

void q35i_decode_q2_k__avx2(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    const __m256i m15 = _mm256_set1_epi32(15);
    __m256i s[4], dd = q35i_gather_rows(at + 80, rs);
    __m256 d = q35i_half_low(dd), dmin = q35i_half_high(dd);
    (void)book;
    (void)blocks;
    crumbs(at + 16, rs, out->w);
    q35i_load_t8(at, rs, s);
    for (int k = 0; k < 16; k++) {
        __m256i v = s[k / 4];
        out->scale[k] = product(d, _mm256_and_si256(v, m15));
        __m256 min = product(dmin, _mm256_and_si256(_mm256_srli_epi32(v, 4), m15));
        out->min[k] = _mm256_sub_ps(_mm256_setzero_ps(), min);
        s[k / 4] = _mm256_srli_epi32(v, 8);
    }
}

/* Scales of Q3_K, sub-block k: q35_q3_k_scale, 8 rows at once. sc: 12 bytes. */
static void scales_q3_k(const uint8_t *sc, int64_t rs, __m256 d, q35i_chunk *out)
{
    const __m256i m15 = _mm256_set1_epi32(15), m48 = _mm256_set1_epi32(48), bias = _mm256_set1_epi32(32);
    __m256i low[2] = {q35i_gather_rows(sc, rs), q35i_gather_rows(sc + 4, rs)};
    /* Byte k mod 4 has the high bits of scale k at 2 (k / 4); they go to bits 4 and 5. */
    __m256i high = q35i_gather_rows(sc + 8, rs);
    for (int k = 0; k < 16; k++) {
        __m256i a = _mm256_srl_epi32(low[k / 4 & 1], _mm_cvtsi32_si128(8 * (k & 3) + 4 * (k >> 3)));
        __m256i b = _mm256_srl_epi32(high, _mm_cvtsi32_si128(8 * (k & 3) + 2 * (k >> 2)));
        __m256i v = _mm256_or_si256(_mm256_and_si256(a, m15), _mm256_and_si256(_mm256_slli_epi32(b, 4), m48));
        out->scale[k] = product(d, _mm256_sub_epi32(v, bias));
    }
}

void q35i_decode_q3_k__avx2(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    const __m256i one = _mm256_set1_epi8(1), four = _mm256_set1_epi8(4);
    __m256i high[8];
    (void)book;
    (void)blocks;
    crumbs(at + 32, rs, out->w);
    q35i_load_t8(at, rs, high);
    q35i_load_t8(at + 16, rs, high + 4);
    for (int k = 0; k < 8; k++)
        for (int j = 0; j < 8; j++) {
            __m256i bit = _mm256_slli_epi16(_mm256_and_si256(high[j], one), 2);
            out->w[8 * k + j] = _mm256_sub_epi8(_mm256_or_si256(out->w[8 * k + j], bit), four);
            high[j] = _mm256_srli_epi16(high[j], 1);
        }
    /* The scale is in the last two of the four bytes read; reading from it would pass the row's end. */
    scales_q3_k(at + 96, rs, q35i_half_high(q35i_gather_rows(at + 106, rs)), out);
}

/* 16 bytes of nibbles of each row to 32 levels. */
Q35I_INLINE void levels(const uint8_t *qs, int64_t rs, __m256i w[8])
{
    const __m256i low = _mm256_set1_epi8(15);
    const __m128i raw = _mm_loadu_si128((const __m128i *)(const void *)q35_iq4_levels());
    const __m256i table = _mm256_broadcastsi128_si256(raw);
    __m256i v[4];
    q35i_load_t8(qs, rs, v);
    for (int j = 0; j < 4; j++) {
        w[j] = _mm256_shuffle_epi8(table, _mm256_and_si256(v[j], low));
        w[4 + j] = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(v[j], 4), low));
    }
}

void q35i_decode_iq4_nl__avx2(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    (void)book;
    for (int b = 0; b < blocks; b++, at += 18) {
        out->scale[b] = q35i_half_low(q35i_gather_rows(at, rs));
        levels(at + 2, rs, out->w + 8 * b);
    }
}

void q35i_decode_iq4_xs__avx2(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    const __m256i m15 = _mm256_set1_epi32(15), m48 = _mm256_set1_epi32(48), bias = _mm256_set1_epi32(32);
    __m256i first = q35i_gather_rows(at, rs), low = q35i_gather_rows(at + 4, rs);
    __m256i high = _mm256_srli_epi32(first, 12); /* the two bits of sub-block 0 at bit 4 */
    __m256 d = q35i_half_low(first);
    (void)book;
    (void)blocks;
    for (int k = 0; k < 8; k++) {
        __m256i v = _mm256_or_si256(_mm256_and_si256(low, m15), _mm256_and_si256(high, m48));
        out->scale[k] = product(d, _mm256_sub_epi32(v, bias));
        levels(at + 8 + 16 * k, rs, out->w + 8 * k);
        low = _mm256_srli_epi32(low, 4);
        high = _mm256_srli_epi32(high, 2);
    }
}
