/* SPDX-License-Identifier: Apache-2.0
 *
 * A matrix to row-scaled codes with error feedback: every pair of weights takes the code nearest in the metric of
 * the inputs' second moments, and what it misses is passed on to the pairs that come later. Every row is tried at
 * several scales and keeps the one with the least error on the calibration's outputs. */
#ifndef Q35I_LDLQ_H
#define Q35I_LDLQ_H

#include "runtime/quant/hessian.h"

typedef struct q35i_ldlq {
    uint32_t dtype;          /* a row type */
    const int8_t (*book)[2]; /* of types that have one, borrowed */
    float unit;              /* best scale of a row of deviation 1, where the search starts */
    const q35i_feedback *feedback;
    q35_pool *pool; /* NULL: the calling thread alone */
    /* Called from the calling thread between slices of rows; a failure (CANCELLED) ends the work with it. May be
     * NULL. */
    q35_status (*progress)(void *user, uint64_t rows);
    void *user;
} q35i_ldlq;

/* w f32 [n][k], finite, in the basis of the second moments; out: n * q35_row_bytes(dtype, k) bytes. *loss: sum
 * over rows of e H e^T, e = w - w^, of the damped H. Same bits for any pool. */
q35_status q35i_ldlq_encode(const q35i_ldlq *how, const float *w, uint64_t n, uint64_t k, uint8_t *out,
                            double *loss);

#endif
