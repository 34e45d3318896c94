/* SPDX-License-Identifier: Apache-2.0
 *
 * Work of a region, for cost models: operations by the formulas of the ops, and bytes by what is touched. */
#include "plugins/common/region.h"

enum { EXP_FLOPS = 12 }; /* what an exponential counts */

static double elements(const q35_tensor_desc *d)
{
    return (double)d->dim[0] * (double)d->dim[1] * (double)d->dim[2] * (double)d->dim[3];
}

/* One sum per input and distance, sign and factor. */
static double rotation_flops(const q35_tensor_desc *x, uint32_t width)
{
    double steps = 2;
    for (; width > 1; width /= 2)
        steps++;
    return steps * elements(x);
}

static double node_flops(const q35_region *region, const q35_node *n)
{
    const q35_tensor_desc *x = &region->tensors[n->in[0]];
    switch (n->op) {
    case Q35_OP_LINEAR: return 2 * elements(x) * (double)region->tensors[n->in[1]].dim[1];
    case Q35_OP_ATTENTION: return 4 * elements(x) * (double)region->tensors[n->in[5]].dim[0] * Q35_KV_PAGE;
    case Q35_OP_SWIGLU:
    case Q35_OP_SILU: return (EXP_FLOPS + 4) * elements(x);
    case Q35_OP_GET_ROWS:
    case Q35_OP_KV_APPEND:
    case Q35_OP_TAKE_ROWS: return 0;
    case Q35_OP_ROTATE: return rotation_flops(x, Q35P_PARAMS(n, q35_rotate_params)->width);
    case Q35_OP_QUANTIZE_ACT:
        return 4 * elements(x) +
               (n->n_in == 2 ? rotation_flops(x, Q35P_PARAMS(n, q35_quantize_params)->width) : 0);
    default: return 4 * elements(x);
    }
}

static double bytes_of(const q35p_rules *rules, const q35_region *region, uint32_t t)
{
    uint64_t bytes = 0;
    (void)q35p_tensor_bytes(rules, &region->tensors[t], &bytes);
    return (double)bytes;
}

/* Of a table and of the cache it appends to, a node touches a row per token. */
static void add_inputs(q35p_work *work, const q35p_rules *rules, const q35_region *region, const q35_node *n)
{
    const q35_tensor_desc *x = &region->tensors[n->in[0]];
    for (uint32_t i = 0; i < n->n_in; i++) {
        const q35_tensor_desc *d = &region->tensors[n->in[i]];
        const double bytes = bytes_of(rules, region, n->in[i]);
        if (n->op == Q35_OP_GET_ROWS && i == 1)
            work->read += bytes / (double)d->dim[1] * (double)x->dim[0];
        else if (n->op == Q35_OP_KV_APPEND && (i == 2 || i == 3))
            work->written += bytes / (double)(d->dim[1] * d->dim[3]) * (double)x->dim[1];
        else
            work->read += bytes;
    }
    if (n->op == Q35_OP_SUM_SQUARES)
        work->written += bytes_of(rules, region, n->in[1]);
}

q35p_work q35p_work_of(const q35p_rules *rules, const q35_region *region)
{
    q35p_work work = {0};
    for (uint32_t i = 0; i < region->n_nodes; i++) {
        const q35_node *n = region->nodes[i];
        work.flops += node_flops(region, n);
        add_inputs(&work, rules, region, n);
        for (uint32_t j = 0; j < n->n_out; j++)
            work.written += bytes_of(rules, region, n->out[j]);
    }
    return work;
}

uint64_t q35p_to_count(double value)
{
    return value < 9e18 ? (uint64_t)value : (uint64_t)9e18;
}
