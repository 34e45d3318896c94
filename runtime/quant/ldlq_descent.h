/* SPDX-License-Identifier: Apache-2.0
 *
 * What comes after error feedback: coordinate descent over a panel of rows. Every pair of columns in turn takes
 * the codes that are best given all others of its row, then every row the scale that is best for its codes.
 * Neither ever raises a row's e H e^T, e = w - w^, H the damped second moments. */
#ifndef Q35I_LDLQ_DESCENT_H
#define Q35I_LDLQ_DESCENT_H

#include "runtime/quant/hessian.h"
#include "runtime/quant/ldlq_search.h"

#define Q35I_DESCENT_BLOCK 128u /* columns that share a matrix product */

/* Columns in the order of quantisation, rows of the matrix side by side. */
typedef struct q35i_descent {
    const q35i_feedback *feedback;
    const q35i_pair_points *points;
    uint64_t lanes, stride; /* a multiple of 16, at most Q35I_MOST_LANES */
    const float *w;         /* [k][stride] */
    uint8_t *codes;         /* [k][stride], updated; of a pair at its first column */
    float *scale;           /* [lanes], updated */
    float *error, *spread;  /* [k][stride], scratch */
    float *block;           /* [Q35I_DESCENT_BLOCK][Q35I_DESCENT_BLOCK + stride], scratch; all 64-byte aligned */
} q35i_descent;

/* loss: out [lanes], e H e^T at the end. Needs q35i_linalg_open. Same bits at any place in the matrix. */
void q35i_descend(const q35i_descent *d, uint32_t sweeps, double *loss);

#endif
