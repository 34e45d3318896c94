/* SPDX-License-Identifier: Apache-2.0
 *
 * The rotation of a row in plain C: how it is cut into blocks, and one block. The reference is made of it; faster
 * kernels take it for blocks that fill no vector. Static inline only: a copy of it must never be linked into code
 * that runs on other machines. */
#ifndef Q35K_ROTATION_H
#define Q35K_ROTATION_H

#include "kernels-cpu/kernels.h"

/* Length of the next block when `left` > 0 inputs of the row are to do. */
static inline int64_t q35i_rotation_block(int64_t left, int64_t width)
{
    while (width > left)
        width /= 2;
    return width;
}

/* Factor of a block of b. */
static inline float q35i_rotation_factor(int64_t b)
{
    return (float)(1 / sqrt((double)b));
}

/* One block of b, a power of two; y may be x. */
static inline void q35i_rotate_block(const float *x, const int8_t *signs, int64_t b, int inverse, float *y)
{
    float factor = q35i_rotation_factor(b);
    for (int64_t i = 0; i < b; i++)
        y[i] = !inverse && signs[i] < 0 ? -x[i] : x[i];
    for (int64_t h = 1; h < b; h *= 2) {
        for (int64_t i = 0; i < b; i = ((i | h) + 1) & ~h) {
            float low = y[i], high = y[i + h];
            y[i] = low + high;
            y[i + h] = low - high;
        }
    }
    for (int64_t i = 0; i < b; i++) {
        float v = b > 1 ? y[i] * factor : y[i];
        y[i] = inverse && signs[i] < 0 ? -v : v;
    }
}

#endif
