/* SPDX-License-Identifier: Apache-2.0
 *
 * Time per node of a plan, from devices that count it. */
#ifndef Q35I_PROFILE_H
#define Q35I_PROFILE_H

#include "graph/plan.h"

#include <q35rt/session.h>

/* Starts (from zero) or stops the counting of every region whose device counts; *out_n: how many those are. While
 * the plan is idle. */
q35_status q35i_plan_profile(q35i_plan *plan, int on, uint32_t *out_n);

/* Calls each for every node of those regions, in order, and adds to *sum. */
q35_status q35i_plan_profile_read(const q35i_plan *plan, void (*each)(void *user, const q35_profile_node *node),
                                  void *user, q35_profile_sum *sum);

#endif
