/* SPDX-License-Identifier: Apache-2.0
 *
 * A chunk of a tile of a row type to weights plus 128, as q35i_sorted_place says: from 16-row tiles
 * (kernels-cpu/row16.h) or from canonical rows. A canonical row's bytes become codes, one per byte, by one byte
 * permutation and one multishift (7 or 6 bytes to a 64-bit lane, then eight fields of it to bytes); the
 * transposition of 16 rows makes them the vectors of a set.
 */
#include "kernels-cpu/avx512/row.h"

/* ahead: bytes to the same set of the tiles that come next. */
Q35I_INLINE void decode_tile(uint32_t dtype, const uint8_t *set, int64_t ahead, int sets,
                             const q35i_row_book *book, __m512i *w)
{
    for (int s = 0; s < sets; s++, set += q35k_row16_set_bytes(dtype), w += 16) {
        q35i_row_prefetch_set(dtype, (uintptr_t)set + (uintptr_t)ahead);
        q35i_row_decode_set(dtype, set, book, w);
    }
}

static const uint8_t lanes_of_7[64] = {0,  1,  2,  3,  4,  5,  6,  6,  7,  8,  9,  10, 11, 12, 13, 13,
                                       14, 15, 16, 17, 18, 19, 20, 20, 21, 22, 23, 24, 25, 26, 27, 27,
                                       28, 29, 30, 31, 32, 33, 34, 34, 35, 36, 37, 38, 39, 40, 41, 41,
                                       42, 43, 44, 45, 46, 47, 48, 48, 49, 50, 51, 52, 53, 54, 55, 55};
static const uint8_t lanes_of_6[64] = {0,  1,  2,  3,  4,  5,  5,  5,  6,  7,  8,  9,  10, 11, 11, 11,
                                       12, 13, 14, 15, 16, 17, 17, 17, 18, 19, 20, 21, 22, 23, 23, 23,
                                       24, 25, 26, 27, 28, 29, 29, 29, 30, 31, 32, 33, 34, 35, 35, 35,
                                       36, 37, 38, 39, 40, 41, 41, 41, 42, 43, 44, 45, 46, 47, 47, 47};

/* The next 64 codes of a row, `left` bytes of which (any number) are there; the rest is 0. */
Q35I_INLINE __m512i unpack_codes(uint32_t dtype, const uint8_t *at, int64_t left)
{
    const int whole = dtype == Q35_DT_Q35_ROW ? 56 : dtype == Q35_DT_Q40_ROW ? 64 : 48;
    const int bytes = left < whole ? (int)(left > 0 ? left : 0) : whole;
    const __mmask64 there = bytes == 64 ? ~0ULL : (1ULL << bytes) - 1;
    __m512i packed = _mm512_maskz_loadu_epi8(there, (const void *)at);
    if (dtype == Q35_DT_Q40_ROW)
        return packed;
    const uint8_t *lanes = dtype == Q35_DT_Q35_ROW ? lanes_of_7 : lanes_of_6;
    const __m512i shifts = _mm512_set1_epi64(dtype == Q35_DT_Q35_ROW ? 0x312a231c150e0700 : 0x2a241e18120c0600);
    return _mm512_multishift_epi64_epi8(shifts,
                                        _mm512_permutexvar_epi8(_mm512_loadu_si512((const void *)lanes), packed));
}

/* at: the chunk's first byte in row 0; left: bytes of codes from there to the row's end. */
Q35I_INLINE void decode_rows(uint32_t dtype, const uint8_t *at, int64_t rs, int64_t n_rows, int64_t left, int sets,
                             const q35i_row_book *book, __m512i *w)
{
    const int step = dtype == Q35_DT_Q60_ROW ? 1 : 2; /* sets that 64 codes of a row are */
    const int bytes = dtype == Q35_DT_Q35_ROW ? 56 : dtype == Q35_DT_Q40_ROW ? 64 : 48;
    for (int s = 0; s < sets; s += step, at += bytes, left -= bytes, w += 16 * step) {
        __m512i rows[Q35I_ROWS], v[16];
        for (int64_t r = 0; r < n_rows; r++) { /* with the same bytes of the tiles that come next */
            const uint8_t *row = at + r * rs;
            _mm_prefetch((const char *)((uintptr_t)row + 2 * Q35I_ROWS * (uintptr_t)rs), _MM_HINT_T0);
            rows[r] = unpack_codes(dtype, row, left);
        }
        for (int64_t r = n_rows; r < Q35I_ROWS; r++)
            rows[r] = _mm512_setzero_si512();
        for (int j = 0; j < 4; j++)
            q35i_load_t16((const uint8_t *)rows + 16 * j, 64, v + 4 * j);
        q35i_row_weights(dtype, v, book, w);
        if (step == 2)
            q35i_row_weights(dtype, v + 8, book, w + 16);
    }
}

/* dtype is a constant where this is inlined. */
Q35I_INLINE void decode(uint32_t dtype, const q35k_weights *m, int64_t r0, int64_t n_rows, int64_t k0, int sets,
                        const q35i_row_book *book, __m512i *w)
{
    const uint8_t *data = m->data;
    const int64_t set_bytes = q35k_row16_set_bytes(dtype), at = k0 / Q35K_ROW16_SET * set_bytes;
    if (m->layout == Q35K_LAYOUT_ROW16) {
        decode_tile(dtype, data + r0 / Q35I_ROWS * m->rs + Q35K_ROW16_HEAD_BYTES + at, 2 * m->rs, sets, book, w);
        return;
    }
    int64_t first = 4 + at / Q35I_ROWS, left = (int64_t)q35_row_bytes(dtype, (uint64_t)m->k) - first;
    decode_rows(dtype, data + r0 * m->rs + first, m->rs, n_rows, left, sets, book, w);
}

void q35i_row_decode__avx512(const q35k_weights *m, int64_t r0, int64_t n_rows, int64_t k0, int sets,
                             const q35i_row_book *book, __m512i *w)
{
    switch (m->dtype) {
    case Q35_DT_Q35_ROW: decode(Q35_DT_Q35_ROW, m, r0, n_rows, k0, sets, book, w); return;
    case Q35_DT_Q40_ROW: decode(Q35_DT_Q40_ROW, m, r0, n_rows, k0, sets, book, w); return;
    default: decode(Q35_DT_Q60_ROW, m, r0, n_rows, k0, sets, book, w); return;
    }
}
