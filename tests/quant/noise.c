/* SPDX-License-Identifier: Apache-2.0
 *
 * Normal: Marsaglia's polar method. Laplace: inverse distribution. Student: a normal number over the root of a
 * mean of five squares of others. */
#include "noise.h"

#include "runtime/quant/random.h"

#include <math.h>

void q35t_normal(uint64_t seed, float *out, uint64_t n)
{
    uint64_t state = seed;
    for (uint64_t i = 0; i < n;) {
        double u = 2 * q35i_random_unit(&state) - 1, v = 2 * q35i_random_unit(&state) - 1, s = u * u + v * v;
        if (s >= 1 || s == 0)
            continue;
        double r = sqrt(-2 * log(s) / s);
        out[i++] = (float)(u * r);
        if (i < n)
            out[i++] = (float)(v * r);
    }
}

void q35t_laplace(uint64_t seed, float *out, uint64_t n)
{
    uint64_t state = seed;
    for (uint64_t i = 0; i < n; i++) {
        double u = 1 - q35i_random_unit(&state), size = -log(u) / sqrt(2);
        out[i] = (float)(q35i_random(&state) & 1 ? size : -size);
    }
}

void q35t_student5(uint64_t seed, float *out, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        float x[6], squares = 0;
        q35t_normal(seed + i, x, 6);
        for (int j = 1; j < 6; j++)
            squares += x[j] * x[j];
        out[i] = x[0] / sqrtf(squares / 5) * sqrtf(3.0f / 5);
    }
}

double q35t_sqnr_db(const float *x, const float *y, uint64_t n)
{
    double signal = 0, noise = 0;
    for (uint64_t i = 0; i < n; i++) {
        double e = (double)x[i] - (double)y[i];
        signal += (double)x[i] * (double)x[i];
        noise += e * e;
    }
    return 10 * log10(signal / noise);
}

double q35t_weighted_error(const float *x, const float *y, const float *w, uint64_t n)
{
    double sum = 0;
    for (uint64_t i = 0; i < n; i++)
        sum += (double)w[i] * ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
    return sum;
}
