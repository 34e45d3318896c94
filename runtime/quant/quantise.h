/* SPDX-License-Identifier: Apache-2.0
 *
 * One row of weights to 3.5-bit blocks: per group of 128 the scale (and offset) and the codes with the least
 * weighted squared error. Pure; same bits on every host. */
#ifndef Q35I_QUANTISE_H
#define Q35I_QUANTISE_H

#include "runtime/quant/book.h"

/* dtype  Q35_DT_Q35_PAIR or Q35_DT_Q35_SPLIT (book: that of q35_split_book)
 * row    f32 [k], finite
 * importance  f32 [k], >= 0 and finite: what a squared error of each weight costs; NULL: all alike
 * out    q35_row_bytes(dtype, k) bytes; the last group is padded with weights that cost nothing and decode near 0
 * |w| above 65504 * 127 saturates. */
void q35i_quantise_row(uint32_t dtype, const q35i_book *book, const float *row, uint64_t k,
                       const float *importance, void *out);

/* One group, as the codecs see it. */
typedef struct q35i_group {
    float w[Q35_GROUP];    /* 0 past n */
    float cost[Q35_GROUP]; /* 1e-6..1, largest 1 within the group; 1e-6 past n */
    uint32_t n;            /* weights, 1..128 */
} q35i_group;

void q35i_quantise_pair(const q35i_book *book, const q35i_group *group, q35_pair_block *out);
void q35i_quantise_split(const q35i_group *group, q35_split_block *out);

/* The format as first conceived, without a search: scale and offset such that the levels span the group's least
 * and greatest weight. The measure of what searching is worth. */
void q35i_quantise_split_min_max(const q35i_group *group, q35_split_block *out);

#endif
