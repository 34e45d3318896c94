/* SPDX-License-Identifier: Apache-2.0
 *
 * Reference SUM_SQUARES: adds every column's sum of squares over the tokens, in double, to an f32 accumulator. */
#include "kernels-cpu/kernels_decl.h"

void q35k_sum_squares__ref(const float *x, int64_t rs_x, int64_t n_tokens, float *acc, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++) {
        double sum = 0;
        for (int64_t t = 0; t < n_tokens; t++) {
            double value = (double)*(const float *)(const void *)((const char *)(x + i) + t * rs_x);
            sum += value * value;
        }
        acc[i] = (float)((double)acc[i] + sum);
    }
}
