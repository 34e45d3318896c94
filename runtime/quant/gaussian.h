/* SPDX-License-Identifier: Apache-2.0
 *
 * The fixed codebooks of the row types: weights behind a random rotation are Gaussian whatever they were before,
 * so one book serves all. Made by tests/quant/make_gaussian_books.c. Constant data. */
#ifndef Q35I_GAUSSIAN_H
#define Q35I_GAUSSIAN_H

#include <stdint.h>

/* [q35_book_entries(dtype)][2] of Q35_DT_Q35_ROW and Q35_DT_Q40_ROW: magnitudes, sorted by the first number, then
 * by the second, and the signs of q35_book_signed; NULL for other types. */
const int8_t (*q35i_gaussian_book(uint32_t dtype))[2];

/* One step of the book, or of the levels of Q35_DT_Q60_ROW, in standard deviations: unit * sigma is the best scale
 * of a long Gaussian row. 0 for other types. */
float q35i_gaussian_unit(uint32_t dtype);

#endif
