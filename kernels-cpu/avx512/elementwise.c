/* SPDX-License-Identifier: Apache-2.0
 *
 * SWIGLU with AVX-512: a / (1 + exp(-a)) * b in double, and one rounding. Mirrors q35k_swiglu__ref. exp is a chain
 * of 20 steps, each of which waits for the last; so several vectors of 8 lanes, a group, take each step side by
 * side, written one after another, as a core looks only so far ahead for something to do. A division keeps its
 * unit busy for half the time that the exp of a vector takes, or more: the divisions of a group are written
 * between the steps of the next.
 */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/simd/avx512_math.h"

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 8, VECTORS = 8, GROUP = VECTORS * LANES, LINE = 64, PREFETCH_BYTES = 4096 };

typedef struct quotients {
    __m512d a[VECTORS], divisor[VECTORS];
} quotients;

/* Vector j of a group, whose b and y are at hand. */
INLINE void finish(const quotients *of, int j, const float *b, float *y)
{
    const __m512d silu = _mm512_div_pd(of->a[j], of->divisor[j]);
    const __m512d product = _mm512_mul_pd(silu, _mm512_cvtps_pd(_mm256_loadu_ps(b + LANES * j)));
    _mm256_storeu_ps(y + LANES * j, _mm512_cvtpd_ps(product));
}

/* -a = n ln 2 + r, as in q35k_exp_f64(-a). What is written as of a has the bits of what the contract writes as of
 * -a, as no rounding depends on the sign. exponent: n, where a double has its exponent. */
INLINE void reduce(const __m512d *a, __m512d *minus_r, __m512i *exponent)
{
    const __m512d shift = _mm512_set1_pd(Q35K_ROUND_F64);
    __m512d n[VECTORS];
    for (int j = 0; j < VECTORS; j++) {
        /* min and max return their second operand when one is NaN. */
        minus_r[j] = _mm512_max_pd(_mm512_set1_pd(-Q35K_EXP_F64_LARGEST), a[j]);
        minus_r[j] = _mm512_min_pd(_mm512_set1_pd(-Q35K_EXP_F64_LOWEST), minus_r[j]);
    }
    for (int j = 0; j < VECTORS; j++)
        n[j] = _mm512_add_pd(_mm512_mul_pd(minus_r[j], _mm512_set1_pd(-Q35K_EXP_F64_LOG2E)), shift);
    for (int j = 0; j < VECTORS; j++) {
        exponent[j] = _mm512_slli_epi64(_mm512_castpd_si512(n[j]), 52);
        n[j] = _mm512_sub_pd(n[j], shift);
    }
    for (int j = 0; j < VECTORS; j++)
        minus_r[j] = _mm512_fmadd_pd(n[j], _mm512_set1_pd(Q35K_EXP_F64_LN2), minus_r[j]);
    for (int j = 0; j < VECTORS; j++)
        minus_r[j] = _mm512_fmadd_pd(n[j], _mm512_set1_pd(Q35K_EXP_F64_LN2_REST), minus_r[j]);
}

/* A group's quotients; meanwhile the results of the group `before`, whose b and y are at hand, unless it is NULL.
 */
INLINE void take_group(const float *a, quotients *out, const quotients *before, const float *b, float *y)
{
    const double *series = q35k_inverse_factorial;
    __m512d minus_r[VECTORS], p[VECTORS];
    __m512i exponent[VECTORS];
    __asm__("" : "+r"(series)); /* read where it is used: registers are for the group */
    for (int j = 0; j < VECTORS; j++)
        out->a[j] = _mm512_cvtps_pd(_mm256_loadu_ps(a + LANES * j));
    reduce(out->a, minus_r, exponent);
    for (int j = 0; j < VECTORS; j++)
        p[j] = _mm512_set1_pd(q35k_inverse_factorial[13]);
    for (int i = 12; i >= 0; i--) {
        const __m512d next = _mm512_set1_pd(series[i]);
        if (before && 12 - i < VECTORS)
            finish(before, 12 - i, b, y);
        for (int j = 0; j < VECTORS; j++)
            p[j] = _mm512_fnmadd_pd(p[j], minus_r[j], next);
    }
    for (int j = 0; j < VECTORS; j++) {
        /* The power of e is a normal number. */
        p[j] = _mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(p[j]), exponent[j]));
        out->divisor[j] = _mm512_add_pd(_mm512_set1_pd(1), p[j]);
    }
}

INLINE void finish_group(const quotients *of, const float *b, float *y)
{
    for (int j = 0; j < VECTORS; j++)
        finish(of, j, b, y);
}

/* Rows of many tokens come from memory, across more pages than a core prefetches by itself. */
INLINE void prefetch_group(const float *x)
{
    for (uintptr_t i = 0; i < GROUP * sizeof(float); i += LINE)
        _mm_prefetch((const char *)((uintptr_t)x + PREFETCH_BYTES + i), _MM_HINT_T0); /* may lie past the end */
}

/* n > 0 whole groups. */
static void whole_groups(const float *a, const float *b, float *y, int64_t n)
{
    quotients now, next;
    take_group(a, &now, NULL, b, y);
    for (; n > 1; n--, a += GROUP, b += GROUP, y += GROUP) {
        prefetch_group(a);
        prefetch_group(b);
        prefetch_group(y);
        take_group(a + GROUP, &next, &now, b, y);
        now = next;
    }
    finish_group(&now, b, y);
}

void q35k_swiglu__avx512(const float *a, const float *b, float *y, int64_t begin, int64_t end)
{
    const int64_t n = (end - begin) / GROUP, i = begin + n * GROUP;
    if (n > 0)
        whole_groups(a + begin, b + begin, y + begin, n);
    if (i < end) {
        const size_t left = (size_t)(end - i) * sizeof(float);
        float last[3][GROUP] = {{0}};
        memcpy(last[0], a + i, left);
        memcpy(last[1], b + i, left);
        whole_groups(last[0], last[1], last[2], 1);
        memcpy(y + i, last[2], left);
    }
}
