/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the NEON LINEAR of row types share: half tiles of 8 rows, weights as signed bytes. */
#ifndef Q35I_NEON_ROW_H
#define Q35I_NEON_ROW_H

#include "kernels-cpu/neon/tile4.h"
#include "kernels-cpu/row16.h"

/* 8 rows: rows 0..3 and rows 4..7, one per lane. */
typedef struct q35i_ints {
    int32x4_t v[2];
} q35i_ints;

/* The magnitudes of the codebook as byte lookups: 32 of them, or 64 for Q40_ROW. The signs are in the codes
 * (q35_book_signed). */
typedef struct q35i_row_book {
    int8x16x4_t even, odd;
} q35i_row_book;

void q35i_row_load_book__neon(const q35k_weights *w, q35i_row_book *book);

/* Weights of `sets` sets of 64 inputs from k0 (a multiple of 256) on, of the 8 rows from r0 (a multiple of 8) on,
 * of which n_rows are there. w: 16 vectors per set; byte 4 r + i of w[j].v[h] is input k0 + 4 j + i of row 4 h +
 * r. Inputs and rows that are not there have any weights. */
void q35i_row_decode__neon(const q35k_weights *m, int64_t r0, int64_t n_rows, int64_t k0, int sets,
                           const q35i_row_book *book, q35i_ints *w);

#endif
