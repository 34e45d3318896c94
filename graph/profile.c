/* SPDX-License-Identifier: Apache-2.0
 *
 * The measuring extension of the devices, seen from a plan: regions become nodes again. */
#include "graph/profile.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/device/measure.h"

/* Slots of the step's device when it counts; NULL: it does not. */
static const q35_measure *measure_of(const q35i_plan *plan, const q35i_step *step)
{
    if (step->kind != Q35I_STEP_RUN)
        return NULL;
    const q35_measure *m = q35i_device_measure(plan->devices->device[step->device]->api);
    return m && Q35_HAS_SLOT(m, q35_measure, profile) && Q35_HAS_SLOT(m, q35_measure, profile_read) ? m : NULL;
}

q35_status q35i_plan_profile(q35i_plan *plan, int on, uint32_t *out_n)
{
    *out_n = 0;
    for (uint32_t i = 0; i < plan->schedule.n_steps; i++) {
        const q35i_step *step = &plan->schedule.steps[i];
        const q35_measure *m = measure_of(plan, step);
        if (!m)
            continue;
        q35_status status = m->profile(step->compiled, on != 0);
        if (status != Q35_OK)
            return q35i_fail_context(status, "device %s", plan->devices->device[step->device]->name);
        (*out_n)++;
    }
    return Q35_OK;
}

static void describe(const q35i_plan *plan, const q35i_step *step, uint32_t n, q35_profile_node *out)
{
    const q35i_node *node = &plan->graph.nodes[n];
    *out = (q35_profile_node){.name = node->name,
                              .op = q35i_op_name(node->op),
                              .device = plan->devices->device[step->device]->name,
                              .of_outputs = (plan->graph.tensors[node->in[0]].desc.flags & Q35_TF_OUT_ROWS) != 0};
    if (node->op != Q35_OP_LINEAR)
        return;
    const q35i_tensor *w = &plan->graph.tensors[node->in[1]];
    out->weights = (uint64_t)w->desc.dim[0] * (uint64_t)w->desc.dim[1];
    out->weight_bytes = q35i_desc_bytes(&w->desc);
}

static q35_status read_region(const q35i_plan *plan, const q35i_step *step, const q35_measure *m,
                              void (*each)(void *user, const q35_profile_node *node), void *user,
                              q35_profile_sum *sum)
{
    q35_profile p = {.h = {sizeof p, Q35_STRUCT_PROFILE, NULL}, .n_nodes = step->n_nodes};
    p.node_ns = q35i_calloc(step->n_nodes, sizeof *p.node_ns);
    if (!p.node_ns)
        return Q35_E_NOMEM;
    q35_status status = m->profile_read(step->compiled, &p);
    for (uint32_t n = 0; n < step->n_nodes && status == Q35_OK; n++) {
        q35_profile_node node;
        describe(plan, step, step->first + n, &node);
        node.runs = p.runs;
        node.ns = p.node_ns[n];
        sum->node_ns += p.node_ns[n];
        each(user, &node);
    }
    sum->run_ns += p.run_ns;
    sum->barriers += p.barriers;
    sum->barrier_ns += p.barrier_ns;
    q35i_free(p.node_ns);
    return status == Q35_OK ? Q35_OK
                            : q35i_fail_context(status, "device %s", plan->devices->device[step->device]->name);
}

q35_status q35i_plan_profile_read(const q35i_plan *plan, void (*each)(void *user, const q35_profile_node *node),
                                  void *user, q35_profile_sum *sum)
{
    for (uint32_t i = 0; i < plan->schedule.n_steps; i++) {
        const q35i_step *step = &plan->schedule.steps[i];
        const q35_measure *m = measure_of(plan, step);
        if (m)
            Q35_TRY(read_region(plan, step, m, each, user, sum));
    }
    return Q35_OK;
}
