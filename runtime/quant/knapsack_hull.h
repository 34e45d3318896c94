/* SPDX-License-Identifier: Apache-2.0
 *
 * The lower convex hulls of a knapsack's items over bytes and cost, as one list of steps: taken in order from the
 * smallest allocation on, each prefix of it is an optimum at its own bytes. */
#ifndef Q35I_KNAPSACK_HULL_H
#define Q35I_KNAPSACK_HULL_H

#include "runtime/quant/knapsack.h"

typedef struct q35i_step {
    double rate;                    /* cost saved per byte, > 0 */
    uint32_t item, order, from, to; /* order: of the item's steps; from, to: choices */
} q35i_step;

typedef struct q35i_hull {
    q35i_step *steps; /* by falling rate; those of one item in their order */
    uint64_t n_steps;
    uint32_t *first; /* [n] the choice of fewest bytes */
    q35i_budgets budgets;
} q35i_hull;

/* Checks the choices, too. */
q35_status q35i_hull_create(const q35i_item *items, uint64_t n, q35i_hull *out);
void q35i_hull_release(q35i_hull *hull);

#endif
