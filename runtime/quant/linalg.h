/* SPDX-License-Identifier: Apache-2.0
 *
 * The dense linear algebra of a calibrated conversion, done by OpenBLAS, which is opened when it is first needed.
 * Every call runs on the calling thread alone, so its bits do not depend on how work was shared out. */
#ifndef Q35I_LINALG_H
#define Q35I_LINALG_H

#include <q35rt/status.h>

/* Opens the library. UNAVAILABLE names it and its package. Once per process is enough; any thread. */
q35_status q35i_linalg_open(void);

/* c += a^T b for f32 a [t][m], b [t][n], c [m][n], rows lda, ldb, ldc floats apart. */
void q35i_gemm_tn(uint64_t m, uint64_t n, uint64_t t, const float *a, uint64_t lda, const float *b, uint64_t ldb,
                  float *c, uint64_t ldc);

/* c += a b for f32 a [m][t], b [t][n], c [m][n], rows lda, ldb, ldc floats apart. */
void q35i_gemm_nn(uint64_t m, uint64_t n, uint64_t t, const float *a, uint64_t lda, const float *b, uint64_t ldb,
                  float *c, uint64_t ldc);

/* c += a b^T for f32 a [m][t], b [n][t], c [m][n], likewise. */
void q35i_gemm_nt(uint64_t m, uint64_t n, uint64_t t, const float *a, uint64_t lda, const float *b, uint64_t ldb,
                  float *c, uint64_t ldc);

/* a = L L^T in place: a f64 [n][n] symmetric, of which the lower triangle is read and becomes L; the upper one is
 * not touched. Returns 0, or the order, from 1, of the first leading minor that is not positive. */
uint64_t q35i_cholesky(uint64_t n, double *a);

/* x = x (L L^T)^-1 in place: x f64 [rows][n], l [n][n] as q35i_cholesky leaves it. */
void q35i_cholesky_solve(uint64_t n, const double *l, uint64_t rows, double *x);

#endif
