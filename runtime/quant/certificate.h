/* SPDX-License-Identifier: Apache-2.0
 *
 * What a quantised tensor promises: largest |w - w^|, relative squared error, and a checksum of its bytes. Pure.
 */
#ifndef Q35I_CERTIFICATE_H
#define Q35I_CERTIFICATE_H

#include <q35rt/blocks.h>

/* Errors of one row, or added up over rows in row order (so that sums do not depend on how rows were shared out).
 */
typedef struct q35i_row_error {
    double largest;        /* |w - w^|, w^ as q35_row_block_decode gives it */
    double squares;        /* sum (w - w^)^2 */
    double weight_squares; /* sum w^2 */
} q35i_row_error;

/* dtype of blocks of at most 128 weights. blocks: q35_row_bytes(dtype, k) bytes; row f32 [k]. Padding does not
 * count. */
q35i_row_error q35i_row_error_of(uint32_t dtype, const int8_t (*book)[2], const void *blocks, const float *row,
                                 uint64_t k);

void q35i_row_error_add(q35i_row_error *sum, const q35i_row_error *row);

/* squares / weight_squares; 0 for a tensor of zeros. */
double q35i_row_error_relative(const q35i_row_error *sum);

/* XXH3-64 of bytes. */
uint64_t q35i_checksum(const void *data, uint64_t bytes);

#endif
