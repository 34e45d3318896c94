/* SPDX-License-Identifier: Apache-2.0
 *
 * From nodes to kernel launches: which kernel, how many work-items, how much scratch. */
#include "plugins/opencl/opencl.h"

#include <stdio.h>

/* Groups of LINEARs of codes: enough for one that starts late, few enough to be worth starting. */
enum { GROUPS_PER_UNIT = 8, DEFINES_CAP = 160 };

#define PLAIN "-DQ35_ROTATES=0"

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

/* One token's A8_ROW times Q35_ROW: products of bytes, on devices that have them. */
static bool may_multiply_codes(const q35_plan *plan, const q35p_node *node)
{
    return node->op == Q35_OP_LINEAR && desc(plan, node->in[0])->dtype == Q35_DT_A8_ROW &&
           rows_of(desc(plan, node->in[0])) == 1 && desc(plan, node->in[1])->dtype == Q35_DT_Q35_ROW;
}

q35i_cl_linear q35i_cl_linear_of(const q35_plan *plan, const q35p_node *node)
{
    const q35_tensor_desc *x = desc(plan, node->in[0]), *w = desc(plan, node->in[1]);
    q35i_cl_linear l = {.codec = q35i_cl_codec_of(w->dtype), .k = w->dim[0], .even = 1, .odd = 1, .n_heads = 1};
    l.mode = mode_of(x->dtype, &l.codec);
    l.tokens = rows_of(x) == 1 ? 1 : 4;
    l.padded = (l.k + 63) / 64 * 64;
    l.codes = plan->multiplies_codes && may_multiply_codes(plan, node);
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

/* [DEFINES_CAP] */
static void write_defines(const q35i_cl_linear *l, char *out)
{
    snprintf(out, DEFINES_CAP,
             "-DQ35_CODEC=%d -DQ35_MODE=%d -DQ35_PART=%d -DQ35_MIN=%d -DQ35_SIGNED=%d -DQ35_TOKENS=%d",
             l->codec.codec, l->mode, l->codec.part, l->codec.has_min, l->codec.signs, l->tokens);
}

/* Before any launch is made. */
static q35_status ask_for_codes(q35_plan *plan)
{
    char defines[DEFINES_CAP];
    uint32_t i = 0;
    while (i < plan->n_nodes && !may_multiply_codes(plan, &plan->nodes[i]))
        i++;
    if (i == plan->n_nodes || plan->dev->family != Q35I_CL_CPU)
        return Q35_OK;
    const q35i_cl_linear l = q35i_cl_linear_of(plan, &plan->nodes[i]);
    write_defines(&l, defines);
    return q35i_cl_has_kernel(plan->dev, "linear", defines, "q35_linear_codes", &plan->multiplies_codes);
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

static q35_status widen(q35_plan *plan, uint32_t i, const q35i_cl_linear *l, widened *now)
{
    const q35p_node *node = &plan->nodes[i];
    const int64_t n = rows_of(desc(plan, node->in[0]));
    const uint64_t rows = ((uint64_t)n + 3) / 4 * 4;
    grow(&plan->wide_bytes, rows * (uint64_t)l->padded * sizeof(float));
    grow(&plan->head_bytes, rows * (uint64_t)l->n_heads * 2 * sizeof(float));
    if (now->tensor == node->in[0] && same_form(&now->form, l))
        return Q35_OK;
    *now = (widened){node->in[0], *l};
    return append(plan, Q35I_CL_WIDEN, i, "row", PLAIN, "q35_widen", (size_t)l->padded / 32, (size_t)n);
}

/* The next LINEAR, if it reads what node i quantises as floats: the first may write those, too. */
static uint32_t linear_behind(const q35_plan *plan, uint32_t i)
{
    for (uint32_t j = i + 1; j < plan->n_nodes; j++) {
        if (plan->nodes[j].op == Q35_OP_LINEAR)
            return plan->nodes[j].in[0] == plan->nodes[i].out[0] && !q35i_cl_linear_of(plan, &plan->nodes[j]).codes
                       ? j
                       : Q35_NONE;
        if (plan->nodes[j].op == Q35_OP_QUANTIZE_ACT)
            return Q35_NONE;
    }
    return Q35_NONE;
}

/* The last launch quantises as node i wants it. */
static void widen_with(q35_plan *plan, uint32_t i, widened *now)
{
    const uint32_t linear = linear_behind(plan, i);
    if (linear == Q35_NONE)
        return;
    plan->launches[plan->n_launches - 1].widens = linear;
    *now = (widened){plan->nodes[i].out[0], q35i_cl_linear_of(plan, &plan->nodes[linear])};
}

/* The last launch ends in that chain from node i on. */
static void end_in_chain(q35_plan *plan, const q35i_cl_chain *chain, uint32_t i, widened *now)
{
    const q35p_node *last = &plan->nodes[i + chain->n_nodes - 1];
    const q35_tensor_desc *x = desc(plan, last->in[0]);
    if (chain->kind == Q35I_CL_ROPE_APPEND)
        return;
    if (last->n_in == 2)
        grow(&plan->rotated_bytes, (uint64_t)rows_of(x) * (uint64_t)x->dim[0] * sizeof(float));
    widen_with(plan, i + chain->n_nodes - 1, now);
}

static q35_status launch_chain(q35_plan *plan, const q35i_cl_chain *chain, uint32_t i, widened *now)
{
    const q35_status status = append(plan, chain->kind, i, chain->source, chain->defines, chain->kernel,
                                     groups(plan, rows_of(desc(plan, plan->nodes[i].in[0]))), 1);
    if (status != Q35_OK)
        return status;
    plan->launches[plan->n_launches - 1].n_nodes = chain->n_nodes;
    end_in_chain(plan, chain, i, now);
    return Q35_OK;
}

/* A kernel for n nodes, which also does the chain behind them where it can. */
static q35_status launch_with_tail(q35_plan *plan, uint32_t kind, uint32_t i, uint32_t n, const char *source,
                                   const char *defines, const char *kernel, size_t items, widened *now)
{
    char all[DEFINES_CAP], sources[32];
    q35i_cl_chain tail = {.kind = Q35I_CL_NOTHING};
    const bool has_tail = q35i_cl_find_tail(plan, i, n, &tail);
    snprintf(all, sizeof all, "%s -DQ35_TAIL=%u %s", defines, tail.kind, tail.defines);
    snprintf(sources, sizeof sources, "%s%s%s", has_tail ? tail.source : "", has_tail ? "+" : "", source);
    const q35_status status = append(plan, kind, i, sources, has_tail ? all : defines, kernel, items, 1);
    if (status != Q35_OK)
        return status;
    q35i_cl_launch *launch = &plan->launches[plan->n_launches - 1];
    launch->n_nodes = n + tail.n_nodes;
    launch->tail = tail.kind;
    launch->n_tail = tail.n_nodes;
    if (has_tail)
        end_in_chain(plan, &tail, i + n, now);
    return Q35_OK;
}

static q35_status launch_linears(q35_plan *plan, uint32_t i, widened *now)
{
    const q35i_cl_linear l = q35i_cl_linear_of(plan, &plan->nodes[i]);
    const uint32_t n = linears_together(plan, i);
    const int64_t most = (int64_t)plan->dev->found->units * GROUPS_PER_UNIT;
    int64_t tiles = 0;
    char defines[DEFINES_CAP];
    write_defines(&l, defines);
    for (uint32_t j = 0; j < n; j++)
        tiles += (desc(plan, plan->nodes[i + j].in[1])->dim[1] + 15) / 16;
    if (l.codes) {
        const int64_t span = (tiles + most - 1) / most;
        const q35_status status =
            launch_with_tail(plan, Q35I_CL_LINEARS, i, n, "linear", defines, "q35_linear_codes",
                             groups(plan, (tiles + span - 1) / span), now);
        if (status == Q35_OK)
            plan->launches[plan->n_launches - 1].span = (uint32_t)span;
        return status;
    }
    q35_status status = widen(plan, i, &l, now);
    if (status == Q35_OK)
        status = append(plan, Q35I_CL_LINEARS, i, "linear", defines, "q35_linear", groups(plan, tiles), 1);
    if (status == Q35_OK)
        plan->launches[plan->n_launches - 1].n_nodes = n;
    return status;
}

static q35_status launch_attention(q35_plan *plan, uint32_t i, widened *now)
{
    const q35p_node *node = &plan->nodes[i];
    const int64_t rows = rows_of(desc(plan, node->in[0]));
    const size_t items = groups(plan, node->params.attention.n_heads);
    char defines[32];
    snprintf(defines, sizeof defines, "-DQ35_KV=%u", desc(plan, node->in[1])->dtype);
    if (rows == 1)
        return launch_with_tail(plan, Q35I_CL_OP, i, 1, "attention", defines, "q35_attention", items, now);
    return append(plan, Q35I_CL_OP, i, "attention", defines, "q35_attention", items, (size_t)rows);
}

/* To A8_32 or A8_128; with signs the input is rotated first, into scratch. */
static q35_status launch_quantize(q35_plan *plan, uint32_t i, widened *now)
{
    const q35p_node *node = &plan->nodes[i];
    const q35_tensor_desc *x = desc(plan, node->in[0]);
    const int64_t rows = rows_of(x);
    const int64_t unit = desc(plan, node->out[0])->dtype == Q35_DT_A8_32 ? Q35_ACT_BLOCK : Q35_ACT_GROUP;
    q35_status status = Q35_OK;
    if (node->n_in == 2) {
        grow(&plan->rotated_bytes, (uint64_t)rows * (uint64_t)x->dim[0] * sizeof(float));
        status = append(plan, Q35I_CL_ROTATE, i, "row", PLAIN, "q35_rotate", groups(plan, rows), 1);
    }
    if (status == Q35_OK)
        status = append(plan, Q35I_CL_OP, i, "row", PLAIN, "q35_quantize_units",
                        (size_t)((x->dim[0] + unit - 1) / unit), (size_t)rows);
    if (status == Q35_OK)
        widen_with(plan, i, now);
    return status;
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
    q35i_cl_chain chain;
    char defines[32];
    if (q35i_cl_find_chain(plan, i, &chain))
        return launch_chain(plan, &chain, i, now);
    switch (node->op) {
    case Q35_OP_GET_ROWS: {
        const q35_tensor_desc *table = desc(plan, node->in[1]);
        return append(plan, Q35I_CL_OP, i, "get_rows", "", "q35_get_rows", spans(plan, table->dim[0]),
                      (size_t)rows);
    }
    case Q35_OP_RMS_NORM:
    case Q35_OP_ADD_RMS_NORM: return append(plan, Q35I_CL_OP, i, "row", PLAIN, "q35_norm", groups(plan, rows), 1);
    case Q35_OP_QUANTIZE_ACT: return launch_quantize(plan, i, now);
    case Q35_OP_ROTATE: return append(plan, Q35I_CL_OP, i, "row", PLAIN, "q35_rotate", groups(plan, rows), 1);
    case Q35_OP_LINEAR: return launch_linears(plan, i, now);
    case Q35_OP_ROPE: return append(plan, Q35I_CL_OP, i, "rope", "-DQ35_KV=1", "q35_rope", groups(plan, rows), 1);
    case Q35_OP_KV_APPEND:
        snprintf(defines, sizeof defines, "-DQ35_KV=%u", desc(plan, node->in[2])->dtype);
        return append(plan, Q35I_CL_OP, i, "rope", defines, "q35_kv_append", groups(plan, rows), 1);
    case Q35_OP_ATTENTION: return launch_attention(plan, i, now);
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
    q35_status status = ask_for_codes(plan);
    if (status == Q35_OK && plan->step != Q35_NONE)
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
