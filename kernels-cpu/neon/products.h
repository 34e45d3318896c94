/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums of products of signed bytes in int32, by what the processor has. The including file defines Q35I_PRODUCTS:
 *   Q35I_PLAIN    smull and sadalp: a product of a weight within +-128 and a code within +-127 is at most 16256,
 *                 so that two fit int16
 *   Q35I_DOT      sdot: four products to a lane
 *   Q35I_MATRIX   smmla: two rows times two tokens, eight products to a lane; sdot for a token alone
 * Weights: int8x16_t, byte 4 r + i of vector j is input 4 j + i of row r. Static inline only: files with different
 * instruction sets include this. */
#ifndef Q35I_NEON_PRODUCTS_H
#define Q35I_NEON_PRODUCTS_H

#include "kernels-cpu/neon/tile4.h"

#define Q35I_PLAIN  1
#define Q35I_DOT    2
#define Q35I_MATRIX 3

/* Two sums of int32x4 that q35i_finish joins. PLAIN: pairs of products of rows 0 and 1, and of 2 and 3. DOT: only
 * the first, rows 0..3. MATRIX: rows 0 and 1 by two tokens, and rows 2 and 3. */
typedef struct q35i_partial {
    int32x4_t a, b;
} q35i_partial;

#if Q35I_PRODUCTS == Q35I_PLAIN

/* Eight inputs: vectors w0 and w1, whose codes are lanes of x (two dwords from lane on). */
Q35I_INLINE void q35i_add_eight(q35i_partial *sum, int8x16_t w0, int8x16_t w1, const int8_t *x)
{
    int8x8_t both = vld1_s8(x);
    int8x8_t x0 = vreinterpret_s8_s32(vdup_lane_s32(vreinterpret_s32_s8(both), 0));
    int8x8_t x1 = vreinterpret_s8_s32(vdup_lane_s32(vreinterpret_s32_s8(both), 1));
    int16x8_t low = vmlal_s8(vmull_s8(vget_low_s8(w0), x0), vget_low_s8(w1), x1);
    int16x8_t high = vmlal_s8(vmull_s8(vget_high_s8(w0), x0), vget_high_s8(w1), x1);
    sum->a = vpadalq_s16(sum->a, low);
    sum->b = vpadalq_s16(sum->b, high);
}

/* Rows 0..3. */
Q35I_INLINE int32x4_t q35i_finish(q35i_partial sum)
{
    return vpaddq_s32(sum.a, sum.b);
}

#else

Q35I_INLINE void q35i_add_eight(q35i_partial *sum, int8x16_t w0, int8x16_t w1, const int8_t *x)
{
    int8x8_t both = vld1_s8(x);
    sum->a = vdotq_lane_s32(sum->a, w0, both, 0);
    sum->a = vdotq_lane_s32(sum->a, w1, both, 1);
}

Q35I_INLINE int32x4_t q35i_finish(q35i_partial sum)
{
    return sum.a;
}

#endif

#if Q35I_PRODUCTS == Q35I_MATRIX

/* Eight inputs of rows 0 and 1, and of rows 2 and 3, from vectors w0 and w1. */
Q35I_INLINE void q35i_row_pairs(int8x16_t w0, int8x16_t w1, int8x16_t pairs[2])
{
    int32x4_t first = vreinterpretq_s32_s8(w0), second = vreinterpretq_s32_s8(w1);
    pairs[0] = vreinterpretq_s8_s32(vzip1q_s32(first, second));
    pairs[1] = vreinterpretq_s8_s32(vzip2q_s32(first, second));
}

/* Eight inputs of two tokens. */
Q35I_INLINE int8x16_t q35i_token_pair(const int8_t *x, int64_t rs)
{
    return vcombine_s8(vld1_s8(x), vld1_s8(x + rs));
}

Q35I_INLINE void q35i_add_pairs(q35i_partial *sum, const int8x16_t pairs[2], int8x16_t tokens)
{
    sum->a = vmmlaq_s32(sum->a, pairs[0], tokens);
    sum->b = vmmlaq_s32(sum->b, pairs[1], tokens);
}

/* Rows 0..3 of the first and of the second token, and back. */
Q35I_INLINE int32x4_t q35i_first_token(q35i_partial sum)
{
    return vuzp1q_s32(sum.a, sum.b);
}

Q35I_INLINE int32x4_t q35i_second_token(q35i_partial sum)
{
    return vuzp2q_s32(sum.a, sum.b);
}

#endif

#endif
