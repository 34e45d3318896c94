/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions of vectors that NEON kernels share. Static inline only.
 */
#ifndef Q35I_SIMD_NEON_MATH_H
#define Q35I_SIMD_NEON_MATH_H

#include "kernels-cpu/series.h"

#include <arm_neon.h>
#include <string.h>

/* q35k_exp: x <= 0. */
static inline float32x4_t q35i_exp__neon(float32x4_t x)
{
    const float32x4_t shift = vdupq_n_f32(Q35K_EXP_ROUND);
    const float32x4_t shifted = vfmaq_f32(shift, x, vdupq_n_f32(Q35K_EXP_LOG2E)), n = vsubq_f32(shifted, shift);
    const uint32x4_t gone = vcltq_f32(x, vdupq_n_f32(Q35K_EXP_LOWEST)); /* not NaN */
    float32x4_t r = vfmsq_f32(x, n, vdupq_n_f32(Q35K_EXP_LN2));
    r = vfmsq_f32(r, n, vdupq_n_f32(Q35K_EXP_LN2_REST));
    float32x4_t p = vdupq_n_f32(q35k_exp_series[6]);
    for (int i = 5; i >= 0; i--)
        p = vfmaq_f32(vdupq_n_f32(q35k_exp_series[i]), p, r);
    p = vmulq_f32(p, vreinterpretq_f32_s32(vshlq_n_s32(vreinterpretq_s32_f32(shifted), 23)));
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(p), gone));
}

/* q35k_exp_f64 */
static inline float64x2_t q35i_exp_f64__neon(float64x2_t x)
{
    /* min and max give NaN when an operand is NaN. */
    x = vminq_f64(vdupq_n_f64(Q35K_EXP_F64_LARGEST), vmaxq_f64(vdupq_n_f64(Q35K_EXP_F64_LOWEST), x));
    float64x2_t n = vrndnq_f64(vmulq_n_f64(x, Q35K_EXP_F64_LOG2E));
    float64x2_t r = vfmsq_f64(x, n, vdupq_n_f64(Q35K_EXP_F64_LN2));
    r = vfmsq_f64(r, n, vdupq_n_f64(Q35K_EXP_F64_LN2_REST));
    float64x2_t p = vdupq_n_f64(q35k_inverse_factorial[13]);
    for (int i = 12; i >= 0; i--)
        p = vfmaq_f64(vdupq_n_f64(q35k_inverse_factorial[i]), p, r);
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

/* q35k_lanes_sum and q35k_lanes_sum_f64, but for the last four lanes and four values at a time: lane[i] has lanes
 * 4 i .. 4 i + 3, or 2 i and 2 i + 1. */
static inline float32x4_t q35i_lane_quarters__neon(const float32x4_t lane[4])
{
    return vaddq_f32(vaddq_f32(lane[0], lane[2]), vaddq_f32(lane[1], lane[3]));
}

static inline float q35i_lanes_sum__neon(const float32x4_t lane[4])
{
    float32x4_t v = q35i_lane_quarters__neon(lane), pairs = vpaddq_f32(v, v);
    return vgetq_lane_f32(pairs, 0) + vgetq_lane_f32(pairs, 1);
}

static inline double q35i_lanes_sum_f64__neon(const float64x2_t lane[8])
{
    float64x2_t low = vaddq_f64(vaddq_f64(lane[0], lane[4]), vaddq_f64(lane[2], lane[6]));
    float64x2_t high = vaddq_f64(vaddq_f64(lane[1], lane[5]), vaddq_f64(lane[3], lane[7]));
    float64x2_t pairs = vpaddq_f64(low, high);
    return vgetq_lane_f64(pairs, 0) + vgetq_lane_f64(pairs, 1);
}

#endif
