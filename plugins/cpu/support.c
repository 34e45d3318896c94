/* SPDX-License-Identifier: Apache-2.0
 *
 * Which regions the device runs: all that the ABI allows. A region that passes compiles, and once bound it runs
 * without a further look at shapes. */
#include "plugins/cpu/cpu.h"

static uint32_t align_of(const q35_tensor_desc *desc)
{
    if (desc->layout != Q35K_LAYOUT_CANONICAL)
        return Q35I_CPU_LINE;
    switch (desc->dtype) {
    case Q35_DT_F32:
    case Q35_DT_I32:
    case Q35_DT_A8_32:
    case Q35_DT_A8_128:
    case Q35_DT_A8_ROW: return 4;
    case Q35_DT_F16:
    case Q35_DT_BF16: return 2;
    default: return 1;
    }
}

static uint64_t packed_bytes(const q35_tensor_desc *desc)
{
    const uint64_t tile = q35i_cpu_tile_bytes(desc->layout, desc->dtype, desc->dim[0]);
    uint64_t bytes;
    return __builtin_mul_overflow(tile, (desc->dim[1] - 1) / Q35I_CPU_TILE_ROWS + 1, &bytes) ? 0 : bytes;
}

static bool reads_packed(const q35p_check *c, uint32_t input)
{
    return c->node->op == Q35_OP_LINEAR && input == 1 && q35i_cpu_reads(c->dev, q35p_in(c, 1)->layout);
}

/* Sums of a few products of dims of this size fit 64 bits. */
const q35p_rules q35i_cpu_rules = {.ops = UINT32_MAX,
                                   .max_dim = INT64_C(1) << 40,
                                   .align = align_of,
                                   .packed_bytes = packed_bytes,
                                   .reads_packed = reads_packed};

uint64_t q35i_cpu_worker_scratch(const q35_region *region)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < region->n_nodes; i++) {
        const q35_node *n = region->nodes[i];
        uint64_t bytes = 0;
        if (n->op == Q35_OP_LINEAR)
            bytes = q35k_linear_scratch_bytes(region->tensors[n->in[1]].dim[0]);
        else if (n->op == Q35_OP_QUANTIZE_ACT)
            bytes = q35i_cpu_quantize_scratch(region->tensors[n->out[0]].dtype, region->tensors[n->in[0]].dim[0]);
        else if (n->op == Q35_OP_ATTENTION)
            bytes = q35k_attention_scratch_bytes(Q35P_PARAMS(n, q35_attention_params)->head_dim);
        most = bytes > most ? bytes : most;
    }
    return (most + Q35I_CPU_LINE - 1) / Q35I_CPU_LINE * Q35I_CPU_LINE;
}

uint64_t q35i_cpu_record_bytes(const q35_region *region)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < region->n_nodes; i++) {
        const q35_node *n = region->nodes[i];
        if (n->op != Q35_OP_ATTENTION)
            continue;
        const q35_attention_params *p = Q35P_PARAMS(n, q35_attention_params);
        int64_t positions = region->tensors[n->in[5]].dim[0] * Q35_KV_PAGE;
        uint64_t bytes =
            (uint64_t)q35k_n_spans(positions - 1) * (p->n_heads / p->n_kv_heads) * q35k_record_bytes(p->head_dim);
        most = bytes > most ? bytes : most;
    }
    return (most + Q35I_CPU_LINE - 1) / Q35I_CPU_LINE * Q35I_CPU_LINE;
}

q35_status q35i_cpu_op_support(q35_device *dev, const q35_region *region, q35_support *out)
{
    q35_support s = {.h = {sizeof s, Q35_STRUCT_SUPPORT, NULL}, .determinism = Q35_DET_BITWISE};
    s.ok = q35p_check_region(&q35i_cpu_rules, dev, region, s.reason, sizeof s.reason);
    if (s.ok)
        s.scratch_bytes = q35i_cpu_worker_scratch(region) * dev->n_workers +
                          q35i_cpu_record_bytes(region) * (dev->n_workers - 1);
    q35p_answer(&out->h, &s.h);
    return Q35_OK;
}
