/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps of the hulls are taken while they fit; the first that does not gives the multiplier of the bound. Sizes of
 * tensors have a large common divisor, and what is left of the budget is rounded down to it, which often makes the
 * bound meet the solution at once. */
#include "runtime/quant/knapsack.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"
#include "runtime/quant/knapsack_core.h"
#include "runtime/quant/knapsack_hull.h"

#include <inttypes.h>
#include <string.h>

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Sums of allocations differ by multiples of this; 0: there is only one sum. */
static uint64_t granularity(const q35i_item *items, uint64_t n)
{
    uint64_t g = 0;
    for (uint64_t i = 0; i < n; i++)
        for (uint32_t j = 1; j < items[i].n_choices; j++) {
            uint64_t a = items[i].choices[0].bytes, b = items[i].choices[j].bytes;
            g = gcd(g, a > b ? a - b : b - a);
        }
    return g;
}

static double total_cost(const q35i_item *items, uint64_t n, const uint32_t *choice)
{
    double cost = 0;
    for (uint64_t i = 0; i < n; i++)
        cost += items[i].choices[choice[i]].cost;
    return cost;
}

static uint64_t total_bytes(const q35i_item *items, uint64_t n, const uint32_t *choice)
{
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < n; i++)
        bytes += items[i].choices[choice[i]].bytes;
    return bytes;
}

static uint64_t step_bytes(const q35i_item *items, const q35i_step *step)
{
    const q35i_choice *choices = items[step->item].choices;
    return choices[step->to].bytes - choices[step->from].bytes;
}

/* Takes steps in order as long as each fits; the number taken. *slack: what is left of the budget. */
static uint64_t take_steps(const q35i_item *items, const q35i_hull *hull, uint64_t *slack, uint32_t *choice)
{
    for (uint64_t k = 0; k < hull->n_steps; k++) {
        uint64_t bytes = step_bytes(items, &hull->steps[k]);
        if (bytes > *slack)
            return k;
        *slack -= bytes;
        choice[hull->steps[k].item] = hull->steps[k].to;
    }
    return hull->n_steps;
}

/* Takes what still fits of the steps from the first that did not; the change of cost. */
static double fill(const q35i_item *items, const q35i_hull *hull, uint64_t from, uint64_t slack, uint32_t *choice)
{
    double change = 0;
    for (uint64_t k = from; k < hull->n_steps; k++) {
        const q35i_step *step = &hull->steps[k];
        const q35i_choice *choices = items[step->item].choices;
        uint64_t bytes = step_bytes(items, step);
        if (choice[step->item] != step->from || bytes > slack)
            continue;
        slack -= bytes;
        choice[step->item] = step->to;
        change += choices[step->to].cost - choices[step->from].cost;
    }
    return change;
}

static q35_status solve(const q35i_item *items, uint64_t n, const q35i_hull *hull, uint64_t slack,
                        uint32_t *choice, q35i_allocation *out)
{
    q35_status status = Q35_OK;
    uint64_t unit = granularity(items, n);
    uint32_t *base = q35i_calloc(n, sizeof *base);
    if (!base)
        return Q35_E_NOMEM;
    memcpy(base, hull->first, n * sizeof *base);
    uint64_t taken = take_steps(items, hull, &slack, base);
    memcpy(choice, base, n * sizeof *base);
    out->exact = 1;
    if (taken < hull->n_steps) {
        slack -= slack % unit;
        q35i_core core = {items, n, base, hull->steps[taken].rate, (int64_t)slack, 0, 0};
        double cost = total_cost(items, n, base);
        core.margin = cost * 1e-12;
        core.found = fill(items, hull, taken, slack, choice);
        out->bound = cost - core.rate * (double)slack;
        Q35_TRY_GOTO(q35i_core_solve(&core, choice, &out->exact), out);
    }
    out->bytes = total_bytes(items, n, choice);
    out->cost = total_cost(items, n, choice);
    if (out->exact || out->bound > out->cost)
        out->bound = out->cost;
out:
    q35i_free(base);
    return status;
}

q35_status q35i_knapsack(const q35i_item *items, uint64_t n, uint64_t budget, uint32_t *choice,
                         q35i_allocation *out)
{
    q35i_hull hull;
    memset(out, 0, sizeof *out);
    Q35_TRY(q35i_hull_create(items, n, &hull));
    q35_status status;
    out->budgets = hull.budgets;
    if (budget < hull.budgets.least)
        status = Q35_FAIL(Q35_E_INVALID,
                          "allocation: budget of %" PRIu64 " bytes found, %" PRIu64 " (all that helps: %" PRIu64
                          ") needed",
                          budget, hull.budgets.least, hull.budgets.most);
    else
        status = solve(items, n, &hull, budget - hull.budgets.least, choice, out);
    q35i_hull_release(&hull);
    return status;
}

q35_status q35i_knapsack_budgets(const q35i_item *items, uint64_t n, q35i_budgets *out)
{
    q35i_hull hull;
    memset(out, 0, sizeof *out);
    Q35_TRY(q35i_hull_create(items, n, &hull));
    *out = hull.budgets;
    q35i_hull_release(&hull);
    return Q35_OK;
}

q35_status q35i_knapsack_frontier(const q35i_item *items, uint64_t n, uint64_t most, q35i_frontier_point *points,
                                  uint64_t *n_points)
{
    q35i_hull hull;
    *n_points = 0;
    if (most < 2)
        return Q35_FAIL(Q35_E_INVALID, "frontier: room for %" PRIu64 " points found, at least 2 needed", most);
    Q35_TRY(q35i_hull_create(items, n, &hull));
    q35i_frontier_point at = {hull.budgets.least, total_cost(items, n, hull.first)};
    double spacing = (double)(hull.budgets.most - hull.budgets.least) / (double)(most - 1);
    uint64_t count = 0;
    points[count++] = at;
    for (uint64_t k = 0; k < hull.n_steps; k++) {
        const q35i_step *step = &hull.steps[k];
        const q35i_choice *choices = items[step->item].choices;
        at.bytes += step_bytes(items, step);
        at.cost += choices[step->to].cost - choices[step->from].cost;
        at.cost = at.cost > 0 ? at.cost : 0;
        int is_due = (double)(at.bytes - hull.budgets.least) >= spacing * (double)count && count + 1 < most;
        if (is_due || hull.n_steps < most || k + 1 == hull.n_steps)
            points[count++] = at;
    }
    *n_points = count;
    q35i_hull_release(&hull);
    return Q35_OK;
}
