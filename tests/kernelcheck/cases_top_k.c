/* SPDX-License-Identifier: Apache-2.0
 *
 * TOP_K against the place that each element has by the definition: the number of those that come before it.
 */
#include "kernelcheck.h"

#include <math.h>
#include <stdio.h>

typedef struct params {
    int64_t n, k, rs_x, rs_values, rs_columns;
    int x, values, columns;
} params;

static void call(const kc_case *c, kc_fn *fn, int64_t begin, int64_t end)
{
    const params *p = c->params;
    const kc_operand *o = c->operands;
    ((q35k_top_k_fn *)fn)((const float *)(const void *)o[p->x].p, p->rs_x, p->n, p->k,
                          (float *)(void *)o[p->values].p, p->rs_values, (int32_t *)(void *)o[p->columns].p,
                          p->rs_columns, begin, end);
}

static bool comes_before(const float *x, int64_t i, int64_t j)
{
    const bool odd = !isfinite(x[i]), other_odd = !isfinite(x[j]);
    if (odd != other_odd)
        return odd;
    if (!odd && (x[i] < x[j] || x[i] > x[j]))
        return x[i] > x[j];
    return i < j;
}

static void judge(kc_case *c, kc_context *x, int64_t n_tokens, const float *rows)
{
    const params *p = c->params;
    kc_operand *values = &c->operands[p->values], *columns = &c->operands[p->columns];
    float *value_bits = kc_alloc(x, values->bytes);
    int32_t *column_bits = kc_alloc(x, columns->bytes);
    for (int64_t t = 0; t < n_tokens; t++) {
        const float *row = rows + t * p->rs_x / 4;
        for (int64_t i = 0; i < p->n; i++) {
            int64_t place = 0;
            for (int64_t j = 0; j < p->n; j++)
                place += comes_before(row, j, i);
            if (place >= p->k)
                continue;
            value_bits[t * p->rs_values / 4 + place] = row[i];
            column_bits[t * p->rs_columns / 4 + place] = (int32_t)i;
        }
    }
    values->oracle_bits = value_bits;
    columns->oracle_bits = column_bits;
}

/* Few values: many are equal. */
static void add_ties(kc_context *x, float *rows, int64_t n)
{
    static const float set[] = {0.0f, -0.0f, 1.0f, -1.0f};
    for (int64_t i = 0; i < n; i++)
        rows[i] = set[kc_below(x, 4)];
}

static void build_shape(kc_context *x, kc_case *c, int64_t n, int64_t k, int64_t n_tokens, kc_dist dist, bool ties)
{
    params *p = kc_alloc(x, sizeof *p);
    c->params = p;
    *p = (params){.n = n,
                  .k = k,
                  .rs_x = 4 * (n + kc_below(x, 4)),
                  .rs_values = 4 * (k + kc_below(x, 4)),
                  .rs_columns = 4 * (k + kc_below(x, 4))};
    float *rows = kc_f32_rows(x, n_tokens, n, (size_t)p->rs_x, dist, 1e30);
    if (ties)
        add_ties(x, rows, n_tokens * p->rs_x / 4);
    p->x = kc_input(c, "x", rows, (size_t)(n_tokens * p->rs_x), 4);
    p->values = kc_output(c, "values", (size_t)(n_tokens * p->rs_values), 4, KC_F32_BITS,
                          kc_rows_map(4 * (size_t)k, (size_t)p->rs_values));
    p->columns = kc_output(c, "columns", (size_t)(n_tokens * p->rs_columns), 4, KC_F32_BITS,
                           kc_rows_map(4 * (size_t)k, (size_t)p->rs_columns));
    c->n_items = n_tokens;
    c->call = call;
    snprintf(c->text, sizeof c->text, "K=%lld k=%lld T=%lld rs=%lld dist=%s%s", (long long)n, (long long)k,
             (long long)n_tokens, (long long)p->rs_x, kc_dist_name(dist), ties ? ", ties" : "");
    judge(c, x, n_tokens, rows);
}

static void build(kc_context *x, int64_t index, kc_case *c)
{
    static const int64_t widths[] = {1, 2, 7, 16, 17, 64, 97, 300}, tokens[] = {0, 1, 2, 7, 33};
    static const int64_t counts[] = {1, 40, 3, 300, 64, 2, 17};
    const int64_t n = widths[index % 8], k = counts[index % 7];
    build_shape(x, c, n, k < n ? k : n, tokens[index / 8 % 5], (kc_dist)(index / 40 % KC_DIST_COUNT),
                index % 3 == 0);
}

static void build_bench(kc_context *x, int64_t index, kc_case *c)
{
    (void)index;
    build_shape(x, c, 4096, 64, 8, KC_DIST_NORMAL, false);
    c->bytes = 8 * 4096 * 4;
}

const kc_op kc_op_top_k = {"top_k", 280, build, 1, build_bench};
