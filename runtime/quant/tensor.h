/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole matrices, rows shared out over a pool: encoding to codes or Q8_0, and the errors of an encoding. The
 * result does not depend on the number of threads. */
#ifndef Q35I_TENSOR_H
#define Q35I_TENSOR_H

#include "runtime/quant/book.h"
#include "runtime/quant/certificate.h"
#include "runtime/quant/sample.h"

typedef struct q35i_encoding {
    uint32_t dtype;            /* one of q35i_is_coded, or Q35_DT_Q8_0 for K a multiple of 32 */
    const q35i_book *book;     /* of Q35_PAIR and Q35_SPLIT for encoding, borrowed */
    const int8_t (*points)[2]; /* codebook where book is NULL; borrowed, NULL for types without */
    uint64_t rotation_seed;    /* rows are rotated in double, then rounded to f32, before all else: */
    uint32_t rotation_width;   /* importance and errors are those of rotated rows. 0: not rotated */
    q35_pool *pool;
    /* Called from the calling thread between slices of rows with the number of rows done; a failure (CANCELLED)
     * ends the work with it. May be NULL. */
    q35_status (*progress)(void *user, uint64_t rows);
    void *user;
} q35i_encoding;

/* blocks: N * q35_row_bytes(dtype, K) bytes. *out_error adds up the rows in order (zero for Q8_0). FORMAT names
 * the first weight that is NaN or infinite. */
q35_status q35i_tensor_encode(const q35i_encoding *encoding, const q35i_linear *linear, void *blocks,
                              q35i_row_error *out_error);

/* The errors of blocks against the weights of linear, in the same way. Q8_0: blocks may be NULL, weights are only
 * checked. */
q35_status q35i_tensor_measure(const q35i_encoding *encoding, const q35i_linear *linear, const void *blocks,
                               q35i_row_error *out_error);

#endif
