/* SPDX-License-Identifier: Apache-2.0
 *
 * Shape rules: what each op demands of its inputs and what it produces. The only place that knows; passes rely on
 * q35i_graph_verify. */
#include "graph/graph.h"
#include "runtime/base/error.h"

#include <q35rt/blocks.h>
#include <string.h>

#define ROW_FLAGS (Q35_TF_TOKEN_ROWS | Q35_TF_OUT_ROWS | Q35_TF_SEQUENCES)

typedef struct rule_context {
    const q35i_graph *graph;
    const q35i_node *node;
    const q35_tensor_desc *in[Q35I_MAX_IN];
} rule_context;

static q35_status bad(const rule_context *c, const char *what, int64_t found, int64_t need)
{
    return Q35_FAIL(Q35_E_INVALID, "node %s (%s): %s is %lld, need %lld", c->node->name, q35i_op_name(c->node->op),
                    what, (long long)found, (long long)need);
}

static q35_status want(const rule_context *c, const char *what, int64_t found, int64_t need)
{
    return found == need ? Q35_OK : bad(c, what, found, need);
}

static q35_status want_f32(const rule_context *c, uint32_t i)
{
    return want(c, "input type", c->in[i]->dtype, Q35_DT_F32);
}

static q35_status want_same(const rule_context *c, uint32_t a, uint32_t b)
{
    Q35_TRY(want_f32(c, a));
    Q35_TRY(want_f32(c, b));
    Q35_TRY(want(c, "row length", c->in[b]->dim[0], c->in[a]->dim[0]));
    Q35_TRY(want(c, "rows", c->in[b]->dim[1], c->in[a]->dim[1]));
    return want(c, "row kind", c->in[b]->flags & ROW_FLAGS, c->in[a]->flags & ROW_FLAGS);
}

static q35_tensor_desc rows_like(const q35_tensor_desc *x, uint32_t dtype, int64_t dim0)
{
    return q35i_desc2(dtype, dim0, x->dim[1], x->flags & ROW_FLAGS);
}

static q35_status want_params(const rule_context *c, uint32_t type)
{
    return want(c, "params type", c->node->params.h.size ? c->node->params.h.type : 0, type);
}

static int is_quantised_act(uint32_t dtype)
{
    return dtype == Q35_DT_A8_32 || dtype == Q35_DT_A8_128 || dtype == Q35_DT_A8_ROW;
}

static int is_weight(uint32_t dtype)
{
    return q35_dtype_describe(dtype).block_len != 0 && !is_quantised_act(dtype) && dtype != Q35_DT_I32 &&
           dtype != Q35_DT_I8;
}

/* Input 1 is a weight matrix; types with a codebook bring it as input 2. */
static q35_status want_weight(const rule_context *c)
{
    uint32_t dtype = c->in[1]->dtype;
    if (!is_weight(dtype))
        return Q35_FAIL(Q35_E_INVALID, "node %s (%s): weight type is %s, need a weight type", c->node->name,
                        q35i_op_name(c->node->op), q35_dtype_describe(dtype).name);
    uint32_t entries = q35_book_entries(dtype);
    Q35_TRY(want(c, "number of inputs", c->node->n_in, entries ? 3 : 2));
    if (entries) {
        Q35_TRY(want(c, "codebook type", c->in[2]->dtype, Q35_DT_I8));
        Q35_TRY(want(c, "codebook entries", c->in[2]->dim[1], entries));
        Q35_TRY(want(c, "codebook entry length", c->in[2]->dim[0], 2));
    }
    return Q35_OK;
}

static q35_status infer_get_rows(const rule_context *c, q35_tensor_desc *out)
{
    Q35_TRY(want(c, "ids type", c->in[0]->dtype, Q35_DT_I32));
    Q35_TRY(want_weight(c));
    *out = q35i_desc2(Q35_DT_F32, c->in[1]->dim[0], c->in[0]->dim[0], Q35_TF_TOKEN_ROWS);
    return Q35_OK;
}

static q35_status infer_norm(const rule_context *c, q35_tensor_desc *out)
{
    uint32_t w = c->node->op == Q35_OP_ADD_RMS_NORM ? 2 : 1;
    Q35_TRY(want_params(c, Q35_STRUCT_NORM_PARAMS));
    Q35_TRY(want_f32(c, 0));
    Q35_TRY(want_f32(c, w));
    Q35_TRY(want(c, "weight length", c->in[w]->dim[0], c->in[0]->dim[0]));
    out[0] = rows_like(c->in[0], Q35_DT_F32, c->in[0]->dim[0]);
    if (w == 2) {
        Q35_TRY(want_same(c, 0, 1));
        out[1] = out[0];
    }
    return Q35_OK;
}

static q35_status infer_linear(const rule_context *c, q35_tensor_desc *out)
{
    Q35_TRY(want_weight(c));
    int exact = q35_is_row_type(c->in[1]->dtype);
    if (!is_quantised_act(c->in[0]->dtype) || (c->in[0]->dtype == Q35_DT_A8_32) == exact)
        Q35_TRY(want_f32(c, 0));
    Q35_TRY(want(c, "weight row length", c->in[1]->dim[0], c->in[0]->dim[0]));
    *out = rows_like(c->in[0], Q35_DT_F32, c->in[1]->dim[1]);
    return Q35_OK;
}

/* Input 1, signs i8 [K], of a rotation of input 0 in blocks of `width`. */
static q35_status want_rotation(const rule_context *c, uint32_t width)
{
    Q35_TRY(want_f32(c, 0));
    Q35_TRY(want(c, "type of signs", c->in[1]->dtype, Q35_DT_I8));
    Q35_TRY(want(c, "number of signs", c->in[1]->dim[0], c->in[0]->dim[0]));
    if (width < 2 || width > Q35I_MAX_ROTATION || (width & (width - 1)) != 0)
        return Q35_FAIL(Q35_E_INVALID, "node %s (%s): width is %u, need a power of two from 2 to %u",
                        c->node->name, q35i_op_name(c->node->op), width, Q35I_MAX_ROTATION);
    return Q35_OK;
}

static q35_status infer_quantize_act(const rule_context *c, q35_tensor_desc *out)
{
    const q35_quantize_params *p = &c->node->params.quantize;
    uint32_t dtype = Q35_DT_A8_32;
    Q35_TRY(want_f32(c, 0));
    if (p->h.size) {
        Q35_TRY(want_params(c, Q35_STRUCT_QUANTIZE_PARAMS));
        dtype = p->dtype;
        if (!is_quantised_act(dtype))
            return Q35_FAIL(Q35_E_INVALID, "node %s (%s): output type is %s, need A8_32, A8_128 or A8_ROW",
                            c->node->name, q35i_op_name(c->node->op), q35_dtype_describe(dtype).name);
    }
    if (c->node->n_in == 2)
        Q35_TRY(want_rotation(c, p->h.size ? p->width : 0));
    *out = rows_like(c->in[0], dtype, c->in[0]->dim[0]);
    return Q35_OK;
}

static q35_status infer_rotate(const rule_context *c, q35_tensor_desc *out)
{
    Q35_TRY(want_params(c, Q35_STRUCT_ROTATE_PARAMS));
    Q35_TRY(want_rotation(c, c->node->params.rotate.width));
    *out = rows_like(c->in[0], Q35_DT_F32, c->in[0]->dim[0]);
    return Q35_OK;
}

/* Input i: i32, one per row of input 0. */
static q35_status want_per_row(const rule_context *c, uint32_t i)
{
    Q35_TRY(want(c, "type of indices", c->in[i]->dtype, Q35_DT_I32));
    Q35_TRY(want(c, "number of indices", c->in[i]->dim[0], c->in[0]->dim[1]));
    return want(c, "row kind of indices", c->in[i]->flags & ROW_FLAGS, c->in[0]->flags & ROW_FLAGS);
}

static q35_status infer_rope(const rule_context *c, q35_tensor_desc *out)
{
    const q35_rope_params *p = &c->node->params.rope;
    Q35_TRY(want_params(c, Q35_STRUCT_ROPE_PARAMS));
    Q35_TRY(want_f32(c, 0));
    Q35_TRY(want_f32(c, 1));
    if (p->head_dim == 0 || c->in[0]->dim[0] % p->head_dim != 0)
        return bad(c, "row length", c->in[0]->dim[0], p->head_dim);
    if (p->n_rot % 2 != 0 || p->n_rot > p->head_dim)
        return bad(c, "rotated dimensions", p->n_rot, p->head_dim);
    Q35_TRY(want(c, "frequencies", c->in[1]->dim[0], p->n_rot / 2));
    Q35_TRY(want_per_row(c, 2));
    *out = rows_like(c->in[0], Q35_DT_F32, c->in[0]->dim[0]);
    return Q35_OK;
}

/* Inputs i and i + 1 are the K and V states of a layer, [n_pages][n_kv_heads][Q35_KV_PAGE][head_dim]. */
static q35_status want_states(const rule_context *c, uint32_t i, uint32_t n_kv_heads, uint32_t head_dim)
{
    for (uint32_t s = i; s < i + 2; s++) {
        if (c->in[s]->dtype != Q35_DT_F16 && c->in[s]->dtype != Q35_DT_Q8_0)
            Q35_TRY(want(c, "state type", c->in[s]->dtype, Q35_DT_F32));
        Q35_TRY(want(c, "state head length", c->in[s]->dim[0], head_dim));
        Q35_TRY(want(c, "state page length", c->in[s]->dim[1], Q35_KV_PAGE));
        Q35_TRY(want(c, "state heads", c->in[s]->dim[2], n_kv_heads));
        Q35_TRY(want(c, "state pages", c->in[s]->dim[3], c->in[i]->dim[3]));
    }
    return Q35_OK;
}

static q35_status infer_kv_append(const rule_context *c, q35_tensor_desc *out)
{
    const q35_kv_params *p = &c->node->params.kv;
    (void)out;
    Q35_TRY(want_params(c, Q35_STRUCT_KV_PARAMS));
    Q35_TRY(want_same(c, 0, 1));
    Q35_TRY(want(c, "row length", c->in[0]->dim[0], (int64_t)p->n_kv_heads * p->head_dim));
    Q35_TRY(want_states(c, 2, p->n_kv_heads, p->head_dim));
    return want_per_row(c, 4);
}

static q35_status infer_attention(const rule_context *c, q35_tensor_desc *out)
{
    const q35_attention_params *p = &c->node->params.attention;
    Q35_TRY(want_params(c, Q35_STRUCT_ATTENTION_PARAMS));
    Q35_TRY(want_f32(c, 0));
    Q35_TRY(want(c, "row length", c->in[0]->dim[0], (int64_t)p->n_heads * p->head_dim));
    if (p->n_kv_heads == 0 || p->n_heads % p->n_kv_heads != 0)
        return bad(c, "query heads", p->n_heads, p->n_kv_heads);
    Q35_TRY(want_states(c, 1, p->n_kv_heads, p->head_dim));
    Q35_TRY(want_per_row(c, 3));
    Q35_TRY(want_per_row(c, 4));
    Q35_TRY(want(c, "page table type", c->in[5]->dtype, Q35_DT_I32));
    Q35_TRY(want(c, "page table rank", c->in[5]->rank, 2));
    *out = rows_like(c->in[0], Q35_DT_F32, c->in[0]->dim[0]);
    return Q35_OK;
}

static q35_status infer_top_k(const rule_context *c, q35_tensor_desc *out)
{
    const int64_t k = c->node->params.top_k.k;
    Q35_TRY(want_params(c, Q35_STRUCT_TOP_K_PARAMS));
    Q35_TRY(want_f32(c, 0));
    if (k < 1 || k > c->in[0]->dim[0])
        return Q35_FAIL(Q35_E_INVALID, "node %s (%s): k is %lld, need 1 to %lld", c->node->name,
                        q35i_op_name(c->node->op), (long long)k, (long long)c->in[0]->dim[0]);
    out[0] = rows_like(c->in[0], Q35_DT_F32, k);
    out[1] = rows_like(c->in[0], Q35_DT_I32, k);
    return Q35_OK;
}

static q35_status infer_elementwise(const rule_context *c, q35_tensor_desc *out)
{
    Q35_TRY(want_f32(c, 0));
    if (c->node->n_in == 2)
        Q35_TRY(want_same(c, 0, 1));
    *out = rows_like(c->in[0], Q35_DT_F32, c->in[0]->dim[0]);
    return Q35_OK;
}

static q35_status infer(const rule_context *c, q35_tensor_desc *out)
{
    switch (c->node->op) {
    case Q35_OP_GET_ROWS: return infer_get_rows(c, out);
    case Q35_OP_RMS_NORM:
    case Q35_OP_ADD_RMS_NORM: return infer_norm(c, out);
    case Q35_OP_QUANTIZE_ACT: return infer_quantize_act(c, out);
    case Q35_OP_ROTATE: return infer_rotate(c, out);
    case Q35_OP_LINEAR: return infer_linear(c, out);
    case Q35_OP_ROPE: return infer_rope(c, out);
    case Q35_OP_KV_APPEND: return infer_kv_append(c, out);
    case Q35_OP_ATTENTION: return infer_attention(c, out);
    case Q35_OP_TOP_K: return infer_top_k(c, out);
    case Q35_OP_SWIGLU:
    case Q35_OP_ADD:
    case Q35_OP_MUL:
    case Q35_OP_SILU: return infer_elementwise(c, out);
    case Q35_OP_TAKE_ROWS:
        Q35_TRY(want_f32(c, 0));
        Q35_TRY(want(c, "type of rows", c->in[1]->dtype, Q35_DT_I32));
        *out = q35i_desc2(Q35_DT_F32, c->in[0]->dim[0], c->in[1]->dim[0], c->in[1]->flags & ROW_FLAGS);
        return Q35_OK;
    case Q35_OP_SUM_SQUARES:
        Q35_TRY(want_f32(c, 0));
        Q35_TRY(want_f32(c, 1));
        return want(c, "accumulators", c->in[1]->dim[0], c->in[0]->dim[0]);
    default: return Q35_FAIL(Q35_E_INVALID, "node %s: unknown op %u", c->node->name, c->node->op);
    }
}

static q35_status want_arity(const q35i_node *node)
{
    uint32_t min = 0, max = 0, outs = 0;
    switch (node->op) {
#define OP(NAME, text, least, most, n)                                                                            \
    case Q35_OP_##NAME:                                                                                           \
        min = least;                                                                                              \
        max = most;                                                                                               \
        outs = n;                                                                                                 \
        break;
#include "graph/ops.def"
#undef OP
    default: return Q35_FAIL(Q35_E_INVALID, "node %s: unknown op %u", node->name, node->op);
    }
    if (node->n_in < min || node->n_in > max || node->n_out != outs)
        return Q35_FAIL(Q35_E_INVALID, "node %s (%s): %u inputs and %u outputs, need %u to %u and %u", node->name,
                        q35i_op_name(node->op), node->n_in, node->n_out, min, max, outs);
    return Q35_OK;
}

q35_status q35i_shape_infer(const q35i_graph *graph, const q35i_node *node, q35_tensor_desc *out)
{
    rule_context c = {.graph = graph, .node = node};
    Q35_TRY(want_arity(node));
    for (uint32_t i = 0; i < node->n_in; i++) {
        if (node->in[i] >= graph->n_tensors)
            return Q35_FAIL(Q35_E_INVALID, "node %s: input %u is tensor %u, need below %u", node->name, i,
                            node->in[i], graph->n_tensors);
        c.in[i] = &graph->tensors[node->in[i]].desc;
    }
    return infer(&c, out);
}

q35_status q35i_graph_verify(const q35i_graph *graph)
{
    Q35_TRY(graph->status);
    for (uint32_t n = 0; n < graph->n_nodes; n++) {
        const q35i_node *node = &graph->nodes[n];
        q35_tensor_desc out[Q35I_MAX_OUT];
        Q35_TRY(q35i_shape_infer(graph, node, out));
        for (uint32_t i = 0; i < node->n_in; i++) {
            const q35i_tensor *t = &graph->tensors[node->in[i]];
            if (t->role == Q35_ROLE_TEMP && (t->producer == Q35_NONE || t->producer >= n))
                return Q35_FAIL(Q35_E_INVALID, "node %s: input %s is not produced before it", node->name, t->name);
        }
        for (uint32_t i = 0; i < node->n_out; i++) {
            const q35i_tensor *t = &graph->tensors[node->out[i]];
            if (t->producer != n || memcmp(&t->desc, &out[i], sizeof out[i]) != 0)
                return Q35_FAIL(Q35_E_INVALID, "node %s: output %s does not match the shape rule", node->name,
                                t->name);
        }
    }
    return Q35_OK;
}
