/* SPDX-License-Identifier: Apache-2.0
 *
 * One token times canonical Q8_0: the output head of most files, in the path of token generation. Two blocks of
 * eight rows at a time, whose 32 codes each stay side by side: vpdpbusd leaves eight sums per row and block, and
 * fifteen shuffles bring them into one vector. That is half of what it takes to transpose the codes, decode them
 * into L1 and read them again; of sixteen rows the next ones, asked for in time, would not stay in L1. The float
 * operations are those of dot.c in the same order.
 */
#include "kernels-cpu/avx512/tile.h"
#include "kernels-cpu/simd/stream.h"

#include <q35rt/blocks.h>

enum { ROWS = 8, BLOCK_BYTES = 34 };

/* Those from n_rows on are the last one again. */
typedef struct rows {
    const uint8_t *at[ROWS];
    __m512i offset; /* of the rows from the first, for gathering */
} rows;

/* A pair of blocks: the second one's bytes lie `step` after the first one's; 0: there is none, it is the first. */
typedef struct pair {
    int64_t at, step;
    const q35_act_block *x[2];
} pair;

static rows rows_of(const uint8_t *first, int64_t rs, int64_t n_rows)
{
    int64_t offset[ROWS];
    rows tile;
    for (int r = 0; r < ROWS; r++) {
        offset[r] = rs * (r < n_rows ? r : n_rows - 1);
        tile.at[r] = first + offset[r];
    }
    tile.offset = _mm512_loadu_si512((const void *)offset);
    return tile;
}

Q35I_INLINE __m512i join(__m256i first, __m256i second)
{
    return _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
}

Q35I_INLINE __m512i load_both(const void *first, const void *second)
{
    return join(_mm256_loadu_si256((const __m256i *)first), _mm256_loadu_si256((const __m256i *)second));
}

Q35I_INLINE __m512 scales_of(const rows *tile, const pair *p)
{
    const uint8_t *at = tile->at[0] + p->at;
    return q35i_half_low(join(_mm512_i64gather_epi32(tile->offset, (const void *)at, 1),
                              _mm512_i64gather_epi32(tile->offset, (const void *)(at + p->step), 1)));
}

/* Products of row r's codes plus 128: eight sums for each block. */
Q35I_INLINE __m512i products(const rows *tile, int r, const pair *p, __m512i act)
{
    const uint8_t *codes = tile->at[r] + p->at + 2;
    __m512i levels = _mm512_xor_si512(load_both(codes, codes + p->step), _mm512_set1_epi8((char)0x80));
    return _mm512_dpbusd_epi32(_mm512_setzero_si512(), levels, act);
}

Q35I_INLINE __m512i add_halves32(__m512i a, __m512i b)
{
    return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}

Q35I_INLINE __m512i add_halves64(__m512i a, __m512i b)
{
    return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

/* Rows r .. r + 3, half of each sum in a quarter: twice the first block, twice the second. */
Q35I_INLINE __m512i sums_of_4(const rows *tile, int r, const pair *p, __m512i act)
{
    __m512i a = add_halves32(products(tile, r, p, act), products(tile, r + 1, p, act));
    __m512i b = add_halves32(products(tile, r + 2, p, act), products(tile, r + 3, p, act));
    return add_halves64(a, b);
}

/* The eight rows' products times the activations' scale: of the first block below, of the second above. */
Q35I_INLINE __m512 scaled_sums(const rows *tile, const pair *p)
{
    const q35_act_block *x = p->x[0], *y = p->x[1];
    const __m512i act = load_both(x->q, y->q);
    const __m512i a = sums_of_4(tile, 0, p, act), b = sums_of_4(tile, 4, p, act);
    __m512i sum = _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
    sum = _mm512_shuffle_i32x4(sum, sum, 0xd8);
    sum = _mm512_add_epi32(sum, join(_mm256_set1_epi32(-128 * x->sum), _mm256_set1_epi32(-128 * y->sum)));
    const __m512 scale =
        _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_set1_ps(x->scale)), _mm256_set1_ps(y->scale), 1);
    return _mm512_mul_ps(_mm512_cvtepi32_ps(sum), scale);
}

Q35I_INLINE __m256 add_pair(__m256 sum, const rows *tile, const pair *p)
{
    const __m512 y = scaled_sums(tile, p), scale = scales_of(tile, p);
    sum = _mm256_fmadd_ps(_mm512_castps512_ps256(y), _mm512_castps512_ps256(scale), sum);
    if (p->step == 0)
        return sum;
    return _mm256_fmadd_ps(_mm512_extractf32x8_ps(y, 1), _mm512_extractf32x8_ps(scale, 1), sum);
}

void q35i_q8_matvec__avx512(const q35_act_block *x, const q35k_weights *w, float *out, int64_t begin, int64_t end)
{
    const int64_t blocks = w->k / Q35_ACT_BLOCK;
    for (int64_t r = begin; r < end; r += ROWS) {
        const int64_t n_rows = end - r < ROWS ? end - r : ROWS;
        const rows tile = rows_of((const uint8_t *)w->data + r * w->rs, w->rs, n_rows);
        __m256 sum = _mm256_setzero_ps();
        for (int64_t b = 0; b + 1 < blocks; b += 2) {
            const pair p = {b * BLOCK_BYTES, BLOCK_BYTES, {x + b, x + b + 1}};
            q35i_stream_rows_ahead(tile.at, ROWS, w->rs, p.at, 2 * BLOCK_BYTES);
            sum = add_pair(sum, &tile, &p);
        }
        if (blocks % 2 != 0) {
            const q35_act_block *last = x + blocks - 1;
            sum = add_pair(sum, &tile, &(pair){(blocks - 1) * BLOCK_BYTES, 0, {last, last}});
        }
        q35i_store_rows(out + r, (__mmask16)((1u << n_rows) - 1u), _mm512_castps256_ps512(sum));
    }
}
