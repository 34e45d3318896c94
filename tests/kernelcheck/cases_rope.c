/* SPDX-License-Identifier: Apache-2.0
 *
 * ROPE, in place and not, partial rotation, one token alone against the same token among others. Elements past
 * n_rot are one product, so their bound is 0. Bound: docs/numerics.md, "rope".
 */
#include "kernelcheck.h"

#include <math.h>
#include <stdio.h>

typedef struct params {
    q35k_rope rope; /* without inv_freq */
    int64_t rs;
    const int32_t *at; /* position of each row */
    int x, y, inv_freq, positions;
} params;

static void call_from(const kc_case *c, kc_fn *fn, int64_t token, int64_t begin, int64_t end)
{
    const params *p = c->params;
    const kc_operand *o = c->operands;
    q35k_rope rope = p->rope;
    rope.inv_freq = (const float *)(const void *)o[p->inv_freq].p;
    ((q35k_rope_fn *)fn)((const float *)(const void *)(o[p->x].p + token * p->rs),
                         (float *)(void *)(o[p->y].p + token * p->rs), p->rs, &rope,
                         (const int32_t *)(const void *)o[p->positions].p + token, begin, end);
}

static void call(const kc_case *c, kc_fn *fn, int64_t begin, int64_t end)
{
    call_from(c, fn, 0, begin, end);
}

static void call_alone(const kc_case *c, kc_fn *fn, int64_t token)
{
    call_from(c, fn, token, 0, 1);
}

/* Rounded to f32. Through memory: gcc 12 -O2 drops a bare (double)(float) of both results of sincos. */
static double to_f32(double v)
{
    volatile float rounded = (float)v;
    return (double)rounded;
}

static void judge_pair(const float *in, double angle, double factor, double *oracle, double *bound)
{
    double a = (double)in[0], b = (double)in[1], c = cos(angle), s = sin(angle), rounds = factor == 1 ? 3 : 4;
    oracle[0] = (a * c - b * s) * factor;
    oracle[1] = (a * s + b * c) * factor;
    double size[2] = {(fabs(a * c) + fabs(b * s)) * factor, (fabs(a * s) + fabs(b * c)) * factor};
    for (int i = 0; i < 2; i++)
        bound[i] = rounds * (1 + 4 * KC_U) * KC_U * size[i] + 4 * (1 + factor) * KC_ETA;
}

static double temperature(const q35k_rope *rope, int64_t position)
{
    if (rope->temperature_length == 0)
        return 1;
    double steps = floor((double)position / (double)rope->temperature_length);
    return to_f32(1 + (double)rope->temperature_beta * log(1 + steps));
}

static void judge(kc_context *x, kc_case *c, int64_t n, const float *in, const float *inv_freq)
{
    const params *p = c->params;
    kc_operand *y = &c->operands[p->y];
    double *oracle = kc_alloc(x, 2 * y->bytes), *bound = kc_alloc(x, 2 * y->bytes);
    for (int64_t t = 0; t < n; t++) {
        double factor = temperature(&p->rope, p->at[t]);
        for (int64_t h = 0; h < p->rope.n_heads; h++) {
            int64_t at = t * p->rs / 4 + h * p->rope.head_dim;
            for (int64_t i = 0; i < p->rope.n_rot / 2; i++) {
                /* Both factors have 24 bits, so the product in double is exact. */
                double angle = to_f32((double)p->at[t] * (double)inv_freq[i]);
                judge_pair(in + at + 2 * i, angle, factor, oracle + at + 2 * i, bound + at + 2 * i);
            }
            for (int64_t i = p->rope.n_rot; i < p->rope.head_dim; i++)
                oracle[at + i] = to_f32((double)in[at + i] * factor);
        }
    }
    y->oracle = oracle;
    y->bound = bound;
}

/* Neighbours from one of a list on, or some of the list. */
static const int32_t *choose_positions(kc_context *x, int64_t index, int64_t n)
{
    static const int32_t starts[] = {0, 1, 1000, 16383, 16384, 40000, 131071, 262143};
    int32_t *at = kc_alloc(x, (size_t)n * sizeof *at);
    for (int64_t t = 0; t < n; t++)
        at[t] = index / 2 % 2 ? starts[kc_below(x, 8)] : starts[index / 3 % 8] + (int32_t)t;
    return at;
}

static void build(kc_context *x, int64_t index, kc_case *c)
{
    static const int64_t heads[][3] = {{1, 2, 2},   {3, 16, 16},   {9, 64, 64}, {4, 80, 80},
                                       {2, 96, 32}, {2, 128, 128}, {5, 34, 18}, {1, 7, 0}};
    static const int64_t tokens[] = {1, 2, 7, 0, 33};
    static const struct {
        float beta;
        int64_t length;
    } temperatures[] = {{0, 0}, {0.1f, 16384}, {0.5f, 0}, {0.3f, 3}, {0.1f, 8192}};
    params *p = kc_alloc(x, sizeof *p);
    const int64_t *shape = heads[index % 8];
    int64_t n = tokens[index / 8 % 5], width = shape[0] * shape[1];
    int64_t heat = index / 7 % 5, n_rot = shape[2];
    *p = (params){.rope = {.n_heads = shape[0],
                           .head_dim = shape[1],
                           .n_rot = n_rot,
                           .temperature_beta = temperatures[heat].beta,
                           .temperature_length = temperatures[heat].length},
                  .at = choose_positions(x, index, n)};
    p->rs = 4 * (width + kc_below(x, 4));
    c->params = p;
    kc_dist dist = (kc_dist)(index / 8 % KC_DIST_COUNT);
    float *in = kc_f32_rows(x, n, width, (size_t)p->rs, dist, 1e30), *inv_freq = kc_alloc(x, (size_t)n_rot * 2);
    for (int64_t i = 0; i < n_rot / 2; i++)
        inv_freq[i] = (float)pow(index & 2 ? 1e6 : 1e4, -2 * (double)i / (double)n_rot);
    kc_map map = kc_rows_map(4 * (size_t)width, (size_t)p->rs);
    p->x = kc_input(c, "x", in, (size_t)(n * p->rs), 4);
    p->positions = kc_input(c, "positions", p->at, (size_t)n * sizeof *p->at, 4);
    p->inv_freq = kc_input(c, "inv_freq", inv_freq, (size_t)n_rot * 2, 4);
    if (index & 1) {
        p->y = p->x;
        c->operands[p->x].role = KC_INOUT;
        c->operands[p->x].elem = KC_F32;
        c->operands[p->x].map = map;
    } else {
        p->y = kc_output(c, "y", (size_t)(n * p->rs), 4, KC_F32, map);
    }
    c->n_items = n;
    c->call = call;
    c->call_alone = call_alone;
    c->n_alone = n;
    c->alone_items = 1;
    snprintf(c->text, sizeof c->text,
             "heads=%lld head_dim=%lld n_rot=%lld T=%lld pos=%d beta=%g length=%lld in-place=%d dist=%s",
             (long long)shape[0], (long long)shape[1], (long long)n_rot, (long long)n, n > 0 ? p->at[0] : 0,
             (double)temperatures[heat].beta, (long long)temperatures[heat].length, (int)(index & 1),
             kc_dist_name(dist));
    judge(x, c, n, in, inv_freq);
}

static void build_bench(kc_context *x, int64_t index, kc_case *c)
{
    build(x, index + 32 + 2, c); /* 9 heads of 64, 33 tokens */
    c->bytes = 8.0 * 9 * 64 * 33;
}

const kc_op kc_op_rope = {"rope", 840, build, 1, build_bench};
