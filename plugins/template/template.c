/* SPDX-License-Identifier: MIT-0
 *
 * The smallest useful device plugin: copy this file, rename "template", and grow from there. It is a synchronous
 * device on host memory (level L0) that runs three ops on f32 tensors with the host's threads. The host gives
 * every other op to another device and shows the reason written here. PLUGINS.md explains each step;
 * <q35rt/plugin.h> is the contract.
 *
 *     cc -std=c11 -O2 -shared -fPIC -fvisibility=hidden template.c -o libq35rt-template.so -lm
 *     q35rt devices --plugin ./libq35rt-template.so --why
 */
#include <q35rt/plugin.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

/* 1. The note, read by the host before any of this code runs. The id is the name after --device and in the file
 * name; rank decides between files with the same id. */
Q35_PLUGIN_NOTE("template", "1.0", /*isa*/ 0, Q35_NF_UNLOADABLE, /*rank*/ 0);

static const q35_host *host; /* borrowed for the life of the plugin */

/* To fail is to say why: the text names the object, the value found and the value needed. */
static q35_status fail(q35_status code, const char *what, uint64_t found, uint64_t needed)
{
    char text[160];
    snprintf(text, sizeof text, "template: %s: %llu, need %llu", what, (unsigned long long)found,
             (unsigned long long)needed);
    return host->fail(code, text);
}

/* 2. Description. No driver is started here; a plugin whose driver is missing answers 0 devices, Q35_OK, and a log
 * line of level 2 with the reason. */
static q35_status enumerate(uint32_t *out_n)
{
    *out_n = 1;
    return Q35_OK;
}

/* Fills what the host's struct has room for: another minor's may be shorter, or longer than we know. */
static void answer(q35_hdr *out, const q35_hdr *known)
{
    uint32_t size = out->size < known->size ? out->size : known->size;
    if (size > sizeof *out)
        memcpy(out + 1, known + 1, size - sizeof *out);
}

static q35_status device_info(uint32_t i, q35_device_info *out)
{
    if (i != 0)
        return fail(Q35_E_RANGE, "device index", i, 0);
    const q35_device_info info = {.h.size = sizeof info,
                                  .name = "template (host threads, f32)",
                                  .uuid = "template-0",
                                  .host_numa = -1,
                                  .device_class = Q35_CLASS_OTHER,
                                  .n_memories = 1}; /* n_queues stays 0: level L0 */
    answer(&out->h, &info.h);
    return Q35_OK;
}

static q35_status memory_info(uint32_t i, uint32_t m, q35_memory_info *out)
{
    if (i != 0 || m != 0)
        return fail(Q35_E_RANGE, "device or memory index", i | m, 0);
    /* Capacity and speed 0: unknown, the host measures. */
    const q35_memory_info info = {.h.size = sizeof info, .kind = Q35_MEM_HOST, .host_coherent = 1, .align = 64};
    answer(&out->h, &info.h);
    return Q35_OK;
}

/* 3. An open device holds what plans share. The struct is ours alone; the host passes pointers to it around. */
struct q35_device {
    q35_pool *pool; /* borrowed until device_close */
};

static q35_status device_open(uint32_t i, const q35_open_options *options, q35_device **out)
{
    if (i != 0)
        return fail(Q35_E_RANGE, "device index", i, 0);
    if (options->n_options > 0)
        return fail(Q35_E_INVALID, "options given to a device without any", options->n_options, 0);
    q35_device *dev = host->alloc(sizeof *dev, 64, -1);
    if (!dev)
        return host->fail(Q35_E_NOMEM, "template: out of memory for a device");
    dev->pool = options->pool;
    *out = dev;
    return Q35_OK;
}

static void device_close(q35_device *dev)
{
    host->free(dev);
}

/* 4. Support. The host asks for single nodes and for whole regions; the answer is binding: after ok = 1,
 * plan_compile of this region must succeed. Reasons are shown to users by `q35rt plan`. */
static int no(q35_support *out, const char *what, uint32_t op)
{
    snprintf(out->reason, sizeof out->reason, "op %u: %s", op, what);
    return 0;
}

static int is_rows_f32(const q35_tensor_desc *t)
{
    return t->dtype == Q35_DT_F32 && t->layout == 0 && t->stride[0] == (int64_t)sizeof(float) && t->dim[2] == 1 &&
           t->dim[3] == 1;
}

static int same_shape(const q35_tensor_desc *a, const q35_tensor_desc *b)
{
    return a->dim[0] == b->dim[0] && a->dim[1] == b->dim[1] && a->flags == b->flags;
}

/* What a newer host added to parameters would change the result, unless it is all zero. */
static int zero_past(const q35_hdr *params, uint32_t known)
{
    for (uint32_t i = known; i < params->size; i++)
        if (((const unsigned char *)params)[i] != 0)
            return 0;
    return 1;
}

static int node_supported(const q35_region *region, const q35_node *node, q35_support *out)
{
    int rms_norm = node->op == Q35_OP_RMS_NORM;
    if (!rms_norm && node->op != Q35_OP_SWIGLU && node->op != Q35_OP_ADD)
        return no(out, "not one of rms_norm, swiglu, add", node->op);
    if (node->n_in != 2 || node->n_out != 1)
        return no(out, "need 2 inputs and 1 output", node->op);
    const q35_tensor_desc *a = &region->tensors[node->in[0]], *b = &region->tensors[node->in[1]];
    const q35_tensor_desc *y = &region->tensors[node->out[0]];
    if (!is_rows_f32(a) || !is_rows_f32(b) || !is_rows_f32(y))
        return no(out, "need f32 rows in the canonical layout", node->op);
    if (!same_shape(a, y) || (rms_norm ? b->dim[0] != a->dim[0] || b->dim[1] != 1 : !same_shape(a, b)))
        return no(out, "need matching shapes", node->op);
    const q35_norm_params *norm = (const void *)node->params;
    if (rms_norm && (!norm || !Q35_HAS_FIELD(norm, q35_norm_params, eps)))
        return no(out, "need the norm parameters", node->op);
    if (rms_norm && !zero_past(&norm->h, sizeof *norm))
        return no(out, "need norm parameters without newer, non-zero fields", node->op);
    return 1;
}

static q35_status op_support(q35_device *dev, const q35_region *region, q35_support *out)
{
    /* Each row is computed by one thread, in one order, whatever the number of threads or rows. */
    q35_support s = {.h.size = sizeof s, .ok = 1, .determinism = Q35_DET_BITWISE};
    (void)dev;
    for (uint32_t i = 0; i < region->n_nodes && s.ok; i++)
        s.ok = (uint32_t)node_supported(region, region->nodes[i], &s);
    answer(&out->h, &s.h); /* "no" is an answer, not a failure */
    return Q35_OK;
}

/* 5. Plans. The region is borrowed during plan_compile only, so everything a run needs is copied. */
typedef struct job {
    uint32_t op, a, b, y; /* indices of tensors */
    float eps;
} job;

struct q35_plan {
    q35_device *dev;
    uint32_t n_tensors, n_jobs, step;
    q35_tensor_desc *tensors; /* [n_tensors] */
    q35_binding *bindings;    /* [n_tensors] */
    job *jobs;                /* [n_jobs] */
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
        return host->fail(Q35_E_NOMEM, "template: out of memory for a plan");
    *plan =
        (q35_plan){.dev = dev, .n_tensors = region->n_tensors, .n_jobs = region->n_nodes, .step = region->step};
    plan->tensors = host->alloc(region->n_tensors * sizeof *plan->tensors, 64, -1);
    plan->bindings = host->alloc(region->n_tensors * sizeof *plan->bindings, 64, -1);
    plan->jobs = host->alloc(region->n_nodes * sizeof *plan->jobs, 64, -1);
    if (!plan->tensors || !plan->bindings || !plan->jobs) {
        plan_free(plan);
        return host->fail(Q35_E_NOMEM, "template: out of memory for the tensors of a plan");
    }
    memcpy(plan->tensors, region->tensors, region->n_tensors * sizeof *plan->tensors);
    memset(plan->bindings, 0, region->n_tensors * sizeof *plan->bindings);
    for (uint32_t i = 0; i < region->n_nodes; i++) {
        const q35_node *node = region->nodes[i];
        plan->jobs[i] = (job){node->op, node->in[0], node->in[1], node->out[0], 0.0f};
        if (node->op == Q35_OP_RMS_NORM)
            plan->jobs[i].eps = ((const q35_norm_params *)(const void *)node->params)->eps;
    }
    *out = plan;
    return Q35_OK;
}

static q35_status plan_bind(q35_plan *plan, const q35_binding *bindings)
{
    memcpy(plan->bindings, bindings,
           plan->n_tensors * sizeof *bindings); /* the array is ours now, the memory is not */
    return Q35_OK;
}

/* 6. Running. Addresses come from the bindings; what changes from step to step (how many rows are valid) is read
 * from the step tensor, so a plan is compiled once and run for every token. */
static float *row_at(const q35_plan *plan, uint32_t tensor, uint64_t row)
{
    char *base = plan->bindings[tensor].host;
    return (float *)(void *)(base + (int64_t)row * plan->tensors[tensor].stride[1]);
}

static uint64_t valid_rows(const q35_plan *plan, uint32_t tensor)
{
    const q35_tensor_desc *t = &plan->tensors[tensor];
    if (!(t->flags & (Q35_TF_TOKEN_ROWS | Q35_TF_OUT_ROWS)) || plan->step >= plan->n_tensors)
        return (uint64_t)t->dim[1];
    const q35_step *step = plan->bindings[plan->step].host;
    int64_t n = t->flags & Q35_TF_OUT_ROWS ? step->n_out : step->n_tokens;
    return n <= 0 ? 0 : n < t->dim[1] ? (uint64_t)n : (uint64_t)t->dim[1];
}

static void run_row(const job *j, const float *a, const float *b, float *y, uint64_t n)
{
    if (j->op == Q35_OP_RMS_NORM) {
        double sum = 0.0;
        for (uint64_t k = 0; k < n; k++)
            sum += (double)a[k] * (double)a[k];
        const double root = sqrt(sum / (double)n + (double)j->eps);
        for (uint64_t k = 0; k < n; k++)
            y[k] = (float)((double)a[k] / root * (double)b[k]);
    } else if (j->op == Q35_OP_SWIGLU) {
        for (uint64_t k = 0; k < n; k++)
            y[k] = (float)((double)a[k] / (1.0 + exp(-(double)a[k])) * (double)b[k]);
    } else {
        for (uint64_t k = 0; k < n; k++)
            y[k] = a[k] + b[k];
    }
}

/* On every worker. Rows are split by worker index, never by timing. The barrier keeps the nodes in order: tensors
 * of different nodes may share memory. */
static void run_worker(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    const q35_plan *plan = arg;
    for (uint32_t i = 0; i < plan->n_jobs; i++) {
        const job *j = &plan->jobs[i];
        const uint64_t n_rows = valid_rows(plan, j->a), n = (uint64_t)plan->tensors[j->y].dim[0];
        for (uint64_t row = n_rows * worker / n_workers; row < n_rows * (worker + 1) / n_workers; row++)
            run_row(j, row_at(plan, j->a, row), row_at(plan, j->b, j->op == Q35_OP_RMS_NORM ? 0 : row),
                    row_at(plan, j->y, row), n);
        host->barrier(team);
    }
}

static q35_status plan_run(q35_plan *plan)
{
    host->parallel(plan->dev->pool, run_worker, plan);
    return Q35_OK;
}

/* 7. The table, and the one exported symbol. */
static const q35_plugin table = {
    .h = {sizeof table, Q35_STRUCT_PLUGIN, NULL},
    .abi_major = Q35_ABI_MAJOR,
    .abi_minor = Q35_ABI_MINOR,
    .id = "template",
    .version = "1.0",
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
        return Q35_E_VERSION; /* nothing of h beyond the version is known then */
    host = h;
    *out = &table;
    return Q35_OK;
}
