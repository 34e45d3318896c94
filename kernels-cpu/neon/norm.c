/* SPDX-License-Identifier: Apache-2.0
 *
 * RMS_NORM and ADD_RMS_NORM with NEON. Squares are summed, and the result is formed, in double, so that nothing
 * overflows and each output is one rounding. A square of a float is exact in double, so that an fma adds it with
 * the one rounding of a sum. Mirrors q35k_norm__ref. */
#include "kernels-cpu/kernels_decl.h"
#include "kernels-cpu/simd/neon_math.h"

static inline float32x4_t load_sum(const float *a, const float *b, int64_t i, int64_t k)
{
    float32x4_t s = q35i_load4__neon(a + i, k - i);
    return b ? vaddq_f32(s, q35i_load4__neon(b + i, k - i)) : s;
}

static inline float32x4_t scaled(float32x4_t s, double factor, float32x4_t w)
{
    float64x2_t low = vmulq_f64(vmulq_n_f64(q35i_low_f64__neon(s), factor), q35i_low_f64__neon(w));
    float64x2_t high = vmulq_f64(vmulq_n_f64(q35i_high_f64__neon(s), factor), q35i_high_f64__neon(w));
    return q35i_join_f32__neon(low, high);
}

static void norm_row(const float *a, const float *b, const float *w, float eps, float *sum, float *y, int64_t k)
{
    float64x2_t lane[8];
    for (int j = 0; j < 8; j++)
        lane[j] = vdupq_n_f64(0);
    for (int64_t i = 0; i < k; i += 16) {
        for (int j = 0; j < 4 && i + 4 * j < k; j++) {
            float32x4_t s = load_sum(a, b, i + 4 * j, k);
            if (sum)
                q35i_store4__neon(sum + i + 4 * j, k - i - 4 * j, s);
            lane[2 * j] = vfmaq_f64(lane[2 * j], q35i_low_f64__neon(s), q35i_low_f64__neon(s));
            lane[2 * j + 1] = vfmaq_f64(lane[2 * j + 1], q35i_high_f64__neon(s), q35i_high_f64__neon(s));
        }
    }
    const double squares = q35i_lanes_sum_f64__neon(lane);
    double factor = 1 / sqrt(squares / (double)k + (double)eps);
    for (int64_t i = 0; i < k; i += 4) {
        float32x4_t s = sum ? q35i_load4__neon(sum + i, k - i) : load_sum(a, b, i, k);
        q35i_store4__neon(y + i, k - i, scaled(s, factor, q35i_load4__neon(w + i, k - i)));
    }
}

void q35k_norm__neon(const float *a, const float *b, const float *w, float eps, float *sum, float *y, int64_t rs,
                     int64_t k, int64_t begin, int64_t end)
{
    int64_t step = rs / (int64_t)sizeof(float);
    for (int64_t t = begin; t < end; t++)
        norm_row(a + t * step, b ? b + t * step : NULL, w, eps, sum ? sum + t * step : NULL, y + t * step, k);
}
