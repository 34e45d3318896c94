/* SPDX-License-Identifier: Apache-2.0
 *
 * What one run of a region costs at full capacity: the slower of arithmetic and memory traffic, and the launches.
 * Rates are orders of magnitude for the kind of device. */
#include "plugins/opencl/opencl.h"

q35_status q35i_cl_op_cost(q35_device *dev, const q35_region *region, q35_cost *out)
{
    char reason[128] = "";
    if (!q35p_check_region(&q35i_cl_rules, dev, region, reason, sizeof reason))
        return q35p_fail(Q35_E_UNSUPPORTED, "opencl cost: %s", reason);
    const bool cpu = dev->family == Q35I_CL_CPU;
    const double flops_per_ns = (cpu ? 8.0 : 100.0) * dev->found->units;
    const double bytes_per_ns = cpu ? 5.0 * dev->found->units : dev->found->unified ? 50.0 : 300.0;
    const q35p_work work = q35p_work_of(&q35i_cl_rules, region);
    const double launch = (cpu ? 3000.0 : 8000.0) * region->n_nodes;
    const double compute = work.flops / flops_per_ns, memory = (work.read + work.written) / bytes_per_ns;
    const q35_cost cost = {.h = {sizeof cost, Q35_STRUCT_COST, NULL},
                           .flops = q35p_to_count(work.flops),
                           .bytes_read = q35p_to_count(work.read),
                           .bytes_written = q35p_to_count(work.written),
                           .ns = q35p_to_count((compute > memory ? compute : memory) + launch),
                           .launch_ns = q35p_to_count(launch),
                           .source = Q35_COST_MODEL,
                           .confidence_pct = 20};
    q35p_answer(&out->h, &cost.h);
    return Q35_OK;
}
