/* SPDX-License-Identifier: Apache-2.0
 *
 * Seeded random weights for the tests of the quantiser. */
#ifndef Q35T_NOISE_H
#define Q35T_NOISE_H

#include <stdint.h>

/* n samples of mean 0 and variance 1: normal, Laplace, and Student's t of 5 degrees of freedom. */
void q35t_normal(uint64_t seed, float *out, uint64_t n);
void q35t_laplace(uint64_t seed, float *out, uint64_t n);
void q35t_student5(uint64_t seed, float *out, uint64_t n);

/* 10 log10 of sum x^2 / sum (x - y)^2. */
double q35t_sqnr_db(const float *x, const float *y, uint64_t n);

/* Sum of w (x - y)^2. */
double q35t_weighted_error(const float *x, const float *y, const float *w, uint64_t n);

#endif
