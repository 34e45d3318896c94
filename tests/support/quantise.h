/* SPDX-License-Identifier: Apache-2.0
 *
 * Plain quantisers for test models: round to nearest over each block's range. */
#ifndef Q35T_QUANTISE_H
#define Q35T_QUANTISE_H

#include <stdint.h>

/* One row of k floats (a multiple of the type's block) to dtype F32, F16, BF16, Q8_0, Q4_0 or Q4_1; out holds
 * q35_row_bytes(dtype, k). Returns 0 for another type, else 1. */
int q35t_quantise_row(uint32_t dtype, const float *x, uint64_t k, uint8_t *out);

#endif
