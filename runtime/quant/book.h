/* SPDX-License-Identifier: Apache-2.0
 *
 * Codebooks: 128 int8 pairs that the codes of a file name. Trained per file by seeded k-means; the same points for
 * the same sample and seed, whatever the host and the thread count. */
#ifndef Q35I_BOOK_H
#define Q35I_BOOK_H

#include "runtime/quant/codes.h"
#include "runtime/quant/nearest.h"

#include <q35rt/status.h>

typedef struct q35i_book {
    int8_t points[Q35_BOOK_POINTS][2];
    float unit;   /* one step of points, in root mean squares of a group: where the scale search starts */
    uint8_t zero; /* code of the point nearest to (0, 0) */
    q35i_code_points search;
} q35i_book;

/* Fills the derived members for given points. */
void q35i_book_set(q35i_book *book, const int8_t (*points)[2], float unit);

/* pairs f32 [n][2] in units of their group's root mean square, finite, below 1e6; weights f32 [n][2] in 0..1e9.
 * Both borrowed. n == 0 gives a book of zeros. pool NULL: the calling thread alone. */
q35_status q35i_book_train(const float *pairs, const float *weights, uint64_t n, uint64_t seed, q35_pool *pool,
                           q35i_book *out);

#endif
