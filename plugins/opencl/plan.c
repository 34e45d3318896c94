/* SPDX-License-Identifier: Apache-2.0
 *
 * A plan's life. Compile copies the region and makes the launches, bind gives them their arguments, and a run, on
 * the queue's thread, enqueues them and reads back whether the step's values were right. */
#include "plugins/opencl/opencl.h"

#include <stdio.h>
#include <string.h>

static void copy_node(q35_plan *plan, uint32_t i, const q35_node *node)
{
    q35p_node *n = &plan->nodes[i];
    *n = q35p_keep_node(node);
    for (uint32_t j = 0; j < n->n_in; j++)
        plan->tensors[n->in[j]].used = true;
    for (uint32_t j = 0; j < n->n_out; j++)
        plan->tensors[n->out[j]].used = true;
    if (node->op == Q35_OP_LINEAR && plan->tensors[n->in[1]].desc.layout == 0)
        plan->tensors[n->in[1]].tiled = plan->has_tiles = true;
}

static void copy_region(q35_plan *plan, const q35_region *region)
{
    for (uint32_t i = 0; i < region->n_tensors; i++) {
        plan->tensors[i].desc = region->tensors[i];
        plan->tensors[i].role = region->roles[i];
    }
    for (uint32_t i = 0; i < region->n_nodes; i++)
        copy_node(plan, i, region->nodes[i]);
    if (plan->step != Q35_NONE)
        plan->tensors[plan->step].used = true;
    for (uint32_t i = 0; i < region->n_tensors; i++)
        if (plan->tensors[i].used)
            plan->tensors[i].bytes = q35i_cl_tensor_bytes(&plan->tensors[i].desc);
}

static q35_status scratch(q35_device *dev, uint64_t bytes, cl_mem *out)
{
    cl_int error;
    char name[48];
    *out = q35i_cl.CreateBuffer(dev->context, CL_MEM_READ_WRITE, bytes ? bytes : 4, NULL, &error);
    if (error == CL_SUCCESS)
        return Q35_OK;
    *out = NULL;
    return q35p_fail(Q35_E_NOMEM, "opencl plan: scratch of %llu MiB: %s", (unsigned long long)(bytes >> 20),
                     q35i_cl_error(error, name));
}

/* A weight that LINEAR is given in canonical layout gets its tiles in memory of the plan. */
static uint64_t bytes_of_tiles(const q35_tensor_desc *d)
{
    q35_tensor_desc tiled = *d;
    tiled.layout = Q35I_CL_LAYOUT_TILE;
    return q35i_cl_tensor_bytes(&tiled);
}

static q35_status allocate(q35_plan *plan)
{
    q35_device *dev = plan->dev;
    q35_status status = scratch(dev, plan->wide_bytes, &plan->wide);
    if (status == Q35_OK)
        status = scratch(dev, plan->head_bytes, &plan->heads);
    if (status == Q35_OK)
        status = scratch(dev, plan->rotated_bytes, &plan->rotated);
    if (status == Q35_OK)
        status = scratch(dev, sizeof plan->fault_read, &plan->fault);
    if (status == Q35_OK)
        status = scratch(dev, sizeof(cl_int), &plan->done);
    for (uint32_t i = 0; i < plan->n_tensors && status == Q35_OK; i++)
        if (plan->tensors[i].tiled)
            status = scratch(dev, bytes_of_tiles(&plan->tensors[i].desc), &plan->tensors[i].tiles);
    return status;
}

static q35_status clear(q35_plan *plan, cl_command_queue queue)
{
    const cl_int none = 0;
    char name[48];
    memset(plan->fault_read, 0, sizeof plan->fault_read);
    cl_int error = q35i_cl.EnqueueWriteBuffer(queue, plan->fault, CL_TRUE, 0, sizeof plan->fault_read,
                                              plan->fault_read, 0, NULL, NULL);
    if (error == CL_SUCCESS)
        error = q35i_cl.EnqueueWriteBuffer(queue, plan->done, CL_TRUE, 0, sizeof none, &none, 0, NULL, NULL);
    return error == CL_SUCCESS ? Q35_OK : q35p_fail(Q35_E_DEVICE, "opencl plan: %s", q35i_cl_error(error, name));
}

q35_status q35i_cl_plan_compile(q35_device *dev, const q35_region *region, q35_plan **out)
{
    char reason[128] = "";
    if (!q35p_check_region(&q35i_cl_rules, dev, region, reason, sizeof reason))
        return q35p_fail(Q35_E_UNSUPPORTED, "opencl plan: %s", reason);
    q35_plan *plan = q35p_alloc(1, sizeof *plan);
    if (!plan)
        return q35p_fail(Q35_E_NOMEM, "opencl plan: out of memory for %zu bytes", sizeof *plan);
    plan->dev = dev;
    plan->n_tensors = region->n_tensors;
    plan->n_nodes = region->n_nodes;
    plan->step = region->step;
    plan->tensors = q35p_alloc(plan->n_tensors, sizeof *plan->tensors);
    plan->nodes = q35p_alloc(plan->n_nodes, sizeof *plan->nodes);
    plan->launches = q35p_alloc(2 * (uint64_t)plan->n_nodes + 1, sizeof *plan->launches);
    if (!plan->tensors || !plan->nodes || !plan->launches) {
        q35i_cl_plan_free(plan);
        return q35p_fail(Q35_E_NOMEM, "opencl plan: out of memory for %u nodes", region->n_nodes);
    }
    copy_region(plan, region);
    q35_status status = q35i_cl_make_launches(plan);
    if (status == Q35_OK)
        status = allocate(plan);
    if (status == Q35_OK)
        status = clear(plan, dev->maps);
    if (status != Q35_OK) {
        q35i_cl_plan_free(plan);
        return status;
    }
    *out = plan;
    return Q35_OK;
}

static void release(cl_mem mem)
{
    if (mem)
        (void)q35i_cl.ReleaseMemObject(mem);
}

void q35i_cl_plan_free(q35_plan *plan)
{
    if (!plan)
        return;
    for (uint32_t i = 0; i < plan->n_launches; i++)
        (void)q35i_cl.ReleaseKernel(plan->launches[i].kernel);
    for (uint32_t i = 0; plan->tensors && i < plan->n_tensors; i++)
        release(plan->tensors[i].tiles);
    q35i_cl_profile_free(plan);
    release(plan->wide);
    release(plan->heads);
    release(plan->rotated);
    release(plan->fault);
    release(plan->done);
    q35p_free(plan->tensors);
    q35p_free(plan->nodes);
    q35p_free(plan->launches);
    q35p_free(plan);
}

static q35_status bind_tensor(q35_plan *plan, uint32_t i, const q35_binding *b)
{
    q35i_cl_tensor *t = &plan->tensors[i];
    if (b->host || !b->buf)
        return q35p_fail(Q35_E_INVALID, "opencl plan: tensor %u is bound to %s, need a buffer of the device", i,
                         b->host ? "a host address" : "nothing");
    if (b->buf->dev != plan->dev)
        return q35p_fail(Q35_E_INVALID, "opencl plan: tensor %u is bound to another device's buffer", i);
    if (b->bytes < t->bytes || b->offset > b->buf->bytes || t->bytes > b->buf->bytes - b->offset)
        return q35p_fail(Q35_E_INVALID,
                         "opencl plan: tensor %u is bound to %llu bytes at %llu of a buffer of %llu, need %llu", i,
                         (unsigned long long)b->bytes, (unsigned long long)b->offset,
                         (unsigned long long)b->buf->bytes, (unsigned long long)t->bytes);
    if (b->offset % 4 != 0)
        return q35p_fail(Q35_E_INVALID, "opencl plan: tensor %u is bound at offset %llu, need a multiple of 4", i,
                         (unsigned long long)b->offset);
    t->binding = *b;
    return Q35_OK;
}

q35_status q35i_cl_plan_bind(q35_plan *plan, const q35_binding *bindings)
{
    q35_status status = Q35_OK;
    plan->bound = false;
    for (uint32_t i = 0; i < plan->n_tensors && status == Q35_OK; i++) {
        if (plan->tensors[i].used)
            status = bind_tensor(plan, i, &bindings[i]);
        plan->has_tiles |= plan->tensors[i].tiled; /* to be made from what is bound now */
    }
    for (uint32_t i = 0; i < plan->n_launches && status == Q35_OK; i++)
        status = q35i_cl_set_arguments(plan, &plan->launches[i]);
    plan->bound = status == Q35_OK;
    return status;
}

/* ---- runs, on the queue's thread */

static cl_int make_tiles(q35_plan *plan, cl_command_queue queue, const q35i_cl_tensor *t)
{
    const q35_tensor_desc *d = &t->desc;
    const uint64_t tile = q35i_cl_tile_bytes(d->dtype, d->dim[0]), bytes = bytes_of_tiles(d);
    uint8_t *from = q35p_alloc(1, t->bytes), *to = q35p_alloc(1, bytes);
    cl_int error = from && to ? CL_SUCCESS : CL_OUT_OF_HOST_MEMORY;
    (void)plan;
    if (error == CL_SUCCESS)
        error = q35i_cl.EnqueueReadBuffer(queue, t->binding.buf->mem, CL_TRUE, t->binding.offset, t->bytes, from,
                                          0, NULL, NULL);
    for (int64_t row = 0; row < d->dim[1] && error == CL_SUCCESS; row += Q35I_CL_TILE_ROWS) {
        const int64_t left = d->dim[1] - row;
        q35i_cl_tile_pack(d->dtype, d->dim[0], left < Q35I_CL_TILE_ROWS ? left : Q35I_CL_TILE_ROWS,
                          from + row * d->stride[1], d->stride[1], to + (uint64_t)row / Q35I_CL_TILE_ROWS * tile);
    }
    if (error == CL_SUCCESS)
        error = q35i_cl.EnqueueWriteBuffer(queue, t->tiles, CL_TRUE, 0, bytes, to, 0, NULL, NULL);
    q35p_free(from);
    q35p_free(to);
    return error;
}

cl_int q35i_cl_launch_one(const q35_plan *plan, uint32_t i, cl_command_queue queue, cl_event *out)
{
    const q35i_cl_launch *l = &plan->launches[i];
    const size_t local[2] = {l->local, 1};
    return q35i_cl.EnqueueNDRangeKernel(queue, l->kernel, 2, NULL, l->global, local, 0, NULL, out);
}

cl_int q35i_cl_plan_enqueue(q35_plan *plan, cl_command_queue queue, cl_event *out)
{
    cl_int error = CL_SUCCESS;
    for (uint32_t i = 0; plan->has_tiles && i < plan->n_tensors && error == CL_SUCCESS; i++)
        if (plan->tensors[i].tiled)
            error = make_tiles(plan, queue, &plan->tensors[i]);
    plan->has_tiles = plan->has_tiles && error != CL_SUCCESS;
    if (plan->profile && error == CL_SUCCESS)
        error = q35i_cl_profile_run(plan, queue);
    for (uint32_t i = 0; !plan->profile && i < plan->n_launches && error == CL_SUCCESS; i++)
        error = q35i_cl_launch_one(plan, i, queue, NULL);
    if (error == CL_SUCCESS)
        error = q35i_cl.EnqueueReadBuffer(queue, plan->fault, CL_FALSE, 0, sizeof plan->fault_read,
                                          plan->fault_read, 0, NULL, out);
    if (error == CL_SUCCESS)
        error = q35i_cl.Flush(queue);
    return error;
}

q35_status q35i_cl_plan_fault(q35_plan *plan, cl_command_queue queue, char *text)
{
    static const char *const names[] = {"", "id", "position", "slot", "sequence", "page", "row", "a step's value"};
    const int32_t *f = plan->fault_read;
    if (f[0] == 0)
        return Q35_OK;
    snprintf(text, Q35I_CL_TEXT, "opencl plan: %s (node %d): %s %d of row %d, need 0 to %d",
             q35p_op_name((uint32_t)f[1] < plan->n_nodes ? plan->nodes[f[1]].op : 0), f[1],
             f[0] > 0 && f[0] < (int)(sizeof names / sizeof names[0]) ? names[f[0]] : "value", f[3], f[2],
             f[4] - 1);
    if (f[0] == 7)
        snprintf(text, Q35I_CL_TEXT, "opencl plan: step has %s %d, need 0 to %d",
                 f[2] == 0   ? "n_tokens"
                 : f[2] == 1 ? "n_out"
                             : "n_sequences",
                 f[3], f[4] - 1);
    (void)clear(plan, queue);
    return Q35_E_RANGE;
}
