/* SPDX-License-Identifier: Apache-2.0
 *
 * A plugin of level L0, built against the header of a released minor: it adds rows of f32, on one thread. With
 * SHORT_TABLE its table ends after the required slots, as a plugin's may. */
#include <q35rt/plugin.h>

#include <stdio.h>
#include <string.h>

Q35_PLUGIN_NOTE("old", "1.0", 0, 0, 0);

#ifdef SHORT_TABLE
#define TABLE_BYTES (offsetof(q35_plugin, plan_free) + sizeof(((q35_plugin *)0)->plan_free))
#else
#define TABLE_BYTES sizeof(q35_plugin)
#endif

static const q35_host *host;

struct q35_device {
    int unused;
};

struct q35_plan {
    uint32_t a, b, y, step, n_tensors;
    int64_t cols, rows;
    q35_binding bindings[8];
};

static q35_status enumerate(uint32_t *out_n)
{
    *out_n = 1;
    return Q35_OK;
}

static q35_status device_info(uint32_t i, q35_device_info *out)
{
    snprintf(out->name, sizeof out->name, "of ABI %u.%u", Q35_ABI_MAJOR, Q35_ABI_MINOR);
    out->host_numa = -1;
    out->device_class = Q35_CLASS_OTHER;
    out->n_memories = 1;
    return i == 0 ? Q35_OK : host->fail(Q35_E_RANGE, "old: device index, need 0");
}

static q35_status memory_info(uint32_t i, uint32_t m, q35_memory_info *out)
{
    out->kind = Q35_MEM_HOST;
    return i == 0 && m == 0 ? Q35_OK : host->fail(Q35_E_RANGE, "old: memory index, need 0");
}

static q35_status device_open(uint32_t i, const q35_open_options *options, q35_device **out)
{
    (void)i, (void)options;
    *out = host->alloc(sizeof **out, 64, -1);
    return *out ? Q35_OK : host->fail(Q35_E_NOMEM, "old: out of memory");
}

static void device_close(q35_device *dev)
{
    host->free(dev);
}

static q35_status op_support(q35_device *dev, const q35_region *region, q35_support *out)
{
    const q35_node *node = region->nodes[0];
    (void)dev;
    out->ok = region->n_nodes == 1 && node->op == Q35_OP_ADD && region->n_tensors <= 8 &&
              region->tensors[node->in[0]].dtype == Q35_DT_F32;
    if (!out->ok)
        snprintf(out->reason, sizeof out->reason, "not one addition of f32");
    return Q35_OK;
}

static q35_status plan_compile(q35_device *dev, const q35_region *region, q35_plan **out)
{
    q35_support support = {.h = {sizeof support, Q35_STRUCT_SUPPORT, NULL}};
    op_support(dev, region, &support);
    if (!support.ok)
        return host->fail(Q35_E_UNSUPPORTED, support.reason);
    q35_plan *plan = host->alloc(sizeof *plan, 64, -1);
    if (!plan)
        return host->fail(Q35_E_NOMEM, "old: out of memory");
    const q35_node *node = region->nodes[0];
    *plan = (q35_plan){.a = node->in[0],
                       .b = node->in[1],
                       .y = node->out[0],
                       .step = region->step,
                       .n_tensors = region->n_tensors,
                       .cols = region->tensors[node->out[0]].dim[0],
                       .rows = region->tensors[node->out[0]].dim[1]};
    *out = plan;
    return Q35_OK;
}

static q35_status plan_bind(q35_plan *plan, const q35_binding *bindings)
{
    memcpy(plan->bindings, bindings, plan->n_tensors * sizeof *bindings);
    return Q35_OK;
}

static q35_status plan_run(q35_plan *plan)
{
    const q35_step *step = plan->bindings[plan->step].host;
    const float *a = plan->bindings[plan->a].host, *b = plan->bindings[plan->b].host;
    float *y = plan->bindings[plan->y].host;
    const int64_t rows = step->n_tokens < plan->rows ? step->n_tokens : plan->rows;
    for (int64_t i = 0; i < rows * plan->cols; i++)
        y[i] = a[i] + b[i];
    return Q35_OK;
}

static void plan_free(q35_plan *plan)
{
    host->free(plan);
}

static const q35_plugin table = {
    .h = {TABLE_BYTES, Q35_STRUCT_PLUGIN, NULL},
    .abi_major = Q35_ABI_MAJOR,
    .abi_minor = Q35_ABI_MINOR,
    .id = "old",
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
        return Q35_E_VERSION;
    host = h;
    *out = &table;
    return Q35_OK;
}
