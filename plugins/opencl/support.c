/* SPDX-License-Identifier: Apache-2.0
 *
 * Which regions the device runs, and why not the others. What passes here compiles; launch.c relies on it. */
#include "plugins/opencl/opencl.h"

/* Kernels load floats and halves whole. */
static uint32_t align_of(const q35_tensor_desc *desc)
{
    switch (desc->dtype) {
    case Q35_DT_F32:
    case Q35_DT_I32:
    case Q35_DT_A8_32:
    case Q35_DT_A8_128:
    case Q35_DT_A8_ROW: return 4;
    case Q35_DT_I8:
    case Q35_DT_Q35_ROW:
    case Q35_DT_Q40_ROW:
    case Q35_DT_Q60_ROW: return 1;
    default: return 2; /* types with f16 scales */
    }
}

static uint64_t packed_bytes(const q35_tensor_desc *desc)
{
    const uint64_t tiles = ((uint64_t)desc->dim[1] + Q35I_CL_TILE_ROWS - 1) / Q35I_CL_TILE_ROWS;
    return desc->layout == Q35I_CL_LAYOUT_TILE ? q35i_cl_tile_bytes(desc->dtype, desc->dim[0]) * tiles : 0;
}

static bool reads_packed(const q35p_check *c, uint32_t input)
{
    return c->node->op == Q35_OP_LINEAR && input == 1;
}

static bool reads_rows_of(uint32_t dtype)
{
    switch (dtype) {
    case Q35_DT_F32:
    case Q35_DT_F16:
    case Q35_DT_BF16:
    case Q35_DT_Q4_0:
    case Q35_DT_Q4_1:
    case Q35_DT_Q5_0:
    case Q35_DT_Q5_1:
    case Q35_DT_Q8_0:
    case Q35_DT_Q4_K:
    case Q35_DT_Q5_K:
    case Q35_DT_Q6_K:
    case Q35_DT_Q35_PAIR:
    case Q35_DT_Q35_SPLIT: return true;
    default: return q35_is_row_type(dtype);
    }
}

static bool wants(const q35p_check *c)
{
    if (c->node->op == Q35_OP_GET_ROWS && !reads_rows_of(q35p_in(c, 1)->dtype))
        return q35p_refuse(c, "table is %s, need another type", q35_dtype_describe(q35p_in(c, 1)->dtype).name);
    if (c->node->op == Q35_OP_LINEAR && !q35i_cl_codec_of(q35p_in(c, 1)->dtype).codec)
        return q35p_refuse(c, "weight is %s, need another type", q35_dtype_describe(q35p_in(c, 1)->dtype).name);
    if (c->node->op == Q35_OP_TOP_K && Q35P_PARAMS(c->node, q35_top_k_params)->k > Q35I_CL_MAX_TOP)
        return q35p_refuse(c, "k is %u, need at most %d", Q35P_PARAMS(c->node, q35_top_k_params)->k,
                           (int)Q35I_CL_MAX_TOP);
    if (c->node->op != Q35_OP_ATTENTION)
        return true;
    const uint32_t head_dim = Q35P_PARAMS(c->node, q35_attention_params)->head_dim;
    return head_dim <= Q35I_CL_MAX_HEAD_DIM ||
           q35p_refuse(c, "head_dim is %u, need at most %d", head_dim, (int)Q35I_CL_MAX_HEAD_DIM);
}

/* Kernels count rows and columns in 32 bits. */
const q35p_rules q35i_cl_rules = {.ops = ~(UINT32_C(1) << Q35_OP_SUM_SQUARES),
                                  .max_dim = INT32_MAX,
                                  .align = align_of,
                                  .packed_bytes = packed_bytes,
                                  .reads_packed = reads_packed,
                                  .wants = wants};

uint64_t q35i_cl_tensor_bytes(const q35_tensor_desc *desc)
{
    uint64_t bytes = 0;
    (void)q35p_tensor_bytes(&q35i_cl_rules, desc, &bytes);
    return bytes;
}

q35_status q35i_cl_op_support(q35_device *dev, const q35_region *region, q35_support *out)
{
    q35_support s = {.h = {sizeof s, Q35_STRUCT_SUPPORT, NULL}, .determinism = Q35_DET_BITWISE};
    s.ok = q35p_check_region(&q35i_cl_rules, dev, region, s.reason, sizeof s.reason);
    q35p_answer(&out->h, &s.h);
    return Q35_OK;
}
