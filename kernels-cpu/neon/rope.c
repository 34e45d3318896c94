/* SPDX-License-Identifier: Apache-2.0
 *
 * ROPE with NEON: the sines and cosines of four pairs at a time (q35k_sincos), used for every head of the token.
 * Mirrors q35k_rope__ref. */
#include "kernels-cpu/kernels_decl.h"

#include <arm_neon.h>

typedef struct sincos64 {
    float64x2_t sin, cos;
} sincos64;

typedef struct sincos32 {
    float32x4_t sin, cos;
} sincos32;

/* c[0] + c[1] z + ... + c[n-1] z^(n-1) */
static inline float64x2_t polynomial(float64x2_t z, const double *c, int n)
{
    float64x2_t p = vdupq_n_f64(c[n - 1]);
    for (int i = n - 2; i >= 0; i--)
        p = vfmaq_f64(vdupq_n_f64(c[i]), p, z);
    return p;
}

static inline float64x2_t flip_sign(float64x2_t v, int64x2_t sign)
{
    return vreinterpretq_f64_s64(veorq_s64(vreinterpretq_s64_f64(v), sign));
}

/* q35k_sincos */
static inline sincos64 sincos2(float64x2_t a)
{
    float64x2_t n = vrndnq_f64(vmulq_n_f64(a, Q35K_TWO_OVER_PI));
    float64x2_t r = vfmsq_f64(a, n, vdupq_n_f64(Q35K_HALF_PI));
    r = vfmsq_f64(r, n, vdupq_n_f64(Q35K_HALF_PI_REST));
    float64x2_t z = vmulq_f64(r, r);
    float64x2_t s = vmulq_f64(r, polynomial(z, q35k_sine_series, 8)), c = polynomial(z, q35k_cosine_series, 9);

    /* quadrant n mod 4: odd ones swap the two; sine is negative in 2 and 3, cosine in 1 and 2 */
    int64x2_t quadrant = vcvtnq_s64_f64(n);
    uint64x2_t swap = vtstq_s64(quadrant, vdupq_n_s64(1));
    int64x2_t minus_sin = vshlq_n_s64(vshrq_n_s64(quadrant, 1), 63);
    int64x2_t minus_cos = veorq_s64(vshlq_n_s64(quadrant, 63), minus_sin);
    return (sincos64){flip_sign(vbslq_f64(swap, c, s), minus_sin), flip_sign(vbslq_f64(swap, s, c), minus_cos)};
}

static inline sincos32 sincos4(float32x4_t a)
{
    sincos64 low = sincos2(vcvt_f64_f32(vget_low_f32(a))), high = sincos2(vcvt_high_f64_f32(a));
    return (sincos32){vcombine_f32(vcvt_f32_f64(low.sin), vcvt_f32_f64(high.sin)),
                      vcombine_f32(vcvt_f32_f64(low.cos), vcvt_f32_f64(high.cos))};
}

/* Four pairs of x. */
static inline void turn(const float *x, float *y, sincos32 sc, float factor)
{
    float32x4x2_t v = vld2q_f32(x), turned;
    turned.val[0] = vfmaq_f32(vnegq_f32(vmulq_f32(v.val[1], sc.sin)), v.val[0], sc.cos);
    turned.val[1] = vfmaq_f32(vmulq_f32(v.val[0], sc.sin), v.val[1], sc.cos);
    turned.val[0] = vmulq_n_f32(turned.val[0], factor);
    turned.val[1] = vmulq_n_f32(turned.val[1], factor);
    vst2q_f32(y, turned);
}

static void rope_row(const float *x, float *y, const q35k_rope *rope, int64_t position)
{
    const int64_t n_pairs = rope->n_rot / 2, head_dim = rope->head_dim;
    const float factor = q35k_rope_temperature(rope, position);
    for (int64_t i = 0; i < n_pairs; i += 4) {
        const size_t left = n_pairs - i < 4 ? (size_t)(n_pairs - i) : 4;
        float frequency[4] = {0}, pairs[8] = {0};
        memcpy(frequency, rope->inv_freq + i, left * sizeof(float));
        const sincos32 sc = sincos4(vmulq_n_f32(vld1q_f32(frequency), (float)position));
        for (int64_t h = 0; h < rope->n_heads; h++) {
            const float *from = x + h * head_dim + 2 * i;
            float *to = y + h * head_dim + 2 * i;
            if (left == 4) {
                turn(from, to, sc, factor);
                continue;
            }
            memcpy(pairs, from, 2 * left * sizeof(float));
            turn(pairs, pairs, sc, factor);
            memcpy(to, pairs, 2 * left * sizeof(float));
        }
    }
    for (int64_t h = 0; h < rope->n_heads; h++)
        for (int64_t d = rope->n_rot; d < head_dim; d++)
            y[h * head_dim + d] = x[h * head_dim + d] * factor;
}

void q35k_rope__neon(const float *x, float *y, int64_t rs, const q35k_rope *rope, const int32_t *positions,
                     int64_t begin, int64_t end)
{
    int64_t step = rs / (int64_t)sizeof(float);
    for (int64_t t = begin; t < end; t++)
        rope_row(x + t * step, y + t * step, rope, positions[t]);
}
