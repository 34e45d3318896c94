/* SPDX-License-Identifier: Apache-2.0
 *
 * What one run of a region costs at full capacity: the slower of memory traffic and arithmetic, and a launch for
 * each kernel. Rates are the data sheet's, with the share of it that kernels of this kind reach elsewhere; the
 * host corrects them by measuring. */
#include "cuda.h"

#include <string.h>

enum { LAUNCH_NS = 5000, NODE_NS = 2000, SHARE_PCT = 70, UNKNOWN_MBS = 100000, UNKNOWN_GFLOPS = 1000 };

q35_status q35i_cuda_op_cost(q35_device *dev, const q35_region *region, q35_cost *out)
{
    char reason[128] = "";
    if (!q35p_check_region(&q35i_cuda_rules, dev, region, reason, sizeof reason))
        return q35p_fail(Q35_E_UNSUPPORTED, "cuda cost: %s", reason);
    const q35p_work work = q35p_work_of(&q35i_cuda_rules, region);
    q35_device_info info = {.h = {sizeof info, Q35_STRUCT_DEVICE_INFO, NULL}};
    q35_memory_info memory = {.h = {sizeof memory, Q35_STRUCT_MEMORY_INFO, NULL}};
    (void)q35i_cuda_device_info(dev->index, &info);
    (void)q35i_cuda_memory_info(dev->index, 0, &memory);
    const double mbs = memory.read_mbs ? (double)memory.read_mbs : UNKNOWN_MBS;
    const double gflops = info.peak_gflops_f32 ? (double)info.peak_gflops_f32 : UNKNOWN_GFLOPS;
    const double by_memory = (work.read + work.written) * 1000 / mbs, by_compute = work.flops / gflops;
    const double ns = (by_memory > by_compute ? by_memory : by_compute) * 100 / SHARE_PCT +
                      (double)region->n_nodes * NODE_NS + LAUNCH_NS;
    const q35_cost cost = {.h = {sizeof cost, Q35_STRUCT_COST, NULL},
                           .flops = q35p_to_count(work.flops),
                           .bytes_read = q35p_to_count(work.read),
                           .bytes_written = q35p_to_count(work.written),
                           .ns = q35p_to_count(ns),
                           .launch_ns = LAUNCH_NS,
                           .source = Q35_COST_MODEL,
                           .confidence_pct = 20};
    q35p_answer(&out->h, &cost.h);
    return Q35_OK;
}
