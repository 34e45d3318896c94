/* SPDX-License-Identifier: Apache-2.0
 *
 * Which regions the device runs, and why not the others. What passes here compiles; launch.c relies on it. */
#include "plugins/opencl/opencl.h"

#include <math.h>
#include <stdio.h>

typedef bool check_fn(const q35i_cl_check *check);

static uint32_t in(const q35i_cl_check *c, uint32_t i)
{
    return c->node->in[i];
}

static const q35_tensor_desc *desc(const q35i_cl_check *c, uint32_t t)
{
    return &c->region->tensors[t];
}

static bool want_f32(const q35i_cl_check *c, uint32_t t, const char *what, int64_t cols)
{
    return q35i_cl_want_matrix(c, t, what, Q35_DT_F32, cols);
}

/* Output i: f32, rows as the first input's. */
static bool want_out(const q35i_cl_check *c, uint32_t i, int64_t cols)
{
    return want_f32(c, c->node->out[i], "output", cols) &&
           q35i_cl_want_rows_like(c, c->node->out[i], "output", in(c, 0));
}

/* size: of the struct's first version; known: of the one this plugin reads. What a newer host adds must be zero.
 */
static bool want_params(const q35i_cl_check *c, uint32_t type, uint32_t size, uint32_t known)
{
    const q35_hdr *p = c->node->params;
    if (!p || p->type != type || p->size < size)
        return q35i_cl_refuse(c, "parameters have type %u and %u bytes, need type %u and %u bytes",
                              p ? p->type : 0, p ? p->size : 0, type, size);
    for (uint32_t i = known; i < p->size; i++)
        if (((const unsigned char *)p)[i] != 0)
            return q35i_cl_refuse(c, "parameters have %u at byte %u, need 0 past the %u bytes known here",
                                  ((const unsigned char *)p)[i], i, known);
    return true;
}

static bool is_act(uint32_t dtype)
{
    return dtype == Q35_DT_A8_32 || dtype == Q35_DT_A8_128 || dtype == Q35_DT_A8_ROW;
}

static bool pads_rows(uint32_t dtype)
{
    return dtype == Q35_DT_Q35_PAIR || dtype == Q35_DT_Q35_SPLIT || q35_is_row_type(dtype);
}

/* Inputs 1 (weights [N][K]) and, for types with one, 2 (codebook) of LINEAR and GET_ROWS. */
static bool want_weights(const q35i_cl_check *c)
{
    const q35_tensor_desc *w = desc(c, in(c, 1));
    const q35_dtype_info info = q35_dtype_describe(w->dtype);
    const uint32_t entries = q35_book_entries(w->dtype), need = entries ? 3 : 2;
    if (w->rank != 2 || w->flags != 0)
        return q35i_cl_refuse(c, "weight has rank %u and flags %#x, need 2 and 0", w->rank, w->flags);
    if (!pads_rows(w->dtype) && w->dim[0] % info.block_len != 0)
        return q35i_cl_refuse(c, "weight has rows of %lld, need a multiple of %u for %s", (long long)w->dim[0],
                              info.block_len, info.name);
    if (c->node->n_in != need)
        return q35i_cl_refuse(c, "%u inputs, need %u for %s", c->node->n_in, need, info.name);
    if (entries == 0)
        return true;
    const q35_tensor_desc *book = desc(c, in(c, 2));
    if (!q35i_cl_want_matrix(c, in(c, 2), "book", Q35_DT_I8, 2))
        return false;
    if (book->dim[1] != entries || book->stride[1] != 2 || book->flags != 0)
        return q35i_cl_refuse(c, "book has %lld rows %lld apart, need %u rows 2 apart", (long long)book->dim[1],
                              (long long)book->stride[1], entries);
    return true;
}

static bool reads_rows_of(uint32_t dtype)
{
    switch (dtype) {
    case Q35_DT_F32:
    case Q35_DT_F16:
    case Q35_DT_BF16:
    case Q35_DT_Q4_0:
    case Q35_DT_Q4_1:
    case Q35_DT_Q5_0:
    case Q35_DT_Q5_1:
    case Q35_DT_Q8_0:
    case Q35_DT_Q4_K:
    case Q35_DT_Q5_K:
    case Q35_DT_Q6_K:
    case Q35_DT_Q35_PAIR:
    case Q35_DT_Q35_SPLIT: return true;
    default: return q35_is_row_type(dtype);
    }
}

static bool check_get_rows(const q35i_cl_check *c)
{
    const q35_tensor_desc *ids = desc(c, in(c, 0)), *w = desc(c, in(c, 1));
    if (!reads_rows_of(w->dtype))
        return q35i_cl_refuse(c, "table is %s, need another type", q35_dtype_describe(w->dtype).name);
    if (!want_weights(c))
        return false;
    if (ids->dtype != Q35_DT_I32 || ids->rank != 1)
        return q35i_cl_refuse(c, "ids are %s of rank %u, need I32 of rank 1", q35_dtype_describe(ids->dtype).name,
                              ids->rank);
    return want_out(c, 0, w->dim[0]);
}

static bool want_norm_params(const q35i_cl_check *c)
{
    if (!want_params(c, Q35_STRUCT_NORM_PARAMS, sizeof(q35_norm_params), sizeof(q35_norm_params)))
        return false;
    const float eps = Q35I_CL_PARAMS(c->node, q35_norm_params)->eps;
    return eps >= 0 || q35i_cl_refuse(c, "eps is %g, need 0 or more", (double)eps);
}

static bool check_rms_norm(const q35i_cl_check *c)
{
    const int64_t k = desc(c, in(c, 0))->dim[0];
    return want_norm_params(c) && want_f32(c, in(c, 0), "input", k) &&
           q35i_cl_want_vector(c, in(c, 1), "norm weight", Q35_DT_F32, k) && want_out(c, 0, k);
}

static bool check_add_rms_norm(const q35i_cl_check *c)
{
    const int64_t k = desc(c, in(c, 0))->dim[0];
    return want_norm_params(c) && want_f32(c, in(c, 0), "input a", k) && want_f32(c, in(c, 1), "input b", k) &&
           q35i_cl_want_rows_like(c, in(c, 1), "input b", in(c, 0)) &&
           q35i_cl_want_vector(c, in(c, 2), "norm weight", Q35_DT_F32, k) && want_out(c, 0, k) &&
           want_out(c, 1, k);
}

/* Input 1: signs i8 [K] of a rotation in blocks of `width`. */
static bool want_rotation(const q35i_cl_check *c, uint32_t width, int64_t k)
{
    if (width < 2 || width > Q35I_CL_MAX_ROTATION || (width & (width - 1)) != 0)
        return q35i_cl_refuse(c, "width is %u, need a power of two from 2 to %d", width,
                              (int)Q35I_CL_MAX_ROTATION);
    return q35i_cl_want_vector(c, in(c, 1), "signs", Q35_DT_I8, k);
}

static bool want_exact(const q35i_cl_check *c, const char *what, int64_t k)
{
    return k <= Q35I_CL_MAX_EXACT || q35i_cl_refuse(c, "%s has rows of %lld, need at most %d for exact sums", what,
                                                    (long long)k, (int)Q35I_CL_MAX_EXACT);
}

static bool check_rotate(const q35i_cl_check *c)
{
    if (!want_params(c, Q35_STRUCT_ROTATE_PARAMS, sizeof(q35_rotate_params), sizeof(q35_rotate_params)))
        return false;
    const q35_rotate_params *p = Q35I_CL_PARAMS(c->node, q35_rotate_params);
    const int64_t k = desc(c, in(c, 0))->dim[0];
    if (p->inverse > 1)
        return q35i_cl_refuse(c, "inverse is %u, need 0 or 1", p->inverse);
    return want_f32(c, in(c, 0), "input", k) && want_rotation(c, p->width, k) && want_out(c, 0, k);
}

static bool check_quantize_act(const q35i_cl_check *c)
{
    const int64_t k = desc(c, in(c, 0))->dim[0];
    uint32_t dtype = Q35_DT_A8_32, width = 0;
    if (c->node->params) {
        if (!want_params(c, Q35_STRUCT_QUANTIZE_PARAMS, sizeof(q35_quantize_params), sizeof(q35_quantize_params)))
            return false;
        dtype = Q35I_CL_PARAMS(c->node, q35_quantize_params)->dtype;
        width = Q35I_CL_PARAMS(c->node, q35_quantize_params)->width;
    }
    if (!is_act(dtype))
        return q35i_cl_refuse(c, "parameters ask for dtype %#x, need A8_32, A8_128 or A8_ROW", dtype);
    if (c->node->n_in == 1 && width != 0)
        return q35i_cl_refuse(c, "width is %u without signs, need 0", width);
    if (c->node->n_in == 2 && !want_rotation(c, width, k))
        return false;
    if (dtype == Q35_DT_A8_ROW && !want_exact(c, "input", k))
        return false;
    return want_f32(c, in(c, 0), "input", k) && q35i_cl_want_matrix(c, c->node->out[0], "output", dtype, k) &&
           q35i_cl_want_rows_like(c, c->node->out[0], "output", in(c, 0));
}

/* Weights with one scale per row take codes with one scale per 128 or row, the others per 32. */
static bool check_linear(const q35i_cl_check *c)
{
    const q35_tensor_desc *x = desc(c, in(c, 0)), *w = desc(c, in(c, 1));
    const bool exact = q35_is_row_type(w->dtype);
    if (!q35i_cl_codec_of(w->dtype).codec)
        return q35i_cl_refuse(c, "weight is %s, need a weight type", q35_dtype_describe(w->dtype).name);
    if (!want_weights(c))
        return false;
    if (x->dtype != Q35_DT_F32 && (!is_act(x->dtype) || exact == (x->dtype == Q35_DT_A8_32)))
        return q35i_cl_refuse(c, "input is %s, need F32 or %s", q35_dtype_describe(x->dtype).name,
                              exact ? "A8_ROW or A8_128" : "A8_32");
    if (exact && !want_exact(c, "weight", w->dim[0]))
        return false;
    return q35i_cl_want_matrix(c, in(c, 0), "input", x->dtype, w->dim[0]) && want_out(c, 0, w->dim[1]);
}

static bool check_rope(const q35i_cl_check *c)
{
    if (!want_params(c, Q35_STRUCT_ROPE_PARAMS, offsetof(q35_rope_params, temperature_beta),
                     sizeof(q35_rope_params)))
        return false;
    const q35_rope_params *p = Q35I_CL_PARAMS(c->node, q35_rope_params);
    const int64_t k = desc(c, in(c, 0))->dim[0];
    if (p->head_dim == 0 || k % p->head_dim != 0)
        return q35i_cl_refuse(c, "head_dim is %u, need a divisor of the row length %lld", p->head_dim,
                              (long long)k);
    if (p->n_rot == 0 || p->n_rot % 2 != 0 || p->n_rot > p->head_dim)
        return q35i_cl_refuse(c, "n_rot is %u, need an even number up to head_dim %u", p->n_rot, p->head_dim);
    if (Q35_HAS_FIELD(p, q35_rope_params, temperature_length) && !isfinite(p->temperature_beta))
        return q35i_cl_refuse(c, "temperature_beta is %g, need a finite number", (double)p->temperature_beta);
    return want_f32(c, in(c, 0), "input", k) &&
           q35i_cl_want_vector(c, in(c, 1), "inv_freq", Q35_DT_F32, p->n_rot / 2) &&
           q35i_cl_want_indices(c, in(c, 2), "positions", in(c, 0)) && want_out(c, 0, k);
}

/* Inputs i and i + 1: K and V states [n_pages][n_kv_heads][Q35_KV_PAGE][head_dim], dense, of one dtype. */
static bool want_kv(const q35i_cl_check *c, uint32_t i, uint32_t n_kv_heads, uint32_t head_dim)
{
    static const char *const names[2] = {"state k", "state v"};
    const q35_tensor_desc *k = desc(c, in(c, i)), *v = desc(c, in(c, i + 1));
    for (uint32_t s = 0; s < 2; s++) {
        const q35_tensor_desc *d = desc(c, in(c, i + s));
        if (c->region->roles[in(c, i + s)] != Q35_ROLE_STATE)
            return q35i_cl_refuse(c, "%s has role %u, need state (%u)", names[s], c->region->roles[in(c, i + s)],
                                  (unsigned)Q35_ROLE_STATE);
        if ((d->dtype != Q35_DT_F16 && d->dtype != Q35_DT_F32 && d->dtype != Q35_DT_Q8_0) ||
            (d->dtype == Q35_DT_Q8_0 && d->dim[0] % 32 != 0))
            return q35i_cl_refuse(c, "%s is %s with head_dim %lld, need F16, F32 or Q8_0 of a multiple of 32",
                                  names[s], q35_dtype_describe(d->dtype).name, (long long)d->dim[0]);
        if (d->rank != 4 || d->dim[0] != head_dim || d->dim[1] != Q35_KV_PAGE || d->dim[2] != n_kv_heads)
            return q35i_cl_refuse(c, "%s is [pages][%lld][%lld][%lld], need [pages][%u][%d][%u]", names[s],
                                  (long long)d->dim[2], (long long)d->dim[1], (long long)d->dim[0], n_kv_heads,
                                  Q35_KV_PAGE, head_dim);
        if (d->stride[1] != (int64_t)q35_row_bytes(d->dtype, (uint64_t)d->dim[0]) ||
            d->stride[2] != d->dim[1] * d->stride[1] || d->stride[3] != d->dim[2] * d->stride[2] || d->flags != 0)
            return q35i_cl_refuse(c, "%s has padded rows or row flags, need a dense tensor", names[s]);
        if (d->dim[3] > INT32_MAX / Q35_KV_PAGE)
            return q35i_cl_refuse(c, "%s has %lld pages, need at most %d", names[s], (long long)d->dim[3],
                                  INT32_MAX / Q35_KV_PAGE);
    }
    if (k->dtype != v->dtype || k->dim[3] != v->dim[3])
        return q35i_cl_refuse(c, "state v is %s of %lld pages, need %s of %lld as state k",
                              q35_dtype_describe(v->dtype).name, (long long)v->dim[3],
                              q35_dtype_describe(k->dtype).name, (long long)k->dim[3]);
    return true;
}

static bool check_kv_append(const q35i_cl_check *c)
{
    if (!want_params(c, Q35_STRUCT_KV_PARAMS, sizeof(q35_kv_params), sizeof(q35_kv_params)))
        return false;
    const q35_kv_params *p = Q35I_CL_PARAMS(c->node, q35_kv_params);
    const int64_t cols = (int64_t)p->n_kv_heads * p->head_dim;
    return want_f32(c, in(c, 0), "k", cols) && want_f32(c, in(c, 1), "v", cols) &&
           q35i_cl_want_rows_like(c, in(c, 1), "v", in(c, 0)) && want_kv(c, 2, p->n_kv_heads, p->head_dim) &&
           q35i_cl_want_indices(c, in(c, 4), "slots", in(c, 0));
}

static bool check_attention(const q35i_cl_check *c)
{
    if (!want_params(c, Q35_STRUCT_ATTENTION_PARAMS, sizeof(q35_attention_params), sizeof(q35_attention_params)))
        return false;
    const q35_attention_params *p = Q35I_CL_PARAMS(c->node, q35_attention_params);
    const q35_tensor_desc *pages = desc(c, in(c, 5));
    const int64_t cols = (int64_t)p->n_heads * p->head_dim;
    if (p->n_kv_heads == 0 || p->n_heads % p->n_kv_heads != 0)
        return q35i_cl_refuse(c, "n_heads is %u, need a multiple of n_kv_heads %u", p->n_heads, p->n_kv_heads);
    if (p->head_dim > Q35I_CL_MAX_HEAD_DIM)
        return q35i_cl_refuse(c, "head_dim is %u, need at most %d", p->head_dim, (int)Q35I_CL_MAX_HEAD_DIM);
    if (!want_f32(c, in(c, 0), "q", cols) || !want_kv(c, 1, p->n_kv_heads, p->head_dim) ||
        !q35i_cl_want_indices(c, in(c, 3), "positions", in(c, 0)) ||
        !q35i_cl_want_indices(c, in(c, 4), "sequence", in(c, 0)) ||
        !q35i_cl_want_matrix(c, in(c, 5), "pages", Q35_DT_I32, -1) || !want_out(c, 0, cols))
        return false;
    if ((pages->flags != Q35_TF_SEQUENCES && pages->flags != 0) || pages->dim[0] > INT32_MAX / Q35_KV_PAGE)
        return q35i_cl_refuse(c, "pages are rows of %lld with flags %#x, need at most %d, and sequences or none",
                              (long long)pages->dim[0], pages->flags, INT32_MAX / Q35_KV_PAGE);
    return true;
}

static bool check_elementwise(const q35i_cl_check *c)
{
    const int64_t k = desc(c, in(c, 0))->dim[0];
    if (!want_f32(c, in(c, 0), "input a", k))
        return false;
    if (c->node->n_in == 2 &&
        (!want_f32(c, in(c, 1), "input b", k) || !q35i_cl_want_rows_like(c, in(c, 1), "input b", in(c, 0))))
        return false;
    return want_out(c, 0, k);
}

static bool check_take_rows(const q35i_cl_check *c)
{
    const int64_t k = desc(c, in(c, 0))->dim[0];
    return want_f32(c, in(c, 0), "input", k) && want_f32(c, c->node->out[0], "output", k) &&
           q35i_cl_want_indices(c, in(c, 1), "rows", c->node->out[0]);
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
    [Q35_OP_ROTATE] = {"rotate", 2, 2, 1, check_rotate},
};

const char *q35i_cl_op_name(uint32_t op)
{
    return op < sizeof ops / sizeof ops[0] && ops[op].name ? ops[op].name : "?";
}

/* Only LINEAR's weight may be packed; nothing writes weights or step values. */
static bool check_operands(const q35i_cl_check *c)
{
    for (uint32_t i = 0; i < c->node->n_in; i++) {
        if (!q35i_cl_want_tensor(c, in(c, i), "input"))
            return false;
        if (desc(c, in(c, i))->layout != 0 && !(c->node->op == Q35_OP_LINEAR && i == 1))
            return q35i_cl_refuse(c, "input %u has layout %u, need 0", i, desc(c, in(c, i))->layout);
    }
    for (uint32_t i = 0; i < c->node->n_out; i++) {
        const uint32_t t = c->node->out[i];
        if (!q35i_cl_want_tensor(c, t, "output"))
            return false;
        if (desc(c, t)->layout != 0 || c->region->roles[t] == Q35_ROLE_WEIGHT ||
            c->region->roles[t] == Q35_ROLE_STEP)
            return q35i_cl_refuse(c, "output has layout %u and role %u, need 0 and one that may be written",
                                  desc(c, t)->layout, c->region->roles[t]);
    }
    return true;
}

static bool check_node(const q35i_cl_check *c)
{
    const q35_node *n = c->node;
    if (!Q35_HAS_FIELD(n, q35_node, params))
        return q35i_cl_refuse(c, "node struct has %u bytes, need %u", n->h.size, (unsigned)sizeof *n);
    if (n->op >= sizeof ops / sizeof ops[0] || !ops[n->op].check)
        return q35i_cl_refuse(c, "op is %#x, need one that this device has", n->op);
    if (n->n_in < ops[n->op].min_in || n->n_in > ops[n->op].max_in || n->n_out != ops[n->op].n_out)
        return q35i_cl_refuse(c, "%u inputs and %u outputs, need %u to %u and %u", n->n_in, n->n_out,
                              ops[n->op].min_in, ops[n->op].max_in, ops[n->op].n_out);
    if (!n->in || (n->n_out && !n->out))
        return q35i_cl_refuse(c, "inputs or outputs are missing");
    return check_operands(c) && ops[n->op].check(c);
}

bool q35i_cl_check_region(const q35_device *dev, const q35_region *region, char *reason, size_t cap)
{
    q35i_cl_check c = {.region = region, .dev = dev, .reason = reason, .cap = cap};
    if (!region || !Q35_HAS_FIELD(region, q35_region, step))
        return q35i_cl_refuse(&c, "region struct has %u bytes, need %u", region ? region->h.size : 0,
                              (unsigned)sizeof *region);
    if (region->n_nodes == 0 || !region->nodes || !region->tensors || !region->roles)
        return q35i_cl_refuse(&c, "region has %u nodes and %u tensors, need at least one node", region->n_nodes,
                              region->n_tensors);
    if (region->step != Q35_NONE) {
        if (!q35i_cl_want_tensor(&c, region->step, "step tensor"))
            return false;
        const q35_tensor_desc *d = &region->tensors[region->step];
        if (d->dtype != Q35_DT_I32 || d->rank != 1 || d->dim[0] < 8 || d->layout != 0)
            return q35i_cl_refuse(&c, "step tensor is %s of %lld, need I32 of 8",
                                  q35_dtype_describe(d->dtype).name, (long long)d->dim[0]);
    }
    for (c.index = 0; c.index < region->n_nodes; c.index++) {
        c.node = region->nodes[c.index];
        if (!c.node)
            return q35i_cl_refuse(&c, "node %u is missing", c.index);
        if (!check_node(&c))
            return false;
    }
    return true;
}

q35_status q35i_cl_op_support(q35_device *dev, const q35_region *region, q35_support *out)
{
    q35_support s = {.h = {sizeof s, Q35_STRUCT_SUPPORT, NULL}, .determinism = Q35_DET_BITWISE};
    s.ok = q35i_cl_check_region(dev, region, s.reason, sizeof s.reason);
    q35i_cl_answer(&out->h, &s.h);
    return Q35_OK;
}
