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
    case Q35_OP_SILU: return 16 * elements(x); /* exp counted as 12 */
    case Q35_OP_GET_ROWS:
    case Q35_OP_KV_APPEND:
    case Q35_OP_TAKE_ROWS: return 0;
    case Q35_OP_ROTATE: return rotation_flops(x, Q35I_CPU_PARAMS(n, q35_rotate_params)->width);
    case Q35_OP_QUANTIZE_ACT:
        return 4 * elements(x) +
               (n->n_in == 2 ? rotation_flops(x, Q35I_CPU_PARAMS(n, q35_quantize_params)->width) : 0);
    default: return 4 * elements(x);
    }
}

static double tensor_bytes(const q35_region *region, uint32_t t)
{
    uint64_t bytes = 0;
    q35i_cpu_tensor_bytes(&region->tensors[t], &bytes);
    return (double)bytes;
}

static void node_bytes(const q35_region *region, const q35_node *n, double *read, double *written)
{
    for (uint32_t i = 0; i < n->n_in; i++) {
        const q35_tensor_desc *d = &region->tensors[n->in[i]], *x = &region->tensors[n->in[0]];
        if (n->op == Q35_OP_GET_ROWS && i == 1)
            *read += tensor_bytes(region, n->in[i]) / (double)d->dim[1] * (double)x->dim[0];
        else if (n->op == Q35_OP_KV_APPEND && (i == 2 || i == 3))
            *written += tensor_bytes(region, n->in[i]) / (double)(d->dim[1] * d->dim[3]) * (double)x->dim[1];
        else
            *read += tensor_bytes(region, n->in[i]);
    }
    for (uint32_t i = 0; i < n->n_out; i++)
        *written += tensor_bytes(region, n->out[i]);
    if (n->op == Q35_OP_SUM_SQUARES)
        *written += tensor_bytes(region, n->in[1]);
}

static uint64_t to_count(double value)
{
    return value < 9e18 ? (uint64_t)value : (uint64_t)9e18;
}

q35_status q35i_cpu_op_cost(q35_device *dev, const q35_region *region, q35_cost *out)
{
    char reason[128] = "";
    if (!q35i_cpu_check_region(dev, region, reason, sizeof reason))
        return q35i_cpu_fail(Q35_E_UNSUPPORTED, "cpu cost: %s", reason);
    double flops = 0, read = 0, written = 0, workers = dev->n_workers;
    for (uint32_t i = 0; i < region->n_nodes; i++) {
        flops += node_flops(region, region->nodes[i]);
        node_bytes(region, region->nodes[i], &read, &written);
    }
    double compute = flops / 2 / (macs_per_ns(dev->kernels.features) * workers);
    double memory = (read + written) / (BYTES_PER_NS_WORKER * workers);
    q35_cost cost = {.h = {sizeof cost, Q35_STRUCT_COST, NULL},
                     .flops = to_count(flops),
                     .bytes_read = to_count(read),
                     .bytes_written = to_count(written),
                     .ns = to_count((compute > memory ? compute : memory) + LAUNCH_NS),
                     .launch_ns = (uint64_t)LAUNCH_NS,
                     .source = Q35_COST_MODEL,
                     .confidence_pct = 30};
    q35i_cpu_answer(&out->h, &cost.h);
    return Q35_OK;
}
