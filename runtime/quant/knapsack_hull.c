/* SPDX-License-Identifier: Apache-2.0
 *
 * Hulls by walking: from a choice on to the one that saves most per byte. An item has few choices. */
#include "runtime/quant/knapsack_hull.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MOST_COST 1e30

static q35_status check(const q35i_item *items, uint64_t n, uint64_t *n_choices)
{
    uint64_t bytes = 0;
    *n_choices = 0;
    if (n > UINT32_MAX / Q35I_KNAPSACK_CHOICES)
        return Q35_FAIL(Q35_E_INVALID, "allocation: %" PRIu64 " items found, at most %d needed", n,
                        (int)(UINT32_MAX / Q35I_KNAPSACK_CHOICES));
    for (uint64_t i = 0; i < n; i++) {
        uint64_t largest = 0;
        if (items[i].n_choices < 1 || items[i].n_choices > Q35I_KNAPSACK_CHOICES)
            return Q35_FAIL(Q35_E_INVALID,
                            "allocation, item %" PRIu64 ": %" PRIu32 " choices found, 1 to %d needed", i,
                            items[i].n_choices, Q35I_KNAPSACK_CHOICES);
        for (uint32_t j = 0; j < items[i].n_choices; j++) {
            const q35i_choice *c = &items[i].choices[j];
            if (!(c->cost >= 0 && c->cost <= MOST_COST))
                return Q35_FAIL(Q35_E_INVALID,
                                "allocation, item %" PRIu64 ": cost %g of choice %" PRIu32
                                " found, 0 to %g needed",
                                i, c->cost, j, MOST_COST);
            largest = q35i_max(largest, c->bytes);
        }
        if (!q35i_add(bytes, largest, &bytes) || bytes > INT64_MAX)
            return Q35_FAIL(Q35_E_INVALID, "allocation: more than 2^63 bytes found up to item %" PRIu64, i);
        *n_choices += items[i].n_choices;
    }
    return Q35_OK;
}

/* The smallest choice; of equal ones the cheapest, the first. */
static uint32_t smallest(const q35i_item *item)
{
    uint32_t best = 0;
    for (uint32_t j = 1; j < item->n_choices; j++) {
        const q35i_choice *a = &item->choices[j], *b = &item->choices[best];
        if (a->bytes < b->bytes || (a->bytes == b->bytes && a->cost < b->cost))
            best = j;
    }
    return best;
}

/* The step from a choice to the one that saves most per byte, of equal ones the nearest, the first; 0: none saves.
 */
static int next_step(const q35i_item *item, uint32_t from, q35i_step *step)
{
    const q35i_choice *a = &item->choices[from];
    step->rate = 0;
    for (uint32_t j = 0; j < item->n_choices; j++) {
        const q35i_choice *b = &item->choices[j];
        if (b->bytes <= a->bytes || b->cost >= a->cost)
            continue;
        double rate = (a->cost - b->cost) / (double)(b->bytes - a->bytes);
        if (rate < step->rate || (rate == step->rate && b->bytes >= item->choices[step->to].bytes))
            continue;
        step->rate = rate;
        step->to = j;
    }
    step->from = from;
    return step->rate > 0;
}

static int by_rate(const void *left, const void *right)
{
    const q35i_step *a = left, *b = right;
    if (a->rate != b->rate)
        return a->rate > b->rate ? -1 : 1;
    if (a->item != b->item)
        return a->item < b->item ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static void add_item(q35i_hull *hull, const q35i_item *item, uint32_t index)
{
    uint32_t at = smallest(item);
    q35i_step step = {.item = index};
    double above = MOST_COST;
    hull->first[index] = at;
    hull->budgets.least += item->choices[at].bytes;
    for (; next_step(item, at, &step); step.order++) {
        step.rate = step.rate < above ? step.rate : above; /* rounding may lift it by a last digit */
        above = step.rate;
        hull->steps[hull->n_steps++] = step;
        at = step.to;
    }
    hull->budgets.most += item->choices[at].bytes;
}

q35_status q35i_hull_create(const q35i_item *items, uint64_t n, q35i_hull *out)
{
    q35_status status = Q35_OK;
    uint64_t n_choices;
    memset(out, 0, sizeof *out);
    Q35_TRY(check(items, n, &n_choices));
    out->first = q35i_calloc(n, sizeof *out->first);
    Q35_CHECK_ALLOC_GOTO(out->first, fail);
    out->steps = q35i_calloc(n_choices, sizeof *out->steps);
    Q35_CHECK_ALLOC_GOTO(out->steps, fail);
    for (uint64_t i = 0; i < n; i++)
        add_item(out, &items[i], (uint32_t)i);
    if (out->n_steps > 1)
        qsort(out->steps, (size_t)out->n_steps, sizeof *out->steps, by_rate);
    return Q35_OK;
fail:
    q35i_hull_release(out);
    return status;
}

void q35i_hull_release(q35i_hull *hull)
{
    q35i_free(hull->steps);
    q35i_free(hull->first);
    memset(hull, 0, sizeof *hull);
}
