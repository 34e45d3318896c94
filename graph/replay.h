/* SPDX-License-Identifier: Apache-2.0
 *
 * The capture extension of the devices, seen from a plan. */
#ifndef Q35I_REPLAY_H
#define Q35I_REPLAY_H

#include "graph/plan.h"

/* Finds the plan's stretches that a device can record. After its regions are compiled. */
q35_status q35i_replay_find(q35i_plan *plan);

/* Runs a stretch by replaying it (*out_done 1), recording it before where that is due; *out_done 0: to be run step
 * by step. The other lanes are drained. */
q35_status q35i_replay_run(q35i_plan *plan, q35i_capture *stretch, const q35_step *step, int *out_done);

/* Before compiled regions and arenas go. */
void q35i_replay_free(q35i_plan *plan);

/* exec.c: hands one step to its device's queue, signalling a point unless that is NULL. */
q35_status q35i_submit_step(const q35i_plan *plan, const q35i_step *s, const q35_step *step, q35_queue *queue,
                            const q35_point *signal);

#endif
