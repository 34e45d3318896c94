/* SPDX-License-Identifier: Apache-2.0
 *
 * A device said that it can run a region, and then refused to compile it. Which of its nodes it meant is found by
 * compiling them one by one; what is refused is kept with the device, so that the next placement does without. */
#include "graph/replan.h"

#include "runtime/base/error.h"
#include "runtime/base/log.h"

#include <stdio.h>

/* Compiles the node alone; UNSUPPORTED, or OK also when it fails in another way. */
static q35_status try_alone(const q35i_plan *plan, const q35i_node *node, uint32_t d)
{
    const q35i_device *device = plan->devices->device[d];
    q35i_single single;
    q35_plan *compiled = NULL;
    q35i_single_region(&plan->graph, node, &single);
    for (uint32_t i = 0; i < node->n_in; i++) {
        const q35i_tensor *t = &plan->graph.tensors[node->in[i]];
        q35_binding unused;
        if (t->role == Q35_ROLE_WEIGHT || t->role == Q35_ROLE_STATE)
            (void)q35i_residence_find(plan->res, t, node->op, d, &single.tensors[single.in[i]], &unused);
    }
    q35_status status = device->api->plan_compile(device->dev, &single.region, &compiled);
    if (status == Q35_OK)
        device->api->plan_free(compiled);
    return status == Q35_E_UNSUPPORTED ? status : Q35_OK;
}

static q35_status refuse(const q35i_plan *plan, const q35i_node *node, uint32_t d, const char *text)
{
    q35i_device *device = plan->devices->device[d];
    char reason[128];
    snprintf(reason, sizeof reason, "said it could, but did not compile it: %.80s", text);
    q35i_log(Q35_LOG_WARN, "device %s: node %s (%s): %s; planned again without it", device->name, node->name,
             q35i_op_name(node->op), reason);
    return q35i_refuse(device, &plan->graph, node, reason);
}

q35_status q35i_replan(q35i_plan *plan, const q35i_step *step)
{
    char text[256];
    uint32_t n_refused = 0;
    const q35i_device *device = plan->devices->device[step->device];
    snprintf(text, sizeof text, "%s", q35_error_message());
    for (int whole = 0; whole < 2 && n_refused == 0; whole++)
        for (uint32_t n = step->first; n < step->first + step->n_nodes; n++) {
            const q35i_node *node = &plan->graph.nodes[n];
            if (q35i_refused(device, &plan->graph, node))
                continue;
            if (!whole && try_alone(plan, node, step->device) == Q35_OK)
                continue;
            Q35_TRY(refuse(plan, node, step->device, whole ? text : q35_error_message()));
            n_refused++;
        }
    return n_refused > 0 ? Q35_OK : Q35_FAIL(Q35_E_UNSUPPORTED, "%s", text);
}
