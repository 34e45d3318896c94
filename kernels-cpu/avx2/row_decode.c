/* SPDX-License-Identifier: Apache-2.0
 *
 * A chunk of 8 rows of a row type to signed bytes, as q35i_sorted_place says, from 16-row tiles
 * (kernels-cpu/row16.h) or from canonical rows.
 */
#include "kernels-cpu/avx2/row.h"

void q35i_row_load_book__avx2(const q35k_weights *w, q35i_row_book *book)
{
    int n_tables = (int)q35_book_entries(w->dtype) / 4 / 16;
    __m128i before_even = _mm_setzero_si128(), before_odd = before_even;
    for (int t = 0; t < n_tables; t++) {
        int8_t even[16], odd[16];
        for (int i = 0; i < 16; i++) {
            even[i] = w->book[16 * t + i][0];
            odd[i] = w->book[16 * t + i][1];
        }
        __m128i e = _mm_loadu_si128((const __m128i *)(const void *)even);
        __m128i o = _mm_loadu_si128((const __m128i *)(const void *)odd);
        book->even[t] = _mm256_broadcastsi128_si256(_mm_xor_si128(e, before_even));
        book->odd[t] = _mm256_broadcastsi128_si256(_mm_xor_si128(o, before_odd));
        before_even = e;
        before_odd = o;
    }
}

/* Weights of inputs 8 j .. 8 j + 3 and of the next four, to even and odd ones. */
Q35I_INLINE void sort_singles(__m256i first, __m256i second, __m256i *w)
{
    const __m256i order =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15));
    __m256i a = _mm256_shuffle_epi8(q35i_row_weight6(first), order);
    __m256i b = _mm256_shuffle_epi8(q35i_row_weight6(second), order);
    w[0] = _mm256_blend_epi16(a, _mm256_slli_epi32(b, 16), 0xaa);
    w[1] = _mm256_blend_epi16(_mm256_srli_epi32(a, 16), b, 0xaa);
}

/* v: the code vectors of one set; w: its 16 vectors of weights. */
Q35I_INLINE void weights_of_set(uint32_t dtype, const __m256i *v, const q35i_row_book *book, __m256i *w)
{
    for (int j = 0; j < 16 && dtype == Q35_DT_Q60_ROW; j += 2)
        sort_singles(v[j], v[j + 1], w + j);
    for (int j = 0; j < 8 && dtype != Q35_DT_Q60_ROW; j++) {
        q35i_row_pair p = q35i_row_lookup(dtype, v[j], book);
        w[2 * j] = _mm256_sign_epi8(p.even, p.even_sign);
        w[2 * j + 1] = _mm256_sign_epi8(p.odd, p.odd_sign);
    }
}

/* half: 0 or 1 for rows 0..7 or 8..15; ahead: bytes to the same set of the tile that comes next. */
Q35I_INLINE void decode_tile(uint32_t dtype, const uint8_t *set, int64_t half, int64_t ahead, int sets,
                             const q35i_row_book *book, __m256i *w)
{
    for (int s = 0; s < sets; s++, set += q35k_row16_set_bytes(dtype), w += 16) {
        __m256i v[16];
        if (half == 0)
            q35i_row_prefetch_set(dtype, (uintptr_t)set + (uintptr_t)ahead);
        q35i_row_load_set(dtype, set + 32 * half, v);
        weights_of_set(dtype, v, book, w);
    }
}

/* ---- canonical ---- */

/* 28 bytes, 32 codes of 7 bits, to 32 bytes: 7 bytes to each 64-bit lane, 28 bits to each 32-bit lane, then 7 to
 * each byte. */
Q35I_INLINE __m256i spread7(const uint8_t *p)
{
    const __m256i lanes = _mm256_setr_epi8(0, 1, 2, 3, 4, 5, 6, -1, 7, 8, 9, 10, 11, 12, 13, -1, 2, 3, 4, 5, 6, 7,
                                           8, -1, 9, 10, 11, 12, 13, 14, 15, -1);
    const __m256i low28 = _mm256_set1_epi64x(0x0fffffff), high28 = _mm256_slli_epi64(low28, 32);
    __m256i x = _mm256_shuffle_epi8(q35i_two_rows(p, p + 12), lanes);
    x = _mm256_or_si256(_mm256_and_si256(x, low28), _mm256_and_si256(_mm256_slli_epi64(x, 4), high28));
    __m256i out = _mm256_and_si256(x, _mm256_set1_epi32(0x7f));
    out = _mm256_or_si256(out, _mm256_and_si256(_mm256_slli_epi32(x, 1), _mm256_set1_epi32(0x7f00)));
    out = _mm256_or_si256(out, _mm256_and_si256(_mm256_slli_epi32(x, 2), _mm256_set1_epi32(0x7f0000)));
    return _mm256_or_si256(out, _mm256_and_si256(_mm256_slli_epi32(x, 3), _mm256_set1_epi32(0x7f000000)));
}

/* 24 bytes, 32 codes of 6 bits, to 32 bytes: 3 bytes to each 32-bit lane, then 6 bits to each byte. */
Q35I_INLINE __m256i spread6(const uint8_t *p)
{
    const __m256i lanes = _mm256_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1, 4, 5, 6, -1, 7, 8,
                                           9, -1, 10, 11, 12, -1, 13, 14, 15, -1);
    __m256i x = _mm256_shuffle_epi8(q35i_two_rows(p, p + 8), lanes);
    __m256i out = _mm256_and_si256(x, _mm256_set1_epi32(0x3f));
    out = _mm256_or_si256(out, _mm256_and_si256(_mm256_slli_epi32(x, 2), _mm256_set1_epi32(0x3f00)));
    out = _mm256_or_si256(out, _mm256_and_si256(_mm256_slli_epi32(x, 4), _mm256_set1_epi32(0x3f0000)));
    return _mm256_or_si256(out, _mm256_and_si256(_mm256_slli_epi32(x, 6), _mm256_set1_epi32(0x3f000000)));
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
    __m256i first = dtype == Q35_DT_Q35_ROW   ? spread7(at)
                    : dtype == Q35_DT_Q40_ROW ? q35i_load32(at)
                                              : spread6(at);
    _mm256_store_si256((__m256i *)(void *)out, first);
    if (dtype == Q35_DT_Q60_ROW)
        _mm256_store_si256((__m256i *)(void *)(out + 32), spread6(at + 24));
}

/* at: the chunk's first byte in row 0; left: bytes of codes from there to the row's end. */
Q35I_INLINE void decode_rows(uint32_t dtype, const uint8_t *at, int64_t rs, int64_t n_rows, int64_t left, int sets,
                             const q35i_row_book *book, __m256i *w)
{
    const int bytes = (int)q35k_row16_set_bytes(dtype) / 16, codes = dtype == Q35_DT_Q60_ROW ? 64 : 32;
    __m256i rows[Q35I_ROWS * 2];
    memset(rows, 0, sizeof rows);
    for (int s = 0; s < sets; s++, at += bytes, left -= bytes, w += 16) {
        __m256i v[16];
        for (int64_t r = 0; r < n_rows; r++) { /* with the same bytes of the tiles that come next */
            const uint8_t *row = at + r * rs;
            _mm_prefetch((const char *)((uintptr_t)row + 2 * Q35I_ROWS * (uintptr_t)rs), _MM_HINT_T0);
            spread_row(dtype, row, left, (uint8_t *)rows + r * codes);
        }
        for (int j = 0; j < codes / 16; j++)
            q35i_load_t8((const uint8_t *)rows + 16 * j, codes, v + 4 * j);
        weights_of_set(dtype, v, book, w);
    }
}

/* dtype is a constant where this is inlined. */
Q35I_INLINE void decode(uint32_t dtype, const q35k_weights *m, int64_t r0, int64_t n_rows, int64_t k0, int sets,
                        const q35i_row_book *book, __m256i *w)
{
    const uint8_t *data = m->data;
    const int64_t at = k0 / Q35K_ROW16_SET * (int64_t)q35k_row16_set_bytes(dtype);
    if (m->layout == Q35K_LAYOUT_ROW16) {
        decode_tile(dtype, data + r0 / 16 * m->rs + Q35K_ROW16_HEAD_BYTES + at, r0 % 16 / 8, m->rs, sets, book, w);
        return;
    }
    int64_t first = 4 + at / 16, left = (int64_t)q35_row_bytes(dtype, (uint64_t)m->k) - first;
    decode_rows(dtype, data + r0 * m->rs + first, m->rs, n_rows, left, sets, book, w);
}

void q35i_row_decode__avx2(const q35k_weights *m, int64_t r0, int64_t n_rows, int64_t k0, int sets,
                           const q35i_row_book *book, __m256i *w)
{
    switch (m->dtype) {
    case Q35_DT_Q35_ROW: decode(Q35_DT_Q35_ROW, m, r0, n_rows, k0, sets, book, w); return;
    case Q35_DT_Q40_ROW: decode(Q35_DT_Q40_ROW, m, r0, n_rows, k0, sets, book, w); return;
    default: decode(Q35_DT_Q60_ROW, m, r0, n_rows, k0, sets, book, w); return;
    }
}
