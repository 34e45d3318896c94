/* SPDX-License-Identifier: Apache-2.0
 *
 * SWIGLU with NEON: a / (1 + exp(-a)) * b in double, 2 lanes at a time, and one rounding. Mirrors
 * q35k_swiglu__ref. */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/simd/neon_math.h"

static inline float64x2_t swiglu2(float64x2_t a, float64x2_t b)
{
    float64x2_t e = q35i_exp_f64__neon(vnegq_f64(a));
    return vmulq_f64(vdivq_f64(a, vaddq_f64(vdupq_n_f64(1), e)), b);
}

void q35k_swiglu__neon(const float *a, const float *b, float *y, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i += 4) {
        float32x4_t va = q35i_load4__neon(a + i, end - i), vb = q35i_load4__neon(b + i, end - i);
        float64x2_t low = swiglu2(q35i_low_f64__neon(va), q35i_low_f64__neon(vb));
        float64x2_t high = swiglu2(q35i_high_f64__neon(va), q35i_high_f64__neon(vb));
        q35i_store4__neon(y + i, end - i, q35i_join_f32__neon(low, high));
    }
}
