/* SPDX-License-Identifier: Apache-2.0
 *
 * A plan with weights and KV cache of its own, and names for what goes in and comes out. Its one sequence has the
 * pages of the cache in order. */
#include "runtime/session/stretch.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"

#include <string.h>

struct q35i_stretch {
    q35i_device *device[1];
    q35i_residence *res;
    q35i_plan *plan;
    uint32_t input, output;
};

/* The last node's result, as an output of the graph. */
static uint32_t last_output(const q35i_graph *g)
{
    for (uint32_t n = g->n_nodes; n-- > 0;)
        for (uint32_t i = 0; i < g->nodes[n].n_out; i++)
            if (g->tensors[g->nodes[n].out[i]].role == Q35_ROLE_OUTPUT)
                return g->nodes[n].out[i];
    return Q35_NONE;
}

static q35_status build(q35i_stretch *s, const q35_model *model, const q35_model_config *config,
                        const q35i_build_options *options, q35_pool *pool)
{
    q35i_graph graph;
    const q35i_devices devices = {.device = s->device, .n = 1, .by_preference = 1};
    Q35_TRY(q35i_residence_create(model, &devices, pool, &s->res));
    Q35_TRY(q35i_build_graph(model, config, options, &graph));
    s->input = options->part && options->part->hidden_in ? q35i_graph_find(&graph, "hidden") : graph.ids;
    s->output = last_output(&graph);
    return q35i_plan_create(s->res, &graph, &s->plan);
}

q35_status q35i_stretch_create(const q35_model *model, const q35_model_config *config,
                               const q35i_build_options *options, q35i_device *device, q35_pool *pool,
                               q35i_stretch **out)
{
    q35i_stretch *s = *out = q35i_calloc(1, sizeof *s);
    if (!s)
        return Q35_E_NOMEM;
    s->device[0] = device;
    q35_status status = build(s, model, config, options, pool);
    if (status != Q35_OK) {
        q35i_stretch_destroy(s);
        *out = NULL;
    }
    return status;
}

void q35i_stretch_destroy(q35i_stretch *s)
{
    if (!s)
        return;
    q35i_residence_stop(s->res);
    q35i_plan_destroy(s->plan);
    q35i_residence_destroy(s->res);
    q35i_free(s);
}

q35_status q35i_stretch_run(q35i_stretch *s, uint32_t n_tokens, uint32_t pos)
{
    const q35_step step = {.n_tokens = (int32_t)n_tokens, .n_out = (int32_t)n_tokens, .n_sequences = n_tokens > 0};
    const q35i_step_inputs in = q35i_plan_inputs(s->plan);
    for (uint32_t t = 0; t < n_tokens; t++) {
        if (in.positions)
            in.positions[t] = (int32_t)(pos + t);
        if (in.slots)
            in.slots[t] = (int32_t)(pos + t);
        if (in.sequence)
            in.sequence[t] = 0;
        if (in.out_rows)
            in.out_rows[t] = (int32_t)t;
    }
    for (uint32_t p = 0; p < in.max_pages; p++)
        in.pages[p] = (int32_t)p;
    return q35i_plan_run(s->plan, &step);
}

void *q35i_stretch_input(const q35i_stretch *s)
{
    return q35i_plan_host(s->plan, s->input);
}

const float *q35i_stretch_output(const q35i_stretch *s)
{
    return q35i_plan_host(s->plan, s->output);
}

/* The tensor that was rotated or quantised into t, or t itself. */
static uint32_t origin(const q35i_graph *g, uint32_t t)
{
    while (g->tensors[t].producer != Q35_NONE) {
        const q35i_node *node = &g->nodes[g->tensors[t].producer];
        if (node->op != Q35_OP_QUANTIZE_ACT && node->op != Q35_OP_ROTATE)
            break;
        t = node->in[0];
    }
    return t;
}

void q35i_stretch_linears(const q35i_stretch *s, void (*each)(void *user, const char *weight, const char *input),
                          void *user)
{
    const q35i_graph *g = q35i_plan_graph(s->plan);
    for (uint32_t n = 0; n < g->n_nodes; n++) {
        uint32_t from = g->nodes[n].op == Q35_OP_LINEAR ? origin(g, g->nodes[n].in[0]) : Q35_NONE;
        if (from != Q35_NONE && g->tensors[from].role == Q35_ROLE_OUTPUT)
            each(user, g->tensors[g->nodes[n].in[1]].name, g->tensors[from].name);
    }
}

uint64_t q35i_stretch_arena_bytes(const q35i_stretch *s)
{
    return s->plan->arena[0].bytes;
}

uint64_t q35i_stretch_state_bytes(const q35i_stretch *s)
{
    return q35i_residence_state_bytes(s->res, 0);
}

const float *q35i_stretch_find(const q35i_stretch *s, const char *name, uint64_t *out_k)
{
    const q35i_graph *g = q35i_plan_graph(s->plan);
    uint32_t t = q35i_graph_find(g, name);
    if (t == Q35_NONE || g->tensors[t].role != Q35_ROLE_OUTPUT)
        return NULL;
    *out_k = (uint64_t)g->tensors[t].desc.dim[0];
    return q35i_plan_host(s->plan, t);
}
