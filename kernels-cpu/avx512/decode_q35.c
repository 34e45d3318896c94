/* SPDX-License-Identifier: Apache-2.0
 *
 * The 3.5-bit types to the chunk form (tile.h), from 16-row tiles (kernels-cpu/tile16.h) and from canonical rows.
 * A canonical row's 56 bytes become 64 codes by one byte permutation and one multishift (each 7 bytes to a 64-bit
 * lane, then eight 7-bit fields of it to bytes); bit 7 of a code is noise, which the lookup ignores.
 */
#include "kernels-cpu/avx512/tile.h"
#include "kernels-cpu/tile16.h"

/* v: the eight code vectors of 64 inputs; w: their 16 vectors of weights. */
Q35I_INLINE void weights_of_set(const __m512i v[8], const q35i_book *book, __m512i *w)
{
    for (int j = 0; j < 8; j++)
        q35i_interleave(q35i_lookup(book->even, v[j]), q35i_lookup(book->odd, v[j]), &w[2 * j], &w[2 * j + 1]);
}

Q35I_INLINE __m512 load_half16(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

Q35I_INLINE void decode_tile(const uint8_t *at, int blocks, const q35i_book *book, q35i_chunk *out, int split)
{
    const uint8_t *sets = at + q35k_tile16_head_bytes(split);
    for (int b = 0; b < blocks; b++) {
        out->scale[b] = load_half16(at + (split ? 64 : 32) * (b >> 2));
        if (split)
            out->min[b] = load_half16(at + 64 * (b >> 2) + 32);
    }
    for (int s = 0; 2 * s < blocks; s++) {
        __m512i v[8];
        q35i_load_set(sets + s * Q35K_TILE16_SET_BYTES, v);
        weights_of_set(v, book, out->w + 16 * s);
    }
}

void q35i_decode_pair_tile__avx512(const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead,
                                   const q35i_book *book, q35i_chunk *out)
{
    (void)rs;
    (void)ahead;
    decode_tile(at, blocks, book, out, 0);
}

void q35i_decode_split_tile__avx512(const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead,
                                    const q35i_book *book, q35i_chunk *out)
{
    (void)rs;
    (void)ahead;
    decode_tile(at, blocks, book, out, 1);
}

static const uint8_t gather_bytes[64] = {0,  1,  2,  3,  4,  5,  6,  6,  7,  8,  9,  10, 11, 12, 13, 13,
                                         14, 15, 16, 17, 18, 19, 20, 20, 21, 22, 23, 24, 25, 26, 27, 27,
                                         28, 29, 30, 31, 32, 33, 34, 34, 35, 36, 37, 38, 39, 40, 41, 41,
                                         42, 43, 44, 45, 46, 47, 48, 48, 49, 50, 51, 52, 53, 54, 55, 55};

/* 64 codes of 7 bits, one per byte. */
Q35I_INLINE __m512i unpack_codes(const uint8_t *codes)
{
    const __m512i bytes = _mm512_loadu_si512((const void *)gather_bytes);
    const __m512i shifts = _mm512_set1_epi64(0x312a231c150e0700);
    __m512i packed = _mm512_maskz_loadu_epi8((1ULL << Q35_CODE_BYTES) - 1, (const void *)codes);
    return _mm512_multishift_epi64_epi8(shifts, _mm512_permutexvar_epi8(bytes, packed));
}

Q35I_INLINE void decode_rows(const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead, const q35i_book *book,
                             q35i_chunk *out, int split)
{
    const int head = split ? 4 : 2;
    for (int g = 0; 4 * g < blocks;
         g++, at += head + Q35_CODE_BYTES, ahead += (uintptr_t)(Q35I_ROWS * (head + Q35_CODE_BYTES))) {
        __m512i rows[Q35I_ROWS], v[16], first = q35i_gather_rows(at, rs);
        q35i_prefetch(ahead, Q35I_ROWS * (head + Q35_CODE_BYTES));
        for (int r = 0; r < Q35I_ROWS; r++)
            rows[r] = unpack_codes(at + r * rs + head);
        for (int j = 0; j < 4; j++)
            q35i_load_t16((const uint8_t *)rows + 16 * j, 64, v + 4 * j);
        weights_of_set(v, book, out->w + 32 * g);
        weights_of_set(v + 8, book, out->w + 32 * g + 16);
        for (int b = 4 * g; b < 4 * g + 4; b++) {
            out->scale[b] = q35i_half_low(first);
            out->min[b] = q35i_half_high(first);
        }
    }
}

void q35i_decode_pair_rows__avx512(const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead,
                                   const q35i_book *book, q35i_chunk *out)
{
    decode_rows(at, rs, blocks, ahead, book, out, 0);
}

void q35i_decode_split_rows__avx512(const uint8_t *at, int64_t rs, int blocks, uintptr_t ahead,
                                    const q35i_book *book, q35i_chunk *out)
{
    decode_rows(at, rs, blocks, ahead, book, out, 1);
}
