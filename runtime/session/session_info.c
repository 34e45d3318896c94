/* SPDX-License-Identifier: Apache-2.0
 *
 * What a session can tell of itself: traffic per token, observed input statistics, text of graph and plan. */
#include "runtime/session/session.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"

#include <q35rt/blocks.h>
#include <stdio.h>
#include <string.h>

uint64_t q35_session_kv_bytes(const q35_model_config *c, uint32_t kv_dtype)
{
    return 2 * (uint64_t)c->n_layers * c->n_kv_heads * q35_row_bytes(kv_dtype, c->head_dim);
}

void q35_session_bytes_per_token(const q35_session *s, uint64_t *out_weights, uint64_t *out_kv)
{
    const q35_model_config *c = &s->config;
    const q35_tensor_info *embedding = q35_model_tensor(s->model, "token_embd.weight");
    *out_weights = q35i_plan_linear_bytes(s->plans[0]) + q35_row_bytes(embedding->dtype, c->hidden);
    *out_kv = q35_session_kv_bytes(c, s->options.kv_dtype) * q35_session_pos(s);
}

int q35_session_pack_cache_hit(const q35_session *s)
{
    return q35i_residence_from_cache(s->res);
}

const float *q35_session_layer(const q35_session *s, uint32_t layer)
{
    char name[64];
    if (!s->options.layer_outputs || !s->last)
        return NULL;
    snprintf(name, sizeof name, "blk.%u.ffn_residual", layer);
    uint32_t t = q35i_graph_find(q35i_plan_graph(s->last), name);
    return t == Q35_NONE ? NULL : q35i_plan_host(s->last, t);
}

/* State that accumulates the input of linear `weight`: the linear's input, through its quantisation if there is
 * one. */
static const char *observed_state(const q35i_graph *graph, const char *weight)
{
    uint32_t x = Q35_NONE;
    for (uint32_t n = 0; n < graph->n_nodes && x == Q35_NONE; n++) {
        const q35i_node *node = &graph->nodes[n];
        if (node->op == Q35_OP_LINEAR && strcmp(graph->tensors[node->in[1]].name, weight) == 0)
            x = node->in[0];
    }
    if (x == Q35_NONE)
        return NULL;
    uint32_t producer = graph->tensors[x].producer;
    if (producer != Q35_NONE && graph->nodes[producer].op == Q35_OP_QUANTIZE_ACT)
        x = graph->nodes[producer].in[0];
    for (uint32_t n = 0; n < graph->n_nodes; n++)
        if (graph->nodes[n].op == Q35_OP_SUM_SQUARES && graph->nodes[n].in[0] == x)
            return graph->tensors[graph->nodes[n].in[1]].name;
    return NULL;
}

const double *q35_session_observed(q35_session *s, const char *weight, uint32_t *out_k)
{
    const q35_tensor_info *info = q35_model_tensor(s->model, weight);
    const char *state = observed_state(q35i_plan_graph(s->plans[0]), weight);
    *out_k = 0;
    if (!info || !state || s->n_observed == 0)
        return NULL;
    uint32_t k = (uint32_t)info->dim[0];
    if (k > s->observed_cap) {
        float *sums = q35i_realloc(s->observed_sums, k, sizeof *sums);
        if (!sums)
            return NULL;
        s->observed_sums = sums;
        double *means = q35i_realloc(s->observed, k, sizeof *means);
        if (!means)
            return NULL;
        s->observed = means;
        s->observed_cap = k;
    }
    if (q35i_residence_read_state(s->res, state, s->observed_sums, (uint64_t)k * sizeof *s->observed_sums) !=
        Q35_OK)
        return NULL;
    for (uint32_t i = 0; i < k; i++)
        s->observed[i] = (double)s->observed_sums[i] / (double)s->n_observed;
    *out_k = k;
    return s->observed;
}

q35_status q35_session_dump(q35_session *s, uint32_t what, uint32_t n_tokens,
                            void (*write)(void *user, const char *text, uint64_t len), void *user)
{
    q35i_plan *plan;
    if (n_tokens == 0 || n_tokens > s->options.max_chunk)
        return Q35_FAIL(Q35_E_INVALID, "dump: step of %u tokens, need 1 to %u", n_tokens, s->options.max_chunk);
    Q35_TRY(q35i_session_plan(s, n_tokens, &plan));
    switch (what) {
    case Q35_DUMP_GRAPH: q35i_graph_print(q35i_plan_graph(plan), write, user); return Q35_OK;
    case Q35_DUMP_PLAN: q35i_plan_print(plan, write, user); return Q35_OK;
    case Q35_DUMP_PLAN_JSON: return q35i_plan_print_json(plan, write, user);
    default: return Q35_FAIL(Q35_E_INVALID, "dump: %u, need a Q35_DUMP_ value", what);
    }
}
