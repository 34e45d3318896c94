/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the time of a plan goes: its kernels in a queue of their own that notes when each began and ended. A run
 * waits for what came before it and for itself, so it takes longer than one that is not counted; kernels do not.
 */
#include "plugins/opencl/opencl.h"

struct q35i_cl_profile {
    cl_command_queue queue;
    cl_event *events;  /* [n_launches] of the run under way */
    uint64_t *node_ns; /* [n_nodes] */
    uint64_t runs, run_ns;
};

void q35i_cl_profile_free(q35_plan *plan)
{
    q35i_cl_profile *p = plan->profile;
    if (!p)
        return;
    if (p->queue)
        (void)q35i_cl.ReleaseCommandQueue(p->queue);
    q35p_free(p->events);
    q35p_free(p->node_ns);
    q35p_free(p);
    plan->profile = NULL;
}

q35_status q35i_cl_profile_switch(q35_plan *plan, uint32_t on)
{
    cl_int error = CL_SUCCESS;
    char name[48];
    q35i_cl_profile_free(plan);
    if (!on)
        return Q35_OK;
    q35i_cl_profile *p = plan->profile = q35p_alloc(1, sizeof *p);
    if (p) {
        p->events = q35p_alloc(plan->n_launches, sizeof(cl_event));
        p->node_ns = q35p_alloc(plan->n_nodes, sizeof *p->node_ns);
    }
    if (!p || !p->events || !p->node_ns) {
        q35i_cl_profile_free(plan);
        return q35p_fail(Q35_E_NOMEM, "opencl profile: out of memory for %u kernels", plan->n_launches);
    }
    p->queue =
        q35i_cl.CreateCommandQueue(plan->dev->context, plan->dev->found->id, CL_QUEUE_PROFILING_ENABLE, &error);
    if (error == CL_SUCCESS)
        return Q35_OK;
    p->queue = NULL;
    q35i_cl_profile_free(plan);
    return q35p_fail(Q35_E_DEVICE, "opencl profile: no queue that notes times: %s", q35i_cl_error(error, name));
}

/* Of a finished kernel; 0 when the driver does not know. */
static uint64_t duration(cl_event event)
{
    cl_ulong begin = 0, end = 0;
    if (q35i_cl.GetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof begin, &begin, NULL) !=
            CL_SUCCESS ||
        q35i_cl.GetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL) != CL_SUCCESS)
        return 0;
    return end > begin ? end - begin : 0;
}

cl_int q35i_cl_profile_run(q35_plan *plan, cl_command_queue before)
{
    q35i_cl_profile *p = plan->profile;
    const uint64_t begin = q35p_host->now_ns();
    uint32_t n = 0;
    cl_int error = q35i_cl.Finish(before);
    for (; n < plan->n_launches && error == CL_SUCCESS; n += error == CL_SUCCESS)
        error = q35i_cl_launch_one(plan, n, p->queue, &p->events[n]);
    const cl_int finished = q35i_cl.Finish(p->queue);
    error = error == CL_SUCCESS ? finished : error;
    for (uint32_t i = 0; i < n; i++) {
        if (error == CL_SUCCESS)
            p->node_ns[plan->launches[i].node] += duration(p->events[i]);
        (void)q35i_cl.ReleaseEvent(p->events[i]);
    }
    if (error == CL_SUCCESS) {
        p->runs++;
        p->run_ns += q35p_host->now_ns() - begin;
    }
    return error;
}

q35_status q35i_cl_profile_read(q35_plan *plan, q35_profile *out)
{
    const q35i_cl_profile *p = plan->profile;
    if (!p)
        return q35p_fail(Q35_E_INVALID, "opencl profile: it is off, need it on");
    if (!out->node_ns || out->n_nodes != plan->n_nodes)
        return q35p_fail(Q35_E_INVALID, "opencl profile: room for %u nodes, need %u",
                         out->node_ns ? out->n_nodes : 0, plan->n_nodes);
    for (uint32_t i = 0; i < plan->n_nodes; i++)
        out->node_ns[i] = p->node_ns[i];
    const q35_profile answer = {.h = {sizeof answer, Q35_STRUCT_PROFILE, NULL},
                                .n_nodes = out->n_nodes,
                                .node_ns = out->node_ns,
                                .runs = p->runs,
                                .run_ns = p->run_ns};
    q35p_answer(&out->h, &answer.h);
    return Q35_OK;
}
