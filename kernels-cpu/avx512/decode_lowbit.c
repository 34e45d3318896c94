/* SPDX-License-Identifier: Apache-2.0
 *
 * Q2_K and Q3_K (two bits of four passes in a byte), IQ4_NL and IQ4_XS (a table of 16 levels) to the chunk form
 * (tile.h). As in decode_kquant.c scales are unpacked with one row per lane, and the last block of 256 is decoded
 * whole.
 */
#include "kernels-cpu/avx512/tile.h"

Q35I_INLINE __m512 product(__m512 d, __m512i v)
{
    return _mm512_mul_ps(d, _mm512_cvtepi32_ps(v));
}

/* qs: 64 bytes; input 128 h + 32 t + l has bits 2 t and 2 t + 1 of byte 32 h + l. Prefetches 16 rows' share. */
static void crumbs(const uint8_t *qs, int64_t rs, uintptr_t ahead, int ahead_bytes, __m512i *w)
{
    const __m512i low = _mm512_set1_epi8(3);
    for (int h = 0; h < 2; h++) {
        __m512i v[8];
        q35i_prefetch(ahead + (uintptr_t)(h * ahead_bytes), ahead_bytes);
        q35i_load_t16(qs + 32 * h, rs, v);
        q35i_load_t16(qs + 32 * h + 16, rs, v + 4);
        for (int t = 0; t < 4; t++)
            for (int j = 0; j < 8; j++) {
                w[32 * h + 8 * t + j] = _mm512_and_si512(v[j], low);
                v[j] = _mm512_srli_epi16(v[j], 2);
            }
    }
}

void q35i_decode_q2_k__avx512(const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead, const q35i_book *book,
                              q35i_chunk *out)
{
    const __m512i m15 = _mm512_set1_epi32(15);
    __m512i s[4], dd = q35i_gather_rows(at + 80, rs);
    __m512 d = q35i_half_low(dd), dmin = q35i_half_high(dd);
    (void)book;
    (void)blocks;
    crumbs(at + 16, rs, ahead, 8 * 84, out->w);
    q35i_load_t16(at, rs, s);
    for (int k = 0; k < 16; k++) {
        __m512i v = s[k / 4];
        out->scale[k] = product(d, _mm512_and_si512(v, m15));
        __m512 min = product(dmin, _mm512_and_si512(_mm512_srli_epi32(v, 4), m15));
        out->min[k] = _mm512_sub_ps(_mm512_setzero_ps(), min);
        s[k / 4] = _mm512_srli_epi32(v, 8);
    }
}

/* Scales of Q3_K, sub-block k: q35_q3_k_scale, 16 rows at once. sc: 12 bytes. */
static void scales_q3_k(const uint8_t *sc, int64_t rs, __m512 d, q35i_chunk *out)
{
    const __m512i m15 = _mm512_set1_epi32(15), m48 = _mm512_set1_epi32(48), bias = _mm512_set1_epi32(32);
    __m512i low[2] = {q35i_gather_rows(sc, rs), q35i_gather_rows(sc + 4, rs)};
    /* Byte k mod 4 has the high bits of scale k at 2 (k / 4); they go to bits 4 and 5. */
    __m512i high = q35i_gather_rows(sc + 8, rs);
    for (int k = 0; k < 16; k++) {
        __m512i a = _mm512_srl_epi32(low[k / 4 & 1], _mm_cvtsi32_si128(8 * (k & 3) + 4 * (k >> 3)));
        __m512i b = _mm512_srl_epi32(high, _mm_cvtsi32_si128(8 * (k & 3) + 2 * (k >> 2)));
        __m512i v = _mm512_or_si512(_mm512_and_si512(a, m15), _mm512_and_si512(_mm512_slli_epi32(b, 4), m48));
        out->scale[k] = product(d, _mm512_sub_epi32(v, bias));
    }
}

void q35i_decode_q3_k__avx512(const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead, const q35i_book *book,
                              q35i_chunk *out)
{
    /* The form is w - 32: 28 is added to what is -4 .. 3 less 4. */
    const __m512i one = _mm512_set1_epi8(1), bias = _mm512_set1_epi8(28);
    __m512i high[8];
    (void)book;
    (void)blocks;
    crumbs(at + 32, rs, ahead, 8 * 110, out->w);
    q35i_load_t16(at, rs, high);
    q35i_load_t16(at + 16, rs, high + 4);
    for (int k = 0; k < 8; k++)
        for (int j = 0; j < 8; j++) {
            __m512i bit = _mm512_slli_epi16(_mm512_and_si512(high[j], one), 2);
            out->w[8 * k + j] = _mm512_add_epi8(_mm512_or_si512(out->w[8 * k + j], bit), bias);
            high[j] = _mm512_srli_epi16(high[j], 1);
        }
    /* The scale is in the last two of the four bytes read; reading from it would pass the row's end. */
    scales_q3_k(at + 96, rs, q35i_half_high(q35i_gather_rows(at + 106, rs)), out);
}

/* 16 bytes of nibbles of each row to 32 levels, plus 128. */
Q35I_INLINE void levels(const uint8_t *qs, int64_t rs, __m512i w[8])
{
    const __m512i low = _mm512_set1_epi8(15);
    const __m128i raw = _mm_loadu_si128((const __m128i *)(const void *)q35_iq4_levels());
    const __m512i table = _mm512_broadcast_i32x4(_mm_xor_si128(raw, _mm_set1_epi8((char)0x80)));
    __m512i v[4];
    q35i_load_t16(qs, rs, v);
    for (int j = 0; j < 4; j++) {
        w[j] = _mm512_shuffle_epi8(table, _mm512_and_si512(v[j], low));
        w[4 + j] = _mm512_shuffle_epi8(table, _mm512_and_si512(_mm512_srli_epi16(v[j], 4), low));
    }
}

void q35i_decode_iq4_nl__avx512(const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead, const q35i_book *book,
                                q35i_chunk *out)
{
    (void)book;
    for (int b = 0; b < blocks; b++, at += 18, ahead += 288) {
        q35i_prefetch(ahead, 288);
        out->scale[b] = q35i_half_low(q35i_gather_rows(at, rs));
        levels(at + 2, rs, out->w + 8 * b);
    }
}

void q35i_decode_iq4_xs__avx512(const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead, const q35i_book *book,
                                q35i_chunk *out)
{
    const __m512i m15 = _mm512_set1_epi32(15), m48 = _mm512_set1_epi32(48), bias = _mm512_set1_epi32(32);
    __m512i first = q35i_gather_rows(at, rs), low = q35i_gather_rows(at + 4, rs);
    __m512i high = _mm512_srli_epi32(first, 12); /* the two bits of sub-block 0 at bit 4 */
    __m512 d = q35i_half_low(first);
    (void)book;
    (void)blocks;
    for (int k = 0; k < 8; k++) {
        q35i_prefetch(ahead + (uintptr_t)(k * 2 * 136), 2 * 136);
        __m512i v = _mm512_or_si512(_mm512_and_si512(low, m15), _mm512_and_si512(high, m48));
        out->scale[k] = product(d, _mm512_sub_epi32(v, bias));
        levels(at + 8 + 16 * k, rs, out->w + 8 * k);
        low = _mm512_srli_epi32(low, 4);
        high = _mm512_srli_epi32(high, 2);
    }
}
