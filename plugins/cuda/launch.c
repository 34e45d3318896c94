/* SPDX-License-Identifier: Apache-2.0
 *
 * From a node to kernel launches. Shapes were checked when the region was compiled; here addresses, strides and
 * sizes become the parameter structs of q35_cuda.h. Grids cover the capacity; how many rows are valid, kernels
 * read from the step tensor, so that one graph serves every run. */
#include "plan.h"

#include <string.h>

static const q35i_cuda_tensor *input(const q35_plan *plan, const q35p_node *n, uint32_t i)
{
    return &plan->tensors[n->in[i]];
}

static const q35i_cuda_tensor *output(const q35_plan *plan, const q35p_node *n, uint32_t i)
{
    return &plan->tensors[n->out[i]];
}

/* Bytes between rows; of one row any number does. */
static int64_t stride(const q35i_cuda_tensor *t)
{
    return t->desc.stride[1];
}

static int32_t n_rows(const q35i_cuda_tensor *t)
{
    return (int32_t)t->desc.dim[t->desc.rank - 1];
}

static int32_t n_cols(const q35i_cuda_tensor *t)
{
    return (int32_t)t->desc.dim[0];
}

/* Address of the number of valid rows of this run; 0: all are. */
static uint64_t rows_at(const q35_plan *plan, const q35i_cuda_tensor *t)
{
    const uint32_t kind = q35p_row_kind(&t->desc);
    if (kind == 0)
        return 0;
    return plan->tensors[plan->step].address + (kind == Q35_TF_TOKEN_ROWS ? offsetof(q35_step, n_tokens)
                                                : kind == Q35_TF_OUT_ROWS ? offsetof(q35_step, n_out)
                                                                          : offsetof(q35_step, n_sequences));
}

static void append_of(q35_plan *plan, const q35i_cuda_group *group, uint32_t kernel, const q35i_cuda_args *args)
{
    q35i_cuda_launch *l = &plan->launches[plan->n_launches++];
    l->kernel = kernel;
    l->group = *group;
    l->args = *args;
    l->geometry = q35_cuda_launch_of(kernel, args);
}

static void append(q35_plan *plan, const q35p_node *node, uint32_t kernel, const q35i_cuda_args *args)
{
    const q35i_cuda_group group = {.n = 1, .node = {(uint32_t)(node - plan->nodes)}};
    append_of(plan, &group, kernel, args);
}

static void add_get_rows(q35_plan *plan, const q35p_node *n)
{
    const q35i_cuda_tensor *ids = input(plan, n, 0), *table = input(plan, n, 1), *y = output(plan, n, 0);
    const q35i_cuda_args a = {.get_rows = {.ids = ids->address,
                                           .table = table->address,
                                           .book = n->n_in > 2 ? input(plan, n, 2)->address : 0,
                                           .y = y->address,
                                           .rows_at = rows_at(plan, ids),
                                           .rs_table = stride(table),
                                           .rs_y = stride(y),
                                           .n_rows = n_rows(ids),
                                           .n = n_rows(table),
                                           .k = n_cols(table),
                                           .dtype = table->desc.dtype}};
    append(plan, n, Q35_CUDA_K_get_rows, &a);
}

static q35_norm_args norm_args(const q35_plan *plan, const q35p_node *n)
{
    const bool adds = n->op == Q35_OP_ADD_RMS_NORM;
    const q35i_cuda_tensor *x = input(plan, n, 0), *b = input(plan, n, 1), *w = input(plan, n, adds ? 2 : 1);
    const q35i_cuda_tensor *sum = output(plan, n, 0), *y = output(plan, n, adds ? 1 : 0);
    return (q35_norm_args){.a = x->address,
                           .b = adds ? b->address : 0,
                           .w = w->address,
                           .sum = adds ? sum->address : 0,
                           .y = y->address,
                           .rows_at = rows_at(plan, x),
                           .rs_a = stride(x),
                           .rs_b = stride(b),
                           .rs_sum = stride(sum),
                           .rs_y = stride(y),
                           .n_rows = n_rows(x),
                           .k = n_cols(x),
                           .eps = n->params.norm.eps};
}

static q35_quantize_args quantize_args(const q35_plan *plan, const q35p_node *n)
{
    const q35i_cuda_tensor *x = input(plan, n, 0), *y = output(plan, n, 0);
    return (q35_quantize_args){.x = x->address,
                               .signs = n->n_in > 1 ? input(plan, n, 1)->address : 0,
                               .y = y->address,
                               .rows_at = rows_at(plan, x),
                               .rs_x = stride(x),
                               .rs_y = stride(y),
                               .n_rows = n_rows(x),
                               .k = n_cols(x),
                               .dtype = y->desc.dtype,
                               .width = n->params.quantize.width,
                               .chunk = q35_cuda_quantize_chunk(n_cols(x))};
}

static void add_rotate(q35_plan *plan, const q35p_node *n)
{
    const q35i_cuda_tensor *x = input(plan, n, 0), *y = output(plan, n, 0);
    const q35i_cuda_args a = {.rotate = {.x = x->address,
                                         .signs = input(plan, n, 1)->address,
                                         .y = y->address,
                                         .rows_at = rows_at(plan, x),
                                         .rs_x = stride(x),
                                         .rs_y = stride(y),
                                         .n_rows = n_rows(x),
                                         .k = n_cols(x),
                                         .width = n->params.rotate.width,
                                         .inverse = n->params.rotate.inverse}};
    append(plan, n, Q35_CUDA_K_rotate, &a);
}

static void add_linear_float(q35_plan *plan, const q35p_node *n)
{
    const q35i_cuda_tensor *x = input(plan, n, 0), *w = input(plan, n, 1), *y = output(plan, n, 0);
    const q35i_cuda_args a = {.linear_float = {.x = x->address,
                                               .w = w->address,
                                               .y = y->address,
                                               .rows_at = rows_at(plan, x),
                                               .rs_x = stride(x),
                                               .rs_w = stride(w),
                                               .rs_y = stride(y),
                                               .n_rows = n_rows(x),
                                               .n = n_rows(w),
                                               .k = n_cols(w),
                                               .dtype = w->desc.dtype,
                                               .act = x->desc.dtype}};
    append(plan, n, Q35_CUDA_K_linear_float, &a);
}

static q35_linear_part linear_part(const q35_plan *plan, const q35p_node *n)
{
    const q35i_cuda_tensor *w = input(plan, n, 1), *y = output(plan, n, 0);
    return (q35_linear_part){
        .w = w->packed ? w->packed : w->address, .y = y->address, .rs_y = stride(y), .n = n_rows(w)};
}

/* What the linears of a group have in common, from the first. */
static q35_linear_args linear_args(const q35_plan *plan, const q35p_node *n)
{
    const q35i_cuda_tensor *x = input(plan, n, 0);
    return (q35_linear_args){.x = x->address,
                             .book = n->n_in > 2 ? input(plan, n, 2)->address : 0,
                             .rows_at = rows_at(plan, x),
                             .rs_x = stride(x),
                             .n_rows = n_rows(x),
                             .k = n_cols(input(plan, n, 1)),
                             .dtype = input(plan, n, 1)->desc.dtype};
}

uint32_t q35i_cuda_linear_first(const q35_plan *plan, const q35p_node *n)
{
    return q35_cuda_linear_first(input(plan, n, 1)->desc.dtype, input(plan, n, 0)->desc.dtype);
}

static uint32_t linear_kernel(const q35_plan *plan, const q35p_node *n)
{
    return q35_cuda_linear_kernel(q35i_cuda_linear_first(plan, n), n_rows(input(plan, n, 0)), plan->dev->wide);
}

static q35_rope_args rope_args(const q35_plan *plan, const q35p_node *n)
{
    const q35i_cuda_tensor *x = input(plan, n, 0), *y = output(plan, n, 0);
    const q35_rope_params *p = &n->params.rope;
    return (q35_rope_args){.x = x->address,
                           .y = y->address,
                           .inv_freq = input(plan, n, 1)->address,
                           .positions = input(plan, n, 2)->address,
                           .rows_at = rows_at(plan, x),
                           .rs_x = stride(x),
                           .rs_y = stride(y),
                           .n_rows = n_rows(x),
                           .n_heads = n_cols(x) / (int32_t)p->head_dim,
                           .head_dim = (int32_t)p->head_dim,
                           .n_rot = (int32_t)p->n_rot,
                           .temperature_beta = p->temperature_beta,
                           .temperature_length = (int32_t)p->temperature_length};
}

static q35_kv_append_args kv_append_args(const q35_plan *plan, const q35p_node *n)
{
    const q35i_cuda_tensor *k = input(plan, n, 0), *v = input(plan, n, 1), *cache = input(plan, n, 2);
    return (q35_kv_append_args){.k = k->address,
                                .v = v->address,
                                .cache_k = cache->address,
                                .cache_v = input(plan, n, 3)->address,
                                .slots = input(plan, n, 4)->address,
                                .rows_at = rows_at(plan, k),
                                .rs_k = stride(k),
                                .rs_v = stride(v),
                                .n_rows = n_rows(k),
                                .n_kv_heads = (int32_t)n->params.kv.n_kv_heads,
                                .head_dim = (int32_t)n->params.kv.head_dim,
                                .n_pages = n_rows(cache),
                                .dtype = cache->desc.dtype};
}

static q35_attention_args attention_args(const q35_plan *plan, const q35p_node *n)
{
    const q35i_cuda_tensor *q = input(plan, n, 0), *out = output(plan, n, 0), *cache = input(plan, n, 1);
    const q35i_cuda_tensor *pages = input(plan, n, 5);
    return (q35_attention_args){.q = q->address,
                                .out = out->address,
                                .cache_k = cache->address,
                                .cache_v = input(plan, n, 2)->address,
                                .positions = input(plan, n, 3)->address,
                                .sequence = input(plan, n, 4)->address,
                                .pages = pages->address,
                                .records = plan->scratch,
                                .rows_at = rows_at(plan, q),
                                .rs_q = stride(q),
                                .rs_out = stride(out),
                                .n_rows = n_rows(q),
                                .n_heads = (int32_t)n->params.attention.n_heads,
                                .n_kv_heads = (int32_t)n->params.attention.n_kv_heads,
                                .head_dim = (int32_t)n->params.attention.head_dim,
                                .max_pages = n_cols(pages),
                                .n_spans = q35_cuda_n_spans(pages->desc.dim[0] * Q35_KV_PAGE),
                                .dtype = cache->desc.dtype,
                                .scale = n->params.attention.scale};
}

static bool is_few(const q35_plan *plan, const q35p_node *n)
{
    return q35_cuda_attention_few(n_rows(input(plan, n, 0)), n_rows(input(plan, n, 5))) != 0;
}

static void add_attention(q35_plan *plan, const q35p_node *n)
{
    const q35i_cuda_args a = {.attention = attention_args(plan, n)};
    if (!is_few(plan, n)) {
        append(plan, n, Q35_CUDA_K_attention_rows, &a);
        return;
    }
    append(plan, n, Q35_CUDA_K_attention_spans, &a);
    if (a.attention.n_spans > 1)
        append(plan, n, Q35_CUDA_K_attention_join, &a);
}

static q35_top_k_args top_k_args(const q35_plan *plan, const q35p_node *n)
{
    const q35i_cuda_tensor *x = input(plan, n, 0), *values = output(plan, n, 0), *columns = output(plan, n, 1);
    return (q35_top_k_args){.x = x->address,
                            .values = values->address,
                            .columns = columns->address,
                            .records = plan->scratch,
                            .rows_at = rows_at(plan, x),
                            .rs_x = stride(x),
                            .rs_values = stride(values),
                            .rs_columns = stride(columns),
                            .n_rows = n_rows(x),
                            .n = n_cols(x),
                            .k = n_cols(values),
                            .list = q35_cuda_top_list(n_cols(values))};
}

static void add_top_k(q35_plan *plan, const q35p_node *n)
{
    const q35i_cuda_args a = {.top_k = top_k_args(plan, n)};
    append(plan, n, Q35_CUDA_K_top_k_parts, &a);
    append(plan, n, Q35_CUDA_K_top_k_join, &a);
}

uint64_t q35i_cuda_node_records(const q35_plan *plan, const q35p_node *node)
{
    if (node->op == Q35_OP_TOP_K) {
        const q35_top_k_args a = top_k_args(plan, node);
        return q35_cuda_top_bytes(&a);
    }
    if (node->op != Q35_OP_ATTENTION || !is_few(plan, node))
        return 0;
    const q35_attention_args a = attention_args(plan, node);
    return q35_cuda_records_bytes(&a);
}

static void add_elementwise(q35_plan *plan, const q35p_node *n)
{
    const q35i_cuda_tensor *x = input(plan, n, 0), *b = input(plan, n, n->n_in - 1), *y = output(plan, n, 0);
    const uint32_t kernel = n->op == Q35_OP_SWIGLU ? Q35_CUDA_K_swiglu
                            : n->op == Q35_OP_ADD  ? Q35_CUDA_K_add
                            : n->op == Q35_OP_MUL  ? Q35_CUDA_K_mul
                                                   : Q35_CUDA_K_silu;
    const q35i_cuda_args a = {.elementwise = {.a = x->address,
                                              .b = b->address,
                                              .y = y->address,
                                              .rows_at = rows_at(plan, x),
                                              .rs_a = stride(x),
                                              .rs_b = stride(b),
                                              .rs_y = stride(y),
                                              .n_rows = n_rows(x),
                                              .n = n_cols(x)}};
    append(plan, n, kernel, &a);
}

static void add_take_rows(q35_plan *plan, const q35p_node *n)
{
    const q35i_cuda_tensor *x = input(plan, n, 0), *rows = input(plan, n, 1), *y = output(plan, n, 0);
    const q35i_cuda_args a = {.take_rows = {.x = x->address,
                                            .rows = rows->address,
                                            .y = y->address,
                                            .rows_at = rows_at(plan, y),
                                            .rs_x = stride(x),
                                            .rs_y = stride(y),
                                            .n_rows = n_rows(y),
                                            .n = n_rows(x),
                                            .k = n_cols(x)}};
    append(plan, n, Q35_CUDA_K_take_rows, &a);
}

static void add_sum_squares(q35_plan *plan, const q35p_node *n)
{
    const q35i_cuda_tensor *x = input(plan, n, 0);
    const q35i_cuda_args a = {.sum_squares = {.x = x->address,
                                              .acc = input(plan, n, 1)->address,
                                              .rows_at = rows_at(plan, x),
                                              .rs_x = stride(x),
                                              .n_rows = n_rows(x),
                                              .k = n_cols(x)}};
    append(plan, n, Q35_CUDA_K_sum_squares, &a);
}

/* ---- groups */

static void add_norm_quantize(q35_plan *plan, const q35i_cuda_group *g)
{
    q35i_cuda_args a = {.norm_quantize = {.norm = norm_args(plan, &plan->nodes[g->node[0]]),
                                          .quantize = quantize_args(plan, &plan->nodes[g->node[1]])}};
    if (q35i_cuda_is_hidden(plan, g, plan->nodes[g->node[1]].in[0]))
        a.norm_quantize.norm.y = 0;
    append_of(plan, g, Q35_CUDA_K_norm_quantize, &a);
}

/* One LINEAR, or several. */
static void add_linears(q35_plan *plan, const q35i_cuda_group *g)
{
    const q35p_node *first = &plan->nodes[g->node[0]];
    q35i_cuda_args a = {.linear = linear_args(plan, first)};
    for (uint32_t i = 0; i < g->n; i++)
        a.linear.part[i] = linear_part(plan, &plan->nodes[g->node[i]]);
    append_of(plan, g, linear_kernel(plan, first), &a);
}

static void add_linears_swiglu(q35_plan *plan, const q35i_cuda_group *g)
{
    const q35p_node *first = &plan->nodes[g->node[0]], *swiglu = &plan->nodes[g->node[2]];
    const q35i_cuda_tensor *product = output(plan, swiglu, 0);
    q35i_cuda_args a = {.linear = linear_args(plan, first)};
    for (uint32_t i = 0; i < 2; i++) {
        const uint32_t member = plan->nodes[g->node[0]].out[0] == swiglu->in[i] ? g->node[0] : g->node[1];
        a.linear.part[i] = linear_part(plan, &plan->nodes[member]);
        if (q35i_cuda_is_hidden(plan, g, swiglu->in[i]))
            a.linear.part[i].y = 0;
    }
    a.linear.product = product->address;
    a.linear.rs_product = stride(product);
    append_of(plan, g, linear_kernel(plan, first), &a);
}

static void add_rope_append(q35_plan *plan, const q35i_cuda_group *g)
{
    const q35p_node *k = &plan->nodes[g->node[1]];
    q35i_cuda_args a = {.rope_append = {.q = rope_args(plan, &plan->nodes[g->node[0]]),
                                        .k = rope_args(plan, k),
                                        .kv = kv_append_args(plan, &plan->nodes[g->node[2]])}};
    if (q35i_cuda_is_hidden(plan, g, k->out[0]))
        a.rope_append.k.y = 0;
    append_of(plan, g, Q35_CUDA_K_rope_append, &a);
}

static void add_single(q35_plan *plan, const q35i_cuda_group *g)
{
    const q35p_node *n = &plan->nodes[g->node[0]];
    q35i_cuda_args a = {.norm = {0}};
    switch (n->op) {
    case Q35_OP_GET_ROWS: add_get_rows(plan, n); break;
    case Q35_OP_RMS_NORM:
    case Q35_OP_ADD_RMS_NORM:
        a.norm = norm_args(plan, n);
        append(plan, n, Q35_CUDA_K_norm, &a);
        break;
    case Q35_OP_QUANTIZE_ACT:
        a.quantize = quantize_args(plan, n);
        append(plan, n, Q35_CUDA_K_quantize, &a);
        break;
    case Q35_OP_ROTATE: add_rotate(plan, n); break;
    case Q35_OP_LINEAR:
        if (q35i_cuda_linear_first(plan, n) == Q35_CUDA_K_linear_float)
            add_linear_float(plan, n);
        else
            add_linears(plan, g);
        break;
    case Q35_OP_ROPE:
        a.rope = rope_args(plan, n);
        append(plan, n, Q35_CUDA_K_rope, &a);
        break;
    case Q35_OP_KV_APPEND:
        a.kv_append = kv_append_args(plan, n);
        append(plan, n, Q35_CUDA_K_kv_append, &a);
        break;
    case Q35_OP_ATTENTION: add_attention(plan, n); break;
    case Q35_OP_TAKE_ROWS: add_take_rows(plan, n); break;
    case Q35_OP_SUM_SQUARES: add_sum_squares(plan, n); break;
    case Q35_OP_TOP_K: add_top_k(plan, n); break;
    default: add_elementwise(plan, n); break; /* the check let nothing else through */
    }
}

void q35i_cuda_add_launches(q35_plan *plan, const q35i_cuda_group *group)
{
    switch (group->kind) {
    case Q35I_CUDA_NORM_QUANTIZE: add_norm_quantize(plan, group); break;
    case Q35I_CUDA_LINEARS: add_linears(plan, group); break;
    case Q35I_CUDA_LINEARS_SWIGLU: add_linears_swiglu(plan, group); break;
    case Q35I_CUDA_ROPE_APPEND: add_rope_append(plan, group); break;
    default: add_single(plan, group); break;
    }
}
