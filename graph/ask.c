/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions to devices: one node as a region of its own, and what the device says of it. */
#include "graph/place.h"
#include "runtime/base/alloc.h"

#include <q35rt/blocks.h>
#include <stdio.h>
#include <string.h>

_Static_assert(Q35I_SIGNATURE == 1 + Q35I_MAX_IN + Q35I_MAX_OUT, "op and types");

static const q35_hdr *params_of(const q35i_node *node)
{
    return node->params.h.size ? &node->params.h : NULL;
}

void q35i_single_region(const q35i_graph *graph, const q35i_node *node, q35i_single *out)
{
    uint32_t n = 0;
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < node->n_in; i++, n++) {
        const q35i_tensor *t = &graph->tensors[node->in[i]];
        out->tensors[n] = t->desc;
        out->roles[n] = t->role == Q35_ROLE_TEMP ? Q35_ROLE_INPUT : t->role;
        out->in[i] = n;
    }
    for (uint32_t i = 0; i < node->n_out; i++, n++) {
        out->tensors[n] = graph->tensors[node->out[i]].desc;
        out->roles[n] = Q35_ROLE_OUTPUT;
        out->out[i] = n;
    }
    out->tensors[n] = graph->tensors[graph->step].desc;
    out->roles[n] = Q35_ROLE_STEP;
    out->node = (q35_node){.h = {sizeof(q35_node), Q35_STRUCT_NODE, NULL},
                           .op = node->op,
                           .n_in = node->n_in,
                           .n_out = node->n_out,
                           .in = out->in,
                           .out = out->out,
                           .params = params_of(node)};
    out->nodes[0] = &out->node;
    out->region = (q35_region){.h = {sizeof(q35_region), Q35_STRUCT_REGION, NULL},
                               .n_tensors = n + 1,
                               .n_nodes = 1,
                               .tensors = out->tensors,
                               .roles = out->roles,
                               .nodes = out->nodes,
                               .step = n};
}

/* Bytes moved over 10 GB/s or operations over 10 GFLOP/s, where a device says nothing better. */
static uint64_t roofline_ns(const q35i_device *device, const q35i_graph *graph, const q35i_node *node)
{
    uint64_t bytes = 0, flops = 0;
    for (uint32_t i = 0; i < node->n_in; i++)
        bytes += q35i_desc_bytes(&graph->tensors[node->in[i]].desc);
    for (uint32_t i = 0; i < node->n_out; i++) {
        const q35_tensor_desc *d = &graph->tensors[node->out[i]].desc;
        bytes += q35i_desc_bytes(d);
        flops += (uint64_t)(d->dim[0] * d->dim[1]) * 2;
    }
    if (node->op == Q35_OP_LINEAR)
        flops *= (uint64_t)graph->tensors[node->in[1]].desc.dim[0];
    uint64_t mbs = device->memory.read_mbs ? device->memory.read_mbs : 10000;
    uint64_t gflops = device->info.peak_gflops_f32 ? device->info.peak_gflops_f32 : 10;
    uint64_t by_memory = bytes * 1000 / mbs, by_compute = flops / gflops;
    return (by_memory > by_compute ? by_memory : by_compute) + device->info.launch_ns;
}

/* Op and types of a node in a row of numbers. */
static void signature_of(const q35i_graph *graph, const q35i_node *node, uint32_t out[Q35I_SIGNATURE])
{
    memset(out, 0, Q35I_SIGNATURE * sizeof *out);
    out[0] = node->op;
    for (uint32_t i = 0; i < node->n_in; i++)
        out[1 + i] = graph->tensors[node->in[i]].desc.dtype + 1;
    for (uint32_t i = 0; i < node->n_out; i++)
        out[1 + Q35I_MAX_IN + i] = graph->tensors[node->out[i]].desc.dtype + 1;
}

const char *q35i_refused(const q35i_device *device, const q35i_graph *graph, const q35i_node *node)
{
    uint32_t signature[Q35I_SIGNATURE];
    signature_of(graph, node, signature);
    for (uint32_t i = 0; i < device->n_refusals; i++)
        if (memcmp(device->refusals[i].signature, signature, sizeof signature) == 0)
            return device->refusals[i].reason;
    return NULL;
}

q35_status q35i_refuse(q35i_device *device, const q35i_graph *graph, const q35i_node *node, const char *reason)
{
    q35i_refusal *grown = q35i_realloc(device->refusals, (uint64_t)device->n_refusals + 1, sizeof *grown);
    if (!grown)
        return Q35_E_NOMEM;
    device->refusals = grown;
    q35i_refusal *r = &grown[device->n_refusals++];
    signature_of(graph, node, r->signature);
    snprintf(r->reason, sizeof r->reason, "%s", reason);
    return Q35_OK;
}

void q35i_ask(const q35i_device *device, const q35i_graph *graph, const q35i_node *node, q35i_answer *out)
{
    q35i_single single;
    q35_support support = {.h = {sizeof support, Q35_STRUCT_SUPPORT, NULL}};
    const char *refused = q35i_refused(device, graph, node);
    memset(out, 0, sizeof *out);
    if (refused) {
        snprintf(out->reason, sizeof out->reason, "%s", refused);
        return;
    }
    q35i_single_region(graph, node, &single);
    q35_status status = device->api->op_support(device->dev, &single.region, &support);
    support.reason[sizeof support.reason - 1] = '\0';
    if (status != Q35_OK)
        snprintf(out->reason, sizeof out->reason, "%.127s", q35_error_message());
    else if (!support.ok)
        snprintf(out->reason, sizeof out->reason, "%s", support.reason[0] ? support.reason : "no reason given");
    else {
        q35_cost cost = {.h = {sizeof cost, Q35_STRUCT_COST, NULL}};
        out->ok = 1;
        if (Q35_HAS_SLOT(device->api, q35_plugin, op_cost) &&
            device->api->op_cost(device->dev, &single.region, &cost) == Q35_OK && cost.ns > 0)
            out->ns = cost.ns;
        else
            out->ns = roofline_ns(device, graph, node);
    }
}

uint64_t q35i_transfer_ns(const q35i_devices *devices, uint32_t from, uint32_t to, uint64_t bytes)
{
    const q35i_device *a = devices->device[from], *b = devices->device[to];
    if (a == b || (a->host_memory && b->host_memory))
        return 0;
    /* 10 GB/s and 10 us per hop until links are measured */
    uint64_t hops = q35i_direct(devices, from, to) ? 1 : (uint64_t)!a->host_memory + (uint64_t)!b->host_memory;
    return hops * (10000 + bytes / 10);
}
