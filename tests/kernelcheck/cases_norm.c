/* SPDX-License-Identifier: Apache-2.0
 *
 * RMS_NORM and ADD_RMS_NORM, with every aliasing that the contract allows. Bound: docs/numerics.md, "norm".
 */
#include "kernelcheck.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Which buffers coincide. */
typedef enum alias { ALIAS_NONE, ALIAS_SUM_A, ALIAS_Y_A, ALIAS_Y_B, ALIAS_SUM_A_Y_B, ALIAS_COUNT } alias;

typedef struct params {
    int64_t k, rs;
    float eps;
    int a, b, w, sum, y; /* operands; -1: NULL */
} params;

static void call(const kc_case *c, kc_fn *fn, int64_t begin, int64_t end)
{
    const params *p = c->params;
    const kc_operand *o = c->operands;
    float *sum = p->sum < 0 ? NULL : (float *)(void *)o[p->sum].p;
    const float *b = p->b < 0 ? NULL : (const float *)(const void *)o[p->b].p;
    ((q35k_norm_fn *)fn)((const float *)(const void *)o[p->a].p, b, (const float *)(const void *)o[p->w].p, p->eps,
                         sum, (float *)(void *)o[p->y].p, p->rs, p->k, begin, end);
}

static void judge(kc_context *x, kc_case *c, int64_t n, const float *a, const float *b, const float *w)
{
    const params *p = c->params;
    kc_operand *y = &c->operands[p->y];
    size_t n_out = y->bytes / 4;
    float *sum = kc_alloc(x, n_out * sizeof *sum);
    double *oracle = kc_alloc(x, n_out * sizeof *oracle), *bound = kc_alloc(x, n_out * sizeof *bound);
    for (int64_t t = 0; t < n; t++) {
        double squares = 0;
        int64_t row = t * p->rs / 4;
        for (int64_t i = row; i < row + p->k; i++) {
            sum[i] = b ? a[i] + b[i] : a[i];
            squares += (double)sum[i] * (double)sum[i];
        }
        double root = sqrt(squares / (double)p->k + (double)p->eps);
        for (int64_t i = row; i < row + p->k; i++) {
            double weight = (double)w[i - row];
            oracle[i] = (double)sum[i] / root * weight;
            bound[i] = (KC_U + (double)(p->k + 9) * KC_U64) * fabs(oracle[i]) + KC_ETA;
        }
    }
    y->oracle = oracle;
    y->bound = bound;
    if (p->sum >= 0)
        c->operands[p->sum].oracle_bits = sum;
}

/* Turns an input into one that the call also writes. */
static int write_to(kc_case *c, int input, kc_elem elem, kc_map map)
{
    c->operands[input].role = KC_INOUT;
    c->operands[input].elem = elem;
    c->operands[input].map = map;
    return input;
}

static void build_shape(kc_context *x, kc_case *c, int64_t k, int64_t n, kc_dist dist, bool add, alias how)
{
    params *p = kc_alloc(x, sizeof *p);
    size_t rs = 4 * (size_t)(k + kc_below(x, 4)), bytes = (size_t)n * rs;
    c->params = p;
    *p = (params){.k = k, .rs = (int64_t)rs, .eps = kc_random(x) & 1 ? 1e-5f : 1e-6f, .b = -1, .sum = -1};
    const float *a = kc_f32_rows(x, n, k, rs, dist, 0x1p50), *b = NULL;
    const float *w = kc_f32_rows(x, 1, k, 4 * (size_t)k, dist == KC_DIST_NONFINITE ? KC_DIST_NORMAL : dist, 100);
    kc_map map = kc_rows_map(4 * (size_t)k, rs);
    p->a = kc_input(c, "a", a, bytes, 4);
    if (add) {
        b = kc_f32_rows(x, n, k, rs, dist, 0x1p50);
        p->b = kc_input(c, "b", b, bytes, 4);
    }
    p->w = kc_input(c, "w", w, 4 * (size_t)k, 4);
    bool sum_a = how == ALIAS_SUM_A || how == ALIAS_SUM_A_Y_B;
    if (sum_a)
        p->sum = write_to(c, p->a, KC_F32_BITS, map);
    else if (add && kc_random(x) & 1)
        p->sum = kc_output(c, "sum", bytes, 4, KC_F32_BITS, map);
    if (how == ALIAS_Y_A)
        p->y = write_to(c, p->a, KC_F32, map);
    else if (add && (how == ALIAS_Y_B || how == ALIAS_SUM_A_Y_B))
        p->y = write_to(c, p->b, KC_F32, map);
    else
        p->y = kc_output(c, "y", bytes, 4, KC_F32, map);
    c->n_items = n;
    c->call = call;
    snprintf(c->text, sizeof c->text, "K=%lld T=%lld rs=%zu b=%d sum=%d alias=%d eps=%g dist=%s", (long long)k,
             (long long)n, rs, add, p->sum >= 0, (int)how, (double)p->eps, kc_dist_name(dist));
    judge(x, c, n, a, b, w);
}

static void build(kc_context *x, int64_t index, kc_case *c)
{
    static const int64_t widths[] = {1,  2,  3,  7,   8,   15,  16,  17,  31,  32,  33,   63,
                                     64, 65, 97, 127, 128, 129, 255, 511, 576, 960, 1536, 4096};
    static const int64_t tokens[] = {1, 2, 7, 33, 0};
    const int64_t n_widths = sizeof widths / sizeof widths[0];
    int64_t k = widths[index % n_widths], n = tokens[index % 5];
    build_shape(x, c, k, k > 600 && n > 7 ? 2 : n, (kc_dist)(index / n_widths % KC_DIST_COUNT), index / 2 % 3 != 0,
                (alias)(index / 7 % ALIAS_COUNT));
}

static void build_bench(kc_context *x, int64_t index, kc_case *c)
{
    static const int64_t widths[] = {576, 4096};
    build_shape(x, c, widths[index], 16, KC_DIST_NORMAL, true, ALIAS_NONE);
    c->bytes = 16.0 * 4 * 3 * (double)widths[index];
}

const kc_op kc_op_norm = {"norm", 720, build, 2, build_bench};
