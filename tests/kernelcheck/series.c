/* SPDX-License-Identifier: Apache-2.0
 *
 * The elementary functions of kernels-cpu/series.h against the C library's in long double: the errors that their
 * comments, and the bounds of docs/numerics.md, promise.
 */
#include "kernelcheck.h"

#include <math.h>
#include <stdio.h>

/* Relative; an infinite or NaN result where the target is finite is infinitely wrong. */
static double error_of(double got, long double target)
{
    if (got == (double)target)
        return 0;
    return isfinite(got) ? (double)fabsl(((long double)got - target) / target) : HUGE_VAL;
}

static bool check(const char *name, double worst, double bound, char *text, size_t size)
{
    if (worst <= bound)
        return true;
    snprintf(text, size, "%s: relative error %.3g, need at most %.3g", name, worst, bound);
    return false;
}

/* Every step-th float from 0 down to -87, and what lies beyond. */
static bool check_exp(char *text, size_t size)
{
    double worst = 0;
    float edge = Q35K_EXP_LOWEST;
    uint32_t last;
    memcpy(&last, &edge, sizeof last);
    for (uint32_t bits = UINT32_C(0x80000000); bits <= last; bits += 997) {
        float x;
        memcpy(&x, &bits, sizeof x);
        worst = fmax(worst, error_of((double)q35k_exp(x), expl((long double)x)));
    }
    worst = fmax(worst, error_of((double)q35k_exp(edge), expl((long double)edge)));
    if (q35k_exp(0) != 1 || q35k_exp(nextafterf(edge, -100)) != 0 || q35k_exp(-INFINITY) != 0 ||
        !isnan(q35k_exp(NAN))) {
        snprintf(text, size, "exp: of 0, below -87, or of NaN");
        return false;
    }
    return check("exp", worst, KC_EXP, text, size);
}

static bool check_exp_f64(kc_context *x, char *text, size_t size)
{
    double worst = 0;
    for (int i = 0; i < 100000; i++) {
        double v = 0.5 + 708.5 * kc_uniform(x);
        worst = fmax(worst, error_of(q35k_exp_f64(v), expl((long double)v)));
    }
    if (q35k_exp_f64(0) != 1 || q35k_exp_f64(-INFINITY) != q35k_exp_f64(-708) ||
        q35k_exp_f64(INFINITY) != q35k_exp_f64(709) || !isnan(q35k_exp_f64((double)NAN))) {
        snprintf(text, size, "exp in double: of 0, of infinity or of NaN");
        return false;
    }
    return check("exp in double", worst, 0x1p-50, text, size);
}

/* Angles of ROPE: products of a position and a frequency, in f32. */
static bool check_sincos(kc_context *x, char *text, size_t size)
{
    double worst = 0;
    for (int i = 0; i < 100000; i++) {
        float angle = (float)kc_below(x, i % 4 ? 1 << 18 : 1 << 29) * (float)exp(7 * (kc_uniform(x) - 1));
        double s, c;
        q35k_sincos((double)angle, &s, &c);
        worst = fmax(worst, error_of(s, sinl((long double)angle)));
        worst = fmax(worst, error_of(c, cosl((long double)angle)));
    }
    return check("sincos", worst, 0x1p-50, text, size);
}

/* Integers, as the temperature of ROPE takes them. */
static bool check_log(char *text, size_t size)
{
    double worst = q35k_log(1) == 0 ? 0 : HUGE_VAL;
    for (int i = 2; i < 100000; i++)
        worst = fmax(worst, error_of(q35k_log(i), logl((long double)i)));
    return check("log", worst, 0x1p-50, text, size);
}

bool kc_check_series(kc_context *x, char *text, size_t size)
{
    return check_exp(text, size) && check_exp_f64(x, text, size) && check_sincos(x, text, size) &&
           check_log(text, size);
}
