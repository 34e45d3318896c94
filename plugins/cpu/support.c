/* SPDX-License-Identifier: Apache-2.0
 *
 * Which regions the device runs, and why not the others. A region that passes compiles, and once bound it runs
 * without a further look at shapes: run.c relies on everything checked here. */
#include "plugins/cpu/cpu.h"

#include <math.h>
#include <stdio.h>

typedef bool check_fn(const q35i_cpu_check *check);

/* Tensor index of an input or output, and its descriptor. */
static uint32_t in(const q35i_cpu_check *c, uint32_t i)
{
    return c->node->in[i];
}

static const q35_tensor_desc *desc(const q35i_cpu_check *c, uint32_t t)
{
    return &c->region->tensors[t];
}

static bool want_f32_matrix(const q35i_cpu_check *c, uint32_t t, const char *what, int64_t cols)
{
    return q35i_cpu_want_dtype(c, t, what, Q35_DT_F32) && q35i_cpu_want_matrix(c, t, what, cols);
}

static bool want_f32_vector(const q35i_cpu_check *c, uint32_t t, const char *what, int64_t length)
{
    return q35i_cpu_want_dtype(c, t, what, Q35_DT_F32) && q35i_cpu_want_vector(c, t, what, length);
}

/* First output: f32, rows as the first input's. */
static bool want_f32_out(const q35i_cpu_check *c, uint32_t i, int64_t cols)
{
    return want_f32_matrix(c, c->node->out[i], "output", cols) &&
           q35i_cpu_want_rows_like(c, c->node->out[i], "output", in(c, 0));
}

/* size: of the struct's first version; known: of the one this plugin reads. What a newer host adds must be zero.
 */
static bool want_params(const q35i_cpu_check *c, uint32_t type, uint32_t size, uint32_t known)
{
    const q35_hdr *p = c->node->params;
    if (!p || p->type != type || p->size < size)
        return q35i_cpu_refuse(c, "parameters have type %u and %u bytes, need type %u and %u bytes",
                               p ? p->type : 0, p ? p->size : 0, type, size);
    for (uint32_t i = known; i < p->size; i++)
        if (((const unsigned char *)p)[i] != 0)
            return q35i_cpu_refuse(c, "parameters have %u at byte %u, need 0 past the %u bytes known here",
                                   ((const unsigned char *)p)[i], i, known);
    return true;
}

static bool want_step(const q35i_cpu_check *c)
{
    if (c->region->step == Q35_NONE)
        return q35i_cpu_refuse(c, "the region has no step tensor, need one");
    return true;
}

static bool is_quantised_act(uint32_t dtype)
{
    return dtype == Q35_DT_A8_32 || dtype == Q35_DT_A8_128 || dtype == Q35_DT_A8_ROW;
}

/* Input 2: the codebook, dense. */
static bool want_book(const q35i_cpu_check *c, uint32_t entries)
{
    const q35_tensor_desc *book = desc(c, in(c, 2));
    if (!q35i_cpu_want_dtype(c, in(c, 2), "book", Q35_DT_I8) || !q35i_cpu_want_matrix(c, in(c, 2), "book", 2))
        return false;
    if (book->dim[1] != entries || book->stride[1] != 2 || q35i_cpu_row_kind(book) != Q35I_CPU_ROWS_FIXED)
        return q35i_cpu_refuse(c, "book has %lld rows %lld apart, need %u rows 2 apart", (long long)book->dim[1],
                               (long long)book->stride[1], entries);
    return true;
}

/* Rows of the 3.5-bit types and of those with one scale per row may end inside a block. */
static bool pads_rows(uint32_t dtype)
{
    return dtype == Q35_DT_Q35_PAIR || dtype == Q35_DT_Q35_SPLIT || q35_is_row_type(dtype);
}

/* Inputs 1 (weights [N][K]) and, for types with one, 2 (codebook) of LINEAR and GET_ROWS. */
static bool want_weights(const q35i_cpu_check *c)
{
    uint32_t t = in(c, 1);
    const q35_tensor_desc *w = desc(c, t);
    q35_dtype_info info = q35_dtype_describe(w->dtype);
    if (w->dtype == Q35_DT_I8 || w->dtype == Q35_DT_I32 || is_quantised_act(w->dtype))
        return q35i_cpu_refuse(c, "weight is %s, need a weight type", info.name);
    if (w->rank != 2 || q35i_cpu_row_kind(w) != Q35I_CPU_ROWS_FIXED)
        return q35i_cpu_refuse(c, "weight has rank %u and flags %#x, need 2 and 0", w->rank, w->flags);
    if (!pads_rows(w->dtype) && w->dim[0] % info.block_len != 0)
        return q35i_cpu_refuse(c, "weight has rows of %lld, need a multiple of %u for %s", (long long)w->dim[0],
                               info.block_len, info.name);
    if (w->layout != Q35K_LAYOUT_CANONICAL && !q35i_cpu_reads(c->dev, w->layout))
        return q35i_cpu_refuse(c, "weight has layout %u, need 0", w->layout);
    uint32_t entries = q35_book_entries(w->dtype), need = entries ? 3 : 2;
    if (c->node->n_in != need)
        return q35i_cpu_refuse(c, "%u inputs, need %u for %s", c->node->n_in, need, info.name);
    return !entries || want_book(c, entries);
}

static bool check_get_rows(const q35i_cpu_check *c)
{
    const q35_tensor_desc *ids = desc(c, in(c, 0));
    if (!want_weights(c) || !q35i_cpu_want_dtype(c, in(c, 0), "ids", Q35_DT_I32))
        return false;
    if (ids->rank != 1)
        return q35i_cpu_refuse(c, "ids have rank %u, need 1", ids->rank);
    return want_f32_out(c, 0, desc(c, in(c, 1))->dim[0]);
}

static bool want_norm_params(const q35i_cpu_check *c)
{
    if (!want_params(c, Q35_STRUCT_NORM_PARAMS, sizeof(q35_norm_params), sizeof(q35_norm_params)))
        return false;
    float eps = Q35I_CPU_PARAMS(c->node, q35_norm_params)->eps;
    if (!(eps >= 0))
        return q35i_cpu_refuse(c, "eps is %g, need 0 or more", (double)eps);
    return true;
}

static bool check_rms_norm(const q35i_cpu_check *c)
{
    int64_t k = desc(c, in(c, 0))->dim[0];
    return want_norm_params(c) && want_f32_matrix(c, in(c, 0), "input", k) &&
           want_f32_vector(c, in(c, 1), "norm weight", k) && want_f32_out(c, 0, k);
}

static bool check_add_rms_norm(const q35i_cpu_check *c)
{
    int64_t k = desc(c, in(c, 0))->dim[0];
    return want_norm_params(c) && want_f32_matrix(c, in(c, 0), "input a", k) &&
           want_f32_matrix(c, in(c, 1), "input b", k) &&
           q35i_cpu_want_rows_like(c, in(c, 1), "input b", in(c, 0)) &&
           want_f32_vector(c, in(c, 2), "norm weight", k) && want_f32_out(c, 0, k) && want_f32_out(c, 1, k);
}

/* Input 1: signs i8 [K] of a rotation in blocks of `width`. */
static bool want_rotation(const q35i_cpu_check *c, uint32_t width, int64_t k)
{
    if (width < 2 || width > Q35I_CPU_MAX_ROTATION || (width & (width - 1)) != 0)
        return q35i_cpu_refuse(c, "width is %u, need a power of two from 2 to %d", width,
                               (int)Q35I_CPU_MAX_ROTATION);
    return q35i_cpu_want_dtype(c, in(c, 1), "signs", Q35_DT_I8) && q35i_cpu_want_vector(c, in(c, 1), "signs", k);
}

/* Sums over a whole row stay within an int32. */
static bool want_exact(const q35i_cpu_check *c, const char *what, int64_t k)
{
    if (k > Q35I_CPU_MAX_EXACT)
        return q35i_cpu_refuse(c, "%s has rows of %lld, need at most %d for exact sums", what, (long long)k,
                               (int)Q35I_CPU_MAX_EXACT);
    return true;
}

static bool check_rotate(const q35i_cpu_check *c)
{
    if (!want_params(c, Q35_STRUCT_ROTATE_PARAMS, sizeof(q35_rotate_params), sizeof(q35_rotate_params)))
        return false;
    const q35_rotate_params *p = Q35I_CPU_PARAMS(c->node, q35_rotate_params);
    int64_t k = desc(c, in(c, 0))->dim[0];
    if (p->inverse > 1)
        return q35i_cpu_refuse(c, "inverse is %u, need 0 or 1", p->inverse);
    return want_f32_matrix(c, in(c, 0), "input", k) && want_rotation(c, p->width, k) && want_f32_out(c, 0, k);
}

static bool check_quantize_act(const q35i_cpu_check *c)
{
    int64_t k = desc(c, in(c, 0))->dim[0];
    uint32_t out = c->node->out[0], dtype = Q35_DT_A8_32, width = 0;
    if (c->node->params) {
        if (!want_params(c, Q35_STRUCT_QUANTIZE_PARAMS, sizeof(q35_quantize_params), sizeof(q35_quantize_params)))
            return false;
        dtype = Q35I_CPU_PARAMS(c->node, q35_quantize_params)->dtype;
        width = Q35I_CPU_PARAMS(c->node, q35_quantize_params)->width;
    }
    if (!is_quantised_act(dtype))
        return q35i_cpu_refuse(c, "parameters ask for dtype %#x, need A8_32, A8_128 or A8_ROW", dtype);
    if (c->node->n_in == 2 ? !want_rotation(c, width, k) : width != 0)
        return c->node->n_in == 2 ? false : q35i_cpu_refuse(c, "width is %u without signs, need 0", width);
    if (dtype == Q35_DT_A8_ROW && !want_exact(c, "input", k))
        return false;
    return want_f32_matrix(c, in(c, 0), "input", k) && q35i_cpu_want_dtype(c, out, "output", dtype) &&
           q35i_cpu_want_matrix(c, out, "output", k) && q35i_cpu_want_rows_like(c, out, "output", in(c, 0));
}

/* Weights with one scale per row take codes with one scale per 128 or row, the others per 32. */
static bool want_linear_input(const q35i_cpu_check *c, uint32_t dtype, bool exact)
{
    if (dtype != Q35_DT_F32 && (!is_quantised_act(dtype) || exact == (dtype == Q35_DT_A8_32)))
        return q35i_cpu_refuse(c, "input is %s, need F32 or %s", q35_dtype_describe(dtype).name,
                               exact ? "A8_ROW or A8_128" : "A8_32");
    return true;
}

static bool check_linear(const q35i_cpu_check *c)
{
    const q35_tensor_desc *x = desc(c, in(c, 0)), *w = desc(c, in(c, 1));
    bool exact = q35_is_row_type(w->dtype);
    if (!want_weights(c) || !want_linear_input(c, x->dtype, exact))
        return false;
    if (exact && !want_exact(c, "weight", w->dim[0]))
        return false;
    return q35i_cpu_want_matrix(c, in(c, 0), "input", w->dim[0]) && want_f32_out(c, 0, w->dim[1]);
}

static bool check_rope(const q35i_cpu_check *c)
{
    const uint32_t first = offsetof(q35_rope_params, temperature_beta);
    if (!want_params(c, Q35_STRUCT_ROPE_PARAMS, first, sizeof(q35_rope_params)))
        return false;
    const q35_rope_params *p = Q35I_CPU_PARAMS(c->node, q35_rope_params);
    int64_t k = desc(c, in(c, 0))->dim[0];
    if (p->head_dim == 0 || k % p->head_dim != 0)
        return q35i_cpu_refuse(c, "head_dim is %u, need a divisor of the row length %lld", p->head_dim,
                               (long long)k);
    if (p->n_rot == 0 || p->n_rot % 2 != 0 || p->n_rot > p->head_dim)
        return q35i_cpu_refuse(c, "n_rot is %u, need an even number up to head_dim %u", p->n_rot, p->head_dim);
    if (Q35_HAS_FIELD(p, q35_rope_params, temperature_length) && !isfinite(p->temperature_beta))
        return q35i_cpu_refuse(c, "temperature_beta is %g, need a finite number", (double)p->temperature_beta);
    return want_f32_matrix(c, in(c, 0), "input", k) && want_f32_vector(c, in(c, 1), "inv_freq", p->n_rot / 2) &&
           q35i_cpu_want_indices(c, in(c, 2), "positions", in(c, 0)) && want_f32_out(c, 0, k);
}

/* Inputs i and i + 1: K and V states [n_pages][n_kv_heads][Q35_KV_PAGE][head_dim], dense, of one dtype. */
static bool want_kv(const q35i_cpu_check *c, uint32_t i, uint32_t n_kv_heads, uint32_t head_dim)
{
    static const char *const names[2] = {"state k", "state v"};
    const q35_tensor_desc *k = desc(c, in(c, i)), *v = desc(c, in(c, i + 1));
    for (uint32_t s = 0; s < 2; s++) {
        const q35_tensor_desc *d = desc(c, in(c, i + s));
        if (!q35i_cpu_want_state(c, in(c, i + s), names[s]))
            return false;
        if (d->dtype != Q35_DT_F16 && d->dtype != Q35_DT_F32 && d->dtype != Q35_DT_Q8_0)
            return q35i_cpu_refuse(c, "%s is %s, need F16, F32 or Q8_0", names[s],
                                   q35_dtype_describe(d->dtype).name);
        if (d->rank != 4 || d->dim[0] != head_dim || d->dim[1] != Q35_KV_PAGE || d->dim[2] != n_kv_heads)
            return q35i_cpu_refuse(c, "%s is [pages][%lld][%lld][%lld], need [pages][%u][%d][%u]", names[s],
                                   (long long)d->dim[2], (long long)d->dim[1], (long long)d->dim[0], n_kv_heads,
                                   Q35_KV_PAGE, head_dim);
        if (d->dtype == Q35_DT_Q8_0 && d->dim[0] % 32 != 0)
            return q35i_cpu_refuse(c, "%s is Q8_0 with head_dim %lld, need a multiple of 32", names[s],
                                   (long long)d->dim[0]);
        if (d->stride[1] != (int64_t)q35_row_bytes(d->dtype, (uint64_t)d->dim[0]) ||
            d->stride[2] != d->dim[1] * d->stride[1] || d->stride[3] != d->dim[2] * d->stride[2] ||
            q35i_cpu_row_kind(d) != Q35I_CPU_ROWS_FIXED)
            return q35i_cpu_refuse(c, "%s has padded rows or row flags, need a dense tensor", names[s]);
    }
    if (k->dtype != v->dtype || k->dim[3] != v->dim[3])
        return q35i_cpu_refuse(c, "state v is %s of %lld pages, need %s of %lld as state k",
                               q35_dtype_describe(v->dtype).name, (long long)v->dim[3],
                               q35_dtype_describe(k->dtype).name, (long long)k->dim[3]);
    return true;
}

static bool check_kv_append(const q35i_cpu_check *c)
{
    if (!want_params(c, Q35_STRUCT_KV_PARAMS, sizeof(q35_kv_params), sizeof(q35_kv_params)))
        return false;
    const q35_kv_params *p = Q35I_CPU_PARAMS(c->node, q35_kv_params);
    int64_t cols = (int64_t)p->n_kv_heads * p->head_dim;
    return want_f32_matrix(c, in(c, 0), "k", cols) && want_f32_matrix(c, in(c, 1), "v", cols) &&
           q35i_cpu_want_rows_like(c, in(c, 1), "v", in(c, 0)) && want_kv(c, 2, p->n_kv_heads, p->head_dim) &&
           q35i_cpu_want_indices(c, in(c, 4), "slots", in(c, 0));
}

static bool want_page_table(const q35i_cpu_check *c, uint32_t t)
{
    uint32_t kind = q35i_cpu_row_kind(desc(c, t));
    if (!q35i_cpu_want_dtype(c, t, "pages", Q35_DT_I32) ||
        !q35i_cpu_want_matrix(c, t, "pages", desc(c, t)->dim[0]))
        return false;
    if (kind != Q35I_CPU_ROWS_SEQUENCES && kind != Q35I_CPU_ROWS_FIXED)
        return q35i_cpu_refuse(c, "pages have flags %#x, need sequences or none", desc(c, t)->flags);
    return true;
}

static bool check_attention(const q35i_cpu_check *c)
{
    if (!want_params(c, Q35_STRUCT_ATTENTION_PARAMS, sizeof(q35_attention_params), sizeof(q35_attention_params)))
        return false;
    const q35_attention_params *p = Q35I_CPU_PARAMS(c->node, q35_attention_params);
    int64_t cols = (int64_t)p->n_heads * p->head_dim;
    if (p->n_kv_heads == 0 || p->n_heads % p->n_kv_heads != 0)
        return q35i_cpu_refuse(c, "n_heads is %u, need a multiple of n_kv_heads %u", p->n_heads, p->n_kv_heads);
    return want_f32_matrix(c, in(c, 0), "q", cols) && want_kv(c, 1, p->n_kv_heads, p->head_dim) &&
           q35i_cpu_want_indices(c, in(c, 3), "positions", in(c, 0)) &&
           q35i_cpu_want_indices(c, in(c, 4), "sequence", in(c, 0)) && want_page_table(c, in(c, 5)) &&
           want_f32_out(c, 0, cols);
}

static bool check_elementwise(const q35i_cpu_check *c)
{
    int64_t k = desc(c, in(c, 0))->dim[0];
    if (!want_f32_matrix(c, in(c, 0), "input a", k))
        return false;
    if (c->node->n_in == 2 && (!want_f32_matrix(c, in(c, 1), "input b", k) ||
                               !q35i_cpu_want_rows_like(c, in(c, 1), "input b", in(c, 0))))
        return false;
    return want_f32_out(c, 0, k);
}

static bool check_take_rows(const q35i_cpu_check *c)
{
    int64_t k = desc(c, in(c, 0))->dim[0];
    uint32_t out = c->node->out[0];
    return want_f32_matrix(c, in(c, 0), "input", k) && want_f32_matrix(c, out, "output", k) &&
           q35i_cpu_want_indices(c, in(c, 1), "rows", out);
}

static bool check_sum_squares(const q35i_cpu_check *c)
{
    int64_t k = desc(c, in(c, 0))->dim[0];
    return want_f32_matrix(c, in(c, 0), "input", k) && q35i_cpu_want_state(c, in(c, 1), "accumulator") &&
           want_f32_vector(c, in(c, 1), "accumulator", k);
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

const char *q35i_cpu_op_name(uint32_t op)
{
    return op < sizeof ops / sizeof ops[0] && ops[op].name ? ops[op].name : "?";
}

/* Only LINEAR's weight may be packed; nothing writes weights or step values. */
static bool check_operands(const q35i_cpu_check *c)
{
    static const char *const names[Q35I_CPU_MAX_IN] = {"input 0", "input 1", "input 2",
                                                       "input 3", "input 4", "input 5"};
    for (uint32_t i = 0; i < c->node->n_in; i++) {
        if (!q35i_cpu_want_tensor(c, in(c, i), names[i]))
            return false;
        if (desc(c, in(c, i))->layout != Q35K_LAYOUT_CANONICAL && !(c->node->op == Q35_OP_LINEAR && i == 1))
            return q35i_cpu_refuse(c, "%s has layout %u, need 0", names[i], desc(c, in(c, i))->layout);
        if (q35i_cpu_row_kind(desc(c, in(c, i))) != Q35I_CPU_ROWS_FIXED && !want_step(c))
            return false;
    }
    for (uint32_t i = 0; i < c->node->n_out; i++) {
        uint32_t t = c->node->out[i];
        if (!q35i_cpu_want_tensor(c, t, "output"))
            return false;
        if (desc(c, t)->layout != Q35K_LAYOUT_CANONICAL)
            return q35i_cpu_refuse(c, "output has layout %u, need 0", desc(c, t)->layout);
        if (c->region->roles[t] == Q35_ROLE_WEIGHT || c->region->roles[t] == Q35_ROLE_STEP)
            return q35i_cpu_refuse(c, "output has role %u, need one that may be written", c->region->roles[t]);
        if (q35i_cpu_row_kind(desc(c, t)) != Q35I_CPU_ROWS_FIXED && !want_step(c))
            return false;
    }
    return true;
}

static bool check_node(const q35i_cpu_check *c)
{
    const q35_node *n = c->node;
    if (!Q35_HAS_FIELD(n, q35_node, params))
        return q35i_cpu_refuse(c, "node struct has %u bytes, need %u", n->h.size, (unsigned)sizeof *n);
    if (n->op >= sizeof ops / sizeof ops[0] || !ops[n->op].check)
        return q35i_cpu_refuse(c, "op is %#x, need one of abi 1.0", n->op);
    if (n->n_in < ops[n->op].min_in || n->n_in > ops[n->op].max_in || n->n_out != ops[n->op].n_out)
        return q35i_cpu_refuse(c, "%u inputs and %u outputs, need %u to %u and %u", n->n_in, n->n_out,
                               ops[n->op].min_in, ops[n->op].max_in, ops[n->op].n_out);
    if (!n->in || (n->n_out && !n->out))
        return q35i_cpu_refuse(c, "inputs or outputs are missing");
    return check_operands(c) && ops[n->op].check(c);
}

static bool check_step_tensor(const q35i_cpu_check *c)
{
    uint32_t t = c->region->step;
    if (t == Q35_NONE)
        return true;
    if (!q35i_cpu_want_tensor(c, t, "step tensor"))
        return false;
    const q35_tensor_desc *d = desc(c, t);
    int64_t need = (int64_t)(sizeof(q35_step) / sizeof(int32_t));
    if (d->dtype != Q35_DT_I32 || d->rank != 1 || d->dim[0] < need || d->layout != Q35K_LAYOUT_CANONICAL)
        return q35i_cpu_refuse(c, "step tensor is %s of %lld, need I32 of %lld", q35_dtype_describe(d->dtype).name,
                               (long long)d->dim[0], (long long)need);
    return true;
}

bool q35i_cpu_check_region(const q35_device *dev, const q35_region *region, char *reason, size_t reason_cap)
{
    q35i_cpu_check c = {region, NULL, 0, dev, reason, reason_cap};
    if (!region || !Q35_HAS_FIELD(region, q35_region, step))
        return q35i_cpu_refuse(&c, "region struct has %u bytes, need %u", region ? region->h.size : 0,
                               (unsigned)sizeof *region);
    if (region->n_nodes == 0 || !region->nodes || !region->tensors || !region->roles)
        return q35i_cpu_refuse(&c, "region has %u nodes and %u tensors, need at least one node", region->n_nodes,
                               region->n_tensors);
    if (!check_step_tensor(&c))
        return false;
    for (c.index = 0; c.index < region->n_nodes; c.index++) {
        c.node = region->nodes[c.index];
        if (!c.node)
            return q35i_cpu_refuse(&c, "node %u is missing", c.index);
        if (!check_node(&c))
            return false;
    }
    return true;
}

uint64_t q35i_cpu_worker_scratch(const q35_region *region)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < region->n_nodes; i++) {
        const q35_node *n = region->nodes[i];
        uint64_t bytes = 0;
        if (n->op == Q35_OP_LINEAR)
            bytes = q35k_linear_scratch_bytes(region->tensors[n->in[1]].dim[0]);
        else if (n->op == Q35_OP_QUANTIZE_ACT)
            bytes = q35i_cpu_quantize_scratch(region->tensors[n->out[0]].dtype, region->tensors[n->in[0]].dim[0]);
        else if (n->op == Q35_OP_ATTENTION)
            bytes = q35k_attention_scratch_bytes(Q35I_CPU_PARAMS(n, q35_attention_params)->head_dim);
        most = bytes > most ? bytes : most;
    }
    return (most + Q35I_CPU_LINE - 1) / Q35I_CPU_LINE * Q35I_CPU_LINE;
}

uint64_t q35i_cpu_record_bytes(const q35_region *region)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < region->n_nodes; i++) {
        const q35_node *n = region->nodes[i];
        if (n->op != Q35_OP_ATTENTION)
            continue;
        const q35_attention_params *p = Q35I_CPU_PARAMS(n, q35_attention_params);
        int64_t positions = region->tensors[n->in[5]].dim[0] * Q35_KV_PAGE;
        uint64_t bytes =
            (uint64_t)q35k_n_spans(positions - 1) * (p->n_heads / p->n_kv_heads) * q35k_record_bytes(p->head_dim);
        most = bytes > most ? bytes : most;
    }
    return (most + Q35I_CPU_LINE - 1) / Q35I_CPU_LINE * Q35I_CPU_LINE;
}

q35_status q35i_cpu_op_support(q35_device *dev, const q35_region *region, q35_support *out)
{
    q35_support s = {.h = {sizeof s, Q35_STRUCT_SUPPORT, NULL}, .determinism = Q35_DET_BITWISE};
    s.ok = q35i_cpu_check_region(dev, region, s.reason, sizeof s.reason);
    if (s.ok)
        s.scratch_bytes = q35i_cpu_worker_scratch(region) * dev->n_workers +
                          q35i_cpu_record_bytes(region) * (dev->n_workers - 1);
    q35i_cpu_answer(&out->h, &s.h);
    return Q35_OK;
}
