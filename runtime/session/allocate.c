/* SPDX-License-Identifier: Apache-2.0
 *
 * The choices of a tensor: the row types, and what it would be if it were not coded. The expected divergence of a
 * tensor in a type is that measured at 3.5 bits times the ratio of the two types' errors on Gaussian weights,
 * which is what weights are behind a rotation; divergences of tensors add up (docs/decisions/0008). */
#include "runtime/session/allocate.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"
#include "runtime/quant/knapsack.h"
#include "runtime/session/sensitivity.h"

#include <math.h>

#define FRONTIER 200u

/* Signal to noise of the row types on a long Gaussian row, dB (tests/quant/test_gaussian). */
static const struct {
    uint32_t dtype;
    double decibels;
} types[] = {{Q35_DT_Q35_ROW, 18.178}, {Q35_DT_Q40_ROW, 21.106}, {Q35_DT_Q60_ROW, 29.83}};

#define N_TYPES (sizeof types / sizeof types[0])

typedef struct allocating {
    q35i_conversion *c;
    q35i_item *items;      /* [n]: of the targets that count */
    q35i_choice *choices;  /* [n][N_TYPES + 1] */
    q35i_target **targets; /* [n] */
    uint32_t *chosen;      /* [n] */
    uint64_t n, weights;
    q35i_allocation result;
} allocating;

static uint64_t bytes_as(const q35i_target *t, uint32_t dtype)
{
    return dtype == t->info->dtype ? t->info->bytes
                                   : q35_row_bytes(dtype, (uint64_t)t->info->dim[0]) * (uint64_t)t->info->dim[1];
}

/* Before it is measured a tensor counts like any other. */
static double expected(const q35i_target *t, uint32_t dtype)
{
    double sensitivity = isnan(t->sensitivity) ? 1 : t->sensitivity;
    for (uint64_t i = 0; i < N_TYPES; i++)
        if (types[i].dtype == dtype)
            return sensitivity * pow(10, (types[0].decibels - types[i].decibels) / 10);
    return 0;
}

static void add_item(allocating *a, q35i_target *t)
{
    q35i_choice *choices = a->choices + a->n * (N_TYPES + 1);
    uint32_t n = 0;
    for (uint64_t i = 0; i < N_TYPES && t->choosable; i++)
        choices[n++] = (q35i_choice){bytes_as(t, types[i].dtype), expected(t, types[i].dtype)};
    choices[n++] = (q35i_choice){bytes_as(t, t->kept), 0};
    a->items[a->n] = (q35i_item){choices, n};
    a->targets[a->n++] = t;
    for (uint64_t d = 0, count = 1; d < t->info->rank; d++) {
        count *= (uint64_t)t->info->dim[d];
        a->weights += d + 1 == t->info->rank ? count : 0;
    }
}

static q35_status prepare(allocating *a)
{
    uint64_t n = a->c->n_targets;
    a->items = q35i_calloc(n, sizeof *a->items);
    a->choices = q35i_calloc(n, (N_TYPES + 1) * sizeof *a->choices);
    a->targets = q35i_calloc(n, sizeof(q35i_target *));
    a->chosen = q35i_calloc(n, sizeof *a->chosen);
    if (!a->items || !a->choices || !a->targets || !a->chosen)
        return Q35_E_NOMEM;
    for (uint64_t i = 0; i < n; i++)
        if (!a->c->options->target_linears || q35i_is_linear(a->c->targets[i].info))
            add_item(a, &a->c->targets[i]);
    return Q35_OK;
}

static double bits(const allocating *a, uint64_t bytes)
{
    return 8 * (double)bytes / (double)a->weights;
}

static q35_status solve(allocating *a)
{
    double budget = a->c->options->target_bpw * (double)a->weights / 8;
    q35i_budgets range;
    Q35_TRY(q35i_knapsack_budgets(a->items, a->n, &range));
    if (!(budget >= (double)range.least))
        return Q35_FAIL(Q35_E_INVALID, "target: %g bits per weight of the %s, need %.3f to %.3f",
                        a->c->options->target_bpw, a->c->options->target_linears ? "linears" : "file",
                        ceil(1000 * bits(a, range.least)) / 1000, bits(a, range.most));
    return q35i_knapsack(a->items, a->n, (uint64_t)fmin(budget, (double)range.most), a->chosen, &a->result);
}

static void apply(const allocating *a)
{
    for (uint64_t i = 0; i < a->n; i++) {
        q35i_target *t = a->targets[i];
        uint32_t last = a->items[i].n_choices - 1;
        t->dtype = a->chosen[i] == last ? t->kept : types[a->chosen[i]].dtype;
        t->expected = a->items[i].choices[a->chosen[i]].cost;
    }
}

static q35_status tell_frontier(const allocating *a)
{
    uint64_t n = 0;
    if (!a->c->options->frontier)
        return Q35_OK;
    q35i_frontier_point *points = q35i_calloc(FRONTIER, sizeof *points);
    if (!points)
        return Q35_E_NOMEM;
    q35_status status = q35i_knapsack_frontier(a->items, a->n, FRONTIER, points, &n);
    for (uint64_t i = 0; i < n && status == Q35_OK; i++)
        a->c->options->frontier(a->c->options->user, bits(a, points[i].bytes), points[i].cost);
    q35i_free(points);
    return status;
}

static void release(allocating *a)
{
    q35i_free(a->items);
    q35i_free(a->choices);
    q35i_free(a->targets);
    q35i_free(a->chosen);
}

/* With fixed choices the range can be told before anything is measured. */
static q35_status check_range(q35i_conversion *c)
{
    allocating a = {.c = c};
    q35_status status = prepare(&a);
    if (status == Q35_OK)
        status = solve(&a);
    release(&a);
    return status;
}

q35_status q35i_allocate(q35i_conversion *c)
{
    allocating a = {.c = c};
    Q35_TRY(check_range(c));
    q35_status status = q35i_measure_sensitivity(c);
    if (status == Q35_OK)
        status = prepare(&a);
    if (status == Q35_OK)
        status = solve(&a);
    if (status == Q35_OK) {
        apply(&a);
        status = tell_frontier(&a);
    }
    release(&a);
    return status;
}
