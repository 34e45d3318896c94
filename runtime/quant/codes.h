/* SPDX-License-Identifier: Apache-2.0
 *
 * Codes of one group for one scale: the inner loop of the scale search, in integers, so that every host finds the
 * same bits. */
#ifndef Q35I_CODES_H
#define Q35I_CODES_H

#include <q35rt/blocks.h>

#define Q35I_FARTHEST 255.0f /* normalised weights are pulled in to it; points reach 127 */

/* A codebook for the search: what a pair's int16 factors are multiplied with. */
typedef struct q35i_code_points {
    _Alignas(64) int16_t linear[Q35_BOOK_POINTS][2]; /* 128 * point */
    _Alignas(64) int16_t square[Q35_BOOK_POINTS][2]; /* point^2 */
} q35i_code_points;

void q35i_code_points_set(q35i_code_points *points, const int8_t (*book)[2]);

/* The pairs of a group. With costs w scaled so that the larger of a pair is 1:
 *   linear[i] = round(-128 w x), square[i] = round(8192 w), x in units of the points, at most Q35I_FARTHEST */
typedef struct q35i_code_pairs {
    _Alignas(64) int16_t linear[Q35_GROUP_CODES][2];
    _Alignas(64) int16_t square[Q35_GROUP_CODES][2];
} q35i_code_pairs;

/* keys[i] = 128 * score + code of the code with the lowest score, the smallest code among equals, where score is
 * w0 (e^2 - 2 x0 e) + w1 (o^2 - 2 x1 o) in units of 1/64 for the point (e, o). Pure. */
void q35i_search_codes(const q35i_code_points *points, const q35i_code_pairs *pairs,
                       int32_t keys[Q35_GROUP_CODES]);

#endif
