/* SPDX-License-Identifier: Apache-2.0
 *
 * What one run of a region costs at full capacity, by a roofline: the slower of arithmetic and memory traffic,
 * plus one wake-up of the pool. The rates are orders of magnitude for a server core; the host corrects them by
 * measuring. */
#include "plugins/cpu/cpu.h"

#define BYTES_PER_NS_WORKER 8.0 /* one core streaming from memory */
#define LAUNCH_NS           3000.0

/* Multiply-adds per nanosecond and worker in LINEAR of many tokens with int8 activations; of few, memory decides.
 */
static double macs_per_ns(uint32_t features)
{
    static const struct {
        uint32_t bit;
        double rate;
    } levels[] = {{Q35K_CPU_AMX, 900.0}, {Q35K_CPU_AVX512, 300.0},   {Q35K_CPU_AVXVNNI, 100.0},
                  {Q35K_CPU_AVX2, 50.0}, {Q35K_CPU_NEON_I8MM, 40.0}, {Q35K_CPU_NEON_DOT, 30.0},
                  {Q35K_CPU_NEON, 10.0}};
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
        if (features & levels[i].bit)
            return levels[i].rate;
    return 0.2;
}

q35_status q35i_cpu_op_cost(q35_device *dev, const q35_region *region, q35_cost *out)
{
    char reason[128] = "";
    if (!q35p_check_region(&q35i_cpu_rules, dev, region, reason, sizeof reason))
        return q35p_fail(Q35_E_UNSUPPORTED, "cpu cost: %s", reason);
    const q35p_work work = q35p_work_of(&q35i_cpu_rules, region);
    const double workers = dev->n_workers;
    const double compute = work.flops / 2 / (macs_per_ns(dev->kernels.features) * workers);
    const double memory = (work.read + work.written) / (BYTES_PER_NS_WORKER * workers);
    q35_cost cost = {.h = {sizeof cost, Q35_STRUCT_COST, NULL},
                     .flops = q35p_to_count(work.flops),
                     .bytes_read = q35p_to_count(work.read),
                     .bytes_written = q35p_to_count(work.written),
                     .ns = q35p_to_count((compute > memory ? compute : memory) + LAUNCH_NS),
                     .launch_ns = (uint64_t)LAUNCH_NS,
                     .source = Q35_COST_MODEL,
                     .confidence_pct = 30};
    q35p_answer(&out->h, &cost.h);
    return Q35_OK;
}
