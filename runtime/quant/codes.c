/* SPDX-License-Identifier: Apache-2.0
 *
 * A score is two products of int16 pairs summed in int32: one instruction each where there are dot products of
 * int16. The code rides in the low 7 bits, so that one minimum keeps both. Lanes are pairs, the loop goes over the
 * points, so nothing is reduced across lanes. Sums stay below 2^31: |linear| <= 2 * 32640 * 128 * 128, square
 * <= 2 * 8192 * 128^2. */
#include "runtime/quant/codes.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

#define CODE_MASK 127

typedef void search_fn(const q35i_code_points *points, const q35i_code_pairs *pairs, int32_t *keys);

void q35i_code_points_set(q35i_code_points *points, const int8_t (*book)[2])
{
    for (int c = 0; c < Q35_BOOK_POINTS; c++)
        for (int k = 0; k < 2; k++) {
            points->linear[c][k] = (int16_t)(128 * book[c][k]);
            points->square[c][k] = (int16_t)(book[c][k] * book[c][k]);
        }
}

static void search_base(const q35i_code_points *points, const q35i_code_pairs *pairs, int32_t *keys)
{
    for (int i = 0; i < Q35_GROUP_CODES; i++)
        keys[i] = INT32_MAX;
    for (int c = 0; c < Q35_BOOK_POINTS; c++) {
        const int16_t *l = points->linear[c], *s = points->square[c];
        for (int i = 0; i < Q35_GROUP_CODES; i++) {
            int32_t score = pairs->linear[i][0] * l[0] + pairs->linear[i][1] * l[1] + pairs->square[i][0] * s[0] +
                            pairs->square[i][1] * s[1];
            int32_t key = (score & ~CODE_MASK) | c;
            keys[i] = key < keys[i] ? key : keys[i];
        }
    }
}

#ifdef __x86_64__

static inline int32_t pair_at(const int16_t pair[2])
{
    int32_t both;
    memcpy(&both, pair, sizeof both);
    return both;
}

__attribute__((target("avx2"))) static void search_avx2(const q35i_code_points *points,
                                                        const q35i_code_pairs *pairs, int32_t *keys)
{
    enum { LANES = 8, RUNS = 4 };
    const __m256i mask = _mm256_set1_epi32(~CODE_MASK);
    for (int from = 0; from < Q35_GROUP_CODES; from += LANES * RUNS) {
        __m256i linear[RUNS], square[RUNS], best[RUNS];
        for (int r = 0; r < RUNS; r++) {
            linear[r] = _mm256_load_si256((const void *)pairs->linear[from + LANES * r]);
            square[r] = _mm256_load_si256((const void *)pairs->square[from + LANES * r]);
            best[r] = _mm256_set1_epi32(INT32_MAX);
        }
        for (int c = 0; c < Q35_BOOK_POINTS; c++) {
            __m256i l = _mm256_set1_epi32(pair_at(points->linear[c])),
                    s = _mm256_set1_epi32(pair_at(points->square[c]));
            __m256i code = _mm256_set1_epi32(c);
            for (int r = 0; r < RUNS; r++) {
                __m256i score = _mm256_add_epi32(_mm256_madd_epi16(linear[r], l), _mm256_madd_epi16(square[r], s));
                best[r] = _mm256_min_epi32(best[r], _mm256_or_si256(_mm256_and_si256(score, mask), code));
            }
        }
        for (int r = 0; r < RUNS; r++)
            _mm256_storeu_si256((void *)(keys + from + LANES * r), best[r]);
    }
}

__attribute__((target("avx512f,avx512bw,avx512vnni"))) static void
search_avx512(const q35i_code_points *points, const q35i_code_pairs *pairs, int32_t *keys)
{
    enum { LANES = 16, RUNS = Q35_GROUP_CODES / LANES, MASK_THEN_OR = 0xea }; /* (a & b) | c */
    const __m512i mask = _mm512_set1_epi32(~CODE_MASK);
    __m512i linear[RUNS], square[RUNS], best[RUNS];
    for (int r = 0; r < RUNS; r++) {
        linear[r] = _mm512_load_si512(pairs->linear[LANES * r]);
        square[r] = _mm512_load_si512(pairs->square[LANES * r]);
        best[r] = _mm512_set1_epi32(INT32_MAX);
    }
    for (int c = 0; c < Q35_BOOK_POINTS; c++) {
        __m512i l = _mm512_set1_epi32(pair_at(points->linear[c])),
                s = _mm512_set1_epi32(pair_at(points->square[c]));
        __m512i code = _mm512_set1_epi32(c);
        for (int r = 0; r < RUNS; r++) {
            __m512i score = _mm512_dpwssd_epi32(_mm512_madd_epi16(square[r], s), linear[r], l);
            best[r] = _mm512_min_epi32(best[r], _mm512_ternarylogic_epi32(score, mask, code, MASK_THEN_OR));
        }
    }
    for (int r = 0; r < RUNS; r++)
        _mm512_storeu_si512(keys + LANES * r, best[r]);
}

#endif

void q35i_search_codes(const q35i_code_points *points, const q35i_code_pairs *pairs, int32_t keys[Q35_GROUP_CODES])
{
    search_fn *fn = search_base;
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw"))
        fn = search_avx512;
    else if (__builtin_cpu_supports("avx2"))
        fn = search_avx2;
#endif
    fn(points, pairs, keys);
}
