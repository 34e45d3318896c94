/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the AVX2 LINEAR of row types share: half tiles of 8 rows, weights as signed bytes.
 *
 * Products: vpmaddubsw adds two u8 * s8 products with saturation at 32767. It is given |w| and the activation with
 * the sign of w: |w| <= 128 (a level is an int8, and the magnitude of -128 is an unsigned 128), activation codes
 * are within +-127 by contract, so a sum of two is at most 2 * 128 * 127 = 32512 and nothing saturates. vpmaddwd
 * with ones widens it to int32, where it is added.
 */
#ifndef Q35I_AVX2_ROW_H
#define Q35I_AVX2_ROW_H

#include "kernels-cpu/avx2/tile8.h"
#include "kernels-cpu/row16.h"

/* The codebook as byte lookups (row_decode.c), alike in both 128-bit lanes: 8 tables, or 16 for Q40_ROW. */
typedef struct q35i_row_book {
    __m256i even[16], odd[16];
} q35i_row_book;

void q35i_row_load_book__avx2(const q35k_weights *w, q35i_row_book *book);

/* Weights of `sets` sets of 64 inputs from k0 (a multiple of 256) on, of the 8 rows from r0 (a multiple of 8) on,
 * of which n_rows are there. w: 16 vectors per set; byte 4 r + i of w[j] is input k0 + 4 j + i of row r. Inputs
 * and rows that are not there have any weights. */
void q35i_row_decode__avx2(const q35k_weights *m, int64_t r0, int64_t n_rows, int64_t k0, int sets,
                           const q35i_row_book *book, __m256i *w);

#endif
