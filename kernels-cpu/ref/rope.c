/* SPDX-License-Identifier: Apache-2.0
 *
 * Reference ROPE on interleaved pairs. Formula: Su et al., "RoFormer" (2021), equation 34, with frequencies from
 * the caller. Each pair's sine and cosine serve all heads of the token. */
#include "kernels-cpu/kernels_decl.h"

#include <math.h>

static void rope_row(const float *x, float *y, int64_t n_heads, int64_t head_dim, int64_t n_rot,
                     const float *inv_freq, int64_t position)
{
    for (int64_t i = 0; i < n_rot / 2; i++) {
        double angle = (double)position * (double)inv_freq[i];
        double c = (double)(float)cos(angle), s = (double)(float)sin(angle);
        for (int64_t h = 0; h < n_heads; h++) {
            int64_t e = h * head_dim + 2 * i;
            double even = (double)x[e], odd = (double)x[e + 1];
            y[e] = (float)(even * c - odd * s);
            y[e + 1] = (float)(even * s + odd * c);
        }
    }
    for (int64_t h = 0; h < n_heads; h++)
        for (int64_t d = n_rot; d < head_dim; d++)
            y[h * head_dim + d] = x[h * head_dim + d];
}

void q35k_rope__ref(const float *x, float *y, int64_t rs, int64_t n_heads, int64_t head_dim, int64_t n_rot,
                    const float *inv_freq, int64_t pos, int64_t begin, int64_t end)
{
    int64_t step = rs / (int64_t)sizeof(float);
    for (int64_t t = begin; t < end; t++)
        rope_row(x + t * step, y + t * step, n_heads, head_dim, n_rot, inv_freq, pos + t);
}
