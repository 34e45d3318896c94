/* SPDX-License-Identifier: Apache-2.0
 *
 * Chains: nodes that one group does one after the other, as if each were launched. That is so for one row only: of
 * several, a group could write a node's result where another still reads what a node before it takes. */
#include "plugins/opencl/opencl.h"

#include <stdio.h>

static const q35_tensor_desc *input(const q35_plan *plan, uint32_t node)
{
    return &plan->tensors[plan->nodes[node].in[0]].desc;
}

static bool is_one_row(const q35_plan *plan, uint32_t node)
{
    return input(plan, node)->dim[1] == 1;
}

/* Is the node behind one of that op, of as many rows? */
static bool is_followed_by(const q35_plan *plan, uint32_t i, uint32_t op)
{
    return i + 1 < plan->n_nodes && plan->nodes[i + 1].op == op && is_one_row(plan, i) &&
           is_one_row(plan, i + 1) && q35i_cl_row_kind(input(plan, i)) == q35i_cl_row_kind(input(plan, i + 1));
}

static bool makes_row_codes(const q35_plan *plan, uint32_t i)
{
    const q35p_node *n = &plan->nodes[i];
    return n->op == Q35_OP_QUANTIZE_ACT && plan->tensors[n->out[0]].desc.dtype == Q35_DT_A8_ROW;
}

/* Is its last result quantised behind it? */
static bool is_quantized(const q35_plan *plan, uint32_t i)
{
    const q35p_node *n = &plan->nodes[i];
    return is_followed_by(plan, i, Q35_OP_QUANTIZE_ACT) && makes_row_codes(plan, i + 1) &&
           n[1].in[0] == n->out[n->n_out - 1];
}

static bool of_row(const q35_plan *plan, uint32_t i, uint32_t kind, uint32_t n, const char *kernel,
                   q35i_cl_chain *out)
{
    *out = (q35i_cl_chain){.kind = kind, .n_nodes = n, .source = "row", .kernel = kernel};
    snprintf(out->defines, sizeof out->defines, "-DQ35_ROTATES=%d", plan->nodes[i + n - 1].n_in == 2);
    return true;
}

bool q35i_cl_find_chain(const q35_plan *plan, uint32_t i, q35i_cl_chain *out)
{
    const q35p_node *n = &plan->nodes[i];
    if (i >= plan->n_nodes)
        return false;
    if (makes_row_codes(plan, i))
        return of_row(plan, i, Q35I_CL_QUANTIZE, 1, "q35_quantize_row", out);
    if ((n->op == Q35_OP_RMS_NORM || n->op == Q35_OP_ADD_RMS_NORM) && is_quantized(plan, i))
        return of_row(plan, i, Q35I_CL_NORM_QUANTIZE, 2, "q35_norm_quantize", out);
    if (n->op == Q35_OP_SWIGLU && is_quantized(plan, i))
        return of_row(plan, i, Q35I_CL_SWIGLU_QUANTIZE, 2, "q35_swiglu_quantize", out);
    if (n->op != Q35_OP_ROPE || !is_followed_by(plan, i, Q35_OP_ROPE) ||
        !is_followed_by(plan, i + 1, Q35_OP_KV_APPEND))
        return false;
    *out =
        (q35i_cl_chain){.kind = Q35I_CL_ROPE_APPEND, .n_nodes = 3, .source = "rope", .kernel = "q35_rope_append"};
    snprintf(out->defines, sizeof out->defines, "-DQ35_KV=%u", plan->tensors[n[2].in[2]].desc.dtype);
    return true;
}

bool q35i_cl_find_tail(const q35_plan *plan, uint32_t i, uint32_t n, q35i_cl_chain *out)
{
    return plan->multiplies_codes && q35i_cl_find_chain(plan, i + n, out) && is_one_row(plan, i) &&
           is_one_row(plan, i + n) && q35i_cl_row_kind(input(plan, i)) == q35i_cl_row_kind(input(plan, i + n));
}
