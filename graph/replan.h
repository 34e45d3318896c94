/* SPDX-License-Identifier: Apache-2.0
 *
 * When a device does not keep its word about what it can run. */
#ifndef Q35I_REPLAN_H
#define Q35I_REPLAN_H

#include "graph/plan.h"

/* After plan_compile of a region was UNSUPPORTED (the error text says why): notes what the device refuses, with a
 * warning each, so that the plan can be placed again. */
q35_status q35i_replan(q35i_plan *plan, const q35i_step *step);

#endif
