/* SPDX-License-Identifier: Apache-2.0
 *
 * Elementary functions of the contracts, specified to the bit: sequences of f32 or double operations, each rounded
 * once, which every kernel follows, and which give the same on every machine and with every C library. Here are
 * their constants, for all kernels, and the functions in plain C, for the reference; simd/ has them for vectors.
 *
 * Sums over many terms have 16 lanes: term i goes to lane i mod 16, in ascending order; lanes_sum adds the lanes.
 */
#ifndef Q35K_SERIES_H
#define Q35K_SERIES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { Q35K_LANES = 16 };

/* Halves are added until four lanes are left, then neighbours. */
static inline float q35k_lanes_sum(const float lane[Q35K_LANES])
{
    float half[8], quarter[4];
    for (int i = 0; i < 8; i++)
        half[i] = lane[i] + lane[i + 8];
    for (int i = 0; i < 4; i++)
        quarter[i] = half[i] + half[i + 4];
    return (quarter[0] + quarter[1]) + (quarter[2] + quarter[3]);
}

static inline double q35k_lanes_sum_f64(const double lane[Q35K_LANES])
{
    double half[8], quarter[4];
    for (int i = 0; i < 8; i++)
        half[i] = lane[i] + lane[i + 8];
    for (int i = 0; i < 4; i++)
        quarter[i] = half[i] + half[i + 4];
    return (quarter[0] + quarter[1]) + (quarter[2] + quarter[3]);
}

/* ---- exp in f32, of x <= 0: what a softmax needs. Relative error below 2 u; 0 below -87, where the result would
 * soon be subnormal; NaN for NaN. x = n ln 2 + r, |r| <= ln 2 / 2; exp(r) by the polynomial of degree 6 with the
 * smallest relative error, 0.06 u, among those that begin with 1 + r ---- */

#define Q35K_EXP_LOWEST (-87.0f)
#define Q35K_EXP_LOG2E  1.44269504f
/* Added and taken away again it rounds to an integer n, half to even; before it is taken away, the exponent bits
 * of 2^n are the lowest bits of the sum. 1.5 * 2^23, and the bias of exponents. */
#define Q35K_EXP_ROUND (12582912.0f + 127.0f)
/* ln 2 as the sum of two floats; n times the first, taken from x, is exact. */
#define Q35K_EXP_LN2      0.693147182f
#define Q35K_EXP_LN2_REST (-1.90465421e-9f)

static const float q35k_exp_series[7] = {
    1, 1, 0.49999994f, 0.166665211f, 0.041668389f, 0.00836874545f, 0.00138145406f};

static inline float q35k_exp(float x)
{
    if (x < Q35K_EXP_LOWEST)
        return 0;
    const float shifted = fmaf(x, Q35K_EXP_LOG2E, Q35K_EXP_ROUND), n = shifted - Q35K_EXP_ROUND;
    const float r = fmaf(n, -Q35K_EXP_LN2_REST, fmaf(n, -Q35K_EXP_LN2, x));
    float p = q35k_exp_series[6], power;
    for (int i = 5; i >= 0; i--)
        p = fmaf(p, r, q35k_exp_series[i]);
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits <<= 23;
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

/* ---- exp in double, relative error below 2^-50; x is taken as -708 or 709 beyond those, NaN for NaN. The Taylor
 * polynomial of degree 13: the next term is 4.2e-18 ---- */

#define Q35K_EXP_F64_LOWEST   (-708.0)
#define Q35K_EXP_F64_LARGEST  709.0
#define Q35K_EXP_F64_LOG2E    1.4426950408889634
#define Q35K_EXP_F64_LN2      0.6931471805599453
#define Q35K_EXP_F64_LN2_REST 2.3190468138462996e-17
#define Q35K_ROUND_F64        0x1.8p52 /* as Q35K_EXP_ROUND, without a bias */

static const double q35k_inverse_factorial[14] = {
    1,          1,           1.0 / 2,      1.0 / 6,       1.0 / 24,       1.0 / 120,       1.0 / 720,
    1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0};

/* Half to even; |x| below 2^51. */
static inline double q35k_round_f64(double x)
{
    return (x + Q35K_ROUND_F64) - Q35K_ROUND_F64;
}

static inline double q35k_exp_f64(double x)
{
    x = x < Q35K_EXP_F64_LOWEST ? Q35K_EXP_F64_LOWEST : x > Q35K_EXP_F64_LARGEST ? Q35K_EXP_F64_LARGEST : x;
    if (isnan(x))
        return x;
    const double n = q35k_round_f64(x * Q35K_EXP_F64_LOG2E);
    const double r = fma(n, -Q35K_EXP_F64_LN2_REST, fma(n, -Q35K_EXP_F64_LN2, x));
    double p = q35k_inverse_factorial[13], power;
    for (int i = 12; i >= 0; i--)
        p = fma(p, r, q35k_inverse_factorial[i]);
    const uint64_t bits = (uint64_t)((int64_t)n + 1023) << 52; /* n is in [-1022, 1023] */
    memcpy(&power, &bits, sizeof power);
    return p * power;
}

/* ---- sine and cosine in double of a >= 0, a < 2^30. Reduction to [-pi/4, pi/4] in two fused steps: exact to
 * about 2^-53 of the remainder; series to r^15 and r^16: the next terms are below 2^-53 ---- */

#define Q35K_TWO_OVER_PI  0.63661977236758134
#define Q35K_HALF_PI      1.5707963267948966
#define Q35K_HALF_PI_REST 6.123233995736766e-17

/* (-1)^i / (2i+1)! and (-1)^i / (2i)! */
static const double q35k_sine_series[8] = {
    1.0,          -1.0 / 6,          1.0 / 120,          -1.0 / 5040,
    1.0 / 362880, -1.0 / 39916800.0, 1.0 / 6227020800.0, -1.0 / 1307674368000.0};
static const double q35k_cosine_series[9] = {1.0,
                                             -1.0 / 2,
                                             1.0 / 24,
                                             -1.0 / 720,
                                             1.0 / 40320,
                                             -1.0 / 3628800.0,
                                             1.0 / 479001600.0,
                                             -1.0 / 87178291200.0,
                                             1.0 / 20922789888000.0};

static inline void q35k_sincos(double a, double *sine, double *cosine)
{
    const double n = q35k_round_f64(a * Q35K_TWO_OVER_PI);
    const double r = fma(n, -Q35K_HALF_PI_REST, fma(n, -Q35K_HALF_PI, a)), z = r * r;
    double s = q35k_sine_series[7], c = q35k_cosine_series[8];
    for (int i = 6; i >= 0; i--)
        s = fma(s, z, q35k_sine_series[i]);
    for (int i = 7; i >= 0; i--)
        c = fma(c, z, q35k_cosine_series[i]);
    s = r * s;
    /* Odd quadrants swap the two; sine is negative in 2 and 3, cosine in 1 and 2. */
    const int64_t quadrant = (int64_t)n & 3;
    *sine = quadrant & 1 ? c : s;
    *cosine = quadrant & 1 ? s : c;
    if (quadrant & 2)
        *sine = -*sine;
    if (quadrant == 1 || quadrant == 2)
        *cosine = -*cosine;
}

/* ---- natural logarithm in double of a normal x > 0, relative error below 2^-50 for x >= 1. x = 2^e m, m within
 * [1/sqrt 2, sqrt 2]; ln m = 2 atanh s, s = (m - 1) / (m + 1), |s| < 0.172, by its series to s^21 ---- */
static inline double q35k_log(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    double e = (double)((int64_t)(bits >> 52) - 1023), m, sum = 1.0 / 21;
    bits = (bits & (UINT64_MAX >> 12)) | UINT64_C(1023) << 52;
    memcpy(&m, &bits, sizeof m);
    if (m > 1.4142135623730951) {
        m = m / 2;
        e = e + 1;
    }
    const double s = (m - 1) / (m + 1), z = s * s;
    for (int i = 9; i >= 0; i--)
        sum = sum * z + 1.0 / (2 * i + 1);
    return e * Q35K_EXP_F64_LN2 + 2 * s * sum;
}

#endif
