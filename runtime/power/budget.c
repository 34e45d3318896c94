/* SPDX-License-Identifier: Apache-2.0
 *
 * While it sleeps the machine goes on using idle power, which eats into what the sleep gains: an excess of E
 * joules is gone after E / (budget - idle). */
#include "budget.h"

#define CREDIT_S   0.5  /* unused budget is kept for so long */
#define LEAST_GAIN 0.02 /* of the budget, that a sleep has to gain */
#define TRIAL_S    1.0  /* sleep after which the idle power is believed to be too much */

double q35i_budget_idle_watts(const q35i_budget *b)
{
    return b->slept > 0 ? b->slept_joules / b->slept : 0;
}

double q35i_budget_pass(q35i_budget *b, double seconds, double joules, bool slept)
{
    b->seconds += seconds;
    b->joules += joules;
    if (slept) {
        b->slept += seconds;
        b->slept_joules += joules;
    }
    b->allowed += b->watts * seconds;
    double credit = b->watts * CREDIT_S;
    if (b->allowed - b->joules > credit)
        b->allowed = b->joules + credit;
    double excess = b->joules - b->allowed, gain = b->watts - q35i_budget_idle_watts(b);
    b->hopeless = b->slept >= TRIAL_S && gain < LEAST_GAIN * b->watts;
    if (excess <= 0 || b->hopeless)
        return 0;
    return excess / (gain > LEAST_GAIN * b->watts ? gain : LEAST_GAIN * b->watts);
}

bool q35i_budget_held(const q35i_budget *b)
{
    return b->joules <= 1.05 * b->watts * b->seconds;
}
