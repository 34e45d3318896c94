/* SPDX-License-Identifier: Apache-2.0
 *
 * The arithmetic of a power budget, without clock or counters: how long to sleep after a step, from the energy
 * used until now. Pure but for the state. */
#ifndef Q35I_BUDGET_H
#define Q35I_BUDGET_H

#include <stdbool.h>

typedef struct q35i_budget {
    double watts;
    double joules, seconds;     /* used, and passed, since the beginning */
    double slept, slept_joules; /* seconds slept, and energy used meanwhile */
    double allowed;             /* joules that may have been used by now */
    bool hopeless;              /* sleeping takes more than the budget */
} q35i_budget;

static inline q35i_budget q35i_budget_start(double watts)
{
    return (q35i_budget){.watts = watts};
}

/* Accounts for the time since the last call, which used so many joules. slept: it was a sleep of ours. Returns how
 * long to sleep now, 0: the average is within the budget, or sleeping does not help. */
double q35i_budget_pass(q35i_budget *budget, double seconds, double joules, bool slept);

/* Power while it slept; 0: it did not. */
double q35i_budget_idle_watts(const q35i_budget *budget);

/* The average is at most 5 % above the budget. */
bool q35i_budget_held(const q35i_budget *budget);

#endif
