/* SPDX-License-Identifier: Apache-2.0
 *
 * The 3.5-bit types to the chunk form (tile8.h), from 16-row tiles (kernels-cpu/tile16.h) and from canonical rows.
 * PAIR: a 128-entry lookup is eight 16-entry byte shuffles; an index outside of a table's 16 entries gets its top
 * bit set, so that the shuffle gives 0, and the eight results are joined. SPLIT: shift, mask and subtract.
 */
#include "kernels-cpu/avx2/tile8.h"
#include "kernels-cpu/tile16.h"

void q35i_load_book__avx2(const int8_t (*points)[2], q35i_book *book)
{
    __m128i before_even = _mm_setzero_si128(), before_odd = before_even;
    for (int t = 0; t < 8; t++) {
        int8_t even[16], odd[16];
        for (int i = 0; i < 16; i++) {
            even[i] = points[16 * t + i][0];
            odd[i] = points[16 * t + i][1];
        }
        __m128i e = _mm_loadu_si128((const __m128i *)(const void *)even);
        __m128i o = _mm_loadu_si128((const __m128i *)(const void *)odd);
        book->even[t] = _mm256_broadcastsi128_si256(_mm_xor_si128(e, before_even));
        book->odd[t] = _mm256_broadcastsi128_si256(_mm_xor_si128(o, before_odd));
        before_even = e;
        before_odd = o;
    }
}

/* One code vector (byte 4 r + i: row r, code i, bit 7 noise) to the weights of its even and odd inputs. */
Q35I_INLINE void pair_weights(__m256i code, const q35i_book *book, __m256i *even, __m256i *odd)
{
    __m256i index = _mm256_and_si256(code, _mm256_set1_epi8(127));
    __m256i e = _mm256_shuffle_epi8(book->even[0], index), o = _mm256_shuffle_epi8(book->odd[0], index);
    for (int t = 1; t < 8; t++) {
        index = _mm256_sub_epi8(index, _mm256_set1_epi8(16));
        e = _mm256_xor_si256(e, _mm256_shuffle_epi8(book->even[t], index));
        o = _mm256_xor_si256(o, _mm256_shuffle_epi8(book->odd[t], index));
    }
    *even = e;
    *odd = o;
}

/* 7 * (code >> 3) and 15 * (code & 7). */
Q35I_INLINE void split_weights(__m256i code, __m256i *even, __m256i *odd)
{
    __m256i high = _mm256_and_si256(_mm256_srli_epi16(code, 3), _mm256_set1_epi8(15));
    __m256i low = _mm256_and_si256(code, _mm256_set1_epi8(7));
    *even = _mm256_sub_epi8(_mm256_slli_epi16(high, 3), high);
    *odd = _mm256_sub_epi8(_mm256_slli_epi16(low, 4), low);
}

/* Eight code vectors, 64 inputs, to 16 vectors of weights in the order of the inputs. */
Q35I_INLINE void weights_of_set(const __m256i v[8], const q35i_book *book, __m256i *w, int split)
{
    for (int j = 0; j < 8; j++) {
        __m256i even, odd;
        if (split)
            split_weights(v[j], &even, &odd);
        else
            pair_weights(v[j], book, &even, &odd);
        __m256 lo = _mm256_castsi256_ps(_mm256_unpacklo_epi8(even, odd));
        __m256 hi = _mm256_castsi256_ps(_mm256_unpackhi_epi8(even, odd));
        w[2 * j] = _mm256_castps_si256(_mm256_shuffle_ps(lo, hi, 0x88));
        w[2 * j + 1] = _mm256_castps_si256(_mm256_shuffle_ps(lo, hi, 0xdd));
    }
}

Q35I_INLINE __m256i load32(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

/* half: rows 0..7 or 8..15 of a set (kernels-cpu/tile16.h). */
Q35I_INLINE void load_set(const uint8_t *set, int64_t half, __m256i v[8])
{
    const __m256i one = _mm256_set1_epi8(1);
    v[7] = _mm256_setzero_si256();
    for (int i = 6; i >= 0; i--) {
        v[i] = load32(set + 64 * i + 32 * half);
        __m256i top = _mm256_and_si256(_mm256_srli_epi16(v[i], 7), one);
        v[7] = _mm256_or_si256(_mm256_add_epi8(v[7], v[7]), top);
    }
}

Q35I_INLINE __m256 load_half8(const uint8_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

Q35I_INLINE void decode_tile(const uint8_t *at, int64_t half, int blocks, const q35i_book *book, q35i_chunk *out,
                             int split)
{
    const uint8_t *sets = at + q35k_tile16_head_bytes(split);
    for (int b = 0; b < blocks; b++) {
        const uint8_t *head = at + (split ? 64 : 32) * (b >> 2) + 16 * half;
        out->scale[b] = load_half8(head);
        if (split)
            out->min[b] = load_half8(head + 32);
    }
    for (int s = 0; 2 * s < blocks; s++) {
        __m256i v[8];
        load_set(sets + s * Q35K_TILE16_SET_BYTES, half, v);
        weights_of_set(v, book, out->w + 16 * s, split);
    }
}

void q35i_decode_pair_tile__avx2(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    decode_tile(at, rs, blocks, book, out, 0);
}

void q35i_decode_split_tile__avx2(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book,
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
        memcpy(lane + 64 * i, &low, 4);
        memcpy(lane + 64 * i + 32, &high, 4);
    }
}

Q35I_INLINE void decode_rows(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out,
                             int split)
{
    const int head = split ? 4 : 2;
    for (int g = 0; 4 * g < blocks; g++, at += head + Q35_CODE_BYTES) {
        __m256i v[16], first = q35i_gather_rows(at, rs);
        for (int r = 0; r < Q35I_ROWS; r++)
            spread_group(at + r * rs + head, (uint8_t *)v + 4 * r);
        weights_of_set(v, book, out->w + 32 * g, split);
        weights_of_set(v + 8, book, out->w + 32 * g + 16, split);
        for (int b = 4 * g; b < 4 * g + 4; b++) {
            out->scale[b] = q35i_half_low(first);
            out->min[b] = q35i_half_high(first);
        }
    }
}

void q35i_decode_pair_rows__avx2(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book, q35i_chunk *out)
{
    decode_rows(at, rs, blocks, book, out, 0);
}

void q35i_decode_split_rows__avx2(const uint8_t *at, int64_t rs, int blocks, const q35i_book *book,
                                  q35i_chunk *out)
{
    decode_rows(at, rs, blocks, book, out, 1);
}
