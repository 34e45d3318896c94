/* SPDX-License-Identifier: Apache-2.0
 *
 * Rotation of a linear's input: random signs, then orthonormal Hadamard transforms of blocks. A weight row w meets
 * a rotated input R x as w R^T, which is the same function of the row: R is applied to both, and their product
 * stays.
 */
#ifndef Q35I_ROTATION_H
#define Q35I_ROTATION_H

#include <stdint.h>

#define Q35I_ROTATION_WIDTH 512u /* of the blocks, docs/decisions/0003 */

/* k signs, 1 or -1: bit i % 64 of output i / 64 of splitmix64 started at `seed` is set: -1. */
void q35i_rotation_signs(uint64_t seed, uint64_t k, int8_t *out);

/* x = R x for one row of k values: blocks of `width` (a power of two), the rest in decreasing powers of two; each
 * block is multiplied by its signs, by the Hadamard matrix of natural order and by 1 / sqrt(block). In double. */
void q35i_rotate_row(const int8_t *signs, uint32_t width, double *x, uint64_t k);

/* The same in f32. */
void q35i_rotate_floats(const int8_t *signs, uint32_t width, float *x, uint64_t k);

/* Length of the block that begins at `at`. */
static inline uint64_t q35i_rotation_block(uint32_t width, uint64_t at, uint64_t k)
{
    uint64_t b = width;
    while (b > k - at)
        b /= 2;
    return b;
}

#endif
