/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions of vectors that NEON kernels share. Static inline only.
 */
#ifndef Q35I_SIMD_NEON_MATH_H
#define Q35I_SIMD_NEON_MATH_H

#include <arm_neon.h>
#include <string.h>

/* 2^n for n in [-126, 127]. */
static inline float32x4_t q35i_pow2__neon(int32x4_t n)
{
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23));
}

/* exp(x), as q35i_exp__avx512: relative error below 1e-7 where the result is normal; 0 below -104, +inf
 * from 88.73 on, NaN for NaN. 2^n in two factors, so that subnormal results and the largest ones come out. */
static inline float32x4_t q35i_exp__neon(float32x4_t x)
{
    /* min and max give NaN when an operand is NaN. */
    x = vminq_f32(vdupq_n_f32(89.0f), vmaxq_f32(vdupq_n_f32(-105.0f), x));
    float32x4_t n = vrndnq_f32(vmulq_n_f32(x, 1.44269504f));
    float32x4_t r = vfmsq_f32(x, n, vdupq_n_f32(0.693359375f));
    r = vfmsq_f32(r, n, vdupq_n_f32(-2.12194440e-4f));
    float32x4_t p = vdupq_n_f32(1.0f / 5040);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 720), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 120), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 24), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 6), p, r);
    p = vfmaq_f32(vdupq_n_f32(0.5f), p, r);
    p = vfmaq_f32(r, vmulq_f32(r, r), p);
    p = vaddq_f32(p, vdupq_n_f32(1.0f));
    int32x4_t whole = vcvtnq_s32_f32(n), half = vshrq_n_s32(whole, 1);
    p = vmulq_f32(p, q35i_pow2__neon(half));
    return vmulq_f32(p, q35i_pow2__neon(vsubq_s32(whole, half)));
}

/* exp(x) in double, as q35i_exp_f64__avx512. */
static inline float64x2_t q35i_exp_f64__neon(float64x2_t x)
{
    static const double inverse_factorial[14] = {
        1,          1,           1.0 / 2,      1.0 / 6,       1.0 / 24,       1.0 / 120,       1.0 / 720,
        1.0 / 5040, 1.0 / 40320, 1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0};
    x = vminq_f64(vdupq_n_f64(709), vmaxq_f64(vdupq_n_f64(-708), x));
    float64x2_t n = vrndnq_f64(vmulq_n_f64(x, 1.4426950408889634));
    float64x2_t r = vfmsq_f64(x, n, vdupq_n_f64(0.6931471805599453));
    r = vfmsq_f64(r, n, vdupq_n_f64(2.3190468138462996e-17));
    float64x2_t p = vdupq_n_f64(inverse_factorial[13]);
    for (int i = 12; i >= 0; i--)
        p = vfmaq_f64(vdupq_n_f64(inverse_factorial[i]), p, r);
    /* 2^n through the exponent bits: n is in [-1022, 1023] */
    int64x2_t bits = vshlq_n_s64(vaddq_s64(vcvtnq_s64_f64(n), vdupq_n_s64(1023)), 52);
    return vmulq_f64(p, vreinterpretq_f64_s64(bits));
}

/* The two halves of 4 floats as doubles, and back with one rounding. */
static inline float64x2_t q35i_low_f64__neon(float32x4_t v)
{
    return vcvt_f64_f32(vget_low_f32(v));
}

static inline float64x2_t q35i_high_f64__neon(float32x4_t v)
{
    return vcvt_high_f64_f32(v);
}

static inline float32x4_t q35i_join_f32__neon(float64x2_t low, float64x2_t high)
{
    return vcombine_f32(vcvt_f32_f64(low), vcvt_f32_f64(high));
}

/* The first n of 4 floats at p; the others give 0. */
static inline float32x4_t q35i_load4__neon(const float *p, long long n)
{
    float lanes[4] = {0};
    if (n >= 4)
        return vld1q_f32(p);
    if (n > 0)
        memcpy(lanes, p, (size_t)n * sizeof *p);
    return vld1q_f32(lanes);
}

static inline void q35i_store4__neon(float *p, long long n, float32x4_t v)
{
    float lanes[4];
    if (n >= 4) {
        vst1q_f32(p, v);
    } else if (n > 0) {
        vst1q_f32(lanes, v);
        memcpy(p, lanes, (size_t)n * sizeof *p);
    }
}

/* Lanes in a fixed order: halves are added until one is left. */
static inline float q35i_sum4__neon(float32x4_t v)
{
    float32x2_t b = vadd_f32(vget_low_f32(v), vget_high_f32(v));
    return vget_lane_f32(b, 0) + vget_lane_f32(b, 1);
}

#endif
