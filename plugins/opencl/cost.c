/* SPDX-License-Identifier: Apache-2.0
 *
 * What one run of a region costs at full capacity: the slower of arithmetic and memory traffic, and the launches.
 * Rates are orders of magnitude for the kind of device. */
#include "plugins/opencl/opencl.h"

static double elements(const q35_tensor_desc *d)
{
    return (double)d->dim[0] * (double)d->dim[1] * (double)d->dim[2] * (double)d->dim[3];
}

static double node_flops(const q35_region *region, const q35_node *n)
{
    const q35_tensor_desc *x = &region->tensors[n->in[0]];
    switch (n->op) {
    case Q35_OP_LINEAR: return 2 * elements(x) * (double)region->tensors[n->in[1]].dim[1];
    case Q35_OP_ATTENTION: return 4 * elements(x) * (double)region->tensors[n->in[5]].dim[0] * Q35_KV_PAGE;
    case Q35_OP_SWIGLU:
    case Q35_OP_SILU:
    case Q35_OP_ROTATE:
    case Q35_OP_QUANTIZE_ACT: return 16 * elements(x);
    default: return 4 * elements(x);
    }
}

/* Tables and caches are touched in the rows of the step alone. */
static double node_bytes(const q35_region *region, const q35_node *n)
{
    const q35_tensor_desc *x = &region->tensors[n->in[0]];
    double bytes = 0;
    for (uint32_t i = 0; i < n->n_in; i++) {
        const q35_tensor_desc *d = &region->tensors[n->in[i]];
        double part = (double)q35i_cl_tensor_bytes(d);
        if (n->op == Q35_OP_GET_ROWS && i == 1)
            part *= (double)x->dim[0] / (double)d->dim[1];
        else if (n->op == Q35_OP_KV_APPEND && (i == 2 || i == 3))
            part *= (double)x->dim[1] / (double)(d->dim[1] * d->dim[3]);
        bytes += part;
    }
    for (uint32_t i = 0; i < n->n_out; i++)
        bytes += (double)q35i_cl_tensor_bytes(&region->tensors[n->out[i]]);
    return bytes;
}

static uint64_t to_count(double value)
{
    return value < 9e18 ? (uint64_t)value : (uint64_t)9e18;
}

q35_status q35i_cl_op_cost(q35_device *dev, const q35_region *region, q35_cost *out)
{
    char reason[128] = "";
    if (!q35i_cl_check_region(dev, region, reason, sizeof reason))
        return q35i_cl_fail(Q35_E_UNSUPPORTED, "opencl cost: %s", reason);
    const bool cpu = dev->family == Q35I_CL_CPU;
    const double flops_per_ns = (cpu ? 8.0 : 100.0) * dev->found->units;
    const double bytes_per_ns = cpu ? 5.0 * dev->found->units : dev->found->unified ? 50.0 : 300.0;
    double flops = 0, bytes = 0, launch = (cpu ? 3000.0 : 8000.0) * region->n_nodes;
    for (uint32_t i = 0; i < region->n_nodes; i++) {
        flops += node_flops(region, region->nodes[i]);
        bytes += node_bytes(region, region->nodes[i]);
    }
    const double compute = flops / flops_per_ns, memory = bytes / bytes_per_ns;
    const q35_cost cost = {.h = {sizeof cost, Q35_STRUCT_COST, NULL},
                           .flops = to_count(flops),
                           .bytes_read = to_count(bytes),
                           .ns = to_count((compute > memory ? compute : memory) + launch),
                           .launch_ns = to_count(launch),
                           .source = Q35_COST_MODEL,
                           .confidence_pct = 20};
    q35i_cl_answer(&out->h, &cost.h);
    return Q35_OK;
}
