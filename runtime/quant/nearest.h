/* SPDX-License-Identifier: Apache-2.0
 *
 * Nearest point of a codebook under a weighted metric: the inner loop of codebook training and of the scale
 * search. The same bits on every host: each lane does the same IEEE operations whatever the vector width. */
#ifndef Q35I_NEAREST_H
#define Q35I_NEAREST_H

#include <q35rt/blocks.h>

/* A codebook as floats, by slot. */
typedef struct q35i_points {
    _Alignas(64) float even[Q35_BOOK_MAX];
    _Alignas(64) float odd[Q35_BOOK_MAX];
    _Alignas(64) int32_t code[Q35_BOOK_MAX]; /* 0, 1, 2 ... */
    int32_t n;
} q35i_points;

/* book [n][2], n a power of two from 16 to Q35_BOOK_MAX. */
void q35i_points_set(q35i_points *points, const int8_t (*book)[2], uint32_t n);

/* x, w f32 [n][2]. codes[i] = the c that minimises d = w[i][0] (x[i][0] - even[c])^2 + w[i][1] (x[i][1] -
 * odd[c])^2. Distances are compared to n / 2^23 of themselves; among equals the smallest code wins. Needs |x| <
 * 1e10 and weights in 0..1e9. Returns sum of d (to the same). Pure. */
double q35i_nearest(const q35i_points *points, const float *x, const float *w, uint64_t n, uint8_t *codes);

#endif
