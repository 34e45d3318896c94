/* SPDX-License-Identifier: Apache-2.0
 *
 * One token times canonical Q8_0: the output head of most files, in the path of token generation. Sixteen rows at
 * a time as everywhere, but a block's 32 codes of a row stay side by side: vpdpbusd leaves eight sums per row, and
 * fourteen shuffles bring the sums of sixteen rows into one vector. That is half of what it takes to transpose the
 * codes, decode them into L1 and read them again. The float operations are those of dot.c in the same order.
 */
#include "kernels-cpu/avx512/tile.h"

#include <q35rt/blocks.h>

enum { BLOCK_BYTES = 34, NEAR_BLOCKS = 8 };

/* The 16 rows of a tile: those from n_rows on are the last one again. */
typedef struct rows {
    const uint8_t *at[Q35I_ROWS];
    __m512i scale_lo, scale_hi; /* offsets of the rows from the first, for gathering */
} rows;

static rows rows_of(const uint8_t *first, int64_t rs, int64_t n_rows)
{
    int64_t offset[Q35I_ROWS];
    rows tile;
    for (int r = 0; r < Q35I_ROWS; r++) {
        offset[r] = rs * (r < n_rows ? r : n_rows - 1);
        tile.at[r] = first + offset[r];
    }
    tile.scale_lo = _mm512_loadu_si512((const void *)offset);
    tile.scale_hi = _mm512_loadu_si512((const void *)(offset + 8));
    return tile;
}

Q35I_INLINE __m512 scales_of(const rows *tile, int64_t at)
{
    __m256i lo = _mm512_i64gather_epi32(tile->scale_lo, (const void *)(tile->at[0] + at), 1);
    __m256i hi = _mm512_i64gather_epi32(tile->scale_hi, (const void *)(tile->at[0] + at), 1);
    return q35i_half_low(_mm512_inserti64x4(_mm512_castsi256_si512(lo), hi, 1));
}

/* Products of a block's codes plus 128 of rows r and r + 4: eight sums each. */
Q35I_INLINE __m512i products(const rows *tile, int r, int64_t at, __m512i act)
{
    const __m512i sign = _mm512_set1_epi8((char)0x80);
    __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)(tile->at[r] + at));
    __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(tile->at[r + 4] + at));
    __m512i codes = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    return _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_xor_si512(codes, sign), act);
}

Q35I_INLINE __m512i add_halves32(__m512i a, __m512i b)
{
    return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}

Q35I_INLINE __m512i add_halves64(__m512i a, __m512i b)
{
    return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

/* Rows r .. r + 7: in each quarter half of the sums of four rows, of r .. r + 3 in the first two. */
Q35I_INLINE __m512i sums_of_8(const rows *tile, int r, int64_t at, __m512i act)
{
    __m512i a = add_halves32(products(tile, r, at, act), products(tile, r + 1, at, act));
    __m512i b = add_halves32(products(tile, r + 2, at, act), products(tile, r + 3, at, act));
    return add_halves64(a, b);
}

Q35I_INLINE __m512 add_block(__m512 sum, const rows *tile, int64_t at, const q35_act_block *x)
{
    __m512i act = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(const void *)x->q));
    __m512i low = sums_of_8(tile, 0, at + 2, act), high = sums_of_8(tile, 8, at + 2, act);
    __m512i isum = _mm512_add_epi32(_mm512_shuffle_i32x4(low, high, 0x88), _mm512_shuffle_i32x4(low, high, 0xdd));
    isum = _mm512_add_epi32(isum, _mm512_set1_epi32(-128 * x->sum));
    __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(isum), _mm512_set1_ps(x->scale));
    return _mm512_fmadd_ps(scaled, scales_of(tile, at), sum);
}

void q35i_q8_matvec__avx512(const q35_act_block *x, const q35k_weights *w, float *out, int64_t begin, int64_t end)
{
    const int64_t blocks = w->k / Q35_ACT_BLOCK;
    for (int64_t r = begin; r < end; r += Q35I_ROWS) {
        const int64_t n_rows = end - r < Q35I_ROWS ? end - r : Q35I_ROWS;
        const uint8_t *first = (const uint8_t *)w->data + r * w->rs;
        const rows tile = rows_of(first, w->rs, n_rows);
        __m512 sum = _mm512_setzero_ps();
        for (int64_t b = 0; b < blocks; b++) {
            /* Each row near into L1, and the next tile, whose rows lie side by side, in the order of memory. */
            for (int i = 0; i < Q35I_ROWS; i++)
                _mm_prefetch((const char *)((uintptr_t)tile.at[i] + (uintptr_t)((b + NEAR_BLOCKS) * BLOCK_BYTES)),
                             _MM_HINT_T0);
            q35i_prefetch((uintptr_t)first + (uintptr_t)(Q35I_ROWS * (w->rs + b * BLOCK_BYTES)),
                          Q35I_ROWS * BLOCK_BYTES);
            sum = add_block(sum, &tile, b * BLOCK_BYTES, x + b);
        }
        q35i_store_rows(out + r, (__mmask16)(n_rows < Q35I_ROWS ? (1u << n_rows) - 1u : 0xffffu), sum);
    }
}
