/* SPDX-License-Identifier: Apache-2.0
 *
 * async1: plans. Plain loops over f32 rows, one thread, double sums; enough ops to take most of a small f32 model.
 * All tensors, the step too, must be bound to buffers. */
#define _GNU_SOURCE
#include "async.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_IN = 3, MAX_OUT = 2 };

typedef struct job {
    uint32_t op, in[MAX_IN], out[MAX_OUT];
    float eps;
} job;

struct q35_plan {
    const q35_device *dev;
    uint32_t n_tensors, n_jobs, step;
    q35_tensor_desc *tensors;
    uint8_t **at; /* [n_tensors] first bytes, of the bindings */
    job *jobs;
};

/* ---- support */

typedef struct op_shape {
    uint32_t op, n_in, n_out;
} op_shape;

static const op_shape shapes[] = {{Q35_OP_RMS_NORM, 2, 1}, {Q35_OP_ADD_RMS_NORM, 3, 2}, {Q35_OP_SWIGLU, 2, 1},
                                  {Q35_OP_ADD, 2, 1},      {Q35_OP_MUL, 2, 1},          {Q35_OP_SILU, 1, 1},
                                  {Q35_OP_LINEAR, 2, 1},   {Q35_OP_GET_ROWS, 2, 1}};

static int is_plain(const q35_tensor_desc *t, uint32_t dtype)
{
    return t->dtype == dtype && t->layout == 0 && t->stride[0] == 4 && t->dim[2] == 1 && t->dim[3] == 1;
}

static int is_norm(uint32_t op)
{
    return op == Q35_OP_RMS_NORM || op == Q35_OP_ADD_RMS_NORM;
}

/* What a newer host added to parameters would change the result, unless it is all zero. */
static int are_norm_params(const q35_hdr *p)
{
    if (!p || p->type != Q35_STRUCT_NORM_PARAMS || p->size < sizeof(q35_norm_params))
        return 0;
    for (uint32_t i = sizeof(q35_norm_params); i < p->size; i++)
        if (((const unsigned char *)p)[i] != 0)
            return 0;
    return 1;
}

static int same_rows(const q35_tensor_desc *a, const q35_tensor_desc *b)
{
    return a->dim[0] == b->dim[0] && a->dim[1] == b->dim[1] && a->flags == b->flags;
}

/* Of a node whose operands are as many as they should be. */
static int shapes_fit(const q35_tensor_desc *t, const q35_node *n)
{
    const q35_tensor_desc *x = &t[n->in[0]], *y = &t[n->out[0]], *b = n->n_in > 1 ? &t[n->in[1]] : x;
    switch (n->op) {
    case Q35_OP_GET_ROWS:
        return x->rank == 1 && b->dim[0] == y->dim[0] && x->dim[0] == y->dim[1] && x->flags == y->flags;
    case Q35_OP_LINEAR:
        return x->dim[0] == b->dim[0] && b->dim[1] == y->dim[0] && x->dim[1] == y->dim[1] && x->flags == y->flags;
    case Q35_OP_RMS_NORM: return b->dim[0] == x->dim[0] && b->dim[1] == 1 && same_rows(x, y);
    case Q35_OP_ADD_RMS_NORM:
        return same_rows(x, b) && same_rows(x, y) && same_rows(x, &t[n->out[1]]) &&
               t[n->in[2]].dim[0] == x->dim[0] && t[n->in[2]].dim[1] == 1;
    default: return same_rows(x, b) && same_rows(x, y);
    }
}

static const char *why_not(const q35_device *dev, const q35_region *region, const q35_node *node)
{
    const q35_tensor_desc *t = region->tensors;
    const op_shape *shape = NULL;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (shapes[i].op == node->op)
            shape = &shapes[i];
    if (async_is_top_k(node->op) && !dev->only_linears)
        return async_top_k_refusal(t, node);
    if (!shape || (node->op == Q35_OP_LINEAR ? dev->no_linears : dev->only_linears))
        return "not one of the device's ops";
    if (node->n_in != shape->n_in || node->n_out != shape->n_out)
        return "other number of inputs or outputs";
    for (uint32_t i = 0; i < node->n_in; i++)
        if (!is_plain(&t[node->in[i]], i == 0 && node->op == Q35_OP_GET_ROWS ? Q35_DT_I32 : Q35_DT_F32))
            return "need f32 inputs in the canonical layout (i32 ids)";
    for (uint32_t i = 0; i < node->n_out; i++)
        if (!is_plain(&t[node->out[i]], Q35_DT_F32))
            return "need f32 outputs in the canonical layout";
    if (is_norm(node->op) && !are_norm_params(node->params))
        return "need norm parameters without newer, non-zero fields";
    if (!shapes_fit(t, node))
        return "need matching shapes";
    return NULL;
}

q35_status async_op_support(q35_device *dev, const q35_region *region, q35_support *out)
{
    q35_support s = {.h.size = sizeof s, .ok = 1, .determinism = Q35_DET_BITWISE};
    for (uint32_t i = 0; i < region->n_nodes && s.ok; i++) {
        const char *reason = why_not(dev, region, region->nodes[i]);
        if (reason) {
            snprintf(s.reason, sizeof s.reason, "op %u: %s", region->nodes[i]->op, reason);
            s.ok = 0;
        }
    }
    async_answer(&out->h, &s.h);
    return Q35_OK;
}

/* ---- compile, bind */

void async_plan_free(q35_plan *plan)
{
    free(plan->tensors);
    free(plan->at);
    free(plan->jobs);
    free(plan);
}

q35_status async_plan_compile(q35_device *dev, const q35_region *region, q35_plan **out)
{
    q35_support support = {.h = {sizeof support, Q35_STRUCT_SUPPORT, NULL}};
    async_op_support(dev, region, &support);
    if (!support.ok)
        return async_host->fail(Q35_E_UNSUPPORTED, support.reason);
    q35_plan *plan = calloc(1, sizeof *plan);
    if (!plan)
        return async_fail(Q35_E_NOMEM, "async1: out of memory for a plan");
    plan->dev = dev;
    plan->n_tensors = region->n_tensors;
    plan->n_jobs = region->n_nodes;
    plan->step = region->step;
    plan->tensors = calloc(region->n_tensors + 1u, sizeof *plan->tensors);
    plan->at = calloc(region->n_tensors + 1u, sizeof *plan->at);
    plan->jobs = calloc(region->n_nodes + 1u, sizeof *plan->jobs);
    if (!plan->tensors || !plan->at || !plan->jobs) {
        async_plan_free(plan);
        return async_fail(Q35_E_NOMEM, "async1: out of memory for a plan of %u tensors", region->n_tensors);
    }
    memcpy(plan->tensors, region->tensors, region->n_tensors * sizeof *plan->tensors);
    for (uint32_t i = 0; i < region->n_nodes; i++) {
        const q35_node *node = region->nodes[i];
        job *j = &plan->jobs[i];
        j->op = node->op;
        memcpy(j->in, node->in, node->n_in * sizeof *j->in);
        memcpy(j->out, node->out, node->n_out * sizeof *j->out);
        if (is_norm(node->op))
            j->eps = ((const q35_norm_params *)(const void *)node->params)->eps;
    }
    *out = plan;
    return Q35_OK;
}

q35_status async_plan_bind(q35_plan *plan, const q35_binding *bindings)
{
    for (uint32_t i = 0; i < plan->n_tensors; i++) {
        plan->at[i] = async_buf_at(&bindings[i], bindings[i].bytes);
        if (plan->at[i] && bindings[i].buf->dev != plan->dev)
            return async_fail(Q35_E_INVALID, "async1: tensor %u is bound to a buffer of another device", i);
        if (!plan->at[i])
            return async_fail(Q35_E_INVALID, "async1: tensor %u is bound to %s, need a buffer of the device", i,
                              bindings[i].host ? "a host address" : "bytes outside its buffer");
    }
    return Q35_OK;
}

/* ---- run, on a queue's thread */

static float *row_at(const q35_plan *plan, uint32_t tensor, int64_t row)
{
    return (float *)(void *)(plan->at[tensor] + row * plan->tensors[tensor].stride[1]);
}

static int64_t valid_rows(const q35_plan *plan, uint32_t tensor)
{
    const q35_tensor_desc *t = &plan->tensors[tensor];
    if (!(t->flags & (Q35_TF_TOKEN_ROWS | Q35_TF_OUT_ROWS)) || plan->step >= plan->n_tensors)
        return t->dim[1];
    q35_step step;
    memcpy(&step, plan->at[plan->step], sizeof step);
    int64_t n = t->flags & Q35_TF_OUT_ROWS ? step.n_out : step.n_tokens;
    return n < 0 ? 0 : n < t->dim[1] ? n : t->dim[1];
}

static void norm_row(const float *x, const float *w, float *y, int64_t n, float eps)
{
    double sum = 0.0;
    for (int64_t k = 0; k < n; k++)
        sum += (double)x[k] * (double)x[k];
    double scale = 1.0 / sqrt(sum / (double)n + (double)eps);
    for (int64_t k = 0; k < n; k++)
        y[k] = (float)((double)x[k] * scale) * w[k];
}

static void linear_row(const q35_plan *plan, const job *j, const float *x, float *y)
{
    const q35_tensor_desc *w = &plan->tensors[j->in[1]];
    for (int64_t n = 0; n < w->dim[1]; n++) {
        const float *row = row_at(plan, j->in[1], n);
        double sum = 0.0;
        for (int64_t k = 0; k < w->dim[0]; k++)
            sum += (double)row[k] * (double)x[k];
        y[n] = (float)sum;
    }
}

static float silu(float x)
{
    return x / (1.0f + expf(-x));
}

static void run_row(const q35_plan *plan, const job *j, int64_t t)
{
    const int64_t n = plan->tensors[j->out[0]].dim[0];
    const int top_k = async_is_top_k(j->op);
    const int sole_row = j->op == Q35_OP_RMS_NORM || j->op == Q35_OP_LINEAR || j->op == Q35_OP_SILU || top_k;
    const float *a = row_at(plan, j->in[0], t), *b = sole_row ? a : row_at(plan, j->in[1], t);
    float *y = row_at(plan, j->out[0], t);
    if (top_k) {
        async_top_k_row(a, plan->tensors[j->in[0]].dim[0], y, (int32_t *)(void *)row_at(plan, j->out[1], t), n);
        return;
    }
    switch (j->op) {
    case Q35_OP_RMS_NORM: norm_row(a, row_at(plan, j->in[1], 0), y, n, j->eps); break;
    case Q35_OP_ADD_RMS_NORM:
        for (int64_t k = 0; k < n; k++)
            y[k] = a[k] + b[k];
        norm_row(y, row_at(plan, j->in[2], 0), row_at(plan, j->out[1], t), n, j->eps);
        break;
    case Q35_OP_LINEAR: linear_row(plan, j, a, y); break;
    default:
        for (int64_t k = 0; k < n; k++)
            y[k] = j->op == Q35_OP_ADD      ? a[k] + b[k]
                   : j->op == Q35_OP_MUL    ? a[k] * b[k]
                   : j->op == Q35_OP_SWIGLU ? silu(a[k]) * b[k]
                                            : silu(a[k]);
    }
}

static q35_status get_row(const q35_plan *plan, const job *j, int64_t t, char *text)
{
    const q35_tensor_desc *table = &plan->tensors[j->in[1]], *ids = &plan->tensors[j->in[0]];
    int32_t id;
    memcpy(&id, plan->at[j->in[0]] + t * ids->stride[0], sizeof id);
    if (id < 0 || id >= table->dim[1]) {
        snprintf(text, ASYNC_TEXT, "async1: token id %d, need less than %lld", (int)id, (long long)table->dim[1]);
        return Q35_E_RANGE;
    }
    memcpy(row_at(plan, j->out[0], t), row_at(plan, j->in[1], id), (size_t)table->dim[0] * sizeof(float));
    return Q35_OK;
}

q35_status async_plan_execute(q35_plan *plan, char *text)
{
    for (uint32_t i = 0; i < plan->n_jobs; i++) {
        const job *j = &plan->jobs[i];
        const int64_t n_rows = valid_rows(plan, j->out[0]);
        for (int64_t t = 0; t < n_rows; t++) {
            q35_status status = Q35_OK;
            if (j->op == Q35_OP_GET_ROWS)
                status = get_row(plan, j, t, text);
            else
                run_row(plan, j, t);
            if (status != Q35_OK)
                return status;
        }
    }
    return Q35_OK;
}

/* 2 pJ for a multiplication of a linear, 1 pJ for every other element. */
uint64_t async_plan_picojoules(const q35_plan *plan)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < plan->n_jobs; i++) {
        const job *j = &plan->jobs[i];
        const q35_tensor_desc *y = &plan->tensors[j->out[0]];
        uint64_t elements = (uint64_t)(y->dim[0] * y->dim[1]);
        sum += j->op == Q35_OP_LINEAR ? 2 * elements * (uint64_t)plan->tensors[j->in[1]].dim[0] : elements;
    }
    return sum;
}
