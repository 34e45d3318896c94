/* SPDX-License-Identifier: Apache-2.0
 *
 * One token times 16-row tiles of SPLIT weights: the path of token generation. Codes stay in registers: a shift
 * and masks, then vpmaddubsw against four even, or four odd, activations, which are sorted so once per call. A
 * level is at most 15 and a sum of eight products at most 8 * 15 * 127 = 15240, so those of a block of 32 stay in
 * 16 bits; vpmaddwd widens them and multiplies by 7 or 15. Integer sums are exact and the float operations are
 * those of dot.c in the same order, so the bits are those of the path for several tokens.
 */
#include "kernels-cpu/avx2/tile8.h"
#include "kernels-cpu/simd/stream.h"
#include "kernels-cpu/tile16.h"

#include <q35rt/blocks.h>

enum { HEAD_BYTES = 128, GROUP_BYTES = 64, HALVES = 2 };

/* One activation block, sorted: word 2 j holds inputs 8 j, + 2, + 4, + 6; word 2 j + 1 the odd ones between. */
typedef struct sorted_act {
    int32_t q[8];
    float scale;
    float scaled_sum; /* scale * sum */
} sorted_act;

static void sort_acts(const q35_act_block *x, int64_t blocks, sorted_act *out)
{
    const __m256i order =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15));
    for (int64_t b = 0; b < blocks; b++) {
        __m256i q = _mm256_loadu_si256((const __m256i *)(const void *)x[b].q);
        _mm256_storeu_si256((__m256i *)(void *)out[b].q, _mm256_shuffle_epi8(q, order));
        out[b].scale = x[b].scale;
        out[b].scaled_sum = x[b].scale * (float)x[b].sum;
    }
}

Q35I_INLINE __m256i load32(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

Q35I_INLINE __m256 load_half8(const uint8_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

/* The eight code vectors of half a set; bit 7 of each byte is noise. */
Q35I_INLINE void load_set(const uint8_t *half, __m256i v[8])
{
    const __m256i top = _mm256_set1_epi8((char)0x80);
    for (int i = 0; i < 7; i++)
        v[i] = load32(half + 64 * i);
    __m256i acc = v[0];
    for (int i = 1; i < 7; i++)
        acc = _mm256_or_si256(_mm256_andnot_si256(top, _mm256_srli_epi16(acc, 1)), _mm256_and_si256(top, v[i]));
    v[7] = _mm256_srli_epi16(acc, 1);
}

/* 8 rows, 32 inputs: v are four code vectors. */
Q35I_INLINE __m256i dot_split(const __m256i *v, const sorted_act *act)
{
    const __m256i m15 = _mm256_set1_epi8(15), m7 = _mm256_set1_epi8(7);
    __m256i even = _mm256_setzero_si256(), odd = even;
    for (int j = 0; j < 4; j++) {
        __m256i high = _mm256_and_si256(_mm256_srli_epi16(v[j], 3), m15), low = _mm256_and_si256(v[j], m7);
        even = _mm256_add_epi16(even, _mm256_maddubs_epi16(high, _mm256_set1_epi32(act->q[2 * j])));
        odd = _mm256_add_epi16(odd, _mm256_maddubs_epi16(low, _mm256_set1_epi32(act->q[2 * j + 1])));
    }
    return _mm256_add_epi32(_mm256_madd_epi16(even, _mm256_set1_epi16(7)),
                            _mm256_madd_epi16(odd, _mm256_set1_epi16(15)));
}

/* The first `blocks` blocks of 32 of half a set of 64 inputs. head: scales, then offsets, of its group. */
Q35I_INLINE __m256 add_set(__m256 sum, const uint8_t *half, int blocks, const uint8_t *head, const sorted_act *act)
{
    const __m256 scale = load_half8(head), offset = load_half8(head + 32);
    __m256i v[8];
    load_set(half, v);
    for (int b = 0; b < blocks; b++) {
        __m256 isum = _mm256_cvtepi32_ps(dot_split(v + 4 * b, act + b));
        sum = _mm256_fmadd_ps(_mm256_mul_ps(isum, _mm256_set1_ps(act[b].scale)), scale, sum);
        sum = _mm256_fmadd_ps(offset, _mm256_set1_ps(act[b].scaled_sum), sum);
    }
    return sum;
}

/* A set of both halves of the tile. */
Q35I_INLINE void add_rows(__m256 sum[HALVES], const uint8_t *set, int blocks, const uint8_t *head,
                          const sorted_act *act)
{
    q35i_stream_ahead(set, Q35K_TILE16_SET_BYTES);
    for (int h = 0; h < HALVES; h++)
        sum[h] = add_set(sum[h], set + 32 * h, blocks, head + 16 * h, act);
}

static void tile_sums(const uint8_t *tile, int64_t blocks, const sorted_act *act, __m256 sum[HALVES])
{
    const int64_t sets = (blocks + 1) / 2;
    for (int64_t s = 0; s < sets; s += 4) {
        const uint8_t *head = tile;
        q35i_stream_ahead(head, HEAD_BYTES);
        tile += HEAD_BYTES;
        int i = 0;
        for (; i < 4 && s + i < blocks / 2; i++, tile += Q35K_TILE16_SET_BYTES)
            add_rows(sum, tile, 2, head + (i >> 1) * GROUP_BYTES, act + 2 * (s + i));
        if (i < 4 && s + i < sets)
            add_rows(sum, tile, 1, head + (i >> 1) * GROUP_BYTES, act + 2 * (s + i));
    }
}

void q35i_split_matvec__avx2(const q35_act_block *x, const q35k_weights *w, float *out, int64_t begin, int64_t end,
                             void *prep)
{
    const int64_t blocks = (w->k + Q35_ACT_BLOCK - 1) / Q35_ACT_BLOCK;
    const uint8_t *tile = (const uint8_t *)w->data + begin / 16 * w->rs;
    sort_acts(x, blocks, prep);
    for (int64_t r = begin; r < end; r += 16, tile += w->rs) {
        __m256 sum[HALVES] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
        tile_sums(tile, blocks, prep, sum);
        for (int h = 0; h < HALVES && r + Q35I_ROWS * h < end; h++)
            q35i_store_rows(out + r + Q35I_ROWS * h, end - r - Q35I_ROWS * h, sum[h]);
    }
}
