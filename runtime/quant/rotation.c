/* SPDX-License-Identifier: Apache-2.0
 *
 * Signs and the reference transform. */
#include "runtime/quant/rotation.h"

#include "runtime/quant/random.h"

#include <math.h>

void q35i_rotation_signs(uint64_t seed, uint64_t k, int8_t *out)
{
    uint64_t state = seed, bits = 0;
    for (uint64_t i = 0; i < k; i++, bits >>= 1) {
        if (i % 64 == 0)
            bits = q35i_random(&state);
        out[i] = bits & 1 ? -1 : 1;
    }
}

static void hadamard(double *x, uint64_t b)
{
    for (uint64_t h = 1; h < b; h *= 2)
        for (uint64_t i = 0; i < b; i += 2 * h)
            for (uint64_t j = i; j < i + h; j++) {
                double even = x[j] + x[j + h], odd = x[j] - x[j + h];
                x[j] = even;
                x[j + h] = odd;
            }
}

void q35i_rotate_row(const int8_t *signs, uint32_t width, double *x, uint64_t k)
{
    for (uint64_t at = 0, b; at < k; at += b) {
        b = q35i_rotation_block(width, at, k);
        for (uint64_t i = at; i < at + b; i++)
            x[i] *= signs[i];
        hadamard(x + at, b);
        for (uint64_t i = at; i < at + b; i++)
            x[i] /= sqrt((double)b);
    }
}

static void hadamard_floats(float *restrict x, uint64_t b)
{
    for (uint64_t h = 1; h < b; h *= 2)
        for (uint64_t i = 0; i < b; i += 2 * h)
            for (uint64_t j = i; j < i + h; j++) {
                float even = x[j] + x[j + h], odd = x[j] - x[j + h];
                x[j] = even;
                x[j + h] = odd;
            }
}

void q35i_rotate_floats(const int8_t *signs, uint32_t width, float *x, uint64_t k)
{
    for (uint64_t at = 0, b; at < k; at += b) {
        b = q35i_rotation_block(width, at, k);
        const float scale = (float)(1 / sqrt((double)b));
        for (uint64_t i = at; i < at + b; i++)
            x[i] *= (float)signs[i];
        hadamard_floats(x + at, b);
        for (uint64_t i = at; i < at + b; i++)
            x[i] *= scale;
    }
}
