/* SPDX-License-Identifier: Apache-2.0
 *
 * Which regions a GPU runs, and why not the others. A region that passes compiles, and runs without a further look
 * at shapes: launch.c relies on everything checked here. */
#include "cuda.h"

enum { MAX_GRID_Y = 65535 }; /* which is where rows go */

static uint32_t align_of(const q35_tensor_desc *desc)
{
    if (desc->layout != Q35_CUDA_CANONICAL)
        return 16; /* what a lane loads at a time */
    switch (desc->dtype) {
    case Q35_DT_A8_32:
    case Q35_DT_A8_128:
    case Q35_DT_A8_ROW: return 8;
    case Q35_DT_F32:
    case Q35_DT_F8_32:
    case Q35_DT_I32: return 4;
    case Q35_DT_F16:
    case Q35_DT_BF16:
    case Q35_DT_Q8_0: return 2; /* a KV cache */
    default: return 1;
    }
}

uint64_t q35i_cuda_packed_bytes(const q35_tensor_desc *weight)
{
    const uint64_t slice = q35_cuda_slice_bytes(weight->dtype, weight->dim[0]);
    return slice * q35_cuda_ceil_div(weight->dim[1], Q35_CUDA_SLICE_ROWS);
}

static uint64_t packed_bytes(const q35_tensor_desc *desc)
{
    return desc->layout == q35_cuda_layout_of(desc->dtype) ? q35i_cuda_packed_bytes(desc) : 0;
}

static bool reads_packed(const q35p_check *c, uint32_t input)
{
    return input == 1 && c->node->op == Q35_OP_LINEAR;
}

static bool wants_linear(const q35p_check *c)
{
    const q35_tensor_desc *x = q35p_in(c, 0), *w = q35p_in(c, 1);
    const uint32_t role = c->region->roles[c->node->in[1]], layout = q35_cuda_layout_of(w->dtype);
    if (q35_cuda_linear_first(w->dtype, x->dtype) == Q35_CUDA_N_KERNELS)
        return q35p_refuse(c, "no kernel for %s weights with %s activations", q35_dtype_describe(w->dtype).name,
                           q35_dtype_describe(x->dtype).name);
    /* Canonical bytes are laid out anew when the plan is bound, so they must be there and stay. */
    return w->layout == layout || role == Q35_ROLE_WEIGHT ||
           q35p_refuse(c, "weight has layout %u and role %u, need role weight or layout %u", w->layout, role,
                       layout);
}

static bool wants_rope(const q35p_check *c)
{
    const q35_rope_params *p = Q35P_PARAMS(c->node, q35_rope_params);
    return !Q35_HAS_FIELD(p, q35_rope_params, temperature_length) || p->temperature_length <= INT32_MAX ||
           q35p_refuse(c, "temperature is per %u positions, need at most %d", p->temperature_length, INT32_MAX);
}

static bool wants_attention(const q35p_check *c)
{
    const uint32_t head_dim = Q35P_PARAMS(c->node, q35_attention_params)->head_dim;
    const q35_tensor_desc *pages = q35p_in(c, 5);
    if (head_dim % 16 != 0 || head_dim > Q35_CUDA_MAX_HEAD_DIM)
        return q35p_refuse(c, "head_dim is %u, need a multiple of 16 up to %d", head_dim,
                           (int)Q35_CUDA_MAX_HEAD_DIM);
    return pages->stride[1] == pages->dim[0] * 4 ||
           q35p_refuse(c, "pages have rows %lld apart, need %lld", (long long)pages->stride[1],
                       (long long)pages->dim[0] * 4);
}

static bool wants_top_k(const q35p_check *c)
{
    const uint32_t k = Q35P_PARAMS(c->node, q35_top_k_params)->k;
    return k <= Q35_CUDA_MAX_TOP || q35p_refuse(c, "k is %u, need at most %d", k, (int)Q35_CUDA_MAX_TOP);
}

static bool wants_grid(const q35p_check *c)
{
    const bool has_weight = c->node->op == Q35_OP_LINEAR || c->node->op == Q35_OP_GET_ROWS;
    for (uint32_t i = 0; i < c->node->n_in; i++)
        if (!(has_weight && i == 1) && q35p_in(c, i)->rank == 2 && q35p_in(c, i)->dim[1] > MAX_GRID_Y)
            return q35p_refuse(c, "input %u has %lld rows, need at most %d", i, (long long)q35p_in(c, i)->dim[1],
                               (int)MAX_GRID_Y);
    return true;
}

static bool wants(const q35p_check *c)
{
    if (!wants_grid(c))
        return false;
    switch (c->node->op) {
    case Q35_OP_LINEAR: return wants_linear(c);
    case Q35_OP_ROPE: return wants_rope(c);
    case Q35_OP_ATTENTION: return wants_attention(c);
    case Q35_OP_TOP_K: return wants_top_k(c);
    default: return true;
    }
}

/* Kernels count rows, columns and positions in 32 bits. */
const q35p_rules q35i_cuda_rules = {.ops = UINT32_MAX,
                                    .max_dim = INT64_C(1) << 30,
                                    .align = align_of,
                                    .packed_bytes = packed_bytes,
                                    .reads_packed = reads_packed,
                                    .wants = wants};

q35_status q35i_cuda_op_support(q35_device *dev, const q35_region *region, q35_support *out)
{
    q35_support s = {.h = {sizeof s, Q35_STRUCT_SUPPORT, NULL}, .determinism = Q35_DET_BITWISE};
    s.ok = q35p_check_region(&q35i_cuda_rules, dev, region, s.reason, sizeof s.reason);
    q35p_answer(&out->h, &s.h);
    return Q35_OK;
}
