/* SPDX-License-Identifier: Apache-2.0
 *
 * Reference RMS_NORM and ADD_RMS_NORM. Formula: Zhang and Sennrich, "Root Mean Square Layer Normalization" (2019),
 * equation 4, with eps inside the root. The residual sum s is rounded to f32 before it is used, stored or not. */
#include "kernels-cpu/kernels_decl.h"

#include <math.h>

static void norm_row(const float *a, const float *b, const float *w, float eps, float *sum, float *y, int64_t k)
{
    double squares[Q35K_LANES] = {0};
    for (int64_t i = 0; i < k; i++) {
        float s = b ? a[i] + b[i] : a[i];
        squares[i % Q35K_LANES] += (double)s * (double)s;
        if (sum)
            sum[i] = s;
    }
    const double factor = 1 / sqrt(q35k_lanes_sum_f64(squares) / (double)k + (double)eps);
    for (int64_t i = 0; i < k; i++) {
        float s = sum ? sum[i] : b ? a[i] + b[i] : a[i]; /* sum may have replaced a */
        y[i] = (float)((double)s * factor * (double)w[i]);
    }
}

void q35k_norm__ref(const float *a, const float *b, const float *w, float eps, float *sum, float *y, int64_t rs,
                    int64_t k, int64_t begin, int64_t end)
{
    int64_t step = rs / (int64_t)sizeof(float);
    for (int64_t t = begin; t < end; t++)
        norm_row(a + t * step, b ? b + t * step : NULL, w, eps, sum ? sum + t * step : NULL, y + t * step, k);
}
