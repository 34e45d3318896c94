/* SPDX-License-Identifier: Apache-2.0
 *
 * What a linear's weights are changed by before they are quantised, so that with the quantised model's input y its
 * output aims at what the source has with its own input x: W + D (H + d I)^-1, H = sum y^T y, D = a W C with
 * C = sum (x - y)^T y. Where the output is added to the residual stream, which is h in the source and g in the
 * quantised model, D = sum (a W (x - y) + b (h - g))^T y, which also repairs what the stream has lost so far
 * (docs/decisions/0007). Several linears with one input share C; a single one has a D of its own, which is
 * smaller. One thread at a time but for the pool given. */
#ifndef Q35I_CORRECTION_H
#define Q35I_CORRECTION_H

#include "runtime/quant/hessian.h"

#include <stdbool.h>

typedef struct q35i_correction {
    uint64_t k, n; /* inputs, even; rows: k of a shared C, else outputs */
    bool shared;
    float *sum; /* [n][k]: C, or D / a; solved: times a (H + d I)^-1 */
} q35i_correction;

/* k even; outputs: of the single linear, 0: C is shared. NOMEM. */
q35_status q35i_correction_create(uint64_t k, uint64_t outputs, q35i_correction *out);
void q35i_correction_free(q35i_correction *c); /* zeroed: nothing */

/* What a single linear's outputs are to gain, in units of a: W dx + b / a dh. dx = x - y f32 [tokens][k of the
 * correction]; w f32 [outputs][k], k at most one less than the correction's; dh = h - g and out f32
 * [tokens][outputs]. */
void q35i_correction_difference(const q35i_correction *c, const float *w, uint64_t k, const float *dx,
                                const float *dh, uint64_t tokens, float *out, q35_pool *pool);

/* Adds tokens: y f32 [tokens][k]; d f32 [tokens][n]: x - y for a shared C, else the outputs' difference. Same bits
 * for any pool. Needs q35i_linalg_open. */
void q35i_correction_add(q35i_correction *c, const float *y, const float *d, uint64_t tokens, q35_pool *pool);

/* After the last token. Meanwhile another 8 k^2 bytes are needed. NOMEM. */
q35_status q35i_correction_solve(q35i_correction *c, const q35i_hessian *h, q35_pool *pool);

/* out = the rows w f32 [n][k], the first of which is row `first` of the matrix, corrected. Solved; k: at most one
 * less than the correction's. */
void q35i_correction_apply(const q35i_correction *c, const float *w, uint64_t first, uint64_t n, uint64_t k,
                           float *out);

#endif
