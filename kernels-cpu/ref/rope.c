/* SPDX-License-Identifier: Apache-2.0
 *
 * Reference ROPE on interleaved pairs. Formula: Su et al., "RoFormer" (2021), equation 34, with frequencies from
 * the caller, times the temperature of queries at long range. Each pair's sine and cosine serve all heads of the
 * token. */
#include "kernels-cpu/kernels_decl.h"

static void rope_row(const float *x, float *y, const q35k_rope *rope, int64_t position)
{
    const float factor = q35k_rope_temperature(rope, position);
    for (int64_t i = 0; i < rope->n_rot / 2; i++) {
        double sine, cosine;
        q35k_sincos((double)((float)position * rope->inv_freq[i]), &sine, &cosine);
        const float s = (float)sine, c = (float)cosine;
        for (int64_t h = 0; h < rope->n_heads; h++) {
            int64_t e = h * rope->head_dim + 2 * i;
            float even = x[e], odd = x[e + 1];
            y[e] = fmaf(even, c, -(odd * s)) * factor;
            y[e + 1] = fmaf(odd, c, even * s) * factor;
        }
    }
    for (int64_t h = 0; h < rope->n_heads; h++)
        for (int64_t d = rope->n_rot; d < rope->head_dim; d++)
            y[h * rope->head_dim + d] = x[h * rope->head_dim + d] * factor;
}

void q35k_rope__ref(const float *x, float *y, int64_t rs, const q35k_rope *rope, const int32_t *positions,
                    int64_t begin, int64_t end)
{
    int64_t step = rs / (int64_t)sizeof(float);
    for (int64_t t = begin; t < end; t++)
        rope_row(x + t * step, y + t * step, rope, positions[t]);
}
