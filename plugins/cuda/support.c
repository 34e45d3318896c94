/* SPDX-License-Identifier: Apache-2.0
 *
 * Which regions a GPU runs, and why not the others. A region that passes compiles, and runs without a further look
 * at shapes: launch.c relies on everything checked here. */
#include "cuda.h"

#include <math.h>
#include <stdio.h>

typedef bool check_fn(const q35i_cuda_check *c);

static uint32_t in(const q35i_cuda_check *c, uint32_t i)
{
    return c->node->in[i];
}

static const q35_tensor_desc *desc(const q35i_cuda_check *c, uint32_t t)
{
    return &c->region->tensors[t];
}

static int64_t row_length(const q35i_cuda_check *c)
{
    return desc(c, in(c, 0))->dim[0];
}

static bool want_f32(const q35i_cuda_check *c, uint32_t t, const char *what, int64_t cols)
{
    return q35i_cuda_want_matrix(c, t, what, Q35_DT_F32, cols);
}

static bool want_f32_like_first(const q35i_cuda_check *c, uint32_t t, const char *what, int64_t cols)
{
    return want_f32(c, t, what, cols) && q35i_cuda_want_rows_like(c, t, what, in(c, 0));
}

/* first: bytes of the struct's first version; known: of the one read here. What a newer host adds must be zero. */
static bool want_params(const q35i_cuda_check *c, uint32_t type, uint32_t first, uint32_t known)
{
    const q35_hdr *p = c->node->params;
    if (!p || p->type != type || p->size < first)
        return q35i_cuda_refuse(c, "parameters have type %u and %u bytes, need type %u and %u bytes",
                                p ? p->type : 0, p ? p->size : 0, type, first);
    for (uint32_t i = known; i < p->size; i++)
        if (((const unsigned char *)p)[i] != 0)
            return q35i_cuda_refuse(c, "parameters have %u at byte %u, need 0 past the %u bytes known here",
                                    ((const unsigned char *)p)[i], i, known);
    return true;
}

/* Input 2: the codebook, dense. */
static bool want_book(const q35i_cuda_check *c, uint32_t entries)
{
    const q35_tensor_desc *book = desc(c, in(c, 2));
    if (!q35i_cuda_want_matrix(c, in(c, 2), "book", Q35_DT_I8, 2))
        return false;
    if (book->dim[1] != entries || book->stride[1] != 2 || book->flags != 0)
        return q35i_cuda_refuse(c, "book has %lld rows %lld apart, need %u rows 2 apart", (long long)book->dim[1],
                                (long long)book->stride[1], entries);
    return true;
}

/* Inputs 1 (weights [N][K]) and, for types with one, 2 (codebook). */
static bool want_weights(const q35i_cuda_check *c)
{
    const q35_tensor_desc *w = desc(c, in(c, 1));
    const q35_dtype_info info = q35_dtype_describe(w->dtype);
    const uint32_t entries = q35_book_entries(w->dtype), need = entries ? 3 : 2;
    if (w->rank != 2 || w->flags != 0)
        return q35i_cuda_refuse(c, "weight has rank %u and flags %#x, need 2 and 0", w->rank, w->flags);
    if (!q35_is_row_type(w->dtype) && w->dim[0] % info.block_len != 0)
        return q35i_cuda_refuse(c, "weight has rows of %lld, need a multiple of %u for %s", (long long)w->dim[0],
                                info.block_len, info.name);
    if (c->node->n_in != need)
        return q35i_cuda_refuse(c, "%u inputs, need %u for %s", c->node->n_in, need, info.name);
    return !entries || want_book(c, entries);
}

static bool check_get_rows(const q35i_cuda_check *c)
{
    const q35_tensor_desc *ids = desc(c, in(c, 0)), *table = desc(c, in(c, 1));
    const uint32_t t = table->dtype;
    if (!q35_is_row_type(t) && t != Q35_DT_Q8_0 && t != Q35_DT_F32 && t != Q35_DT_F16 && t != Q35_DT_BF16)
        return q35i_cuda_refuse(
            c, "no kernel for a table of %s, need Q35_ROW, Q40_ROW, Q60_ROW, Q8_0, F32, F16 or BF16",
            q35_dtype_describe(t).name);
    if (table->layout == Q35_CUDA_T16)
        return q35i_cuda_refuse(c, "table has layout %u, need 0", table->layout);
    if (ids->dtype != Q35_DT_I32 || ids->rank != 1)
        return q35i_cuda_refuse(c, "ids are %s of rank %u, need I32 of 1", q35_dtype_describe(ids->dtype).name,
                                ids->rank);
    return want_weights(c) && want_f32_like_first(c, c->node->out[0], "output", table->dim[0]);
}

static bool want_norm_params(const q35i_cuda_check *c)
{
    if (!want_params(c, Q35_STRUCT_NORM_PARAMS, sizeof(q35_norm_params), sizeof(q35_norm_params)))
        return false;
    const float eps = Q35I_CUDA_PARAMS(c->node, q35_norm_params)->eps;
    return eps >= 0 || q35i_cuda_refuse(c, "eps is %g, need 0 or more", (double)eps);
}

static bool check_rms_norm(const q35i_cuda_check *c)
{
    const int64_t k = row_length(c);
    return want_norm_params(c) && want_f32(c, in(c, 0), "input", k) &&
           q35i_cuda_want_vector(c, in(c, 1), "norm weight", Q35_DT_F32, k) &&
           want_f32_like_first(c, c->node->out[0], "output", k);
}

static bool check_add_rms_norm(const q35i_cuda_check *c)
{
    const int64_t k = row_length(c);
    return want_norm_params(c) && want_f32(c, in(c, 0), "input a", k) &&
           want_f32_like_first(c, in(c, 1), "input b", k) &&
           q35i_cuda_want_vector(c, in(c, 2), "norm weight", Q35_DT_F32, k) &&
           want_f32_like_first(c, c->node->out[0], "output", k) &&
           want_f32_like_first(c, c->node->out[1], "output", k);
}

/* Input 1: signs i8 [K] of a rotation in blocks of `width`. */
static bool want_rotation(const q35i_cuda_check *c, uint32_t width, int64_t k)
{
    if (width < 2 || width > Q35I_CUDA_MAX_ROTATION || (width & (width - 1)) != 0)
        return q35i_cuda_refuse(c, "width is %u, need a power of two from 2 to %d", width,
                                (int)Q35I_CUDA_MAX_ROTATION);
    return q35i_cuda_want_vector(c, in(c, 1), "signs", Q35_DT_I8, k);
}

static bool check_rotate(const q35i_cuda_check *c)
{
    if (!want_params(c, Q35_STRUCT_ROTATE_PARAMS, sizeof(q35_rotate_params), sizeof(q35_rotate_params)))
        return false;
    const q35_rotate_params *p = Q35I_CUDA_PARAMS(c->node, q35_rotate_params);
    const int64_t k = row_length(c);
    if (p->inverse > 1)
        return q35i_cuda_refuse(c, "inverse is %u, need 0 or 1", p->inverse);
    return want_f32(c, in(c, 0), "input", k) && want_rotation(c, p->width, k) &&
           want_f32_like_first(c, c->node->out[0], "output", k);
}

static bool check_quantize_act(const q35i_cuda_check *c)
{
    const int64_t k = row_length(c);
    const uint32_t out = c->node->out[0];
    uint32_t dtype = Q35_DT_A8_32, width = 0;
    if (c->node->params) {
        if (!want_params(c, Q35_STRUCT_QUANTIZE_PARAMS, sizeof(q35_quantize_params), sizeof(q35_quantize_params)))
            return false;
        dtype = Q35I_CUDA_PARAMS(c->node, q35_quantize_params)->dtype;
        width = Q35I_CUDA_PARAMS(c->node, q35_quantize_params)->width;
    }
    if (dtype != Q35_DT_A8_32 && dtype != Q35_DT_A8_128 && dtype != Q35_DT_A8_ROW)
        return q35i_cuda_refuse(c, "parameters ask for dtype %#x, need A8_32, A8_128 or A8_ROW", dtype);
    if (c->node->n_in == 1 && width != 0)
        return q35i_cuda_refuse(c, "width is %u without signs, need 0", width);
    if (c->node->n_in == 2 && !want_rotation(c, width, k))
        return false;
    if (dtype == Q35_DT_A8_ROW && k > Q35_CUDA_MAX_K)
        return q35i_cuda_refuse(c, "input has rows of %lld, need at most %d for exact sums", (long long)k,
                                (int)Q35_CUDA_MAX_K);
    return want_f32(c, in(c, 0), "input", k) && q35i_cuda_want_matrix(c, out, "output", dtype, k) &&
           q35i_cuda_want_rows_like(c, out, "output", in(c, 0));
}

static bool check_linear(const q35i_cuda_check *c)
{
    const q35_tensor_desc *x = desc(c, in(c, 0)), *w = desc(c, in(c, 1));
    if (q35_cuda_linear_first(w->dtype, x->dtype) == Q35_CUDA_N_KERNELS)
        return q35i_cuda_refuse(c, "no kernel for %s weights with %s activations",
                                q35_dtype_describe(w->dtype).name, q35_dtype_describe(x->dtype).name);
    if (q35_is_row_type(w->dtype) && w->dim[0] > Q35_CUDA_MAX_K)
        return q35i_cuda_refuse(c, "weight has rows of %lld, need at most %d for exact sums", (long long)w->dim[0],
                                (int)Q35_CUDA_MAX_K);
    /* Canonical bytes are laid out anew when the plan is bound, so they must be there and stay. */
    if (w->layout != q35_cuda_layout_of(w->dtype) && c->region->roles[in(c, 1)] != Q35_ROLE_WEIGHT)
        return q35i_cuda_refuse(c, "weight has layout %u and role %u, need role weight or layout %u", w->layout,
                                c->region->roles[in(c, 1)], q35_cuda_layout_of(w->dtype));
    return want_weights(c) && q35i_cuda_want_matrix(c, in(c, 0), "input", x->dtype, w->dim[0]) &&
           want_f32_like_first(c, c->node->out[0], "output", w->dim[1]);
}

static bool check_rope(const q35i_cuda_check *c)
{
    const uint32_t first = offsetof(q35_rope_params, temperature_beta);
    if (!want_params(c, Q35_STRUCT_ROPE_PARAMS, first, sizeof(q35_rope_params)))
        return false;
    const q35_rope_params *p = Q35I_CUDA_PARAMS(c->node, q35_rope_params);
    const int64_t k = row_length(c);
    if (p->head_dim == 0 || k % p->head_dim != 0)
        return q35i_cuda_refuse(c, "head_dim is %u, need a divisor of the row length %lld", p->head_dim,
                                (long long)k);
    if (p->n_rot == 0 || p->n_rot % 2 != 0 || p->n_rot > p->head_dim)
        return q35i_cuda_refuse(c, "n_rot is %u, need an even number up to head_dim %u", p->n_rot, p->head_dim);
    if (Q35_HAS_FIELD(p, q35_rope_params, temperature_length) &&
        (!isfinite(p->temperature_beta) || p->temperature_length > INT32_MAX))
        return q35i_cuda_refuse(c, "temperature is %g per %u positions, need a finite number per at most %d",
                                (double)p->temperature_beta, p->temperature_length, INT32_MAX);
    return want_f32(c, in(c, 0), "input", k) &&
           q35i_cuda_want_vector(c, in(c, 1), "inv_freq", Q35_DT_F32, p->n_rot / 2) &&
           q35i_cuda_want_indices(c, in(c, 2), "positions", in(c, 0)) &&
           want_f32_like_first(c, c->node->out[0], "output", k);
}

/* One of the states [n_pages][n_kv_heads][Q35_KV_PAGE][head_dim], dense. */
static bool want_cache(const q35i_cuda_check *c, uint32_t t, const char *what, uint32_t n_kv_heads,
                       uint32_t head_dim)
{
    const q35_tensor_desc *d = desc(c, t);
    if (!q35i_cuda_want_state(c, t, what))
        return false;
    if (d->dtype != Q35_DT_F16 && d->dtype != Q35_DT_F32 && d->dtype != Q35_DT_Q8_0)
        return q35i_cuda_refuse(c, "%s is %s, need F16, F32 or Q8_0", what, q35_dtype_describe(d->dtype).name);
    if (d->rank != 4 || d->dim[0] != head_dim || d->dim[1] != Q35_KV_PAGE || d->dim[2] != n_kv_heads)
        return q35i_cuda_refuse(c, "%s is [pages][%lld][%lld][%lld], need [pages][%u][%d][%u]", what,
                                (long long)d->dim[2], (long long)d->dim[1], (long long)d->dim[0], n_kv_heads,
                                Q35_KV_PAGE, head_dim);
    if (d->dtype == Q35_DT_Q8_0 && head_dim % 32 != 0)
        return q35i_cuda_refuse(c, "%s is Q8_0 with head_dim %u, need a multiple of 32", what, head_dim);
    if (d->stride[1] != (int64_t)q35_row_bytes(d->dtype, head_dim) || d->stride[2] != d->dim[1] * d->stride[1] ||
        d->stride[3] != d->dim[2] * d->stride[2] || d->flags != 0)
        return q35i_cuda_refuse(c, "%s has padded rows or row flags, need a dense tensor", what);
    return true;
}

/* Inputs i and i + 1. */
static bool want_caches(const q35i_cuda_check *c, uint32_t i, uint32_t n_kv_heads, uint32_t head_dim)
{
    const q35_tensor_desc *k = desc(c, in(c, i)), *v = desc(c, in(c, i + 1));
    if (!want_cache(c, in(c, i), "state k", n_kv_heads, head_dim) ||
        !want_cache(c, in(c, i + 1), "state v", n_kv_heads, head_dim))
        return false;
    if (k->dtype != v->dtype || k->dim[3] != v->dim[3])
        return q35i_cuda_refuse(c, "state v is %s of %lld pages, need %s of %lld as state k",
                                q35_dtype_describe(v->dtype).name, (long long)v->dim[3],
                                q35_dtype_describe(k->dtype).name, (long long)k->dim[3]);
    return true;
}

static bool check_kv_append(const q35i_cuda_check *c)
{
    if (!want_params(c, Q35_STRUCT_KV_PARAMS, sizeof(q35_kv_params), sizeof(q35_kv_params)))
        return false;
    const q35_kv_params *p = Q35I_CUDA_PARAMS(c->node, q35_kv_params);
    const int64_t cols = (int64_t)p->n_kv_heads * p->head_dim;
    return want_f32(c, in(c, 0), "k", cols) && want_f32_like_first(c, in(c, 1), "v", cols) &&
           want_caches(c, 2, p->n_kv_heads, p->head_dim) && q35i_cuda_want_indices(c, in(c, 4), "slots", in(c, 0));
}

static bool want_page_table(const q35i_cuda_check *c, uint32_t t)
{
    const q35_tensor_desc *d = desc(c, t);
    if (!q35i_cuda_want_matrix(c, t, "pages", Q35_DT_I32, d->dim[0]))
        return false;
    if ((d->flags != Q35_TF_SEQUENCES && d->flags != 0) || d->stride[1] != d->dim[0] * 4)
        return q35i_cuda_refuse(c, "pages have flags %#x and rows %lld apart, need sequences or none, and %lld",
                                d->flags, (long long)d->stride[1], (long long)d->dim[0] * 4);
    return true;
}

static bool check_attention(const q35i_cuda_check *c)
{
    if (!want_params(c, Q35_STRUCT_ATTENTION_PARAMS, sizeof(q35_attention_params), sizeof(q35_attention_params)))
        return false;
    const q35_attention_params *p = Q35I_CUDA_PARAMS(c->node, q35_attention_params);
    const int64_t cols = (int64_t)p->n_heads * p->head_dim;
    if (p->n_kv_heads == 0 || p->n_heads == 0 || p->n_heads % p->n_kv_heads != 0)
        return q35i_cuda_refuse(c, "n_heads is %u, need a multiple of n_kv_heads %u", p->n_heads, p->n_kv_heads);
    if (p->head_dim == 0 || p->head_dim % 16 != 0 || p->head_dim > Q35_CUDA_MAX_HEAD_DIM)
        return q35i_cuda_refuse(c, "head_dim is %u, need a multiple of 16 up to %d", p->head_dim,
                                (int)Q35_CUDA_MAX_HEAD_DIM);
    return want_f32(c, in(c, 0), "q", cols) && want_caches(c, 1, p->n_kv_heads, p->head_dim) &&
           q35i_cuda_want_indices(c, in(c, 3), "positions", in(c, 0)) &&
           q35i_cuda_want_indices(c, in(c, 4), "sequence", in(c, 0)) && want_page_table(c, in(c, 5)) &&
           want_f32_like_first(c, c->node->out[0], "output", cols);
}

static bool check_elementwise(const q35i_cuda_check *c)
{
    const int64_t k = row_length(c);
    return want_f32(c, in(c, 0), "input a", k) &&
           (c->node->n_in == 1 || want_f32_like_first(c, in(c, 1), "input b", k)) &&
           want_f32_like_first(c, c->node->out[0], "output", k);
}

static bool check_take_rows(const q35i_cuda_check *c)
{
    const int64_t k = row_length(c);
    return want_f32(c, in(c, 0), "input", k) && want_f32(c, c->node->out[0], "output", k) &&
           q35i_cuda_want_indices(c, in(c, 1), "rows", c->node->out[0]);
}

static bool check_sum_squares(const q35i_cuda_check *c)
{
    const int64_t k = row_length(c);
    return want_f32(c, in(c, 0), "input", k) && q35i_cuda_want_state(c, in(c, 1), "accumulator") &&
           q35i_cuda_want_vector(c, in(c, 1), "accumulator", Q35_DT_F32, k);
}

/* Inputs and outputs of every op, by op id. */
static const struct {
    const char *name;
    uint32_t min_in, max_in, n_out;
    check_fn *check;
} ops[] = {
    [Q35_OP_GET_ROWS] = {"get_rows", 2, 3, 1, check_get_rows},
    [Q35_OP_RMS_NORM] = {"rms_norm", 2, 2, 1, check_rms_norm},
    [Q35_OP_ADD_RMS_NORM] = {"add_rms_norm", 3, 3, 2, check_add_rms_norm},
    [Q35_OP_QUANTIZE_ACT] = {"quantize_act", 1, 2, 1, check_quantize_act},
    [Q35_OP_LINEAR] = {"linear", 2, 3, 1, check_linear},
    [Q35_OP_ROPE] = {"rope", 3, 3, 1, check_rope},
    [Q35_OP_KV_APPEND] = {"kv_append", 5, 5, 0, check_kv_append},
    [Q35_OP_ATTENTION] = {"attention", 6, 6, 1, check_attention},
    [Q35_OP_SWIGLU] = {"swiglu", 2, 2, 1, check_elementwise},
    [Q35_OP_ADD] = {"add", 2, 2, 1, check_elementwise},
    [Q35_OP_MUL] = {"mul", 2, 2, 1, check_elementwise},
    [Q35_OP_SILU] = {"silu", 1, 1, 1, check_elementwise},
    [Q35_OP_TAKE_ROWS] = {"take_rows", 2, 2, 1, check_take_rows},
    [Q35_OP_SUM_SQUARES] = {"sum_squares", 2, 2, 0, check_sum_squares},
    [Q35_OP_ROTATE] = {"rotate", 2, 2, 1, check_rotate},
};

const char *q35i_cuda_op_name(uint32_t op)
{
    return op < sizeof ops / sizeof ops[0] && ops[op].name ? ops[op].name : "?";
}

/* A grid has at most 65535 blocks in y, which is where rows go. */
static bool want_grid(const q35i_cuda_check *c, uint32_t t, const char *what)
{
    const q35_tensor_desc *d = desc(c, t);
    return d->rank != 2 || d->dim[1] <= 65535 ||
           q35i_cuda_refuse(c, "%s has %lld rows, need at most 65535", what, (long long)d->dim[1]);
}

/* Only LINEAR's weight, and a Q8_0 table of GET_ROWS, may be packed; nothing writes weights or step values. */
static bool check_operands(const q35i_cuda_check *c)
{
    static const char *const names[Q35I_CUDA_MAX_IN] = {"input 0", "input 1", "input 2",
                                                        "input 3", "input 4", "input 5"};
    const bool has_weight = c->node->op == Q35_OP_LINEAR || c->node->op == Q35_OP_GET_ROWS;
    for (uint32_t i = 0; i < c->node->n_in; i++) {
        if (!q35i_cuda_want_tensor(c, in(c, i), names[i]))
            return false;
        if (!(has_weight && i == 1) && !want_grid(c, in(c, i), names[i]))
            return false;
        if (desc(c, in(c, i))->layout != Q35_CUDA_CANONICAL && !(has_weight && i == 1))
            return q35i_cuda_refuse(c, "%s has layout %u, need 0", names[i], desc(c, in(c, i))->layout);
    }
    for (uint32_t i = 0; i < c->node->n_out; i++) {
        const uint32_t t = c->node->out[i];
        if (!q35i_cuda_want_tensor(c, t, "output"))
            return false;
        if (desc(c, t)->layout != Q35_CUDA_CANONICAL)
            return q35i_cuda_refuse(c, "output has layout %u, need 0", desc(c, t)->layout);
        if (c->region->roles[t] == Q35_ROLE_WEIGHT || c->region->roles[t] == Q35_ROLE_STEP)
            return q35i_cuda_refuse(c, "output has role %u, need one that may be written", c->region->roles[t]);
    }
    return true;
}

static bool check_node(const q35i_cuda_check *c)
{
    const q35_node *n = c->node;
    if (!Q35_HAS_FIELD(n, q35_node, params))
        return q35i_cuda_refuse(c, "node struct has %u bytes, need %u", n->h.size, (unsigned)sizeof *n);
    if (n->op >= sizeof ops / sizeof ops[0] || !ops[n->op].check)
        return q35i_cuda_refuse(c, "op is %#x, need one of abi 1.0", n->op);
    if (n->n_in < ops[n->op].min_in || n->n_in > ops[n->op].max_in || n->n_out != ops[n->op].n_out)
        return q35i_cuda_refuse(c, "%u inputs and %u outputs, need %u to %u and %u", n->n_in, n->n_out,
                                ops[n->op].min_in, ops[n->op].max_in, ops[n->op].n_out);
    if (!n->in || (n->n_out && !n->out))
        return q35i_cuda_refuse(c, "inputs or outputs are missing");
    return check_operands(c) && ops[n->op].check(c);
}

static bool check_step_tensor(const q35i_cuda_check *c)
{
    const uint32_t t = c->region->step;
    const int64_t need = (int64_t)(sizeof(q35_step) / sizeof(int32_t));
    if (t == Q35_NONE)
        return true;
    if (!q35i_cuda_want_tensor(c, t, "step tensor"))
        return false;
    const q35_tensor_desc *d = desc(c, t);
    if (d->dtype != Q35_DT_I32 || d->rank != 1 || d->dim[0] < need || d->layout != Q35_CUDA_CANONICAL)
        return q35i_cuda_refuse(c, "step tensor is %s of %lld, need I32 of %lld",
                                q35_dtype_describe(d->dtype).name, (long long)d->dim[0], (long long)need);
    return true;
}

bool q35i_cuda_check_region(const q35_region *region, char *reason, size_t cap)
{
    q35i_cuda_check c = {region, NULL, 0, reason, cap};
    if (!region || !Q35_HAS_FIELD(region, q35_region, step))
        return q35i_cuda_refuse(&c, "region struct has %u bytes, need %u", region ? region->h.size : 0,
                                (unsigned)sizeof *region);
    if (region->n_nodes == 0 || !region->nodes || !region->tensors || !region->roles)
        return q35i_cuda_refuse(&c, "region has %u nodes and %u tensors, need at least one node", region->n_nodes,
                                region->n_tensors);
    if (!check_step_tensor(&c))
        return false;
    for (c.index = 0; c.index < region->n_nodes; c.index++) {
        c.node = region->nodes[c.index];
        if (!c.node)
            return q35i_cuda_refuse(&c, "node %u is missing", c.index);
        if (!check_node(&c))
            return false;
    }
    return true;
}

q35_status q35i_cuda_op_support(q35_device *dev, const q35_region *region, q35_support *out)
{
    q35_support s = {.h = {sizeof s, Q35_STRUCT_SUPPORT, NULL}, .determinism = Q35_DET_BITWISE};
    (void)dev;
    s.ok = q35i_cuda_check_region(region, s.reason, sizeof s.reason);
    q35i_cuda_answer(&out->h, &s.h);
    return Q35_OK;
}
