/* SPDX-License-Identifier: Apache-2.0
 *
 * From a graph to a plan that can run: passes in order, arenas, regions compiled by the devices and bound to
 * memory. */
#include "graph/plan.h"

#include "graph/replan.h"
#include "graph/replay.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/device/suspect.h"

#include <string.h>

/* A region of the graph in the form devices take; owned arrays. */
typedef struct region_image {
    q35_region region;
    q35_tensor_desc *tensors;
    uint32_t *roles;
    uint32_t *global; /* [n_tensors] tensor of the graph */
    uint32_t *use_op; /* [n_tensors] op of the first node that reads it, for weight layouts */
    q35_node *nodes;
    const q35_node **node_list;
    uint32_t *ports; /* in and out indices of all nodes */
} region_image;

static void image_free(region_image *image)
{
    q35i_free(image->tensors);
    q35i_free(image->roles);
    q35i_free(image->global);
    q35i_free(image->use_op);
    q35i_free(image->nodes);
    q35i_free(image->node_list);
    q35i_free(image->ports);
}

static q35_status image_alloc(region_image *image, uint32_t n_nodes)
{
    uint32_t max_ports = n_nodes * (Q35I_MAX_IN + Q35I_MAX_OUT) + 1;
    memset(image, 0, sizeof *image);
    image->tensors = q35i_calloc(max_ports, sizeof *image->tensors);
    image->roles = q35i_calloc(max_ports, sizeof *image->roles);
    image->global = q35i_calloc(max_ports, sizeof *image->global);
    image->use_op = q35i_calloc(max_ports, sizeof *image->use_op);
    image->nodes = q35i_calloc(n_nodes, sizeof *image->nodes);
    image->node_list = q35i_calloc(n_nodes, sizeof(q35_node *));
    image->ports = q35i_calloc(max_ports, sizeof *image->ports);
    return image->tensors && image->roles && image->global && image->use_op && image->nodes && image->node_list &&
                   image->ports
               ? Q35_OK
               : Q35_E_NOMEM;
}

/* Role inside the region [first, end): produced here and used only here is TEMP. */
static uint32_t role_in(const q35i_graph *graph, uint32_t tensor, uint32_t first, uint32_t end)
{
    const q35i_tensor *t = &graph->tensors[tensor];
    if (t->role == Q35_ROLE_OUTPUT)
        return t->producer >= first && t->producer < end ? Q35_ROLE_OUTPUT : Q35_ROLE_INPUT;
    if (t->role != Q35_ROLE_TEMP)
        return t->role;
    if (t->producer < first || t->producer >= end)
        return Q35_ROLE_INPUT;
    for (uint32_t n = end; n < graph->n_nodes; n++)
        for (uint32_t i = 0; i < graph->nodes[n].n_in; i++)
            if (graph->nodes[n].in[i] == tensor)
                return Q35_ROLE_OUTPUT;
    return Q35_ROLE_TEMP;
}

/* Local index of a graph tensor in the image, adding it on first sight. Weights are told apart by op, since their
 * layout may depend on it. */
static uint32_t local_index(const q35i_graph *graph, region_image *image, uint32_t tensor, uint32_t op,
                            uint32_t first, uint32_t end)
{
    uint32_t role = role_in(graph, tensor, first, end);
    for (uint32_t i = 0; i < image->region.n_tensors; i++)
        if (image->global[i] == tensor && (role != Q35_ROLE_WEIGHT || image->use_op[i] == op))
            return i;
    uint32_t i = image->region.n_tensors++;
    image->global[i] = tensor;
    image->use_op[i] = op;
    image->roles[i] = role;
    image->tensors[i] = graph->tensors[tensor].desc;
    return i;
}

static void image_nodes(const q35i_graph *graph, const q35i_step *step, region_image *image)
{
    uint32_t n_ports = 0, end = step->first + step->n_nodes;
    for (uint32_t n = 0; n < step->n_nodes; n++) {
        const q35i_node *node = &graph->nodes[step->first + n];
        uint32_t *in = image->ports + n_ports, *out = in + node->n_in;
        for (uint32_t i = 0; i < node->n_in; i++)
            in[i] = local_index(graph, image, node->in[i], node->op, step->first, end);
        for (uint32_t i = 0; i < node->n_out; i++)
            out[i] = local_index(graph, image, node->out[i], node->op, step->first, end);
        n_ports += node->n_in + node->n_out;
        image->nodes[n] = (q35_node){.h = {sizeof(q35_node), Q35_STRUCT_NODE, NULL},
                                     .op = node->op,
                                     .n_in = node->n_in,
                                     .n_out = node->n_out,
                                     .in = in,
                                     .out = out,
                                     .params = node->params.h.size ? &node->params.h : NULL};
        image->node_list[n] = &image->nodes[n];
    }
    image->region.step = local_index(graph, image, graph->step, 0, step->first, end);
    image->region.n_nodes = step->n_nodes;
    image->region.h = (q35_hdr){sizeof(q35_region), Q35_STRUCT_REGION, NULL};
    image->region.tensors = image->tensors;
    image->region.roles = image->roles;
    image->region.nodes = image->node_list;
}

q35_binding q35i_plan_binding(const q35i_plan *plan, uint32_t tensor, uint32_t memory)
{
    const q35i_replica *r = q35i_schedule_replica(&plan->schedule, tensor, memory);
    q35_binding b = plan->arena[memory];
    if (b.host)
        b.host = (char *)b.host + r->offset;
    else
        b.offset += r->offset;
    b.bytes = r->bytes;
    return b;
}

/* Compiles one region and binds it. *out_refused: set when the device does not compile what it said it could. */
static q35_status compile(q35i_plan *plan, q35i_step *step, const q35i_step **out_refused)
{
    const q35i_device *device = plan->devices->device[step->device];
    uint32_t memory = q35i_memory_of(plan->devices, step->device);
    region_image image;
    q35_binding *bindings = NULL;
    q35_status status = image_alloc(&image, step->n_nodes);
    if (status != Q35_OK)
        goto done;
    image_nodes(&plan->graph, step, &image);
    bindings = q35i_calloc(image.region.n_tensors, sizeof *bindings);
    Q35_CHECK_ALLOC_GOTO(bindings, done);
    for (uint32_t i = 0; i < image.region.n_tensors; i++) {
        const q35i_tensor *t = &plan->graph.tensors[image.global[i]];
        if (t->role == Q35_ROLE_WEIGHT || t->role == Q35_ROLE_STATE)
            Q35_TRY_GOTO(
                q35i_residence_find(plan->res, t, image.use_op[i], step->device, &image.tensors[i], &bindings[i]),
                done);
        else
            bindings[i] = q35i_plan_binding(plan, image.global[i], memory);
    }
    (void)Q35_FAIL(Q35_E_INTERNAL, "it gave no reason");
    q35i_suspect(device->file, "plan_compile");
    status = device->api->plan_compile(device->dev, &image.region, &step->compiled);
    q35i_suspect(NULL, NULL);
    if (status != Q35_OK) {
        step->compiled = NULL;
        *out_refused = status == Q35_E_UNSUPPORTED ? step : NULL;
        goto done;
    }
    Q35_TRY_GOTO(device->api->plan_bind(step->compiled, bindings), done);
done:
    q35i_free(bindings);
    image_free(&image);
    return status == Q35_OK ? Q35_OK : q35i_fail_context(status, "device %s", device->name);
}

static q35_status allocate_arenas(q35i_plan *plan)
{
    for (uint32_t m = 0; m <= plan->devices->n; m++) {
        uint64_t bytes = plan->schedule.arena_bytes[m];
        if (bytes == 0)
            continue;
        plan->arena[m].bytes = bytes;
        if (m == 0) {
            plan->arena[0].host = q35i_alloc_pages(bytes);
            if (!plan->arena[0].host)
                return Q35_E_NOMEM;
            continue;
        }
        const q35i_device *device = plan->devices->device[m - 1];
        q35_status status = device->api->buf_alloc(device->dev, 0, bytes, 64, Q35_USE_ACT, &plan->arena[m].buf);
        if (status != Q35_OK)
            return q35i_fail_context(status, "device %s: %llu KiB for activations, fewer with smaller steps",
                                     device->name, (unsigned long long)(bytes >> 10));
    }
    return Q35_OK;
}

/* From the placement on. */
static q35_status build_placed(q35i_plan *plan, const q35i_step **out_refused)
{
    q35i_residence_homes(plan->res, &plan->graph);
    Q35_TRY(q35i_pass_place(&plan->graph, plan->devices, &plan->placement));
    Q35_TRY(q35i_pass_select(&plan->graph, plan->devices, &plan->placement));
    Q35_TRY(q35i_pass_schedule(&plan->graph, plan->devices, &plan->placement, &plan->schedule));
    Q35_TRY(q35i_pass_liveness(&plan->graph, plan->devices, &plan->schedule));
    Q35_TRY(q35i_pass_memory(&plan->schedule));
    Q35_TRY(q35i_residence_add(plan->res, &plan->graph, &plan->placement));
    Q35_TRY(allocate_arenas(plan));
    for (uint32_t i = 0; i < plan->schedule.n_steps; i++)
        if (plan->schedule.steps[i].kind == Q35I_STEP_RUN)
            Q35_TRY(compile(plan, &plan->schedule.steps[i], out_refused));
    return q35i_replay_find(plan);
}

/* Undoes build_placed. */
static void unbuild(q35i_plan *plan)
{
    q35i_replay_free(plan);
    for (uint32_t i = 0; i < plan->schedule.n_steps; i++) {
        const q35i_step *step = &plan->schedule.steps[i];
        if (step->compiled)
            plan->devices->device[step->device]->api->plan_free(step->compiled);
    }
    q35i_free_pages(plan->arena[0].host, plan->arena[0].bytes);
    for (uint32_t m = 1; m <= plan->devices->n; m++)
        if (plan->arena[m].buf)
            plan->devices->device[m - 1]->api->buf_free(plan->arena[m].buf);
    memset(plan->arena, 0, sizeof plan->arena);
    q35i_schedule_free(&plan->schedule);
    q35i_placement_free(&plan->placement);
    q35i_unselect(&plan->graph);
}

/* Each round notes at least one kind of node that a device refuses, so it ends. */
static q35_status build(q35i_plan *plan)
{
    Q35_TRY(q35i_pass_fuse(&plan->graph, plan->devices));
    for (;;) {
        const q35i_step *refused = NULL;
        q35_status status = build_placed(plan, &refused);
        if (status == Q35_OK || !refused)
            return status;
        Q35_TRY(q35i_replan(plan, refused));
        unbuild(plan);
    }
}

q35_status q35i_plan_create(q35i_residence *res, q35i_graph *graph, q35i_plan **out)
{
    q35i_plan *plan = *out = q35i_calloc(1, sizeof *plan);
    if (!plan) {
        q35i_graph_free(graph);
        return Q35_E_NOMEM;
    }
    plan->res = res;
    plan->devices = q35i_residence_devices(res);
    plan->graph = *graph;
    q35i_graph_init(graph);
    q35_status status = build(plan);
    if (status != Q35_OK) {
        q35i_plan_destroy(plan);
        *out = NULL;
    }
    return status;
}

void q35i_plan_destroy(q35i_plan *plan)
{
    if (!plan)
        return;
    unbuild(plan);
    q35i_graph_free(&plan->graph);
    q35i_free(plan);
}

const q35i_graph *q35i_plan_graph(const q35i_plan *plan)
{
    return &plan->graph;
}

uint64_t q35i_plan_linear_bytes(const q35i_plan *plan)
{
    uint64_t bytes = 0;
    for (uint32_t n = 0; n < plan->graph.n_nodes; n++) {
        const q35i_node *node = &plan->graph.nodes[n];
        q35_tensor_desc desc;
        q35_binding binding;
        if (node->op == Q35_OP_LINEAR &&
            q35i_residence_find(plan->res, &plan->graph.tensors[node->in[1]], node->op, plan->placement.device[n],
                                &desc, &binding) == Q35_OK)
            bytes += binding.bytes;
    }
    return bytes;
}
