/* SPDX-License-Identifier: Apache-2.0
 *
 * Second moments of a linear's input and what error feedback needs of them. For inputs x the squared error that a
 * weight error e makes is e H e^T with H = sum x^T x. H = U D U^T, in the order in which pairs of columns are
 * quantised, U unit upper block-triangular and D block-diagonal with blocks of 2, turns it into a sum over pairs:
 * the error of pair k is measured in D_k around its weights plus the earlier pairs' errors times U (LDLQ: Chee et
 * al., "QuIP", 2023; for blocks: Tseng et al., "QuIP#", 2024). One thread at a time but for the pool given. */
#ifndef Q35I_HESSIAN_H
#define Q35I_HESSIAN_H

#include <q35rt/status.h>

typedef struct q35i_hessian {
    uint64_t k;      /* inputs, even */
    uint64_t tokens; /* seen */
    float *sum;      /* [k][k]; of the lower triangle at least */
} q35i_hessian;

/* k even. NOMEM. */
q35_status q35i_hessian_create(uint64_t k, q35i_hessian *out);
void q35i_hessian_free(q35i_hessian *h); /* zeroed: nothing */

/* Adds the tokens x f32 [n][k], finite. Same bits for any pool. Needs q35i_linalg_open. */
void q35i_hessian_add(q35i_hessian *h, const float *x, uint64_t n, q35_pool *pool);

/* L of H + damping in units of the diagonal's mean, f64 [k][k] as q35i_cholesky leaves it. A zero H counts as the
 * identity. INTERNAL: there is none. */
q35_status q35i_hessian_factor(const q35i_hessian *h, double damping, double *out);

/* Everything below is in the order of quantisation: position p holds column order[p]; pairs stay together. */
typedef struct q35i_feedback {
    uint64_t k;
    uint32_t *order;
    float *u;           /* [k][k] row-major: u[j][p], pair of j before that of p, else not set */
    float (*metric)[3]; /* [k/2]: D_00, D_01, D_11 */
    double damping;     /* what was added to the diagonal, in units of its mean */
} q35i_feedback;

/* damping: added to the diagonal in units of its mean (0.01); multiplied by 10 until the factorisation exists,
 * which out->damping tells. A zero H counts as the identity. h becomes empty: its memory is that of U; after a
 * failure it is as it was. Meanwhile another 8 k^2 bytes are needed. NOMEM. */
q35_status q35i_feedback_create(q35i_hessian *h, double damping, q35i_feedback *out);
void q35i_feedback_free(q35i_feedback *f);

#endif
