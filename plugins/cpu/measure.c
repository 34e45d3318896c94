/* SPDX-License-Identifier: Apache-2.0
 *
 * What the processor can do at best: the workers run the same loop of multiply-adds between barriers, over and
 * over; the best pass counts, since anything else on the machine only slows a pass down. */
#include "plugins/cpu/cpu.h"

#include "kernels-cpu/peak.h"

#include <stdio.h>

enum { SHORT_ROUNDS = 1 << 10, PASS_NS = 2000000 };

typedef struct pass {
    q35k_peak_fn *run;
    uint64_t rounds, budget_ns;
    uint64_t products; /* of one worker in a pass, written by worker 0 between barriers, as are the following */
    uint64_t best_ns;
    bool stop;
} pass;

static void meet(q35_team *team)
{
    if (team)
        q35p_host->barrier(team);
}

static void run_passes(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    pass *p = arg;
    const uint64_t start = q35p_host->now_ns();
    (void)n_workers;
    do {
        meet(team);
        uint64_t begin = q35p_host->now_ns(), products = p->run(p->rounds);
        meet(team);
        if (worker == 0) {
            uint64_t now = q35p_host->now_ns();
            p->products = products;
            p->best_ns = now - begin < p->best_ns ? now - begin : p->best_ns;
            p->stop = now - start >= p->budget_ns;
        }
        meet(team);
    } while (!p->stop);
}

/* Rounds that take about a pass, from the best of a few short ones: the first is slow while the clock settles. */
static uint64_t choose_rounds(q35k_peak_fn *run)
{
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 8; i++) {
        uint64_t begin = q35p_host->now_ns();
        run(SHORT_ROUNDS);
        uint64_t ns = q35p_host->now_ns() - begin;
        best = ns < best ? ns : best;
    }
    return SHORT_ROUNDS * (PASS_NS / (best + 1) + 1);
}

q35_status q35i_cpu_limit(q35_device *dev, uint32_t i, uint32_t ms, q35_limit *out)
{
    const q35k_peak *peak = q35k_peak_at(dev->kernels.features, i);
    if (!peak)
        return q35p_fail(Q35_E_RANGE, "cpu limit %u: there is none", i);
    pass p = {.run = peak->run,
              .rounds = choose_rounds(peak->run),
              .budget_ns = (uint64_t)ms * 1000000u,
              .best_ns = UINT64_MAX};
    if (dev->pool)
        q35p_host->parallel(dev->pool, run_passes, &p);
    else
        run_passes(&p, 0, 1, NULL);
    double seconds = (double)(p.best_ns > 0 ? p.best_ns : 1) / 1e9;
    q35_limit limit = {.h = {sizeof limit, Q35_STRUCT_LIMIT, NULL},
                       .kind = Q35_LIMIT_INT8,
                       .per_second = (uint64_t)((double)p.products * dev->n_workers / seconds)};
    snprintf(limit.name, sizeof limit.name, "%s", peak->name);
    q35p_answer(&out->h, &limit.h);
    return Q35_OK;
}
