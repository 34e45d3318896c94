/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the time of a plan goes: its kernels launched one by one, with an event of the driver after each. Runs
 * take longer than as a graph, kernels do not. */
#include "plan.h"

struct q35i_cuda_profile {
    bool under_way;    /* a run that is being counted */
    uint32_t n_events; /* n_launches + 1 */
    uint64_t runs, run_ns;
    uint64_t *node_ns;
    q35i_cu_event *events; /* the first before the first launch, then one after each */
};

static q35i_cu_result make_events(q35_plan *plan)
{
    q35i_cuda_profile *p = plan->profile;
    q35i_cu_result error = 0;
    for (uint32_t i = 0; i < p->n_events && error == 0; i++)
        error = plan->dev->drv->cuEventCreate(&p->events[i], 0);
    return error;
}

/* With the context current. */
void q35i_cuda_profile_free(q35_plan *plan)
{
    q35i_cuda_profile *p = plan->profile;
    if (!p)
        return;
    for (uint32_t i = 0; p->events && i < p->n_events; i++)
        if (p->events[i])
            (void)plan->dev->drv->cuEventDestroy_v2(p->events[i]);
    q35p_free(p->events);
    q35p_free(p->node_ns);
    q35p_free(p);
    plan->profile = NULL;
}

q35_status q35i_cuda_profile_switch(q35_plan *plan, uint32_t on)
{
    q35i_cu_result error = 0;
    (void)q35i_cuda_enter(plan->dev);
    q35i_cuda_profile_free(plan);
    q35i_cuda_profile *p = on && plan->bound ? q35p_alloc(1, sizeof *p) : NULL;
    plan->profile = p;
    if (p) {
        p->n_events = plan->n_launches + 1;
        p->node_ns = q35p_alloc(plan->n_nodes, sizeof *p->node_ns);
        p->events = q35p_alloc(p->n_events, sizeof(q35i_cu_event));
        error = p->node_ns && p->events ? make_events(plan) : (q35i_cu_result)Q35I_CU_OUT_OF_MEMORY;
        if (error != 0)
            q35i_cuda_profile_free(plan);
    }
    q35i_cuda_leave(plan->dev);
    if (error != 0)
        return q35i_cuda_driver_failed(plan->dev, Q35_E_NOMEM, error, "making events of a profile");
    if (on && !plan->bound)
        return q35p_fail(Q35_E_INVALID, "cuda profile: the plan is not bound, need plan_bind first");
    return on && !p ? q35p_fail(Q35_E_NOMEM, "cuda profile: out of host memory") : Q35_OK;
}

bool q35i_cuda_profile_start(q35_plan *plan, q35i_cu_stream stream, q35i_cu_result *error)
{
    q35i_cuda_profile *p = plan->profile;
    const q35i_cuda_driver *drv = plan->dev->drv;
    if (p->under_way || p->n_events != plan->n_launches + 1)
        return false;
    p->under_way = true;
    *error = drv->cuEventRecord(p->events[0], stream);
    for (uint32_t i = 0; i < plan->n_launches && *error == 0; i++) {
        *error = q35i_cuda_launch_one(plan, i, stream, false);
        if (*error == 0)
            *error = drv->cuEventRecord(p->events[i + 1], stream);
    }
    return true;
}

void q35i_cuda_profile_collect(q35_plan *plan)
{
    q35i_cuda_profile *p = plan->profile;
    if (!p->under_way)
        return;
    p->under_way = false;
    for (uint32_t i = 0; i < plan->n_launches; i++) {
        float ms = 0;
        if (plan->dev->drv->cuEventElapsedTime(&ms, p->events[i], p->events[i + 1]) != 0 || !(ms >= 0))
            return; /* the run failed: what it took means nothing */
        const uint64_t ns = (uint64_t)((double)ms * 1e6);
        const q35i_cuda_group *g = &plan->launches[i].group;
        for (uint32_t m = 0; m < g->n; m++)
            p->node_ns[g->node[m]] += ns / g->n + (m < ns % g->n);
        p->run_ns += ns;
    }
    p->runs++;
}

q35_status q35i_cuda_profile_read(q35_plan *plan, q35_profile *out)
{
    const q35i_cuda_profile *p = plan->profile;
    if (!p)
        return q35p_fail(Q35_E_INVALID, "cuda profile: runs are not being counted");
    for (uint32_t i = 0; out->node_ns && i < out->n_nodes; i++)
        out->node_ns[i] = i < plan->n_nodes ? p->node_ns[i] : 0;
    q35_profile answer = {.h = {sizeof answer, Q35_STRUCT_PROFILE, NULL},
                          .n_nodes = out->n_nodes,
                          .node_ns = out->node_ns,
                          .runs = p->runs,
                          .run_ns = p->run_ns};
    q35p_answer(&out->h, &answer.h);
    return Q35_OK;
}
