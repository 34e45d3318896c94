/* SPDX-License-Identifier: Apache-2.0
 *
 * One pair of columns of a panel of rows: the nearest codes in the pair's metric, and their errors passed on to
 * the later columns of the block. */
#ifndef Q35I_LDLQ_SEARCH_H
#define Q35I_LDLQ_SEARCH_H

#include <q35rt/blocks.h>

#define Q35I_LANES 16u /* rows of a panel */

/* Levels of the codes, as floats. n 0: single weights, levels 2c - 63. */
typedef struct q35i_pair_points {
    uint32_t n;
    float level[2][Q35_BOOK_MAX];
} q35i_pair_points;

void q35i_pair_points_set(q35i_pair_points *points, uint32_t dtype, const int8_t (*book)[2]);

typedef struct q35i_pair_step {
    const q35i_pair_points *points;
    const float *metric; /* D_00, D_01, D_11 */
    const float *scale;  /* [lanes] */
    const float *w;      /* [2][16]: the weights themselves, of lanes 0 .. 15 and of every 16 after them */
    float *target;  /* [2 + later][stride]: with the errors of earlier pairs; those of later columns are updated */
    float *error;   /* out [2][stride]: w - w^ */
    uint8_t *codes; /* out [2][stride]; pairs: the second row is not set */
    float *loss;    /* [lanes], += the pair's error in its metric */
    uint64_t lanes, stride; /* lanes a multiple of 16; all arrays but u 64-byte aligned */
    const float *u;         /* [2][later], rows u_stride apart: feedback of the two columns to the later ones */
    uint64_t u_stride, later;
} q35i_pair_step;

/* Pure but for its outputs; the same bits whatever else is in the panel. */
void q35i_pair_quantise(const q35i_pair_step *step);

#endif
