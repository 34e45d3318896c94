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
    *launch =
        (q35i_cl_launch){.kind = kind, .node = node, .n_nodes = 1, .widens = Q35_NONE, .global = {items, rows}};
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

/* Is its memory its own until after node `last`? */
static bool outlives(const q35_plan *plan, uint32_t t, uint32_t last)
{
    bool is_read = plan->tensors[t].role == Q35_ROLE_OUTPUT;
    for (uint32_t i = last + 1; i < plan->n_nodes; i++)
        for (uint32_t j = 0; j < plan->nodes[i].n_in; j++)
            is_read |= plan->nodes[i].in[j] == t;
    return is_read;
}

/* How many LINEARs from node i on one launch computes: of one input, by the same code. Their results may not lie
 * in each other's memory. */
static uint32_t linears_together(const q35_plan *plan, uint32_t i)
{
    const q35p_node *first = &plan->nodes[i];
    const q35_tensor_desc *w = desc(plan, first->in[1]);
    uint32_t n = 1;
    while (n < Q35I_CL_TOGETHER && i + n < plan->n_nodes) {
        const q35p_node *next = &plan->nodes[i + n];
        if (next->op != Q35_OP_LINEAR || next->in[0] != first->in[0] || desc(plan, next->in[1])->dtype != w->dtype)
            break;
        bool apart = true;
        for (uint32_t j = 0; j < n; j++)
            apart &= outlives(plan, plan->nodes[i + j].out[0], i + n);
        if (!apart)
            break;
        n++;
    }
    return n;
}

static q35_status launch_linears(q35_plan *plan, uint32_t i, widened *now)
{
    const q35p_node *node = &plan->nodes[i];
    const q35_tensor_desc *x = desc(plan, node->in[0]);
    const q35i_cl_linear l = q35i_cl_linear_of(plan, node);
    const uint64_t rows = ((uint64_t)rows_of(x) + 3) / 4 * 4;
    const uint32_t n = linears_together(plan, i);
    int64_t tiles = 0;
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
    for (uint32_t j = 0; j < n; j++)
        tiles += (desc(plan, plan->nodes[i + j].in[1])->dim[1] + 15) / 16;
    const q35_status status = append(plan, Q35I_CL_OP, i, "linear", defines, "q35_linear", groups(plan, tiles), 1);
    if (status == Q35_OK)
        plan->launches[plan->n_launches - 1].n_nodes = n;
    return status;
}

/* The next LINEAR, if it reads what node i quantises: the first may write it as floats, too. */
static uint32_t linear_behind(const q35_plan *plan, uint32_t i)
{
    for (uint32_t j = i + 1; j < plan->n_nodes; j++) {
        if (plan->nodes[j].op == Q35_OP_LINEAR)
            return plan->nodes[j].in[0] == plan->nodes[i].out[0] ? j : Q35_NONE;
        if (plan->nodes[j].op == Q35_OP_QUANTIZE_ACT)
            return Q35_NONE;
    }
    return Q35_NONE;
}

/* With signs the input is rotated first, into scratch. */
static q35_status launch_quantize(q35_plan *plan, uint32_t i, widened *now)
{
    const q35p_node *node = &plan->nodes[i];
    const q35_tensor_desc *x = desc(plan, node->in[0]);
    const uint32_t type = desc(plan, node->out[0])->dtype, linear = linear_behind(plan, i);
    const int64_t rows = rows_of(x), unit = type == Q35_DT_A8_32 ? Q35_ACT_BLOCK : Q35_ACT_GROUP;
    q35_status status = Q35_OK;
    if (node->n_in == 2) {
        grow(&plan->rotated_bytes, (uint64_t)rows * (uint64_t)x->dim[0] * sizeof(float));
        status = append(plan, Q35I_CL_ROTATE, i, "quantize", "", "q35_rotate", groups(plan, rows), 1);
    }
    if (status == Q35_OK && type == Q35_DT_A8_ROW)
        status = append(plan, Q35I_CL_OP, i, "quantize", "", "q35_quantize_row", groups(plan, rows), 1);
    else if (status == Q35_OK)
        status = append(plan, Q35I_CL_OP, i, "quantize", "", "q35_quantize_units",
                        (size_t)((x->dim[0] + unit - 1) / unit), (size_t)rows);
    if (status != Q35_OK || linear == Q35_NONE)
        return status;
    plan->launches[plan->n_launches - 1].widens = linear;
    *now = (widened){node->out[0], q35i_cl_linear_of(plan, &plan->nodes[linear])};
    return Q35_OK;
}

/* A processor's work-item goes through a part alone, which pays for many columns; a group of lanes sorts what its
 * local memory holds. */
q35i_cl_top q35i_cl_top_of(const q35_plan *plan, const q35p_node *node)
{
    q35i_cl_top t = {.span = plan->dev->family == Q35I_CL_CPU ? 16384 : 2048, .list = 1};
    t.n_parts = (desc(plan, node->in[0])->dim[0] + t.span - 1) / t.span;
    while (t.list < node->params.top_k.k)
        t.list *= 2;
    return t;
}

static q35_status launch_top_k(q35_plan *plan, uint32_t i)
{
    const q35i_cl_top t = q35i_cl_top_of(plan, &plan->nodes[i]);
    const int64_t rows = rows_of(desc(plan, plan->nodes[i].in[0]));
    grow(&plan->rotated_bytes, (uint64_t)(rows * t.n_parts * t.list) * sizeof(cl_ulong));
    const q35_status status =
        append(plan, Q35I_CL_PARTS, i, "topk", "", "q35_top_k_parts", groups(plan, t.n_parts), (size_t)rows);
    return status == Q35_OK ? append(plan, Q35I_CL_OP, i, "topk", "", "q35_top_k_join", groups(plan, rows), 1)
                            : status;
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
    case Q35_OP_QUANTIZE_ACT: return launch_quantize(plan, i, now);
    case Q35_OP_ROTATE: return append(plan, Q35I_CL_OP, i, "quantize", "", "q35_rotate", groups(plan, rows), 1);
    case Q35_OP_LINEAR: return launch_linears(plan, i, now);
    case Q35_OP_ROPE: return append(plan, Q35I_CL_OP, i, "rope", "-DQ35_KV=1", "q35_rope", groups(plan, rows), 1);
    case Q35_OP_KV_APPEND:
        snprintf(defines, sizeof defines, "-DQ35_KV=%u", desc(plan, node->in[2])->dtype);
        return append(plan, Q35I_CL_OP, i, "rope", defines, "q35_kv_append", groups(plan, rows), 1);
    case Q35_OP_ATTENTION:
        snprintf(defines, sizeof defines, "-DQ35_KV=%u", desc(plan, node->in[1])->dtype);
        return append(plan, Q35I_CL_OP, i, "attention", defines, "q35_attention",
                      groups(plan, node->params.attention.n_heads), (size_t)rows);
    case Q35_OP_TOP_K: return launch_top_k(plan, i);
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
    for (uint32_t i = 0, n; i < plan->n_nodes && status == Q35_OK; i += n) {
        for (uint32_t j = 0; j < plan->nodes[i].n_out; j++)
            if (plan->nodes[i].out[j] == now.tensor)
                now.tensor = Q35_NONE;
        status = launch_node(plan, i, &now);
        n = status == Q35_OK ? plan->launches[plan->n_launches - 1].n_nodes : 1;
    }
    return status;
}
