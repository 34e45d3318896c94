/* SPDX-License-Identifier: Apache-2.0
 *
 * What one run of a region costs at full capacity: the slower of memory traffic and arithmetic, and a launch for
 * each kernel. Rates are the data sheet's, with the share of it that kernels of this kind reach elsewhere; the
 * host corrects them by measuring. */
#include "cuda.h"

#include <string.h>

enum { LAUNCH_NS = 5000, NODE_NS = 2000, SHARE_PCT = 70, UNKNOWN_MBS = 100000, UNKNOWN_GFLOPS = 1000 };

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
    case Q35_OP_GET_ROWS:
    case Q35_OP_KV_APPEND:
    case Q35_OP_TAKE_ROWS: return 0;
    default: return 16 * elements(x);
    }
}

static double tensor_bytes(const q35_region *region, uint32_t t)
{
    uint64_t bytes = 0;
    (void)q35i_cuda_tensor_bytes(&region->tensors[t], &bytes);
    return (double)bytes;
}

/* Of a table and of the cache it appends to, a node touches a row per token. */
static double touched(const q35_region *region, const q35_node *n, uint32_t i)
{
    const q35_tensor_desc *d = &region->tensors[n->in[i]], *x = &region->tensors[n->in[0]];
    const double bytes = tensor_bytes(region, n->in[i]);
    if (n->op == Q35_OP_GET_ROWS && i == 1)
        return bytes / (double)d->dim[1] * (double)x->dim[0];
    if (n->op == Q35_OP_KV_APPEND && (i == 2 || i == 3))
        return bytes / (double)(d->dim[1] * d->dim[3]) * (double)x->dim[1];
    return bytes;
}

q35_status q35i_cuda_op_cost(q35_device *dev, const q35_region *region, q35_cost *out)
{
    char reason[128] = "";
    if (!q35i_cuda_check_region(region, reason, sizeof reason))
        return q35i_cuda_fail(Q35_E_UNSUPPORTED, "cuda cost: %s", reason);
    double flops = 0, read = 0, written = 0;
    for (uint32_t i = 0; i < region->n_nodes; i++) {
        const q35_node *n = region->nodes[i];
        flops += node_flops(region, n);
        for (uint32_t j = 0; j < n->n_in; j++)
            *(n->op == Q35_OP_KV_APPEND && (j == 2 || j == 3) ? &written : &read) += touched(region, n, j);
        for (uint32_t j = 0; j < n->n_out; j++)
            written += tensor_bytes(region, n->out[j]);
    }
    q35_device_info info = {.h = {sizeof info, Q35_STRUCT_DEVICE_INFO, NULL}};
    q35_memory_info memory = {.h = {sizeof memory, Q35_STRUCT_MEMORY_INFO, NULL}};
    (void)q35i_cuda_device_info(dev->index, &info);
    (void)q35i_cuda_memory_info(dev->index, 0, &memory);
    const double mbs = memory.read_mbs ? (double)memory.read_mbs : UNKNOWN_MBS;
    const double gflops = info.peak_gflops_f32 ? (double)info.peak_gflops_f32 : UNKNOWN_GFLOPS;
    const double by_memory = (read + written) * 1000 / mbs, by_compute = flops / gflops;
    const double ns = (by_memory > by_compute ? by_memory : by_compute) * 100 / SHARE_PCT +
                      (double)region->n_nodes * NODE_NS + LAUNCH_NS;
    const q35_cost cost = {.h = {sizeof cost, Q35_STRUCT_COST, NULL},
                           .flops = (uint64_t)flops,
                           .bytes_read = (uint64_t)read,
                           .bytes_written = (uint64_t)written,
                           .ns = (uint64_t)ns,
                           .launch_ns = LAUNCH_NS,
                           .source = Q35_COST_MODEL,
                           .confidence_pct = 20};
    q35i_cuda_answer(&out->h, &cost.h);
    return Q35_OK;
}
