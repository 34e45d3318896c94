/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a plan's time goes. Every worker keeps its own counts, so that counting makes no traffic between them. */
#include "plugins/cpu/cpu.h"

struct q35i_cpu_profile_counts {
    uint64_t runs, run_ns, barriers;
    uint64_t stride;  /* counts of a worker: waiting, then its steps, in whole cache lines */
    uint64_t *counts; /* [n_workers][stride], ns */
};

void q35i_cpu_profile_free(q35_plan *plan)
{
    if (!plan->profile)
        return;
    q35p_free(plan->profile->counts);
    q35p_free(plan->profile);
    plan->profile = NULL;
}

q35_status q35i_cpu_profile(q35_plan *plan, uint32_t on)
{
    enum { PER_LINE = Q35I_CPU_LINE / sizeof(uint64_t) };
    q35i_cpu_profile_free(plan);
    if (!on)
        return Q35_OK;
    uint64_t stride = (plan->n_steps + 1 + PER_LINE - 1) / PER_LINE * PER_LINE;
    uint64_t bytes = stride * plan->dev->n_workers * sizeof(uint64_t);
    q35i_cpu_profile_counts *p = q35p_alloc(1, sizeof *p);
    if (!p)
        return q35p_fail(Q35_E_NOMEM, "cpu profile: out of memory for %zu bytes", sizeof *p);
    p->stride = stride;
    plan->profile = p;
    p->counts = q35p_alloc(1, bytes);
    if (!p->counts) {
        q35i_cpu_profile_free(plan);
        return q35p_fail(Q35_E_NOMEM, "cpu profile: out of memory for %llu bytes", (unsigned long long)bytes);
    }
    return Q35_OK;
}

void q35i_cpu_profiled_worker(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    const q35_plan *plan = (const q35_plan *)arg;
    uint64_t *counts = plan->profile->counts + worker * plan->profile->stride;
    uint64_t now = q35p_host->now_ns(), before;
    for (uint32_t i = 0; i < plan->n_steps; i++) {
        if (plan->steps[i].barrier && n_workers > 1) {
            q35p_host->barrier(team);
            before = now;
            now = q35p_host->now_ns();
            counts[0] += now - before;
        }
        q35i_cpu_run_step(plan, &plan->steps[i], worker, n_workers, team);
        before = now;
        now = q35p_host->now_ns();
        counts[1 + i] += now - before;
    }
}

void q35i_cpu_profile_run(q35_plan *plan, uint64_t begin_ns)
{
    q35i_cpu_profile_counts *p = plan->profile;
    p->runs++;
    p->run_ns += q35p_host->now_ns() - begin_ns;
    for (uint32_t i = 0; i < plan->n_steps && plan->dev->n_workers > 1; i++)
        p->barriers += plan->steps[i].barrier;
}

static uint64_t mean(const q35_plan *plan, uint64_t at)
{
    uint64_t sum = 0;
    for (uint32_t w = 0; w < plan->dev->n_workers; w++)
        sum += plan->profile->counts[w * plan->profile->stride + at];
    return sum / plan->dev->n_workers;
}

q35_status q35i_cpu_profile_read(q35_plan *plan, q35_profile *out)
{
    if (!plan->profile)
        return q35p_fail(Q35_E_INVALID, "cpu profile: it is off, need it on");
    if (!Q35_HAS_FIELD(out, q35_profile, barrier_ns) || out->n_nodes != plan->n_steps || !out->node_ns)
        return q35p_fail(Q35_E_INVALID, "cpu profile: room for %u nodes, need %u", out->n_nodes, plan->n_steps);
    out->runs = plan->profile->runs;
    out->run_ns = plan->profile->run_ns;
    out->barriers = plan->profile->barriers;
    out->barrier_ns = mean(plan, 0);
    for (uint32_t i = 0; i < plan->n_steps; i++)
        out->node_ns[i] = mean(plan, 1 + i);
    return Q35_OK;
}
