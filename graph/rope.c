/* SPDX-License-Identifier: Apache-2.0
 *
 * f_i = base^(-2i/d). Linear: f_i / factor. YaRN (Peng et al. 2023, section 3.2, bounds rounded outwards as in the
 * reference implementations): f_i (1 - t_i) + f_i / factor t_i with t_i = clamp((i - low) / (high - low), 0, 1),
 * where low and high are the pairs that turn beta_fast and beta_slow times over the original context. */
#include "graph/rope.h"

#include <math.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

/* Pair (a real number) that makes `turns` turns over the original context. */
static double pair_of_turns(const q35_model_config *c, double turns)
{
    return (double)c->n_rot * log((double)c->rope_original_context / (turns * 2 * pi)) /
           (2 * log((double)c->rope_base));
}

static float yarn(const q35_model_config *c, uint32_t i, float power)
{
    double low = fmax(floor(pair_of_turns(c, (double)c->rope_beta_fast)), 0);
    double high = fmin(ceil(pair_of_turns(c, (double)c->rope_beta_slow)), c->n_rot - 1.0);
    if (low == high)
        high += 0.001;
    float t = ((float)i - (float)low) / (float)(high - low);
    float keep = 1.0f - fminf(fmaxf(t, 0.0f), 1.0f);
    float plain = 1.0f / power, stretched = 1.0f / (c->rope_factor * power);
    float a = stretched * (1.0f - keep), b = plain * keep;
    return a + b;
}

void q35i_rope_frequencies(const q35_model_config *c, const void *divisors, float *out)
{
    for (uint32_t i = 0; i < c->n_rot / 2; i++) {
        float exponent = (float)(2 * i) / (float)c->n_rot;
        float power = (float)pow((double)c->rope_base, (double)exponent), divisor = 1;
        if (divisors)
            memcpy(&divisor, (const char *)divisors + (size_t)i * sizeof divisor, sizeof divisor);
        if (c->rope_scaling == Q35_ROPE_YARN)
            out[i] = yarn(c, i, power);
        else if (c->rope_scaling == Q35_ROPE_LINEAR)
            out[i] = 1.0f / power / c->rope_factor;
        else
            out[i] = 1.0f / power / divisor;
    }
}
