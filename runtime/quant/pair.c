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

typedef struct trial {
    uint16_t scale; /* f16 */
    double error;   /* sum of cost * ((w - w^)^2 - w^2) in units of 1/64 */
    uint8_t codes[Q35_GROUP_CODES];
} trial;

typedef struct search {
    const q35i_book *book;
    const q35i_group *group;
    q35i_code_group codes;
    double rms;
    trial best;
} search;

static void prepare(search *s)
{
    const q35i_group *g = s->group;
    double sum = 0;
    for (uint32_t i = 0; i < Q35_GROUP_CODES; i++)
        s->codes.top[i] = fmaxf(g->cost[2 * i], g->cost[2 * i + 1]);
    for (uint32_t i = 0; i < Q35_GROUP; i++) {
        float cost = g->cost[i] / s->codes.top[i / 2];
        s->codes.square[i / 2][i % 2] = (int16_t)lrintf(8192 * cost);
        s->codes.factor[i] = -128 * g->w[i] * cost;
        s->codes.bound[i] = 128 * Q35I_FARTHEST * cost;
        sum += (double)g->w[i] * (double)g->w[i];
    }
    s->rms = sqrt(sum / g->n);
    /* Scale 0: what a group of zeros takes, or one too small for the smallest f16. */
    s->best = (trial){.scale = 0, .error = 0};
    memset(s->best.codes, s->book->zero, sizeof s->best.codes);
}

/* What pulling in far weights left out of the score: linear in them, so it is added for the codes found. */
static double left_out(const search *s, const float *excess, const uint8_t *codes)
{
    double sum = 0;
    for (uint32_t i = 0; i < Q35_GROUP; i++)
        sum += (double)s->codes.top[i / 2] * (double)excess[i] * s->book->points[codes[i / 2]][i % 2];
    return sum;
}

static void try_scale(search *s, float scale)
{
    trial t = {.scale = q35i_f16_finite(scale)};
    float excess[Q35_GROUP], step = q35_f16_to_f32(t.scale);
    int32_t far;
    if (!(step > 0) || t.scale == s->best.scale)
        return;
    double score = q35i_search_codes(&s->book->search, &s->codes, 1 / step, t.codes, excess, &far);
    if (far)
        score += left_out(s, excess, t.codes);
    t.error = (double)step * (double)step * score;
    if (t.error < s->best.error)
        s->best = t;
}

/* The scale that fits the codes of the best trial best: sum cost w c / sum cost c^2. */
static float refit(const search *s)
{
    const q35i_group *group = s->group;
    double wc = 0, cc = 0;
    for (uint32_t i = 0; i < group->n; i++) {
        double c = s->book->points[s->best.codes[i / 2]][i % 2], cost = (double)group->cost[i];
        wc += cost * (double)group->w[i] * c;
        cc += cost * c * c;
    }
    return cc > 0 ? (float)(wc / cc) : 0;
}

void q35i_quantise_pair(const q35i_book *book, const q35i_group *group, q35_pair_block *out)
{
    search s = {.book = book, .group = group};
    prepare(&s);
    for (int i = 0; i < TRIALS; i++)
        try_scale(&s, (float)(s.rms * (double)book->unit) * (FIRST_FACTOR + FACTOR_STEP * (float)i));
    for (int i = 0; i < REFITS; i++) {
        uint16_t before = s.best.scale;
        try_scale(&s, refit(&s));
        if (s.best.scale == before)
            break;
    }
    out->scale = s.best.scale;
    q35i_codes_pack(s.best.codes, out->codes);
}
