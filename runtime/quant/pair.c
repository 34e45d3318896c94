/* SPDX-License-Identifier: Apache-2.0
 *
 * The pair codec's search. A code is the point nearest to the pair divided by the scale, in the metric of the two
 * costs; the scale is tried on a grid around the group's root mean square and then refitted by least squares to
 * the codes found, as long as that helps. Every trial uses the scale as stored, rounded to f16. */
#include "runtime/quant/format.h"
#include "runtime/quant/quantise.h"

#include <math.h>

#define TRIALS       19
#define FIRST_FACTOR 0.50f
#define FACTOR_STEP  0.06f
#define REFITS       4
#define FARTHEST     1e6f /* normalised weights beyond it are clamped: 127 is the farthest point */

typedef struct trial {
    uint16_t scale; /* f16 */
    double error;   /* sum of cost * (w - w^)^2 */
    uint8_t codes[Q35_GROUP_CODES];
} trial;

static double root_mean_square(const q35i_group *group)
{
    double sum = 0;
    for (uint32_t i = 0; i < group->n; i++)
        sum += (double)group->w[i] * (double)group->w[i];
    return sqrt(sum / group->n);
}

static float clamp(float x)
{
    return x > FARTHEST ? FARTHEST : x < -FARTHEST ? -FARTHEST : x;
}

static void try_scale(const q35i_book *book, const q35i_group *group, float scale, trial *best)
{
    trial t = {.scale = q35i_f16_finite(scale)};
    float x[Q35_GROUP], s = q35_f16_to_f32(t.scale);
    if (!(s > 0) || t.scale == best->scale)
        return;
    for (uint32_t i = 0; i < Q35_GROUP; i++)
        x[i] = clamp(group->w[i] / s);
    double sum = q35i_nearest(&book->search, x, group->cost, Q35_GROUP_CODES, t.codes);
    t.error = (double)s * (double)s * sum;
    if (t.error < best->error)
        *best = t;
}

/* The scale that fits the codes of the best trial best: sum cost w c / sum cost c^2. */
static float refit(const q35i_book *book, const q35i_group *group, const trial *best)
{
    double wc = 0, cc = 0;
    for (uint32_t i = 0; i < group->n; i++) {
        double c = book->points[best->codes[i / 2]][i % 2], cost = (double)group->cost[i];
        wc += cost * (double)group->w[i] * c;
        cc += cost * c * c;
    }
    return cc > 0 ? (float)(wc / cc) : 0;
}

void q35i_quantise_pair(const q35i_book *book, const q35i_group *group, q35_pair_block *out)
{
    double rms = root_mean_square(group);
    /* Scale 0: what a group of zeros takes, or one too small for the smallest f16. */
    trial best = {.scale = 0};
    memset(best.codes, book->zero, sizeof best.codes);
    for (uint32_t i = 0; i < group->n; i++)
        best.error += (double)group->cost[i] * (double)group->w[i] * (double)group->w[i];
    for (int i = 0; i < TRIALS; i++)
        try_scale(book, group, (float)(rms * (double)book->unit) * (FIRST_FACTOR + FACTOR_STEP * (float)i), &best);
    for (int i = 0; i < REFITS; i++) {
        uint16_t before = best.scale;
        try_scale(book, group, refit(book, group, &best), &best);
        if (best.scale == before)
            break;
    }
    out->scale = best.scale;
    q35i_codes_pack(best.codes, out->codes);
}
