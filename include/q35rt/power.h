/* SPDX-License-Identifier: Apache-2.0
 *
 * Holding a power budget: what the machine's own counters say was used, and sleep between steps so that the
 * average stays within the budget. One thread at a time. */
#ifndef Q35RT_POWER_H
#define Q35RT_POWER_H

#include <q35rt/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct q35_governor q35_governor;

/* Finds a source: energy counters of the processor packages and their memory (RAPL), energy counters of hwmon, or
 * power sensors of hwmon (INA of boards, power meters). watts > 0. UNAVAILABLE tells of each why it cannot be
 * read.
 */
Q35_API q35_status q35_governor_create(double watts, q35_governor **out);
Q35_API void q35_governor_destroy(q35_governor *governor); /* NULL ok */

/* To be called between steps: sleeps until the average power since the beginning is within the budget again; what
 * was not used more than half a second ago is lost. A sensor's value counts for the time since the call before.
 * stop, if not NULL, is asked ten times a second, and non-zero ends the sleep. IO when the source cannot be read
 * any more. */
Q35_API q35_status q35_governor_step(q35_governor *governor, int (*stop)(void *user), void *user);

/* Forgets what was used: the average counts from now on. IO as q35_governor_step. */
Q35_API q35_status q35_governor_restart(q35_governor *governor);

typedef struct q35_power_report {
    const char *source;   /* "RAPL: package-0, dram"; borrowed until destroy */
    double watts;         /* the budget */
    double joules;        /* used since the beginning, as of the last step */
    double seconds;       /* since then, of which */
    double slept_seconds; /* in q35_governor_step */
    double idle_watts;    /* measured while it slept, 0: it did not */
    int held;             /* 1: the average is at most 5 % above the budget */
} q35_power_report;

Q35_API void q35_governor_report(const q35_governor *governor, q35_power_report *out);

#ifdef __cplusplus
}
#endif
#endif
