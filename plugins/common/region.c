/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of a region node by node, and what is kept of one that passed. */
#include "plugins/common/region.h"

#include "plugins/common/host.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *q35p_op_name(uint32_t op)
{
    const q35p_op *found = q35p_find_op(op);
    return found ? found->name : "?";
}

bool q35p_refuse(const q35p_check *c, const char *fmt, ...)
{
    size_t used = 0;
    if (c->node) {
        const int n = snprintf(c->reason, c->cap, "%s (node %u): ", q35p_op_name(c->node->op), c->index);
        used = n > 0 && (size_t)n < c->cap ? (size_t)n : 0;
    }
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->reason + used, c->cap - used, fmt, args);
    va_end(args);
    return false;
}

/* Only weights may be packed; nothing writes weights or step values. */
static bool check_operands(const q35p_check *c)
{
    static const char *const names[Q35P_MAX_IN] = {"input 0", "input 1", "input 2",
                                                   "input 3", "input 4", "input 5"};
    for (uint32_t i = 0; i < c->node->n_in; i++) {
        if (!q35p_want_tensor(c, c->node->in[i], names[i]))
            return false;
        if (q35p_in(c, i)->layout != 0 && !c->rules->reads_packed(c, i))
            return q35p_refuse(c, "%s has layout %u, need 0", names[i], q35p_in(c, i)->layout);
    }
    for (uint32_t i = 0; i < c->node->n_out; i++) {
        const uint32_t t = c->node->out[i];
        if (!q35p_want_tensor(c, t, "output"))
            return false;
        if (c->region->tensors[t].layout != 0)
            return q35p_refuse(c, "output has layout %u, need 0", c->region->tensors[t].layout);
        if (c->region->roles[t] == Q35_ROLE_WEIGHT || c->region->roles[t] == Q35_ROLE_STEP)
            return q35p_refuse(c, "output has role %u, need one that may be written", c->region->roles[t]);
    }
    return true;
}

static bool check_node(const q35p_check *c)
{
    const q35_node *n = c->node;
    if (!Q35_HAS_FIELD(n, q35_node, params))
        return q35p_refuse(c, "node struct has %u bytes, need %u", n->h.size, (unsigned)sizeof *n);
    const q35p_op *op = q35p_find_op(n->op);
    if (!op || !(c->rules->ops >> n->op & 1))
        return q35p_refuse(c, "op is %#x, need one that the device runs", n->op);
    if (n->n_in < op->min_in || n->n_in > op->max_in || n->n_out != op->n_out)
        return q35p_refuse(c, "%u inputs and %u outputs, need %u to %u and %u", n->n_in, n->n_out, op->min_in,
                           op->max_in, op->n_out);
    if (!n->in || (n->n_out && !n->out))
        return q35p_refuse(c, "inputs or outputs are missing");
    return check_operands(c) && op->check(c) && (!c->rules->wants || c->rules->wants(c));
}

static bool check_step_tensor(const q35p_check *c)
{
    const uint32_t t = c->region->step;
    const int64_t need = (int64_t)(sizeof(q35_step) / sizeof(int32_t));
    if (t == Q35_NONE)
        return true;
    if (!q35p_want_tensor(c, t, "step tensor"))
        return false;
    const q35_tensor_desc *d = &c->region->tensors[t];
    if (d->dtype != Q35_DT_I32 || d->rank != 1 || d->dim[0] < need || d->layout != 0)
        return q35p_refuse(c, "step tensor is %s of %lld, need I32 of %lld", q35_dtype_describe(d->dtype).name,
                           (long long)d->dim[0], (long long)need);
    return true;
}

bool q35p_check_region(const q35p_rules *rules, const q35_device *dev, const q35_region *region, char *reason,
                       size_t cap)
{
    q35p_check c = {rules, dev, region, NULL, 0, reason, cap};
    if (!region || !Q35_HAS_FIELD(region, q35_region, step))
        return q35p_refuse(&c, "region struct has %u bytes, need %u", region ? region->h.size : 0,
                           (unsigned)sizeof *region);
    if (region->n_nodes == 0 || !region->nodes || !region->tensors || !region->roles)
        return q35p_refuse(&c, "region has %u nodes and %u tensors, need at least one node", region->n_nodes,
                           region->n_tensors);
    if (!check_step_tensor(&c))
        return false;
    for (c.index = 0; c.index < region->n_nodes; c.index++) {
        c.node = region->nodes[c.index];
        if (!c.node)
            return q35p_refuse(&c, "node %u is missing", c.index);
        if (!check_node(&c))
            return false;
    }
    return true;
}

q35p_node q35p_keep_node(const q35_node *node)
{
    q35p_node n = {.op = node->op, .n_in = node->n_in, .n_out = node->n_out};
    for (uint32_t i = 0; i < n.n_in; i++)
        n.in[i] = node->in[i];
    for (uint32_t i = 0; i < n.n_out; i++)
        n.out[i] = node->out[i];
    if (node->params)
        memcpy(&n.params, node->params,
               node->params->size < sizeof n.params ? node->params->size : sizeof n.params);
    return n;
}

q35_status q35p_check_slice(const q35p_rules *rules, const char *what, uint32_t layout,
                            const q35_tensor_desc *weight, uint64_t row, uint64_t n_rows, uint32_t slice_rows)
{
    q35_tensor_desc packed = {0};
    if (weight)
        packed = *weight;
    packed.layout = layout;
    if (!weight || layout == 0 || weight->rank != 2 || weight->dim[0] < 1 || weight->dim[1] < 1 ||
        rules->packed_bytes(&packed) == 0)
        return q35p_fail(Q35_E_INVALID, "%s: layout %u of %s, need a layout offered for it", what, layout,
                         weight ? q35_dtype_describe(weight->dtype).name : "no weight");
    if (weight->stride[1] < (int64_t)q35_row_bytes(weight->dtype, (uint64_t)weight->dim[0]))
        return q35p_fail(Q35_E_INVALID, "%s: row stride is %lld, need a whole row", what,
                         (long long)weight->stride[1]);
    if (slice_rows == 0 || row % slice_rows != 0 || n_rows < 1 || n_rows > slice_rows)
        return q35p_fail(Q35_E_RANGE, "%s: rows %llu + %llu, need a multiple of %u and up to %u rows", what,
                         (unsigned long long)row, (unsigned long long)n_rows, slice_rows, slice_rows);
    return Q35_OK;
}
