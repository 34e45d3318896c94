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

/* A group of pairs x with costs w, where top is the larger cost of a pair and w' = w / top. */
typedef struct q35i_code_group {
    _Alignas(64) int16_t square[Q35_GROUP_CODES][2]; /* round(8192 w') */
    _Alignas(64) float factor[Q35_GROUP];            /* -128 w' x */
    _Alignas(64) float bound[Q35_GROUP];             /* 128 w' * Q35I_FARTHEST */
    _Alignas(64) float top[Q35_GROUP_CODES];
} q35i_code_group;

/* For the group in units of a scale, x * inverse: codes[i] = the code of the least score, the smallest code among
 * equals, where score is w'0 (e^2 - 2 x0 e) + w'1 (o^2 - 2 x1 o) for the point (e, o). Returns 64 times the sum of
 * top * score. Factors beyond their bounds are pulled in; excess[i] is what that took away, and *far is not 0 if
 * it took any. Pure. */
double q35i_search_codes(const q35i_code_points *points, const q35i_code_group *group, float inverse,
                         uint8_t codes[Q35_GROUP_CODES], float excess[Q35_GROUP], int32_t *far);

#endif
