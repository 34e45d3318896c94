/* SPDX-License-Identifier: Apache-2.0
 *
 * The plan for programs: the same facts as plan_print.c, as one JSON object. */
#include "graph/plan.h"

#include "runtime/base/error.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char *device_name(const q35i_plan *plan, uint32_t d)
{
    return plan->devices->device[d]->name;
}

static const char *memory_name(const q35i_plan *plan, uint32_t m)
{
    return m ? device_name(plan, m - 1) : "host";
}

static json_t *devices(const q35i_plan *plan)
{
    json_t *list = json_array();
    for (uint32_t d = 0; d < plan->devices->n; d++)
        json_array_append_new(list, json_pack("{s:s,s:I,s:I,s:b}", "name", device_name(plan, d), "weight_bytes",
                                              (json_int_t)q35i_residence_weight_bytes(plan->res, d), "state_bytes",
                                              (json_int_t)q35i_residence_state_bytes(plan->res, d), "queue",
                                              plan->devices->device[d]->async));
    return list;
}

static json_t *arenas(const q35i_plan *plan)
{
    json_t *list = json_array();
    for (uint32_t m = 0; m <= plan->devices->n; m++)
        if (plan->schedule.arena_bytes[m])
            json_array_append_new(list, json_pack("{s:s,s:I,s:I}", "memory", memory_name(plan, m), "bytes",
                                                  (json_int_t)plan->schedule.arena_bytes[m], "least_bytes",
                                                  (json_int_t)plan->schedule.bound_bytes[m]));
    return list;
}

/* The plugin's words, unless they are no text. */
static json_t *reason_of(const q35i_answer *answer)
{
    json_t *reason = json_string(answer->reason);
    return reason ? reason : json_string("(the plugin's reason is not UTF-8)");
}

/* What each device answered about a node: its time, or why not. */
static json_t *answers(const q35i_plan *plan, uint32_t n)
{
    json_t *list = json_array();
    for (uint32_t d = 0; d < plan->devices->n; d++) {
        const q35i_answer *a = &plan->placement.answers[(size_t)n * plan->placement.n_devices + d];
        const char *name = device_name(plan, d);
        json_array_append_new(list, a->ok ? json_pack("{s:s,s:I}", "device", name, "ns", (json_int_t)a->ns)
                                          : json_pack("{s:s,s:o}", "device", name, "refused", reason_of(a)));
    }
    return list;
}

static json_t *run_step(const q35i_plan *plan, const q35i_step *step)
{
    json_t *nodes = json_array();
    for (uint32_t n = step->first; n < step->first + step->n_nodes; n++) {
        const q35i_node *node = &plan->graph.nodes[n];
        json_array_append_new(nodes, json_pack("{s:i,s:s,s:s,s:o}", "index", (int)n, "op", q35i_op_name(node->op),
                                               "name", node->name, "answers", answers(plan, n)));
    }
    return json_pack("{s:s,s:s,s:o}", "kind", "run", "device", device_name(plan, step->device), "nodes", nodes);
}

static json_t *copy_step(const q35i_plan *plan, const q35i_step *step)
{
    const q35i_tensor *t = &plan->graph.tensors[step->tensor];
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:I}", "kind", "copy", "device", device_name(plan, step->device),
                     "tensor", t->name, "from", memory_name(plan, step->from), "to", memory_name(plan, step->to),
                     "bytes", (json_int_t)q35i_desc_bytes(&t->desc));
}

q35_status q35i_plan_print_json(const q35i_plan *plan, q35i_write_fn *write, void *user)
{
    json_t *steps = json_array();
    for (uint32_t i = 0; i < plan->schedule.n_steps; i++) {
        const q35i_step *step = &plan->schedule.steps[i];
        json_array_append_new(steps, step->kind == Q35I_STEP_RUN ? run_step(plan, step) : copy_step(plan, step));
    }
    json_t *root = json_pack("{s:i,s:s,s:o,s:o,s:o}", "nodes", (int)plan->graph.n_nodes, "placed_by",
                             plan->devices->by_preference ? "preference" : "cost", "devices", devices(plan),
                             "arenas", arenas(plan), "steps", steps);
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    if (!text)
        return Q35_FAIL(Q35_E_NOMEM, "plan: out of memory for its JSON text");
    write(user, text, strlen(text));
    write(user, "\n", 1);
    free(text);
    return Q35_OK;
}
