/* SPDX-License-Identifier: Apache-2.0
 *
 * The order in which LINEAR sums products of floats (kernels.h), for the reference rows that have such sums. */
#ifndef Q35K_REF_DOT_F32_H
#define Q35K_REF_DOT_F32_H

#include <math.h>
#include <stdint.h>

enum {
    Q35K_CHUNK = 256, /* inputs; a multiple of every block length */
    Q35K_CHAINS = 4
};

/* acc after one chunk: n <= Q35K_CHUNK inputs x and weights w. */
static inline float q35k_add_chunk(float acc, const float *x, const float *w, int64_t n)
{
    float sum[Q35K_CHAINS] = {0};
    for (int64_t i = 0; i < n; i++)
        sum[i % Q35K_CHAINS] = fmaf(w[i], x[i], sum[i % Q35K_CHAINS]);
    return acc + ((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

/* Every NaN result is the same one. */
static inline float q35k_one_nan(float y)
{
    return isnan(y) ? NAN : y;
}

#endif
