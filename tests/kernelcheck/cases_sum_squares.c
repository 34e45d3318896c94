/* SPDX-License-Identifier: Apache-2.0
 *
 * SUM_SQUARES: adds to an accumulator, column by column. Bound: docs/numerics.md, "sum_squares".
 */
#include "kernelcheck.h"

#include <math.h>
#include <stdio.h>

typedef struct params {
    int64_t rs, n_tokens;
    int x, acc;
} params;

static void call(const kc_case *c, kc_fn *fn, int64_t begin, int64_t end)
{
    const params *p = c->params;
    const kc_operand *o = c->operands;
    ((q35k_sum_squares_fn *)fn)((const float *)(const void *)o[p->x].p, p->rs, p->n_tokens,
                                (float *)(void *)o[p->acc].p, begin, end);
}

static void judge(kc_context *x, kc_operand *acc, const params *p, int64_t k, const float *rows,
                  const float *start)
{
    double *oracle = kc_alloc(x, 2 * acc->bytes), *bound = kc_alloc(x, 2 * acc->bytes);
    for (int64_t i = 0; i < k; i++) {
        double sum = (double)start[i];
        for (int64_t t = 0; t < p->n_tokens; t++) {
            double v = (double)rows[t * p->rs / 4 + i];
            sum += v * v;
        }
        oracle[i] = sum;
        bound[i] = (KC_U + 2 * (double)(p->n_tokens + 2) * KC_U64) * fabs(sum) + KC_ETA;
    }
    acc->oracle = oracle;
    acc->bound = bound;
}

static void build_shape(kc_context *x, kc_case *c, int64_t k, int64_t n, kc_dist dist)
{
    params *p = kc_alloc(x, sizeof *p);
    c->params = p;
    p->n_tokens = n;
    p->rs = 4 * (k + kc_below(x, 4));
    float *rows = kc_f32_rows(x, n, k, (size_t)p->rs, dist, 1e15), *start = kc_alloc(x, 4 * (size_t)k);
    for (int64_t i = 0; i < k; i++)
        start[i] = (float)fabs(kc_normal(x));
    p->x = kc_input(c, "x", rows, (size_t)(n * p->rs), 4);
    kc_map map = {.cell = 4, .div_stride = 4, .mod = 1, .n_rep = 1};
    p->acc = kc_output(c, "acc", 4 * (size_t)k, 4, KC_F32, map);
    c->operands[p->acc].role = KC_INOUT;
    c->operands[p->acc].init = start;
    c->n_items = k;
    c->call = call;
    snprintf(c->text, sizeof c->text, "K=%lld T=%lld rs=%lld dist=%s", (long long)k, (long long)n,
             (long long)p->rs, kc_dist_name(dist));
    judge(x, &c->operands[p->acc], p, k, rows, start);
}

static void build(kc_context *x, int64_t index, kc_case *c)
{
    static const int64_t widths[] = {0, 1, 7, 16, 17, 64, 97, 576}, tokens[] = {0, 1, 2, 7, 33};
    build_shape(x, c, widths[index % 8], tokens[index / 8 % 5], (kc_dist)(index / 40 % KC_DIST_COUNT));
}

static void build_bench(kc_context *x, int64_t index, kc_case *c)
{
    (void)index;
    build_shape(x, c, 4096, 64, KC_DIST_NORMAL);
    c->bytes = 64 * 4096 * 4;
}

const kc_op kc_op_sum_squares = {"sum_squares", 240, build, 1, build_bench};
