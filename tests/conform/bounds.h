/* SPDX-License-Identifier: Apache-2.0
 *
 * How far a device's result may lie from the reference's: its own bound and the reference's together. The formulas
 * are those of docs/numerics.md, "Bounds of a device". */
#ifndef CONFORM_BOUNDS_H
#define CONFORM_BOUNDS_H

#include "tests/kernelcheck/kernelcheck.h"

#include <math.h>

/* K squares are summed in any order in f32; root, reciprocal and products. */
static inline double cf_bound_norm(double y, int64_t k)
{
    const double reference = KC_U + (double)(k + 9) * KC_U64;
    return (kc_gamma((double)k + 2) / 2 + 8 * KC_U + reference) * fabs(y) + 2 * KC_ETA;
}

/* exp within 4 u, a sum, a quotient, a product; exp(-a) may overflow where the result is below 2^-120 |b|. */
static inline double cf_bound_silu(double y, double b)
{
    return (17 * KC_U + 16 * KC_U64) * fabs(y) + fabs(b) * 0x1p-120 + 2 * KC_ETA;
}

/* Sine and cosine within 8 u of the f32 angle; size: |x0 c| + |x1 s|, f the temperature. */
static inline double cf_bound_rope(double size, double f)
{
    return (12 + 4) * KC_U * (1 + 16 * KC_U) * size * f + 8 * (1 + f) * KC_ETA;
}

static inline double cf_bound_sum_squares(double v, int64_t n_tokens)
{
    return (kc_gamma((double)n_tokens + 2) + KC_U + 2 * (double)(n_tokens + 2) * KC_U64) * fabs(v) + 2 * KC_ETA;
}

/* LINEAR: sums of integers (sums: of the reference) or not. s: sum of |w x|, w: of |w|. */
static inline double cf_bound_linear(int64_t k, double sums, double s, double w)
{
    const double blocks = ceil((double)k / 32);
    if (sums > 0)
        return (kc_gamma(10 * blocks + 4) + kc_gamma(sums + 1)) * s + (10 * blocks + 4 + sums) * 0x1p24 * KC_ETA;
    return (kc_gamma((double)k + 2 * blocks + 4) + kc_gamma(kc_chain_roundings(k) + 1)) * s +
           2 * ((double)k + w) * KC_ETA;
}

#endif
