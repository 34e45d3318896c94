/* SPDX-License-Identifier: Apache-2.0
 *
 * From nodes to kernel launches: which kernel, how many work-items, how much scratch. */
#include "plugins/opencl/opencl.h"

#include <stdio.h>

static const q35_tensor_desc *desc(const q35_plan *plan, uint32_t t)
{
    return &plan->tensors[t].desc;
}

int q35i_cl_row_kind(const q35_tensor_desc *d)
{
    return d->flags & Q35_TF_TOKEN_ROWS ? 1 : d->flags & Q35_TF_OUT_ROWS ? 2 : d->flags & Q35_TF_SEQUENCES ? 3 : 0;
}

static int64_t rows_of(const q35_tensor_desc *d)
{
    return d->dim[d->rank - 1];
}

static int mode_of(uint32_t act, const q35i_cl_codec *codec)
{
    if (act == Q35_DT_F32 || codec->floats)
        return 0;
    return act == Q35_DT_A8_32 ? 1 : act == Q35_DT_A8_128 ? 2 : 3;
}

q35i_cl_linear q35i_cl_linear_of(const q35_plan *plan, const q35p_node *node)
{
    const q35_tensor_desc *x = desc(plan, node->in[0]), *w = desc(plan, node->in[1]);
    q35i_cl_linear l = {.codec = q35i_cl_codec_of(w->dtype), .k = w->dim[0], .even = 1, .odd = 1, .n_heads = 1};
    l.mode = mode_of(x->dtype, &l.codec);
    l.tokens = rows_of(x) == 1 ? 1 : 4;
    l.padded = (l.k + 31) / 32 * 32;
    if (x->dtype == Q35_DT_A8_32 || x->dtype == Q35_DT_A8_128)
        l.n_heads = (l.k + (x->dtype == Q35_DT_A8_32 ? 31 : 127)) / (x->dtype == Q35_DT_A8_32 ? 32 : 128);
    l.scaled = x->dtype != Q35_DT_F32 && l.mode == 0;
    if (w->dtype == Q35_DT_Q35_SPLIT && l.mode != 0) { /* units of the split book */
        l.even = 7;
        l.odd = 15;
    }
    return l;
}

/* ---- launches */

static q35_status append(q35_plan *plan, uint32_t kind, uint32_t node, const char *source, const char *defines,
                         const char *kernel, size_t items, size_t rows)
{
    q35i_cl_launch *launch = &plan->launches[plan->n_launches];
    *launch = (q35i_cl_launch){.kind = kind, .node = node, .global = {items, rows}};
    launch->local = plan->dev->family == Q35I_CL_CPU ? 1 : Q35I_CL_LANES;
    launch->global[0] = (items + launch->local - 1) / launch->local * launch->local;
    const q35_status status = q35i_cl_kernel(plan->dev, source, defines, kernel, &launch->kernel);
    if (status == Q35_OK)
        plan->n_launches++;
    return status;
}

/* Work-items of kernels with a group per something. */
static size_t groups(const q35_plan *plan, int64_t n)
{
    return (size_t)n * (plan->dev->family == Q35I_CL_CPU ? 1 : Q35I_CL_LANES);
}

/* Work-items of kernels that take a span of a row each. */
static size_t spans(const q35_plan *plan, int64_t k)
{
    return (size_t)(plan->dev->family == Q35I_CL_CPU ? (k + 127) / 128 : k);
}

static void grow(uint64_t *bytes, uint64_t need)
{
    *bytes = need > *bytes ? need : *bytes;
}

static bool same_form(const q35i_cl_linear *a, const q35i_cl_linear *b)
{
    return a->even == b->even && a->odd == b->odd && a->scaled == b->scaled;
}

/* The input of a linear stays widened for the linears behind it, until another tensor's is. */
typedef struct widened {
    uint32_t tensor;
    q35i_cl_linear form;
} widened;

static q35_status launch_linear(q35_plan *plan, uint32_t i, widened *now)
{
    const q35p_node *node = &plan->nodes[i];
    const q35_tensor_desc *x = desc(plan, node->in[0]), *w = desc(plan, node->in[1]);
    const q35i_cl_linear l = q35i_cl_linear_of(plan, node);
    const uint64_t rows = ((uint64_t)rows_of(x) + 3) / 4 * 4;
    char defines[128];
    grow(&plan->wide_bytes, rows * (uint64_t)l.padded * sizeof(float));
    grow(&plan->head_bytes, rows * (uint64_t)l.n_heads * 2 * sizeof(float));
    if (now->tensor != node->in[0] || !same_form(&now->form, &l)) {
        const q35_status status =
            append(plan, Q35I_CL_WIDEN, i, "quantize", "", "q35_widen", (size_t)l.padded / 32, (size_t)rows_of(x));
        if (status != Q35_OK)
            return status;
        *now = (widened){node->in[0], l};
    }
    snprintf(defines, sizeof defines,
             "-DQ35_CODEC=%d -DQ35_MODE=%d -DQ35_PART=%d -DQ35_MIN=%d -DQ35_SIGNED=%d -DQ35_TOKENS=%d",
             l.codec.codec, l.mode, l.codec.part, l.codec.has_min, l.codec.signs, l.tokens);
    return append(plan, Q35I_CL_OP, i, "linear", defines, "q35_linear", groups(plan, (w->dim[1] + 15) / 16), 1);
}

/* With signs the input is rotated first, into scratch. */
static q35_status launch_quantize(q35_plan *plan, uint32_t i)
{
    const q35p_node *node = &plan->nodes[i];
    const q35_tensor_desc *x = desc(plan, node->in[0]);
    const uint32_t type = desc(plan, node->out[0])->dtype;
    const int64_t rows = rows_of(x), unit = type == Q35_DT_A8_32 ? Q35_ACT_BLOCK : Q35_ACT_GROUP;
    q35_status status = Q35_OK;
    if (node->n_in == 2) {
        grow(&plan->rotated_bytes, (uint64_t)rows * (uint64_t)x->dim[0] * sizeof(float));
        status = append(plan, Q35I_CL_ROTATE, i, "quantize", "", "q35_rotate", groups(plan, rows), 1);
    }
    if (status != Q35_OK)
        return status;
    if (type == Q35_DT_A8_ROW)
        return append(plan, Q35I_CL_OP, i, "quantize", "", "q35_quantize_row", groups(plan, rows), 1);
    return append(plan, Q35I_CL_OP, i, "quantize", "", "q35_quantize_units",
                  (size_t)((x->dim[0] + unit - 1) / unit), (size_t)rows);
}

static const char *elementwise_kernel(uint32_t op)
{
    switch (op) {
    case Q35_OP_SWIGLU: return "q35_swiglu";
    case Q35_OP_ADD: return "q35_add";
    case Q35_OP_MUL: return "q35_mul";
    case Q35_OP_SILU: return "q35_silu";
    default: return "q35_take_rows";
    }
}

static q35_status launch_node(q35_plan *plan, uint32_t i, widened *now)
{
    const q35p_node *node = &plan->nodes[i];
    const q35_tensor_desc *first = desc(plan, node->in[0]);
    const int64_t rows = rows_of(first);
    char defines[32];
    switch (node->op) {
    case Q35_OP_GET_ROWS: {
        const q35_tensor_desc *table = desc(plan, node->in[1]);
        return append(plan, Q35I_CL_OP, i, "get_rows", "", "q35_get_rows", spans(plan, table->dim[0]),
                      (size_t)rows);
    }
    case Q35_OP_RMS_NORM:
    case Q35_OP_ADD_RMS_NORM: return append(plan, Q35I_CL_OP, i, "norm", "", "q35_norm", groups(plan, rows), 1);
    case Q35_OP_QUANTIZE_ACT: return launch_quantize(plan, i);
    case Q35_OP_ROTATE: return append(plan, Q35I_CL_OP, i, "quantize", "", "q35_rotate", groups(plan, rows), 1);
    case Q35_OP_LINEAR: return launch_linear(plan, i, now);
    case Q35_OP_ROPE: return append(plan, Q35I_CL_OP, i, "rope", "-DQ35_KV=1", "q35_rope", groups(plan, rows), 1);
    case Q35_OP_KV_APPEND:
        snprintf(defines, sizeof defines, "-DQ35_KV=%u", desc(plan, node->in[2])->dtype);
        return append(plan, Q35I_CL_OP, i, "rope", defines, "q35_kv_append", groups(plan, rows), 1);
    case Q35_OP_ATTENTION:
        snprintf(defines, sizeof defines, "-DQ35_KV=%u", desc(plan, node->in[1])->dtype);
        return append(plan, Q35I_CL_OP, i, "attention", defines, "q35_attention",
                      groups(plan, node->params.attention.n_heads), (size_t)rows);
    default: {
        const q35_tensor_desc *out = desc(plan, node->out[0]);
        return append(plan, Q35I_CL_OP, i, "elementwise", "", elementwise_kernel(node->op),
                      spans(plan, out->dim[0]), (size_t)rows_of(out));
    }
    }
}

q35_status q35i_cl_make_launches(q35_plan *plan)
{
    widened now = {.tensor = Q35_NONE};
    q35_status status = Q35_OK;
    if (plan->step != Q35_NONE)
        status = append(plan, Q35I_CL_STEPS, 0, "elementwise", "", "q35_check_step", 1, 1);
    for (uint32_t i = 0; i < plan->n_nodes && status == Q35_OK; i++) {
        status = launch_node(plan, i, &now);
        for (uint32_t j = 0; j < plan->nodes[i].n_out; j++)
            if (plan->nodes[i].out[j] == now.tensor)
                now.tensor = Q35_NONE;
    }
    return status;
}
