/* SPDX-License-Identifier: Apache-2.0
 *
 * All distances of a pair are computed in vectors of floats and reduced to the smallest. The code rides in the low
 * bits of its distance, 7 for 128 points: non-negative floats order like their bit patterns, so one integer
 * minimum gives both. Copies for wider vectors are chosen by CPUID. No operation is fused and a minimum has no
 * order, so all copies agree bit for bit. */
#include "runtime/quant/nearest.h"

#define INLINE __attribute__((always_inline)) static inline

typedef double nearest_fn(const q35i_points *points, const float *x, const float *w, uint64_t n, uint8_t *codes);

void q35i_points_set(q35i_points *points, const int8_t (*book)[2], uint32_t n)
{
    points->n = (int32_t)n;
    for (int c = 0; c < points->n; c++) {
        points->even[c] = (float)book[c][0];
        points->odd[c] = (float)book[c][1];
        points->code[c] = c;
    }
}

/* Searches one pair with vectors of `lanes` floats: smallest of distance bits | code. */
#define DEFINE_SEARCH(lanes)                                                                                      \
    typedef float vec_f##lanes __attribute__((vector_size(4 * lanes)));                                           \
    typedef int32_t vec_i##lanes __attribute__((vector_size(4 * lanes)));                                         \
    INLINE int32_t search_##lanes(const q35i_points *points, const float *x, const float *w)                      \
    {                                                                                                             \
        const vec_f##lanes *even = (const void *)points->even, *odd = (const void *)points->odd;                  \
        const vec_i##lanes *code = (const void *)points->code;                                                    \
        vec_f##lanes zero = {0}, x0 = zero + x[0], x1 = zero + x[1], w0 = zero + w[0], w1 = zero + w[1];          \
        vec_i##lanes best = (vec_i##lanes){0} + INT32_MAX;                                                        \
        const int32_t mask = points->n - 1;                                                                       \
        for (int i = 0; i < points->n / lanes; i++) {                                                             \
            vec_f##lanes t = x0 - even[i], u = x1 - odd[i], d = w0 * (t * t) + w1 * (u * u);                      \
            vec_i##lanes key = ((vec_i##lanes)d & ~mask) | code[i], less = key < best;                            \
            best = (key & less) | (best & ~less);                                                                 \
        }                                                                                                         \
        int32_t min = best[0];                                                                                    \
        for (int i = 1; i < lanes; i++)                                                                           \
            min = best[i] < min ? best[i] : min;                                                                  \
        return min;                                                                                               \
    }

INLINE double take(int32_t key, int32_t mask, uint8_t *code)
{
    int32_t bits = key & ~mask;
    float d;
    memcpy(&d, &bits, sizeof d);
    *code = (uint8_t)(key & mask);
    return (double)d;
}

#define DEFINE_NEAREST(name, lanes, attribute)                                                                    \
    DEFINE_SEARCH(lanes)                                                                                          \
    attribute static double name(const q35i_points *points, const float *x, const float *w, uint64_t n,           \
                                 uint8_t *codes)                                                                  \
    {                                                                                                             \
        double sum = 0;                                                                                           \
        for (uint64_t i = 0; i < n; i++)                                                                          \
            sum += take(search_##lanes(points, x + 2 * i, w + 2 * i), points->n - 1, &codes[i]);                  \
        return sum;                                                                                               \
    }

DEFINE_NEAREST(nearest_base, 4, )

#ifdef __x86_64__
DEFINE_NEAREST(nearest_avx2, 8, __attribute__((target("avx2"))))
DEFINE_NEAREST(nearest_avx512, 16, __attribute__((target("avx512f"))))
#endif

double q35i_nearest(const q35i_points *points, const float *x, const float *w, uint64_t n, uint8_t *codes)
{
    nearest_fn *fn = nearest_base;
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f"))
        fn = nearest_avx512;
    else if (__builtin_cpu_supports("avx2"))
        fn = nearest_avx2;
#endif
    return fn(points, x, w, n, codes);
}
