/* SPDX-License-Identifier: Apache-2.0
 *
 * The distance of y to the point c in the metric D is c D c - 2 (y D) c + y D y: two products and a sum per point.
 * The code rides in the low bits of the distance, so that one minimum keeps both. Lanes are rows; nothing is
 * reduced across them. */
#include "runtime/quant/ldlq_search.h"

#include "runtime/quant/variants.h"

#define AVX512    "avx512f,avx512bw,avx512vl,avx512dq" WIDE
#define AVX2      "avx2,fma"
#define LANES     Q35I_LANES
#define CODE_MASK 255

/* What the search reads: - 2 y D and y D y per row, c D c per code. */
typedef struct query {
    _Alignas(64) float linear[2][LANES];
    _Alignas(64) float base[LANES];
    _Alignas(64) int32_t code[LANES]; /* out */
} query;

void q35i_pair_points_set(q35i_pair_points *points, uint32_t dtype, const int8_t (*book)[2])
{
    points->n = q35_book_entries(dtype);
    for (uint32_t c = 0; c < points->n; c++)
        for (int h = 0; h < 2; h++)
            points->level[h][c] = (float)book[c][h];
}

INLINE void search_base(const q35i_pair_points *points, const float *square, query *q)
{
    int32_t best[LANES];
    for (unsigned l = 0; l < LANES; l++)
        best[l] = INT32_MAX;
    for (uint32_t c = 0; c < points->n; c++)
        for (unsigned l = 0; l < LANES; l++) {
            float d = q->linear[0][l] * points->level[0][c] + (q->base[l] + square[c]);
            int32_t key;
            d = q->linear[1][l] * points->level[1][c] + d;
            memcpy(&key, &d, sizeof key);
            key = (key & ~CODE_MASK) | (int32_t)c;
            best[l] = key < best[l] ? key : best[l];
        }
    for (unsigned l = 0; l < LANES; l++)
        q->code[l] = best[l] & CODE_MASK;
}

#ifdef __x86_64__

__attribute__((target(AVX2), always_inline)) static inline void search_avx2(const q35i_pair_points *points,
                                                                            const float *square, query *q)
{
    enum { HALVES = 2, LANES_8 = 8 };
    const __m256i mask = _mm256_set1_epi32(~CODE_MASK);
    for (int h = 0; h < HALVES; h++) {
        __m256 a = _mm256_load_ps(q->linear[0] + LANES_8 * h), b = _mm256_load_ps(q->linear[1] + LANES_8 * h),
               base = _mm256_load_ps(q->base + LANES_8 * h);
        __m256i best = _mm256_set1_epi32(INT32_MAX);
        for (uint32_t c = 0; c < points->n; c++) {
            __m256 d = _mm256_fmadd_ps(a, _mm256_set1_ps(points->level[0][c]),
                                       _mm256_add_ps(base, _mm256_set1_ps(square[c])));
            d = _mm256_fmadd_ps(b, _mm256_set1_ps(points->level[1][c]), d);
            __m256i key =
                _mm256_or_si256(_mm256_and_si256(_mm256_castps_si256(d), mask), _mm256_set1_epi32((int32_t)c));
            best = _mm256_min_epi32(best, key);
        }
        _mm256_store_si256((void *)(q->code + LANES_8 * h), _mm256_andnot_si256(mask, best));
    }
}

__attribute__((target(AVX512), always_inline)) static inline void search_avx512(const q35i_pair_points *points,
                                                                                const float *square, query *q)
{
    enum { MASK_THEN_OR = 0xea }; /* (a & b) | c */
    const __m512i mask = _mm512_set1_epi32(~CODE_MASK);
    __m512 a = _mm512_load_ps(q->linear[0]), b = _mm512_load_ps(q->linear[1]), base = _mm512_load_ps(q->base);
    __m512i best = _mm512_set1_epi32(INT32_MAX);
    for (uint32_t c = 0; c < points->n; c++) {
        __m512 d = _mm512_fmadd_ps(a, _mm512_set1_ps(points->level[0][c]),
                                   _mm512_add_ps(base, _mm512_set1_ps(square[c])));
        d = _mm512_fmadd_ps(b, _mm512_set1_ps(points->level[1][c]), d);
        __m512i key =
            _mm512_ternarylogic_epi32(_mm512_castps_si512(d), mask, _mm512_set1_epi32((int32_t)c), MASK_THEN_OR);
        best = _mm512_min_epi32(best, key);
    }
    _mm512_store_si512(q->code, _mm512_andnot_si512(mask, best));
}

#endif

/* Targets of 16 lanes in units of their scales. */
INLINE void ask(const q35i_pair_step *s, uint64_t at, const float *inverse, query *q)
{
    for (unsigned l = 0; l < LANES; l++) {
        float y0 = s->target[at + l] * inverse[l], y1 = s->target[s->stride + at + l] * inverse[l];
        float g0 = s->metric[0] * y0 + s->metric[1] * y1, g1 = s->metric[1] * y0 + s->metric[2] * y1;
        q->linear[0][l] = -2 * g0;
        q->linear[1][l] = -2 * g1;
        q->base[l] = y0 * g0 + y1 * g1;
    }
}

/* Errors of the chosen levels, and what they cost. */
INLINE void settle(const q35i_pair_step *s, uint64_t at, const float *v0, const float *v1)
{
    for (unsigned l = 0; l < LANES; l++) {
        float e0 = s->target[at + l] - v0[l], e1 = s->target[s->stride + at + l] - v1[l];
        s->loss[at + l] += e0 * e0 * s->metric[0] + 2 * e0 * e1 * s->metric[1] + e1 * e1 * s->metric[2];
        s->error[at + l] = s->w[l] - v0[l];
        s->error[s->stride + at + l] = s->w[LANES + l] - v1[l];
    }
}

INLINE void take_pairs(const q35i_pair_step *s, uint64_t at, const query *q)
{
    float v0[LANES], v1[LANES];
    for (unsigned l = 0; l < LANES; l++) {
        int32_t c = q->code[l];
        s->codes[at + l] = (uint8_t)c;
        v0[l] = s->scale[at + l] * s->points->level[0][c];
        v1[l] = s->scale[at + l] * s->points->level[1][c];
    }
    settle(s, at, v0, v1);
}

/* The level 2c - 63 nearest to y, and its code. */
INLINE float nearest_level(float y, uint8_t *code)
{
    float c = (y + 63) * 0.5f, level;
    c = c < 0 ? 0 : c > 63 ? 63 : c;
    *code = (uint8_t)(c + 0.5f);
    level = 2 * (float)*code - 63;
    return level;
}

/* Single weights: the second makes up for the first one's error as far as the metric says. */
INLINE void take_weights(const q35i_pair_step *s, uint64_t at, const float *inverse)
{
    float v0[LANES], v1[LANES], lean = s->metric[2] > 0 ? s->metric[1] / s->metric[2] : 0;
    for (unsigned l = 0; l < LANES; l++) {
        float z0 = s->target[at + l], z1 = s->target[s->stride + at + l], scale = s->scale[at + l];
        v0[l] = scale * nearest_level(z0 * inverse[l], &s->codes[at + l]);
        z1 += lean * (z0 - v0[l]);
        v1[l] = scale * nearest_level(z1 * inverse[l], &s->codes[s->stride + at + l]);
    }
    settle(s, at, v0, v1);
}

INLINE void pass_on(const q35i_pair_step *s)
{
    const float *e0 = s->error, *e1 = s->error + s->stride;
    for (uint64_t c = 0; c < s->later; c++) {
        float u0 = s->u[c], u1 = s->u[s->u_stride + c], *z = s->target + (c + 2) * s->stride;
        for (uint64_t at = 0; at < s->lanes; at += LANES)
            for (unsigned l = 0; l < LANES; l++)
                z[at + l] += u0 * e0[at + l] + u1 * e1[at + l];
    }
}

/* A whole step, compiled for one instruction set. */
#define DEFINE_STEP(name, search, attribute)                                                                      \
    attribute static void name(const q35i_pair_step *s)                                                           \
    {                                                                                                             \
        float square[Q35_BOOK_MAX], inverse[LANES];                                                               \
        for (uint32_t c = 0; c < s->points->n; c++) {                                                             \
            float a = s->points->level[0][c], b = s->points->level[1][c];                                         \
            square[c] = a * a * s->metric[0] + 2 * a * b * s->metric[1] + b * b * s->metric[2];                   \
        }                                                                                                         \
        for (uint64_t at = 0; at < s->lanes; at += LANES) {                                                       \
            query q;                                                                                              \
            for (unsigned l = 0; l < LANES; l++)                                                                  \
                inverse[l] = s->scale[at + l] > 0 ? 1 / s->scale[at + l] : 0;                                     \
            if (s->points->n == 0) {                                                                              \
                take_weights(s, at, inverse);                                                                     \
                continue;                                                                                         \
            }                                                                                                     \
            ask(s, at, inverse, &q);                                                                              \
            search(s->points, square, &q);                                                                        \
            take_pairs(s, at, &q);                                                                                \
        }                                                                                                         \
        pass_on(s);                                                                                               \
    }

DEFINE_STEP(step_base, search_base, )

#ifdef __x86_64__
DEFINE_STEP(step_avx2, search_avx2, __attribute__((target(AVX2))))
DEFINE_STEP(step_avx512, search_avx512, __attribute__((target(AVX512))))
#endif

void q35i_pair_quantise(const q35i_pair_step *step)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq")) {
        step_avx512(step);
        return;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        step_avx2(step);
        return;
    }
#endif
    step_base(step);
}
