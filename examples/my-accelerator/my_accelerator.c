/* SPDX-License-Identifier: MIT-0
 *
 * A device plugin in a project of its own: a matrix engine that runs the linear layers of a model, with weights of
 * every type that has scales per block, and leaves the rest to other devices. It computes with the host's threads;
 * where a real engine would be started, see run_worker. Made from plugins/template, whose comments explain the
 * parts; PLUGINS.md is the manual. */
#include <q35rt/blocks.h>
#include <q35rt/plugin.h>

#include <stdio.h>
#include <string.h>

#define ID "my_accelerator"

Q35_PLUGIN_NOTE(ID, "0.1", /*isa*/ 0, Q35_NF_UNLOADABLE, /*rank*/ 0);

enum { MAX_BLOCK = 256 }; /* weights per block, of all types */

static const q35_host *host;

static q35_status no_memory(const char *what)
{
    char text[128];
    snprintf(text, sizeof text, ID ": out of memory for %s", what);
    return host->fail(Q35_E_NOMEM, text);
}

static q35_status wrong_index(const char *what, uint32_t found)
{
    char text[128];
    snprintf(text, sizeof text, ID ": %s %u, need 0", what, found);
    return host->fail(Q35_E_RANGE, text);
}

/* Fills an answer as far as the host's struct reaches, and leaves its header alone. */
static void answer(q35_hdr *out, const void *full, uint32_t bytes)
{
    const uint32_t n = out->size < bytes ? out->size : bytes;
    if (n > sizeof *out)
        memcpy((char *)out + sizeof *out, (const char *)full + sizeof *out, n - sizeof *out);
}

/* ---- description: no driver is started here */

static q35_status enumerate(uint32_t *out_n)
{
    *out_n = 1;
    return Q35_OK;
}

static q35_status device_info(uint32_t i, q35_device_info *out)
{
    if (i != 0)
        return wrong_index("device", i);
    const q35_device_info info = {.name = "matrix engine (example)",
                                  .uuid = ID "-0",
                                  .host_numa = -1,
                                  .device_class = Q35_CLASS_OTHER,
                                  .n_memories = 1};
    answer(&out->h, &info, sizeof info);
    return Q35_OK;
}

static q35_status memory_info(uint32_t i, uint32_t m, q35_memory_info *out)
{
    if (i != 0 || m != 0)
        return wrong_index(i ? "device" : "memory", i ? i : m);
    const q35_memory_info info = {.kind = Q35_MEM_HOST, .host_coherent = 1, .align = 64};
    answer(&out->h, &info, sizeof info);
    return Q35_OK;
}

struct q35_device {
    q35_pool *pool;
};

static q35_status device_open(uint32_t i, const q35_open_options *options, q35_device **out)
{
    if (i != 0)
        return wrong_index("device", i);
    if (Q35_HAS_FIELD(options, q35_open_options, n_options) && options->n_options > 0)
        return host->fail(Q35_E_INVALID, ID ": it has no options");
    q35_device *dev = host->alloc(sizeof *dev, 64, -1);
    if (!dev)
        return no_memory("a device");
    dev->pool = options->pool;
    *out = dev;
    return Q35_OK;
}

static void device_close(q35_device *dev)
{
    host->free(dev);
}

/* ---- which linears */

/* NULL: it can; else why not. */
static const char *why_not(const q35_region *region, const q35_node *node)
{
    if (node->op != Q35_OP_LINEAR)
        return "not a linear";
    if (node->n_in < 2 || node->n_out != 1)
        return "need activations, weights and one output";
    const q35_tensor_desc *x = &region->tensors[node->in[0]], *w = &region->tensors[node->in[1]];
    const q35_tensor_desc *y = &region->tensors[node->out[0]];
    const q35_dtype_info weights = q35_dtype_describe(w->dtype);
    if (node->n_in > 2 || q35_is_row_type(w->dtype) || weights.block_len == 0 || w->dtype == Q35_DT_I8 ||
        w->dtype == Q35_DT_I32 || w->dtype == Q35_DT_Q35_SPLIT || w->dtype >= Q35_DT_A8_32)
        return "need weights with scales per block and no codebook";
    if (w->layout != 0 || w->dim[2] != 1 || w->dim[3] != 1)
        return "need a matrix in the canonical layout";
    if (w->dim[0] % weights.block_len != 0)
        return "need rows of whole blocks";
    if ((x->dtype != Q35_DT_F32 && x->dtype != Q35_DT_A8_32) || x->layout != 0)
        return "need activations in f32 or a8_32";
    if (y->dtype != Q35_DT_F32 || y->layout != 0 || x->dim[0] != w->dim[0] || y->dim[0] != w->dim[1] ||
        x->dim[1] != y->dim[1])
        return "need f32 outputs and matching shapes";
    return NULL;
}

static q35_status op_support(q35_device *dev, const q35_region *region, q35_support *out)
{
    q35_support support = {.ok = 1, .determinism = Q35_DET_BITWISE};
    (void)dev;
    for (uint32_t i = 0; i < region->n_nodes && support.ok; i++) {
        const char *reason = why_not(region, region->nodes[i]);
        support.ok = reason == NULL;
        if (reason)
            snprintf(support.reason, sizeof support.reason, "op %u: %s", region->nodes[i]->op, reason);
    }
    answer(&out->h, &support, sizeof support);
    return Q35_OK;
}

/* ---- plans */

typedef struct job {
    uint32_t x, w, y; /* tensors */
} job;

struct q35_plan {
    q35_device *dev;
    uint32_t n_tensors, n_jobs, step;
    q35_tensor_desc *tensors;
    q35_binding *bindings;
    job *jobs;
};

static void plan_free(q35_plan *plan)
{
    host->free(plan->tensors);
    host->free(plan->bindings);
    host->free(plan->jobs);
    host->free(plan);
}

static q35_status plan_compile(q35_device *dev, const q35_region *region, q35_plan **out)
{
    q35_support support = {.h = {sizeof support, Q35_STRUCT_SUPPORT, NULL}};
    op_support(dev, region, &support);
    if (!support.ok)
        return host->fail(Q35_E_UNSUPPORTED, support.reason);
    q35_plan *plan = host->alloc(sizeof *plan, 64, -1);
    if (!plan)
        return no_memory("a plan");
    *plan =
        (q35_plan){.dev = dev, .n_tensors = region->n_tensors, .n_jobs = region->n_nodes, .step = region->step};
    plan->tensors = host->alloc(region->n_tensors * sizeof *plan->tensors, 64, -1);
    plan->bindings = host->alloc(region->n_tensors * sizeof *plan->bindings, 64, -1);
    plan->jobs = host->alloc(region->n_nodes * sizeof *plan->jobs, 64, -1);
    if (!plan->tensors || !plan->bindings || !plan->jobs) {
        plan_free(plan);
        return no_memory("the tensors of a plan");
    }
    memcpy(plan->tensors, region->tensors, region->n_tensors * sizeof *plan->tensors);
    for (uint32_t i = 0; i < region->n_nodes; i++) {
        const q35_node *node = region->nodes[i];
        plan->jobs[i] = (job){node->in[0], node->in[1], node->out[0]};
    }
    *out = plan;
    return Q35_OK;
}

static q35_status plan_bind(q35_plan *plan, const q35_binding *bindings)
{
    memcpy(plan->bindings, bindings, plan->n_tensors * sizeof *bindings);
    return Q35_OK;
}

/* ---- running */

static void *row_at(const q35_plan *plan, uint32_t tensor, uint64_t row)
{
    return (char *)plan->bindings[tensor].host + (int64_t)row * plan->tensors[tensor].stride[1];
}

static uint64_t valid_rows(const q35_plan *plan, uint32_t tensor)
{
    const q35_tensor_desc *t = &plan->tensors[tensor];
    const q35_step *step = plan->bindings[plan->step].host;
    int64_t n = t->dim[1];
    if (t->flags & Q35_TF_TOKEN_ROWS)
        n = step->n_tokens;
    else if (t->flags & Q35_TF_OUT_ROWS)
        n = step->n_out;
    return n < 0 ? 0 : n < t->dim[1] ? (uint64_t)n : (uint64_t)t->dim[1];
}

/* One block of weights times its codes of activations, as an int8 engine does it: the sums are of integers, and
 * each part of the block has a scale (and some types a minimum). */
static double dot_codes(uint32_t dtype, const void *block, const q35_act_block *x, uint64_t k)
{
    const q35_levels_info info = q35_levels_describe(dtype);
    const int n = (int)q35_dtype_describe(dtype).block_len;
    int8_t level[MAX_BLOCK];
    float scale[MAX_BLOCK / 16], min[MAX_BLOCK / 16];
    double acc = 0.0;
    q35_block_levels(dtype, block, NULL, level, scale, min);
    for (int p = 0; p * info.part < n; p++) {
        const uint64_t at = k + (uint64_t)(p * info.part);
        const q35_act_block *a = &x[at / Q35_ACT_BLOCK];
        int32_t sum = 0, total = 0;
        for (int i = 0; i < info.part; i++) {
            const int32_t q = a->q[at % Q35_ACT_BLOCK + (uint64_t)i];
            sum += q * level[p * info.part + i];
            total += q;
        }
        acc += (double)((float)sum * a->scale) * (double)scale[p];
        if (info.has_min)
            acc += (double)((float)total * a->scale) * (double)min[p];
    }
    return acc;
}

/* One block of weights times activations that are floats, or codes of a type without levels. */
static double dot_floats(uint32_t dtype, const void *block, uint32_t x_dtype, const void *x, uint64_t k)
{
    const uint64_t n = q35_dtype_describe(dtype).block_len;
    float w[MAX_BLOCK];
    double acc = 0.0;
    q35_block_decode(dtype, block, NULL, w);
    for (uint64_t i = 0; i < n; i++) {
        const q35_act_block *a = (const q35_act_block *)x + (k + i) / Q35_ACT_BLOCK;
        const float v =
            x_dtype == Q35_DT_F32 ? ((const float *)x)[k + i] : a->scale * (float)a->q[(k + i) % Q35_ACT_BLOCK];
        acc += (double)w[i] * (double)v;
    }
    return acc;
}

static float dot(const q35_tensor_desc *w, const void *weights, uint32_t x_dtype, const void *x)
{
    const q35_dtype_info d = q35_dtype_describe(w->dtype);
    const int codes = x_dtype == Q35_DT_A8_32 && q35_levels_describe(w->dtype).part > 0;
    double sum = 0.0;
    for (uint64_t k = 0; k < (uint64_t)w->dim[0]; k += d.block_len) {
        const char *block = (const char *)weights + k / d.block_len * d.block_bytes;
        sum += codes ? dot_codes(w->dtype, block, x, k) : dot_floats(w->dtype, block, x_dtype, x, k);
    }
    return (float)sum;
}

/* On every worker: the rows of the weights are split by worker index, so each output is computed by one thread in
 * one order. The barrier keeps the nodes in order. */
static void run_worker(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    const q35_plan *plan = arg;
    for (uint32_t i = 0; i < plan->n_jobs; i++) {
        const job *j = &plan->jobs[i];
        const q35_tensor_desc *w = &plan->tensors[j->w];
        const uint64_t n = (uint64_t)w->dim[1], tokens = valid_rows(plan, j->y);
        for (uint64_t row = n * worker / n_workers; row < n * (worker + 1) / n_workers; row++)
            for (uint64_t t = 0; t < tokens; t++)
                ((float *)row_at(plan, j->y, t))[row] =
                    dot(w, row_at(plan, j->w, row), plan->tensors[j->x].dtype, row_at(plan, j->x, t));
        host->barrier(team);
    }
}

static q35_status plan_run(q35_plan *plan)
{
    host->parallel(plan->dev->pool, run_worker, plan);
    return Q35_OK;
}

static const q35_plugin table = {
    .h = {sizeof table, Q35_STRUCT_PLUGIN, NULL},
    .abi_major = Q35_ABI_MAJOR,
    .abi_minor = Q35_ABI_MINOR,
    .id = ID,
    .version = "0.1",
    .enumerate = enumerate,
    .device_info = device_info,
    .memory_info = memory_info,
    .device_open = device_open,
    .device_close = device_close,
    .op_support = op_support,
    .plan_compile = plan_compile,
    .plan_bind = plan_bind,
    .plan_run = plan_run,
    .plan_free = plan_free,
};

Q35_PLUGIN_EXPORT q35_status q35_plugin_query(const q35_host *h, const q35_plugin **out);

q35_status q35_plugin_query(const q35_host *h, const q35_plugin **out)
{
    if (h->abi_major != Q35_ABI_MAJOR)
        return Q35_E_VERSION;
    host = h;
    *out = &table;
    return Q35_OK;
}
