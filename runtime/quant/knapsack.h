/* SPDX-License-Identifier: Apache-2.0
 *
 * Which type for which tensor: of every item's choices one, so that the sum of costs (expected KL) is least and
 * the sum of bytes within a budget. The multiple-choice knapsack problem (Sinha, Zoltners, "The multiple-choice
 * knapsack problem", 1979). Everything here is a function of its input: of equal choices the one with the lower
 * index wins. */
#ifndef Q35I_KNAPSACK_H
#define Q35I_KNAPSACK_H

#include <q35rt/status.h>

#include <stdint.h>

enum { Q35I_KNAPSACK_CHOICES = 32 }; /* most of one item */

typedef struct q35i_choice {
    uint64_t bytes;
    double cost; /* 0 <= cost <= 1e30 */
} q35i_choice;

typedef struct q35i_item {
    const q35i_choice *choices; /* in any order */
    uint32_t n_choices;         /* 1 .. Q35I_KNAPSACK_CHOICES */
} q35i_item;

/* Budgets that make a difference: below least there is no allocation, and most is the least that the lowest cost
 * of all takes. */
typedef struct q35i_budgets {
    uint64_t least, most; /* bytes */
} q35i_budgets;

typedef struct q35i_allocation {
    uint64_t bytes;
    double cost;
    double bound; /* no allocation within the budget costs less (to rounding); bound <= cost */
    int exact;    /* 1: bound is cost */
    q35i_budgets budgets;
} q35i_allocation;

/* choice[n] receives an index per item. Linear programming bound and greedy solution, then dynamic programming
 * over the items whose change can still pay; that is exact unless millions of combinations are left, and then
 * within `cost - bound`, which is below the cost of one item's step. Some milliseconds for 2000 items. INVALID,
 * with out->budgets set, when the budget is below out->budgets.least; INVALID, with all of *out zero, for choices
 * out of range. n may be 0. */
q35_status q35i_knapsack(const q35i_item *items, uint64_t n, uint64_t budget, uint32_t *choice,
                         q35i_allocation *out);

q35_status q35i_knapsack_budgets(const q35i_item *items, uint64_t n, q35i_budgets *out);

typedef struct q35i_frontier_point {
    uint64_t bytes;
    double cost;
} q35i_frontier_point;

/* The convex part of the curve of least cost over budget, by growing bytes, from budgets.least to budgets.most:
 * each point is the optimum at its bytes. At most `most` (>= 2) points, evenly spread; *n_points receives their
 * number. */
q35_status q35i_knapsack_frontier(const q35i_item *items, uint64_t n, uint64_t most, q35i_frontier_point *points,
                                  uint64_t *n_points);

#endif
