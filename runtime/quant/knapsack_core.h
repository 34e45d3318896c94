/* SPDX-License-Identifier: Apache-2.0
 *
 * The exact part of the knapsack: changes to a solution that is optimal at its own bytes, for what is left of the
 * budget. */
#ifndef Q35I_KNAPSACK_CORE_H
#define Q35I_KNAPSACK_CORE_H

#include "runtime/quant/knapsack.h"

typedef struct q35i_core {
    const q35i_item *items;
    uint64_t n;
    const uint32_t *base; /* [n] minimises cost + rate * bytes of every item */
    double rate;
    int64_t slack; /* bytes that may be added to those of base, >= 0 */
    double found;  /* change of cost of a solution known, <= 0 */
    double margin; /* a lower cost than that by less is not looked for: rounding makes such */
} q35i_core;

/* Looks for changes of base that lower its cost by more than `found` does; writes them to choice[n] (else left
 * alone). *exact 1: there is none better than what choice then holds. */
q35_status q35i_core_solve(const q35i_core *core, uint32_t *choice, int *exact);

#endif
