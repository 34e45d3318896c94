/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of a session share. */
#ifndef Q35I_SESSION_H
#define Q35I_SESSION_H

#include "graph/plan.h"
#include "runtime/session/pages.h"

#include <q35rt/session.h>

/* Token capacities plans are built for: a step takes the smallest that holds it. */
#define Q35I_MAX_BUCKETS 4

/* Logits that a device is asked to choose of each row: more than a usual top-k. */
#define Q35I_CANDIDATES 64

struct q35_session {
    q35_runtime *runtime;
    const q35_model *model;
    q35_model_config config;
    q35_session_options options;
    q35i_device *devices[Q35I_MAX_DEVICES];
    uint32_t n_devices;
    int by_preference;
    q35i_residence *res;
    uint32_t bucket[Q35I_MAX_BUCKETS], n_buckets;
    q35i_plan *plans[Q35I_MAX_BUCKETS]; /* NULL: not built yet */
    q35i_plan *last;                    /* ran last, borrowed; NULL: none, or it failed */
    q35_step last_step;                 /* its rows */
    int fetched;                        /* its logits are in host memory */
    q35i_pages pages;
    q35i_append *appends; /* [n_sequences] of the step under way */
    uint64_t n_observed;  /* tokens evaluated with observe */
    float *observed_sums;
    double *observed;
    uint32_t observed_cap;
};

/* Plan of the smallest bucket that holds n_tokens, built on first use. */
q35_status q35i_session_plan(q35_session *session, uint32_t n_tokens, q35i_plan **out);

/* Logits of the last run in host memory, f32 [last_step.n_out][vocab]. There must have been one. */
q35_status q35i_session_logits(q35_session *session, const float **out);

/* INVALID unless the sequence is there. */
q35_status q35i_session_check_sequence(const q35_session *session, uint32_t sequence);

#endif
