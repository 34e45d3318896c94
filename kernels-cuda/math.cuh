/* SPDX-License-Identifier: Apache-2.0
 *
 * The elementary functions of kernels-cpu/series.h for the device: the same sequences of operations on the same
 * constants, so the same bits. The sources are compiled without contraction: an fma is one because it says so. */
#ifndef Q35_MATH_CUH
#define Q35_MATH_CUH

#include "kernels-cuda/prim.cuh"

/* exp of x <= 0, f32. */
Q35_DEVICE float exp_f32(float x)
{
    const float log2e = 1.44269504f, round = 12582912.0f + 127.0f, ln2 = 0.693147182f, ln2_rest = -1.90465421e-9f;
    const float c[7] = {1, 1, 0.49999994f, 0.166665211f, 0.041668389f, 0.00836874545f, 0.00138145406f};
    if (x < -87.0f)
        return 0;
    const float shifted = fmaf(x, log2e, round), n = shifted - round;
    const float r = fmaf(n, -ln2_rest, fmaf(n, -ln2, x));
    float p = c[6];
    Q35_UNROLL
    for (int i = 5; i >= 0; i--)
        p = fmaf(p, r, c[i]);
    return p * float_of_bits(bits_of_float(shifted) << 23);
}

Q35_DEVICE double round_f64(double x)
{
    return (x + 0x1.8p52) - 0x1.8p52;
}

/* exp in double. */
Q35_DEVICE double exp_f64(double x)
{
    const double log2e = 1.4426950408889634, ln2 = 0.6931471805599453, ln2_rest = 2.3190468138462996e-17;
    const double c[14] = {
        1,          1,           1.0 / 2,      1.0 / 6,       1.0 / 24,       1.0 / 120,       1.0 / 720,
        1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0};
    x = x < -708.0 ? -708.0 : x > 709.0 ? 709.0 : x;
    if (x != x)
        return x;
    const double n = round_f64(x * log2e);
    const double r = fma(n, -ln2_rest, fma(n, -ln2, x));
    double p = c[13];
    Q35_UNROLL
    for (int i = 12; i >= 0; i--)
        p = fma(p, r, c[i]);
    return p * double_of_bits((uint64_t)((int64_t)n + 1023) << 52);
}

/* Sine and cosine in double of 0 <= a < 2^30. */
Q35_DEVICE void sincos_f64(double a, double &sine, double &cosine)
{
    const double sc[8] = {1.0,          -1.0 / 6,          1.0 / 120,          -1.0 / 5040,
                          1.0 / 362880, -1.0 / 39916800.0, 1.0 / 6227020800.0, -1.0 / 1307674368000.0};
    const double cc[9] = {1.0,
                          -1.0 / 2,
                          1.0 / 24,
                          -1.0 / 720,
                          1.0 / 40320,
                          -1.0 / 3628800.0,
                          1.0 / 479001600.0,
                          -1.0 / 87178291200.0,
                          1.0 / 20922789888000.0};
    const double n = round_f64(a * 0.63661977236758134);
    const double r = fma(n, -6.123233995736766e-17, fma(n, -1.5707963267948966, a)), z = r * r;
    double s = sc[7], c = cc[8];
    Q35_UNROLL
    for (int i = 6; i >= 0; i--)
        s = fma(s, z, sc[i]);
    Q35_UNROLL
    for (int i = 7; i >= 0; i--)
        c = fma(c, z, cc[i]);
    s = r * s;
    const int64_t quadrant = (int64_t)n & 3;
    sine = quadrant & 1 ? c : s;
    cosine = quadrant & 1 ? s : c;
    if (quadrant & 2)
        sine = -sine;
    if (quadrant == 1 || quadrant == 2)
        cosine = -cosine;
}

/* Natural logarithm in double of a normal x > 0. */
Q35_DEVICE double log_f64(double x)
{
    uint64_t bits = bits_of_double(x);
    double e = (double)((int64_t)(bits >> 52) - 1023), sum = 1.0 / 21;
    bits = (bits & (UINT64_MAX >> 12)) | (uint64_t)1023 << 52;
    double m = double_of_bits(bits);
    if (m > 1.4142135623730951) {
        m = m / 2;
        e = e + 1;
    }
    const double s = (m - 1) / (m + 1), z = s * s;
    for (int i = 9; i >= 0; i--)
        sum = sum * z + 1.0 / (2 * i + 1);
    return e * 0.6931471805599453 + 2 * s * sum;
}

Q35_DEVICE double silu_f64(double a)
{
    return a / (1 + exp_f64(-a));
}

Q35_DEVICE float swiglu_f32(float gate, float up)
{
    return (float)(silu_f64((double)gate) * (double)up);
}

/* Every NaN is the same one. */
Q35_DEVICE float one_nan(float y)
{
    return y != y ? float_of_bits(0x7fc00000u) : y;
}

/* Whether v is neither NaN nor infinity. */
Q35_DEVICE bool is_finite(float v)
{
    return (bits_of_float(v) & 0x7f800000u) != 0x7f800000u;
}

#endif
