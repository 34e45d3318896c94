/* SPDX-License-Identifier: Apache-2.0
 *
 * One token times 16-row tiles of a 3.5-bit type: the path of token generation, built to wait only for memory.
 * Codes stay in registers: one lookup per component (PAIR) or shift and mask (SPLIT), then vpdpbusd against four
 * even, or four odd, activations, which are sorted so once per call. Integer sums are exact and the float
 * operations are those of dot.c in the same order, so the bits are those of the path for several tokens. Prefetch:
 * two levels, far into L2 and near into L1, heads of spans included; the hardware alone reaches about half of the
 * bandwidth.
 */
#include "kernels-cpu/avx512/tile.h"
#include "kernels-cpu/simd/stream.h"
#include "kernels-cpu/tile16.h"

/* One activation block, sorted: word 2 j holds inputs 8 j, + 2, + 4, + 6; word 2 j + 1 the odd ones between. */
typedef struct sorted_act {
    int32_t q[8];
    float scale;
    float scaled_sum; /* scale * sum */
    int32_t bias;     /* -128 sum */
    int32_t unused;
} sorted_act;

static void sort_acts(const q35_act_block *x, int64_t blocks, sorted_act *out)
{
    const __m256i order = _mm256_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15, 0, 2, 4, 6, 1, 3,
                                           5, 7, 8, 10, 12, 14, 9, 11, 13, 15);
    for (int64_t b = 0; b < blocks; b++) {
        __m256i q = _mm256_loadu_si256((const __m256i *)(const void *)x[b].q);
        _mm256_storeu_si256((__m256i *)(void *)out[b].q, _mm256_shuffle_epi8(q, order));
        out[b].scale = x[b].scale;
        out[b].scaled_sum = x[b].scale * (float)x[b].sum;
        out[b].bias = -128 * x[b].sum;
        out[b].unused = 0;
    }
}

/* 16 rows, 32 inputs: v are four code vectors. */
Q35I_INLINE __m512i dot_pair(const __m512i *v, const q35i_book *book, const sorted_act *act)
{
    __m512i even = _mm512_set1_epi32(act->bias), odd = _mm512_setzero_si512();
    for (int j = 0; j < 4; j++) {
        even = _mm512_dpbusd_epi32(even, q35i_lookup(book->even, v[j]), _mm512_set1_epi32(act->q[2 * j]));
        odd = _mm512_dpbusd_epi32(odd, q35i_lookup(book->odd, v[j]), _mm512_set1_epi32(act->q[2 * j + 1]));
    }
    return _mm512_add_epi32(even, odd);
}

/* Weights are 7 * high and 15 * low: 7 and 15 wait until after the sum. */
Q35I_INLINE __m512i dot_split(const __m512i *v, const sorted_act *act)
{
    const __m512i m15 = _mm512_set1_epi8(15), m7 = _mm512_set1_epi8(7);
    __m512i even = _mm512_setzero_si512(), odd = even;
    for (int j = 0; j < 4; j++) {
        __m512i high = _mm512_and_si512(_mm512_srli_epi16(v[j], 3), m15), low = _mm512_and_si512(v[j], m7);
        even = _mm512_dpbusd_epi32(even, high, _mm512_set1_epi32(act->q[2 * j]));
        odd = _mm512_dpbusd_epi32(odd, low, _mm512_set1_epi32(act->q[2 * j + 1]));
    }
    __m512i both = _mm512_add_epi32(_mm512_slli_epi32(even, 3), _mm512_slli_epi32(odd, 4));
    return _mm512_sub_epi32(both, _mm512_add_epi32(even, odd));
}

/* The first `blocks` blocks of 32 of a set of 64 inputs. head: scale (and offset) of its group. */
Q35I_INLINE __m512 add_set(__m512 sum, const uint8_t *set, int blocks, const uint8_t *head, const q35i_book *book,
                           const sorted_act *act, int split)
{
    __m512i v[8];
    __m512 scale = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)head));
    q35i_stream_ahead(set, Q35K_TILE16_SET_BYTES);
    q35i_load_set(set, v);
    for (int b = 0; b < blocks; b++) {
        __m512i isum = split ? dot_split(v + 4 * b, act + b) : dot_pair(v + 4 * b, book, act + b);
        __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(isum), _mm512_set1_ps(act[b].scale));
        sum = _mm512_fmadd_ps(scaled, scale, sum);
        if (split) {
            __m512 offset = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(head + 32)));
            sum = _mm512_fmadd_ps(offset, _mm512_set1_ps(act[b].scaled_sum), sum);
        }
    }
    return sum;
}

Q35I_INLINE void matvec(const sorted_act *act, int64_t k, const uint8_t *tile, int64_t rs, const q35i_book *book,
                        float *out, int64_t begin, int64_t end, int split)
{
    const int64_t blocks = (k + Q35_ACT_BLOCK - 1) / Q35_ACT_BLOCK, sets = (blocks + 1) / 2;
    const int head_bytes = split ? 128 : 64, group_bytes = head_bytes / 2;
    for (int64_t r = begin; r < end; r += Q35I_ROWS, tile += rs) {
        const uint8_t *p = tile;
        __m512 sum = _mm512_setzero_ps();
        for (int64_t s = 0; s < sets; s += 4) {
            const uint8_t *head = p;
            q35i_stream_ahead(head, head_bytes);
            p += head_bytes;
            int i = 0;
            for (; i < 4 && s + i < blocks / 2; i++, p += Q35K_TILE16_SET_BYTES)
                sum = add_set(sum, p, 2, head + (i >> 1) * group_bytes, book, act + 2 * (s + i), split);
            if (i < 4 && s + i < sets)
                sum = add_set(sum, p, 1, head + (i >> 1) * group_bytes, book, act + 2 * (s + i), split);
        }
        __mmask16 rows = (__mmask16)(end - r >= Q35I_ROWS ? 0xffffu : (1u << (end - r)) - 1u);
        q35i_store_rows(out + r, rows, sum);
    }
}

void q35i_tile_matvec__avx512(const q35_act_block *x, const q35k_weights *w, const q35i_book *book, float *out,
                              int64_t begin, int64_t end, void *prep)
{
    int64_t blocks = (w->k + Q35_ACT_BLOCK - 1) / Q35_ACT_BLOCK;
    sorted_act *act = prep;
    const uint8_t *tile = (const uint8_t *)w->data + begin / Q35I_ROWS * w->rs;
    sort_acts(x, blocks, act);
    if (w->dtype == Q35_DT_Q35_SPLIT)
        matvec(act, w->k, tile, w->rs, book, out, begin, end, 1);
    else
        matvec(act, w->k, tile, w->rs, book, out, begin, end, 0);
}
