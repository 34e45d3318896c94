/* SPDX-License-Identifier: Apache-2.0
 *
 * The split codec's search: even weights take one of 16 levels, odd ones one of 8, over the same range of 105
 * steps from the offset up. The range is shrunk from the group's least and greatest weight towards their middle,
 * since clipping the tails makes the steps finer, then scale and offset are refitted by least squares to the codes
 * found. */
#include "runtime/quant/format.h"
#include "runtime/quant/quantise.h"

#include <math.h>

#define TRIALS      13
#define LEAST_RANGE 0.4f
#define RANGE_STEPS 105.0f /* 15 steps of 7 = 7 steps of 15 */
#define FIRST_MOVE  0.125f
#define LAST_MOVE   0.0078125f

typedef struct trial {
    uint16_t scale, offset; /* f16 */
    double error;           /* sum of cost * (w - w^)^2 */
    uint8_t codes[Q35_GROUP_CODES];
} trial;

/* Nearest of the levels offset + scale * step * i, i = 0..top. */
static uint8_t nearest_level(float w, float scale, float offset, float step, float top)
{
    float i = scale > 0 ? (w - offset) / (scale * step) : 0;
    return (uint8_t)((i < 0 ? 0 : i > top ? top : i) + 0.5f);
}

static float level(const uint8_t *codes, uint32_t i)
{
    return i % 2 ? 15.0f * (float)(codes[i / 2] & 7) : 7.0f * (float)(codes[i / 2] >> 3);
}

static void try_range(const q35i_group *group, float scale, float offset, trial *best)
{
    trial t = {.scale = q35i_f16_finite(scale), .offset = q35i_f16_finite(offset)};
    float s = q35_f16_to_f32(t.scale), o = q35_f16_to_f32(t.offset);
    if (!(s >= 0))
        return;
    for (uint32_t i = 0; i < Q35_GROUP_CODES; i++)
        t.codes[i] = (uint8_t)(nearest_level(group->w[2 * i], s, o, 7, 15) << 3 |
                               nearest_level(group->w[2 * i + 1], s, o, 15, 7));
    for (uint32_t i = 0; i < group->n; i++) {
        double e = (double)group->w[i] - (double)(s * level(t.codes, i) + o);
        t.error += (double)group->cost[i] * e * e;
    }
    if (t.error < best->error)
        *best = t;
}

/* Weighted regression of w on the levels of the best trial's codes. */
static bool refit(const q35i_group *group, const trial *best, float *scale, float *offset)
{
    double m = 0, ml = 0, mw = 0, mll = 0, mlw = 0;
    for (uint32_t i = 0; i < group->n; i++) {
        double cost = (double)group->cost[i], l = (double)level(best->codes, i), w = (double)group->w[i];
        m += cost;
        ml += cost * l;
        mw += cost * w;
        mll += cost * l * l;
        mlw += cost * l * w;
    }
    double det = m * mll - ml * ml;
    if (!(det > 1e-9 * m * mll))
        return false;
    *scale = (float)((m * mlw - ml * mw) / det);
    *offset = (float)((mll * mw - ml * mlw) / det);
    return true;
}

/* Refits until that no longer helps. */
static void refine(const q35i_group *group, trial *best)
{
    float scale, offset;
    double before;
    do {
        before = best->error;
        if (refit(group, best, &scale, &offset))
            try_range(group, scale, offset, best);
    } while (best->error < before);
}

/* Moves either end of the range by smaller and smaller parts of it. */
static void adjust(const q35i_group *group, trial *best)
{
    for (float part = FIRST_MOVE; part >= LAST_MOVE; part /= 2) {
        static const float moves[][2] = {{-1, 0}, {1, 0}, {0, -1}, {0, 1}};
        for (int i = 0; i < 4; i++) {
            float range = q35_f16_to_f32(best->scale) * RANGE_STEPS, low = q35_f16_to_f32(best->offset);
            float shift = moves[i][0] * part * range, stretch = moves[i][1] * part * range - shift;
            try_range(group, (range + stretch) / RANGE_STEPS, low + shift, best);
        }
        refine(group, best);
    }
}

/* The middle of the group's range, and half its width. */
static void range_of(const q35i_group *group, float *middle, float *half)
{
    float low = group->w[0], high = group->w[0];
    for (uint32_t i = 1; i < group->n; i++) {
        low = fminf(low, group->w[i]);
        high = fmaxf(high, group->w[i]);
    }
    *middle = low / 2 + high / 2;
    *half = high / 2 - low / 2;
}

static void store(const trial *best, q35_split_block *out)
{
    out->scale = best->scale;
    out->offset = best->offset;
    q35i_codes_pack(best->codes, out->codes);
}

void q35i_quantise_split_min_max(const q35i_group *group, q35_split_block *out)
{
    float middle, half;
    trial only = {.error = HUGE_VAL};
    range_of(group, &middle, &half);
    try_range(group, 2 * (half / RANGE_STEPS), middle - half, &only);
    store(&only, out);
}

void q35i_quantise_split(const q35i_group *group, q35_split_block *out)
{
    float middle, half;
    trial best = {.error = HUGE_VAL};
    range_of(group, &middle, &half);
    for (int i = 0; i < TRIALS; i++) {
        float part = LEAST_RANGE + (1 - LEAST_RANGE) * (float)i / (TRIALS - 1);
        try_range(group, 2 * (half * part / RANGE_STEPS), middle - half * part, &best);
    }
    refine(group, &best);
    adjust(group, &best);
    store(&best, out);
}
