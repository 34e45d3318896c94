/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables. The unit of 64 even levels is the minimum of their mean squared error on a normal density, which is
 * a sum of error functions (29.83 dB). */
#include "runtime/quant/gaussian.h"

#include <q35rt/blocks.h>

#include <stddef.h>

/* Q35I_GAUSSIAN_BOOK(points, unit, pairs): constants of both books. */
#define Q35I_GAUSSIAN_BOOK(n, step, ...)                                                                          \
    static const float unit_##n = step;                                                                           \
    static const int8_t book_##n[n][2] = {__VA_ARGS__};
#include "gaussian_books.def"
#undef Q35I_GAUSSIAN_BOOK

#define UNIT_64 0.05203150f

const int8_t (*q35i_gaussian_book(uint32_t dtype))[2]
{
    return dtype == Q35_DT_Q35_ROW ? book_128 : dtype == Q35_DT_Q40_ROW ? book_256 : NULL;
}

float q35i_gaussian_unit(uint32_t dtype)
{
    switch (dtype) {
    case Q35_DT_Q35_ROW: return unit_128;
    case Q35_DT_Q40_ROW: return unit_256;
    case Q35_DT_Q60_ROW: return UNIT_64;
    default: return 0;
    }
}
