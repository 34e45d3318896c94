/* SPDX-License-Identifier: Apache-2.0
 *
 * Marsaglia's polar method. */
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
