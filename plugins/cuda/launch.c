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

static void append(q35_plan *plan, const q35p_node *node, uint32_t kernel, const q35i_cuda_args *args)
{
    q35i_cuda_launch *l = &plan->launches[plan->n_launches++];
    l->kernel = kernel;
    l->node = (uint32_t)(node - plan->nodes);
    l->args = *args;
    l->geometry = q35_cuda_launch_of(kernel, args);
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
                                           .dtype = table->desc.dtype,
                                           .layout = table->desc.layout}};
    append(plan, n, Q35_CUDA_K_get_rows, &a);
}

static void add_norm(q35_plan *plan, const q35p_node *n)
{
    const bool adds = n->op == Q35_OP_ADD_RMS_NORM;
    const q35i_cuda_tensor *x = input(plan, n, 0), *b = input(plan, n, 1), *w = input(plan, n, adds ? 2 : 1);
    const q35i_cuda_tensor *sum = output(plan, n, 0), *y = output(plan, n, adds ? 1 : 0);
    const q35i_cuda_args a = {.norm = {.a = x->address,
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
                                       .eps = n->params.norm.eps}};
    append(plan, n, Q35_CUDA_K_norm, &a);
}

static void add_quantize(q35_plan *plan, const q35p_node *n)
{
    const q35i_cuda_tensor *x = input(plan, n, 0), *y = output(plan, n, 0);
    const q35i_cuda_args a = {.quantize = {.x = x->address,
                                           .signs = n->n_in > 1 ? input(plan, n, 1)->address : 0,
                                           .y = y->address,
                                           .rows_at = rows_at(plan, x),
                                           .rs_x = stride(x),
                                           .rs_y = stride(y),
                                           .n_rows = n_rows(x),
                                           .k = n_cols(x),
                                           .dtype = y->desc.dtype,
                                           .width = n->params.quantize.width,
                                           .chunk = q35_cuda_quantize_chunk(n_cols(x))}};
    append(plan, n, Q35_CUDA_K_quantize, &a);
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

static void add_linear(q35_plan *plan, const q35p_node *n)
{
    const q35i_cuda_tensor *x = input(plan, n, 0), *w = input(plan, n, 1), *y = output(plan, n, 0);
    const uint32_t first = q35_cuda_linear_first(w->desc.dtype, x->desc.dtype);
    q35i_cuda_args a = {0};
    if (first == Q35_CUDA_K_linear_float) {
        a.linear_float = (q35_linear_float_args){.x = x->address,
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
                                                 .act = x->desc.dtype};
        append(plan, n, first, &a);
        return;
    }
    a.linear = (q35_linear_args){.x = x->address,
                                 .w = w->packed ? w->packed : w->address,
                                 .book = n->n_in > 2 ? input(plan, n, 2)->address : 0,
                                 .y = y->address,
                                 .rows_at = rows_at(plan, x),
                                 .rs_x = stride(x),
                                 .rs_y = stride(y),
                                 .n_rows = n_rows(x),
                                 .n = n_rows(w),
                                 .k = n_cols(w)};
    append(plan, n, first == Q35_CUDA_K_linear_q8 ? first : q35_cuda_linear_kernel(first, n_rows(x)), &a);
}

static void add_rope(q35_plan *plan, const q35p_node *n)
{
    const q35i_cuda_tensor *x = input(plan, n, 0), *y = output(plan, n, 0);
    const q35_rope_params *p = &n->params.rope;
    const q35i_cuda_args a = {.rope = {.x = x->address,
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
                                       .temperature_length = (int32_t)p->temperature_length}};
    append(plan, n, Q35_CUDA_K_rope, &a);
}

static void add_kv_append(q35_plan *plan, const q35p_node *n)
{
    const q35i_cuda_tensor *k = input(plan, n, 0), *v = input(plan, n, 1), *cache = input(plan, n, 2);
    const q35i_cuda_args a = {.kv_append = {.k = k->address,
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
                                            .dtype = cache->desc.dtype}};
    append(plan, n, Q35_CUDA_K_kv_append, &a);
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
                                .records = plan->records,
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

uint64_t q35i_cuda_node_records(const q35_plan *plan, const q35p_node *node)
{
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

void q35i_cuda_add_launches(q35_plan *plan, const q35p_node *node)
{
    switch (node->op) {
    case Q35_OP_GET_ROWS: add_get_rows(plan, node); break;
    case Q35_OP_RMS_NORM:
    case Q35_OP_ADD_RMS_NORM: add_norm(plan, node); break;
    case Q35_OP_QUANTIZE_ACT: add_quantize(plan, node); break;
    case Q35_OP_ROTATE: add_rotate(plan, node); break;
    case Q35_OP_LINEAR: add_linear(plan, node); break;
    case Q35_OP_ROPE: add_rope(plan, node); break;
    case Q35_OP_KV_APPEND: add_kv_append(plan, node); break;
    case Q35_OP_ATTENTION: add_attention(plan, node); break;
    case Q35_OP_TAKE_ROWS: add_take_rows(plan, node); break;
    case Q35_OP_SUM_SQUARES: add_sum_squares(plan, node); break;
    default: add_elementwise(plan, node); break; /* the check let nothing else through */
    }
}
