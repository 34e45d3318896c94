/* SPDX-License-Identifier: Apache-2.0
 *
 * The budget with the machine's clock and counters. */
#define _GNU_SOURCE
#include "budget.h"
#include "runtime/base/alloc.h"
#include "runtime/base/clock.h"
#include "runtime/base/env.h"
#include "runtime/base/error.h"
#include "source.h"

#include <q35rt/power.h>

#include <time.h>

#define SLICE_S 0.1

struct q35_governor {
    q35i_power_source source;
    q35i_budget budget;
    uint64_t last_ns;
};

/* Reads the counters; *out_sleep as q35i_budget_pass. */
static q35_status pass(q35_governor *g, bool slept, double *out_sleep)
{
    double joules;
    uint64_t now = q35i_now_ns();
    Q35_TRY(q35i_power_read(&g->source, now, &joules));
    *out_sleep = q35i_budget_pass(&g->budget, (double)(now - g->last_ns) / 1e9, joules, slept);
    g->last_ns = now;
    return Q35_OK;
}

q35_status q35_governor_restart(q35_governor *g)
{
    double joules;
    g->budget = q35i_budget_start(g->budget.watts);
    g->last_ns = q35i_now_ns();
    return q35i_power_read(&g->source, g->last_ns, &joules);
}

q35_status q35_governor_create(double watts, q35_governor **out)
{
    const char *root = q35i_env("Q35RT_SYSFS");
    *out = NULL;
    if (!(watts > 0))
        return Q35_FAIL(Q35_E_INVALID, "power budget: %g W, need more than 0", watts);
    q35_governor *g = q35i_calloc(1, sizeof *g);
    if (!g)
        return Q35_E_NOMEM;
    g->budget.watts = watts;
    q35_status status = q35i_power_open(root ? root : "/sys", &g->source);
    if (status == Q35_OK)
        status = q35_governor_restart(g);
    if (status != Q35_OK) {
        q35i_free(g);
        return status;
    }
    *out = g;
    return Q35_OK;
}

void q35_governor_destroy(q35_governor *g)
{
    q35i_free(g);
}

static void sleep_for(double seconds)
{
    struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    (void)nanosleep(&t, NULL); /* a signal ends it early, and the next pass sees how long it was */
}

q35_status q35_governor_step(q35_governor *g, int (*stop)(void *user), void *user)
{
    double seconds;
    Q35_TRY(pass(g, false, &seconds));
    while (seconds > 0 && !(stop && stop(user))) {
        sleep_for(seconds < SLICE_S ? seconds : SLICE_S);
        Q35_TRY(pass(g, true, &seconds));
    }
    return Q35_OK;
}

void q35_governor_report(const q35_governor *g, q35_power_report *out)
{
    const q35i_budget *b = &g->budget;
    *out = (q35_power_report){.source = g->source.name,
                              .watts = b->watts,
                              .joules = b->joules,
                              .seconds = b->seconds,
                              .slept_seconds = b->slept,
                              .idle_watts = q35i_budget_idle_watts(b),
                              .held = q35i_budget_held(b)};
}
