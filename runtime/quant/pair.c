/* SPDX-License-Identifier: Apache-2.0
 *
 * The pair codec's search. A code is the point nearest to the pair divided by the scale, in the metric of the two
 * costs; the scale is tried on a grid around the group's root mean square, coarse and then fine, and refitted by
 * least squares to the codes found, as long as that helps. Every trial uses the scale as stored, rounded to f16.
 */
#include "runtime/quant/format.h"
#include "runtime/quant/quantise.h"

#include <math.h>

#define TRIALS       19
#define FIRST_FACTOR 0.50f
#define FACTOR_STEP  0.06f
#define COARSE       3 /* every third trial first, then those between the best one and its neighbours */
#define REFITS       4

typedef struct trial {
    uint16_t scale; /* f16 */
    double error;   /* sum of cost * ((w - w^)^2 - w^2) in units of 1/64 */
    uint8_t codes[Q35_GROUP_CODES];
} trial;

/* A group ready for trials. Pair i's costs are top[i] times the costs that the search sees. */
typedef struct search {
    const q35i_book *book;
    const q35i_group *group;
    q35i_code_pairs pairs;
    float factor[Q35_GROUP]; /* -128 w cost / top */
    float bound[Q35_GROUP];  /* 128 * farthest * cost / top */
    float top[Q35_GROUP_CODES];
    double rms;
    trial best;
} search;

/* Nearest integer of |x| < 2^22, ties to even. */
static inline int32_t nearest_integer(float x)
{
    float shifted = x + 12582912.0f; /* 1.5 * 2^23: the sum's last place is 1 */
    int32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    return bits - 0x4b400000;
}

static void prepare(search *s)
{
    const q35i_group *g = s->group;
    double sum = 0;
    for (uint32_t i = 0; i < Q35_GROUP_CODES; i++)
        s->top[i] = fmaxf(g->cost[2 * i], g->cost[2 * i + 1]);
    for (uint32_t i = 0; i < Q35_GROUP; i++) {
        float cost = g->cost[i] / s->top[i / 2];
        s->pairs.square[i / 2][i % 2] = (int16_t)nearest_integer(8192 * cost);
        s->factor[i] = -128 * g->w[i] * cost;
        s->bound[i] = 128 * Q35I_FARTHEST * cost;
        sum += (double)g->w[i] * (double)g->w[i];
    }
    s->rms = sqrt(sum / g->n);
    /* Scale 0: what a group of zeros takes, or one too small for the smallest f16. */
    s->best.error = 0;
    memset(s->best.codes, s->book->zero, sizeof s->best.codes);
}

static void try_scale(search *s, float scale)
{
    trial t = {.scale = q35i_f16_finite(scale)};
    int32_t keys[Q35_GROUP_CODES];
    int16_t *linear = s->pairs.linear[0];
    float step = q35_f16_to_f32(t.scale), inverse = 1 / step;
    if (!(step > 0) || t.scale == s->best.scale)
        return;
    for (uint32_t i = 0; i < Q35_GROUP; i++) {
        float x = s->factor[i] * inverse, bound = s->bound[i];
        x = x > bound ? bound : x;
        x = x < -bound ? -bound : x;
        linear[i] = (int16_t)nearest_integer(x);
    }
    q35i_search_codes(&s->book->search, &s->pairs, keys);
    double score = 0; /* sum of cost * (c^2 - 2 x c) */
    for (uint32_t i = 0; i < Q35_GROUP_CODES; i++) {
        score += (double)s->top[i] * (double)(keys[i] >> 7);
        t.codes[i] = (uint8_t)(keys[i] & 127);
    }
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

/* Trial i of the grid; i past either end: nothing. */
static void try_factor(search *s, int i)
{
    if (i >= 0 && i < TRIALS)
        try_scale(s, (float)(s->rms * (double)s->book->unit) * (FIRST_FACTOR + FACTOR_STEP * (float)i));
}

static void try_grid(search *s)
{
    int best = 0;
    for (int i = 0; i < TRIALS; i += COARSE) {
        uint16_t before = s->best.scale;
        try_factor(s, i);
        best = s->best.scale != before ? i : best;
    }
    for (int off = 1; off < COARSE; off++) {
        try_factor(s, best - off);
        try_factor(s, best + off);
    }
}

void q35i_quantise_pair(const q35i_book *book, const q35i_group *group, q35_pair_block *out)
{
    search s = {.book = book, .group = group};
    prepare(&s);
    try_grid(&s);
    for (int i = 0; i < REFITS; i++) {
        uint16_t before = s.best.scale;
        try_scale(&s, refit(&s));
        if (s.best.scale == before)
            break;
    }
    out->scale = s.best.scale;
    q35i_codes_pack(s.best.codes, out->codes);
}
