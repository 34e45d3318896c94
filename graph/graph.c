/* SPDX-License-Identifier: Apache-2.0
 *
 * Graph storage: growing arrays of tensors and nodes, with the first failure kept so that builders read straight.
 */
#include "graph/graph.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"

#include <q35rt/blocks.h>
#include <stdio.h>
#include <string.h>

void q35i_graph_init(q35i_graph *graph)
{
    memset(graph, 0, sizeof *graph);
    graph->step = graph->ids = graph->logits = Q35_NONE;
    graph->positions = graph->slots = graph->sequence = graph->pages = graph->out_rows = Q35_NONE;
    graph->top_values = graph->top_ids = Q35_NONE;
}

void q35i_graph_free(q35i_graph *graph)
{
    for (uint32_t i = 0; i < graph->n_constants; i++)
        q35i_free(graph->constants[i]);
    q35i_free(graph->constants);
    q35i_free(graph->tensors);
    q35i_free(graph->nodes);
    q35i_graph_init(graph);
}

q35_tensor_desc q35i_desc(uint32_t dtype, uint32_t rank, const int64_t *dim, uint32_t flags)
{
    q35_tensor_desc d = {.dtype = dtype, .rank = rank, .flags = flags};
    d.stride[0] = q35_dtype_describe(dtype).block_bytes;
    for (uint32_t i = 0; i < 4; i++)
        d.dim[i] = i < rank ? dim[i] : 1;
    d.stride[1] = (int64_t)q35_row_bytes(dtype, (uint64_t)d.dim[0]);
    for (uint32_t i = 2; i < 4; i++)
        d.stride[i] = d.stride[i - 1] * d.dim[i - 1];
    return d;
}

q35_tensor_desc q35i_desc2(uint32_t dtype, int64_t dim0, int64_t dim1, uint32_t flags)
{
    const int64_t dim[2] = {dim0, dim1};
    return q35i_desc(dtype, 2, dim, flags);
}

uint64_t q35i_desc_bytes(const q35_tensor_desc *desc)
{
    if (desc->rank < 2)
        return q35_row_bytes(desc->dtype, (uint64_t)desc->dim[0]);
    return (uint64_t)desc->dim[desc->rank - 1] * (uint64_t)desc->stride[desc->rank - 1];
}

/* Makes room for one more element; false (and graph->status) when memory is out. */
static bool grow(q35i_graph *graph, void **array, uint32_t n, uint32_t *cap, uint64_t size)
{
    if (n < *cap)
        return true;
    uint32_t want = *cap ? *cap * 2 : 64;
    void *bigger = q35i_realloc(*array, want, size);
    if (!bigger) {
        graph->status = Q35_E_NOMEM;
        return false;
    }
    *array = bigger;
    *cap = want;
    return true;
}

uint32_t q35i_graph_tensor(q35i_graph *graph, uint32_t role, q35_tensor_desc desc, const void *data,
                           const char *name)
{
    void *array = graph->tensors;
    if (graph->status != Q35_OK ||
        !grow(graph, &array, graph->n_tensors, &graph->cap_tensors, sizeof(q35i_tensor)))
        return Q35_NONE;
    graph->tensors = array;
    q35i_tensor *t = &graph->tensors[graph->n_tensors];
    memset(t, 0, sizeof *t);
    snprintf(t->name, sizeof t->name, "%s", name);
    t->desc = desc;
    t->role = role;
    t->producer = Q35_NONE;
    t->data = data;
    return graph->n_tensors++;
}

/* Appends node with fresh TEMP tensors as its outputs; its n_out is set here. */
static uint32_t append_node(q35i_graph *graph, q35i_node node)
{
    static const char *const suffix[Q35I_MAX_OUT] = {"", "#1"};
    q35_tensor_desc out[Q35I_MAX_OUT];
    void *array = graph->nodes;
    if (graph->status != Q35_OK || !grow(graph, &array, graph->n_nodes, &graph->cap_nodes, sizeof(q35i_node)))
        return Q35_NONE;
    graph->nodes = array;
    switch (node.op) {
#define OP(NAME, text, min, max, outs)                                                                            \
    case Q35_OP_##NAME:                                                                                           \
        node.n_out = outs;                                                                                        \
        break;
#include "graph/ops.def"
#undef OP
    default: break;
    }
    graph->status = q35i_shape_infer(graph, &node, out);
    if (graph->status != Q35_OK)
        return Q35_NONE;
    for (uint32_t i = 0; i < node.n_out; i++) {
        char label[80];
        snprintf(label, sizeof label, "%s%s", node.name, suffix[i]);
        node.out[i] = q35i_graph_tensor(graph, Q35_ROLE_TEMP, out[i], NULL, label);
        if (node.out[i] == Q35_NONE)
            return Q35_NONE;
        graph->tensors[node.out[i]].producer = graph->n_nodes;
    }
    graph->nodes[graph->n_nodes] = node;
    return graph->n_nodes++;
}

uint32_t q35i_graph_node(q35i_graph *graph, uint32_t op, const q35i_params *params, uint32_t n_in,
                         const uint32_t *in, const char *name)
{
    q35i_node node = {.op = op, .n_in = n_in};
    snprintf(node.name, sizeof node.name, "%s", name);
    if (params)
        node.params = *params;
    memcpy(node.in, in, n_in * sizeof *in);
    return append_node(graph, node);
}

void *q35i_graph_constant(q35i_graph *graph, uint64_t bytes)
{
    if (graph->status != Q35_OK)
        return NULL;
    void **list = q35i_realloc(graph->constants, graph->n_constants + 1, sizeof *list);
    if (list)
        graph->constants = list;
    void *block = list ? q35i_calloc(1, bytes) : NULL;
    if (!block) {
        graph->status = Q35_E_NOMEM;
        return NULL;
    }
    graph->constants[graph->n_constants++] = block;
    return block;
}

const char *q35i_op_name(uint32_t op)
{
    switch (op) {
#define OP(NAME, text, min, max, outs)                                                                            \
    case Q35_OP_##NAME:                                                                                           \
        return text;
#include "graph/ops.def"
#undef OP
    default: return "?";
    }
}

uint32_t q35i_graph_find(const q35i_graph *graph, const char *name)
{
    for (uint32_t t = 0; t < graph->n_tensors; t++)
        if (strcmp(graph->tensors[t].name, name) == 0)
            return t;
    return Q35_NONE;
}

uint32_t q35i_graph_uses(const q35i_graph *graph, uint32_t tensor)
{
    uint32_t uses = 0;
    for (uint32_t n = 0; n < graph->n_nodes; n++)
        for (uint32_t i = 0; i < graph->nodes[n].n_in; i++)
            uses += graph->nodes[n].in[i] == tensor;
    return uses;
}
