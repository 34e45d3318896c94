/* SPDX-License-Identifier: Apache-2.0
 *
 * A plan's life: compile copies a checked region and takes scratch, bind turns its nodes into launches, and the
 * first run after a bind makes one CUDA graph of them. */
#include "plan.h"

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
    if (node->op == Q35_OP_LINEAR) {
        q35i_cuda_tensor *w = &plan->tensors[n->in[1]];
        w->packs |= w->desc.layout != q35_cuda_layout_of(w->desc.dtype);
    }
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
            (void)q35p_tensor_bytes(&q35i_cuda_rules, &plan->tensors[i].desc, &plan->tensors[i].bytes);
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        const uint64_t bytes = q35i_cuda_node_records(plan, &plan->nodes[i]);
        plan->records_bytes = bytes > plan->records_bytes ? bytes : plan->records_bytes;
    }
}

/* Where slot i begins; i = Q35I_CUDA_SLOTS: the end of the scratch. */
static uint64_t slot_offset(const q35_plan *plan, uint32_t i)
{
    uint64_t at = plan->records_bytes;
    for (uint32_t s = 0;; s++) {
        at = (at + Q35I_CUDA_ALIGN - 1) / Q35I_CUDA_ALIGN * Q35I_CUDA_ALIGN;
        if (s == i)
            return at;
        at += plan->slot_bytes[s];
    }
}

static q35_status allocate_scratch(q35_plan *plan)
{
    q35_device *dev = plan->dev;
    const uint64_t bytes = slot_offset(plan, Q35I_CUDA_SLOTS);
    if (bytes == 0)
        return Q35_OK;
    q35i_cu_result error = q35i_cuda_enter(dev);
    if (error == 0)
        error = dev->drv->cuMemAlloc_v2(&plan->scratch, bytes);
    q35i_cuda_leave(dev);
    if (error == 0)
        return Q35_OK;
    plan->scratch = 0;
    char what[96];
    snprintf(what, sizeof what, "allocating %llu bytes for intermediate results", (unsigned long long)bytes);
    return q35i_cuda_driver_failed(dev, error == Q35I_CU_OUT_OF_MEMORY ? Q35_E_NOMEM : Q35_E_DEVICE, error, what);
}

q35_status q35i_cuda_plan_compile(q35_device *dev, const q35_region *region, q35_plan **out)
{
    char reason[128] = "";
    if (!q35p_check_region(&q35i_cuda_rules, dev, region, reason, sizeof reason))
        return q35p_fail(Q35_E_UNSUPPORTED, "cuda plan: %s", reason);
    q35_plan *plan = q35p_alloc(1, sizeof *plan);
    if (!plan)
        return q35p_fail(Q35_E_NOMEM, "cuda plan: out of host memory");
    plan->dev = dev;
    plan->n_tensors = region->n_tensors;
    plan->n_nodes = region->n_nodes;
    plan->step = region->step;
    plan->tensors = q35p_alloc(plan->n_tensors, sizeof *plan->tensors);
    plan->nodes = q35p_alloc(plan->n_nodes, sizeof *plan->nodes);
    plan->launched = q35p_alloc(plan->n_nodes, sizeof *plan->launched);
    plan->launches = q35p_alloc(2 * (uint64_t)plan->n_nodes, sizeof *plan->launches);
    if (!plan->tensors || !plan->nodes || !plan->launched || !plan->launches) {
        q35i_cuda_plan_free(plan);
        return q35p_fail(Q35_E_NOMEM, "cuda plan: out of host memory for %u nodes", region->n_nodes);
    }
    copy_region(plan, region);
    q35i_cuda_assign_slots(plan);
    q35_status status = allocate_scratch(plan);
    if (status != Q35_OK)
        q35i_cuda_plan_free(plan);
    else
        *out = plan;
    return status;
}

void q35i_cuda_plan_free(q35_plan *plan)
{
    if (!plan)
        return;
    const q35_device *dev = plan->dev;
    (void)q35i_cuda_enter(dev);
    q35i_cuda_plan_drop_graph(plan);
    q35i_cuda_profile_free(plan);
    if (plan->scratch)
        (void)dev->drv->cuMemFree_v2(plan->scratch);
    for (uint32_t i = 0; plan->tensors && i < plan->n_tensors; i++)
        if (plan->tensors[i].packed)
            (void)dev->drv->cuMemFree_v2(plan->tensors[i].packed);
    q35i_cuda_leave(dev);
    q35p_free(plan->tensors);
    q35p_free(plan->nodes);
    q35p_free(plan->launched);
    q35p_free(plan->launches);
    q35p_free(plan);
}

/* ---- bind */

/* Whose buffer a binding may be: the plan's device, or another whose memory its kernels reach. */
static q35_status owner_of(const q35_plan *plan, const q35_binding *binding, const q35_device **out)
{
    const q35_device *owner = binding->host || !binding->buf ? plan->dev : binding->buf->dev;
    uint32_t mode = Q35_PEER_NONE;
    *out = plan->dev;
    const q35_status status = owner == plan->dev ? Q35_OK : q35i_cuda_reach(plan->dev, owner, &mode);
    if (mode == Q35_PEER_ADDRESS)
        *out = owner;
    return status;
}

static q35_status bind_tensor(q35_plan *plan, uint32_t i, const q35_binding *binding)
{
    q35i_cuda_tensor *t = &plan->tensors[i];
    const uint32_t align = q35i_cuda_rules.align(&t->desc);
    const q35_device *owner;
    q35_status status = owner_of(plan, binding, &owner);
    if (status != Q35_OK)
        return status;
    t->address = q35i_cuda_address(owner, binding, t->bytes);
    if (binding->host || !binding->buf)
        return q35p_fail(Q35_E_INVALID, "cuda plan: tensor %u has no buffer, need one of the device", i);
    if (t->address == 0 || binding->bytes < t->bytes)
        return q35p_fail(
            Q35_E_INVALID,
            "cuda plan: tensor %u is bound to %llu bytes, need %llu of a buffer that this device addresses", i,
            (unsigned long long)binding->bytes, (unsigned long long)t->bytes);
    if (t->address % align != 0)
        return q35p_fail(Q35_E_INVALID, "cuda plan: tensor %u is bound to an address off by %u, need alignment %u",
                         i, (unsigned)(t->address % align), align);
    if (t->slot)
        t->address = plan->scratch + slot_offset(plan, t->slot - 1);
    return Q35_OK;
}

static q35_status allow_shared(const q35_plan *plan)
{
    q35_status status = Q35_OK;
    (void)q35i_cuda_enter(plan->dev);
    for (uint32_t i = 0; i < plan->n_launches && status == Q35_OK; i++)
        status = q35i_cuda_allow_shared(plan->dev, plan->launches[i].kernel, plan->launches[i].geometry.shared);
    q35i_cuda_leave(plan->dev);
    return status;
}

static void make_launches(q35_plan *plan)
{
    plan->n_launches = 0;
    memset(plan->launched, 0, plan->n_nodes * sizeof *plan->launched);
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        if (plan->launched[i])
            continue;
        const q35i_cuda_group group = q35i_cuda_take_group(plan, i);
        q35i_cuda_add_launches(plan, &group);
    }
}

q35_status q35i_cuda_plan_bind(q35_plan *plan, const q35_binding *bindings)
{
    plan->bound = false;
    (void)q35i_cuda_enter(plan->dev);
    q35i_cuda_plan_drop_graph(plan);
    q35i_cuda_leave(plan->dev);
    for (uint32_t i = 0; i < plan->n_tensors; i++) {
        q35_status status = plan->tensors[i].used ? bind_tensor(plan, i, &bindings[i]) : Q35_OK;
        if (status != Q35_OK)
            return status;
    }
    q35_status status = q35i_cuda_plan_pack(plan);
    if (status != Q35_OK)
        return status;
    make_launches(plan);
    status = allow_shared(plan);
    if (status != Q35_OK)
        return status;
    plan->eager = !plan->dev->graphs;
    plan->overlaps = plan->dev->overlaps;
    plan->bound = true;
    return Q35_OK;
}

q35_status q35i_cuda_plan_check(const q35_plan *plan, const q35_device *dev)
{
    if (!plan || plan->dev != dev || !plan->bound)
        return q35p_fail(Q35_E_INVALID, "cuda plan: %s",
                         !plan || plan->dev != dev ? "not of the queue's device"
                                                   : "not bound, need plan_bind first");
    return Q35_OK;
}

/* ---- run */

q35i_cu_result q35i_cuda_launch_one(const q35_plan *plan, uint32_t i, q35i_cu_stream stream, bool early)
{
    const q35_device *dev = plan->dev;
    const q35i_cuda_launch *l = &plan->launches[i];
    const q35_cuda_launch *g = &l->geometry;
    q35i_cuda_args args = l->args;
    void *params[] = {&args};
    if (!g->grid[0] || !g->grid[1] || !g->grid[2])
        return 0;
    if (early) {
        q35i_cu_attribute attribute = {.id = Q35I_CU_ATTRIBUTE_EARLY_START, .value = {.on = 1}};
        const q35i_cu_launch_config config = {.grid_x = g->grid[0],
                                              .grid_y = g->grid[1],
                                              .grid_z = g->grid[2],
                                              .block_x = g->threads,
                                              .block_y = 1,
                                              .block_z = 1,
                                              .shared_bytes = g->shared,
                                              .stream = stream,
                                              .attributes = &attribute,
                                              .n_attributes = 1};
        return dev->drv->cuLaunchKernelEx(&config, dev->kernel[l->kernel], params, NULL);
    }
    return dev->drv->cuLaunchKernel(dev->kernel[l->kernel], g->grid[0], g->grid[1], g->grid[2], g->threads, 1, 1,
                                    g->shared, stream, params, NULL);
}

/* The first waits for whatever is before it in the stream: weights may have come by a copy just now, and kernels
 * read them without a wait. */
static q35i_cu_result launch_all(const q35_plan *plan, q35i_cu_stream stream)
{
    q35i_cu_result error = 0;
    for (uint32_t i = 0; i < plan->n_launches && error == 0; i++)
        error = q35i_cuda_launch_one(plan, i, stream, plan->overlaps && i > 0);
    return error;
}

/* Leaves exec NULL when it fails. */
static void capture(q35_plan *plan, q35i_cu_stream stream)
{
    const q35i_cuda_driver *drv = plan->dev->drv;
    q35i_cu_graph graph = NULL;
    if (drv->cuStreamBeginCapture_v2(stream, Q35I_CU_CAPTURE_THREAD_LOCAL) != 0)
        return;
    q35i_cu_result error = launch_all(plan, stream);
    const q35i_cu_result ended = drv->cuStreamEndCapture(stream, &graph);
    if (error == 0 && ended == 0 && graph)
        error = drv->cuGraphInstantiateWithFlags(&plan->exec, graph, 0);
    if (graph)
        (void)drv->cuGraphDestroy(graph);
    if (error != 0 || ended != 0)
        plan->exec = NULL;
}

/* Some drivers capture no early starts, and without a graph the plan runs all the same: a failed capture only
 * costs time. */
static void make_graph(q35_plan *plan, q35i_cu_stream stream)
{
    capture(plan, stream);
    if (!plan->exec && plan->overlaps) {
        plan->overlaps = false;
        capture(plan, stream);
        plan->overlaps = !plan->exec && plan->dev->overlaps;
    }
    plan->eager = plan->exec == NULL;
}

q35i_cu_result q35i_cuda_plan_start(q35_plan *plan, q35i_cu_stream stream)
{
    q35i_cu_result error = 0;
    if (plan->profile && q35i_cuda_profile_start(plan, stream, &error))
        return error;
    if (!plan->eager && !plan->exec)
        make_graph(plan, stream);
    return plan->exec ? plan->dev->drv->cuGraphLaunch(plan->exec, stream) : launch_all(plan, stream);
}

void q35i_cuda_plan_drop_graph(q35_plan *plan)
{
    if (plan->exec)
        (void)plan->dev->drv->cuGraphExecDestroy(plan->exec);
    plan->exec = NULL;
}
