/* SPDX-License-Identifier: Apache-2.0
 *
 * A score is two products of int16 pairs summed in int32: one instruction each where there are dot products of
 * int16. The code rides in the low 7 bits, so that one minimum keeps both. Lanes are pairs, the loop goes over the
 * points, so nothing is reduced across lanes. Sums stay below 2^31: |linear| <= 2 * 32640 * 128 * 128, square
 * <= 2 * 8192 * 128^2. */
#include "runtime/quant/codes.h"

#include "runtime/quant/variants.h"

#define CODE_MASK 127
#define AVX512    "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni" WIDE

/* What the searches read: the pairs' factors of points->linear and points->square. */
typedef struct factors {
    _Alignas(64) int16_t linear[Q35_GROUP_CODES][2];
    const int16_t (*square)[2]; /* [64], aligned as linear */
} factors;

void q35i_code_points_set(q35i_code_points *points, const int8_t (*book)[2])
{
    for (int c = 0; c < Q35_BOOK_POINTS; c++)
        for (int k = 0; k < 2; k++) {
            points->linear[c][k] = (int16_t)(128 * book[c][k]);
            points->square[c][k] = (int16_t)(book[c][k] * book[c][k]);
        }
}

INLINE void search_base(const q35i_code_points *points, const factors *pairs, int32_t *keys)
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

__attribute__((target("avx2"), always_inline)) static inline void search_avx2(const q35i_code_points *points,
                                                                              const factors *pairs, int32_t *keys)
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

__attribute__((target(AVX512), always_inline)) static inline void
search_avx512(const q35i_code_points *points, const factors *pairs, int32_t *keys)
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

/* Nearest integer of |x| < 2^22, ties to even. */
INLINE int32_t nearest_integer(float x)
{
    float shifted = x + 12582912.0f; /* 1.5 * 2^23: the sum's last place is 1 */
    int32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    return bits - 0x4b400000;
}

INLINE int32_t scale_factors(const q35i_code_group *group, float inverse, int16_t *linear, float *excess)
{
    int32_t far = 0;
    for (int i = 0; i < Q35_GROUP; i++) {
        float x = group->factor[i] * inverse, bound = group->bound[i], y = x > bound ? bound : x;
        y = y < -bound ? -bound : y;
        excess[i] = x - y;
        far |= x != y;
        linear[i] = (int16_t)nearest_integer(y);
    }
    return far;
}

/* In a fixed order of eight partial sums. */
INLINE double add_scores(const q35i_code_group *group, const int32_t *keys, uint8_t *codes)
{
    double part[8] = {0}, sum = 0;
    for (int i = 0; i < Q35_GROUP_CODES; i += 8)
        for (int k = 0; k < 8; k++)
            part[k] += (double)group->top[i + k] * (double)(keys[i + k] >> 7);
    for (int i = 0; i < Q35_GROUP_CODES; i++)
        codes[i] = (uint8_t)(keys[i] & CODE_MASK);
    for (int k = 0; k < 8; k++)
        sum += part[k];
    return sum;
}

/* All of a trial, compiled for one instruction set. */
#define DEFINE_TRIAL(name, search, attribute)                                                                     \
    attribute static double name(const q35i_code_points *points, const q35i_code_group *group, float inverse,     \
                                 uint8_t *codes, float *excess, int32_t *far)                                     \
    {                                                                                                             \
        int32_t keys[Q35_GROUP_CODES];                                                                            \
        factors f;                                                                                                \
        f.square = group->square;                                                                                 \
        *far = scale_factors(group, inverse, f.linear[0], excess);                                                \
        search(points, &f, keys);                                                                                 \
        return add_scores(group, keys, codes);                                                                    \
    }

DEFINE_TRIAL(trial_base, search_base, )

#ifdef __x86_64__
DEFINE_TRIAL(trial_avx2, search_avx2, __attribute__((target("avx2"))))
DEFINE_TRIAL(trial_avx512, search_avx512, __attribute__((target(AVX512))))
#endif

double q35i_search_codes(const q35i_code_points *points, const q35i_code_group *group, float inverse,
                         uint8_t codes[Q35_GROUP_CODES], float excess[Q35_GROUP], int32_t *far)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl"))
        return trial_avx512(points, group, inverse, codes, excess, far);
    if (__builtin_cpu_supports("avx2"))
        return trial_avx2(points, group, inverse, codes, excess, far);
#endif
    return trial_base(points, group, inverse, codes, excess, far);
}
