/* SPDX-License-Identifier: Apache-2.0
 *
 * One token times canonical Q8_0, the output head of most files: as with AVX-512 a block's 32 codes of a row stay
 * side by side, and the eight sums that vpmaddubsw and vpmaddwd leave of each of eight rows are added by seven
 * horizontal additions. The float operations are those of dot.c in the same order.
 */
#include "kernels-cpu/avx2/tile8.h"
#include "kernels-cpu/simd/stream.h"

enum { BLOCK_BYTES = 34 };

/* Those from n_rows on are the last one again. */
typedef struct rows {
    const uint8_t *at[Q35I_ROWS];
} rows;

static rows rows_of(const uint8_t *first, int64_t rs, int64_t n_rows)
{
    rows tile;
    for (int r = 0; r < Q35I_ROWS; r++)
        tile.at[r] = first + rs * (r < n_rows ? r : n_rows - 1);
    return tile;
}

Q35I_INLINE __m256 scales_of(const rows *tile, int64_t at)
{
    uint16_t half[Q35I_ROWS];
    for (int r = 0; r < Q35I_ROWS; r++)
        memcpy(&half[r], tile->at[r] + at, 2);
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)half));
}

/* Eight sums of the products of a block of row r. */
Q35I_INLINE __m256i products(const rows *tile, int r, int64_t at, __m256i act)
{
    const __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)(tile->at[r] + at));
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(act, w));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

/* Rows r .. r + 3, half of each sum in either 128-bit lane. */
Q35I_INLINE __m256i sums_of_4(const rows *tile, int r, int64_t at, __m256i act)
{
    const __m256i a = _mm256_hadd_epi32(products(tile, r, at, act), products(tile, r + 1, at, act));
    const __m256i b = _mm256_hadd_epi32(products(tile, r + 2, at, act), products(tile, r + 3, at, act));
    return _mm256_hadd_epi32(a, b);
}

Q35I_INLINE __m256 add_block(__m256 sum, const rows *tile, int64_t at, const q35_act_block *x)
{
    const __m256i act = _mm256_loadu_si256((const __m256i *)(const void *)x->q);
    const __m256i low = sums_of_4(tile, 0, at + 2, act), high = sums_of_4(tile, 4, at + 2, act);
    const __m256i isum =
        _mm256_add_epi32(_mm256_permute2x128_si256(low, high, 0x20), _mm256_permute2x128_si256(low, high, 0x31));
    const __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(isum), _mm256_set1_ps(x->scale));
    return _mm256_fmadd_ps(scaled, scales_of(tile, at), sum);
}

void q35i_q8_matvec__avx2(const q35_act_block *x, const q35k_weights *w, float *out, int64_t begin, int64_t end)
{
    const int64_t blocks = w->k / Q35_ACT_BLOCK;
    for (int64_t r = begin; r < end; r += Q35I_ROWS) {
        const int64_t n_rows = end - r < Q35I_ROWS ? end - r : Q35I_ROWS;
        const rows tile = rows_of((const uint8_t *)w->data + r * w->rs, w->rs, n_rows);
        __m256 sum = _mm256_setzero_ps();
        for (int64_t b = 0; b < blocks; b++) {
            q35i_stream_rows_ahead(tile.at, Q35I_ROWS, w->rs, b * BLOCK_BYTES, BLOCK_BYTES);
            sum = add_block(sum, &tile, b * BLOCK_BYTES, x + b);
        }
        q35i_store_rows(out + r, n_rows, sum);
    }
}
