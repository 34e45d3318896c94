/* SPDX-License-Identifier: Apache-2.0
 *
 * A pass over the row at one scale finds the nearest codes, piece by piece, and with them the error and the scale
 * that would be best for these codes. First passes, over some pieces of a long row where pairs are looked up, try
 * scales on a geometric grid around the Gaussian one; then all of the row, closer and closer to the best; then it
 * is refitted as long as that helps.
 */
#include "runtime/quant/gaussian.h"
#include "runtime/quant/nearest.h"
#include "runtime/quant/row.h"

#include <float.h>
#include <math.h>

#define PIECE         256 /* weights: whole blocks of every type */
#define TRIAL_PIECES  8   /* of a row, at most, that the grid is tried on */
#define TRIALS        16
#define FIRST_FACTOR  0.6
#define FACTOR_STEP   1.1
#define FIRST_MOVE    0.05 /* then, up and down from the best, halved until below the last */
#define LAST_MOVE     0.005
#define REFITS        6
#define LEAST_COST    1e-6f   /* of the row's largest: keeps weights on dead channels near their value */
#define FARTHEST      4096.0f /* steps; levels reach 127 */
#define LARGEST_SCALE (FLT_MAX / 128)

typedef struct search {
    uint32_t dtype;
    const int8_t (*book)[2];
    q35i_points points;
    const float *row, *importance;
    uint64_t k;
    float top; /* largest importance; 0: all alike */
    uint8_t zero;
} search;

/* One piece of the row, padded with zeros of the least cost. */
typedef struct piece {
    float w[PIECE], cost[PIECE]; /* costs: LEAST_COST..1 */
    uint8_t codes[PIECE];
    uint32_t n, n_codes;
} piece;

/* Sums of cost (w - w^)^2, cost w level, cost level^2. */
typedef struct fit {
    double error, along, norm;
} fit;

static void load_piece(const search *s, uint64_t at, piece *p)
{
    p->n = (uint32_t)(s->k - at < PIECE ? s->k - at : PIECE);
    p->n_codes = (uint32_t)q35i_row_codes(s->dtype, p->n);
    for (uint32_t i = 0; i < PIECE; i++) {
        float cost = i >= p->n ? 0 : s->top > 0 ? s->importance[at + i] / s->top : 1;
        p->w[i] = i < p->n ? s->row[at + i] : 0;
        p->cost[i] = fmaxf(cost, LEAST_COST);
    }
}

static void find_codes(const search *s, float scale, piece *p)
{
    float x[PIECE];
    for (uint32_t i = 0; i < PIECE; i++)
        x[i] = fminf(fmaxf(p->w[i] / scale, -FARTHEST), FARTHEST);
    if (s->book) {
        (void)q35i_nearest(&s->points, x, p->cost, p->n_codes, p->codes);
        return;
    }
    for (uint32_t i = 0; i < p->n; i++)
        p->codes[i] = (uint8_t)lrintf(fminf(fmaxf((x[i] + 63) / 2, 0), 63));
}

static void add_piece(const search *s, float scale, const piece *p, fit *sum)
{
    uint32_t per_code = q35i_row_code_weights(s->dtype);
    for (uint32_t i = 0; i < p->n; i++) {
        int8_t level[2];
        q35i_row_levels_of(s->dtype, s->book, p->codes[i / per_code], level);
        double l = (double)level[i % per_code], w = (double)p->w[i], cost = (double)p->cost[i];
        double e = w - (double)(scale * (float)level[i % per_code]);
        sum->error += cost * e * e;
        sum->along += cost * w * l;
        sum->norm += cost * l * l;
    }
}

/* Every stride-th piece at a scale above 0. codes_out: of the whole row in packed form, NULL: not wanted. */
static fit try_scale(const search *s, float scale, uint64_t stride, uint8_t *codes_out)
{
    fit sum = {0};
    piece p;
    for (uint64_t at = 0; at < s->k; at += stride * PIECE) {
        load_piece(s, at, &p);
        find_codes(s, scale, &p);
        add_piece(s, scale, &p, &sum);
        if (codes_out)
            q35i_row_pack_codes(s->dtype, p.codes, p.n_codes, s->zero,
                                codes_out + q35_row_bytes(s->dtype, at) - q35_row_bytes(s->dtype, 0));
    }
    return sum;
}

static float usable(double scale)
{
    return scale > 0 ? (float)fmin(scale, (double)LARGEST_SCALE) : 0;
}

/* Root mean square in the row's metric. */
static double spread(const search *s)
{
    double squares = 0, mass = 0;
    for (uint64_t i = 0; i < s->k; i++) {
        double cost = s->top > 0 ? (double)fmaxf(s->importance[i] / s->top, LEAST_COST) : 1;
        squares += cost * (double)s->row[i] * (double)s->row[i];
        mass += cost;
    }
    return mass > 0 ? sqrt(squares / mass) : 0;
}

typedef struct best_scale {
    float scale;
    double error;
} best_scale;

static void consider(const search *s, double scale, uint64_t stride, best_scale *best)
{
    float f = usable(scale);
    if (!(f > 0) || f == best->scale)
        return;
    double error = try_scale(s, f, stride, NULL).error;
    if (error < best->error)
        *best = (best_scale){f, error};
}

static float search_grid(const search *s, double middle)
{
    uint64_t pieces = s->book ? s->k / PIECE + 1 : 1, stride = (pieces + TRIAL_PIECES - 1) / TRIAL_PIECES;
    best_scale best = {0, HUGE_VAL};
    double factor = FIRST_FACTOR;
    for (int i = 0; i < TRIALS; i++, factor *= FACTOR_STEP)
        consider(s, middle * factor, stride, &best);
    if (stride > 1 && best.scale > 0)
        best.error = try_scale(s, best.scale, 1, NULL).error;
    for (double move = FIRST_MOVE; move > LAST_MOVE; move /= 2) {
        double at = (double)best.scale;
        consider(s, at * (1 + move), 1, &best);
        consider(s, at / (1 + move), 1, &best);
    }
    return best.scale;
}

static float refit(const search *s, float scale)
{
    fit now = try_scale(s, scale, 1, NULL);
    for (int i = 0; i < REFITS; i++) {
        float next = now.norm > 0 ? usable(now.along / now.norm) : 0;
        if (!(next > 0) || next == scale)
            break;
        fit then = try_scale(s, next, 1, NULL);
        if (!(then.error < now.error))
            break;
        now = then;
        scale = next;
    }
    return scale;
}

float q35i_quantise_plain_row(uint32_t dtype, const int8_t (*book)[2], const float *row, uint64_t k,
                              const float *importance, uint8_t *out)
{
    search s = {.dtype = dtype, .row = row, .importance = importance, .k = k};
    uint64_t head = q35_row_bytes(dtype, 0);
    uint32_t entries = q35_book_entries(dtype);
    if (entries > 0) {
        s.book = book;
        q35i_points_set(&s.points, book, entries);
    }
    s.zero = q35i_row_zero_code(dtype, book);
    for (uint64_t i = 0; importance && i < k; i++)
        s.top = fmaxf(s.top, importance[i]);
    float scale = search_grid(&s, spread(&s) * (double)q35i_gaussian_unit(dtype));
    if (scale > 0) {
        scale = refit(&s, scale);
        (void)try_scale(&s, scale, 1, out + head);
    } else {
        uint8_t zeros[PIECE];
        memset(zeros, s.zero, sizeof zeros);
        for (uint64_t at = 0; at < k; at += PIECE)
            q35i_row_pack_codes(dtype, zeros, q35i_row_codes(dtype, k - at < PIECE ? k - at : PIECE), s.zero,
                                out + q35_row_bytes(dtype, at));
    }
    memcpy(out, &scale, sizeof scale);
    return scale;
}
