/* SPDX-License-Identifier: Apache-2.0
 *
 * What each op wants of its inputs, outputs and parameters (include/q35rt/plugin.h, Q35_OP_*). */
#include "plugins/common/region.h"

#include <math.h>

static uint32_t in(const q35p_check *c, uint32_t i)
{
    return c->node->in[i];
}

/* Length of the first input's rows. */
static int64_t row_length(const q35p_check *c)
{
    return q35p_in(c, 0)->dim[0];
}

static bool want_f32(const q35p_check *c, uint32_t t, const char *what, int64_t cols)
{
    return q35p_want_matrix(c, t, what, Q35_DT_F32, cols);
}

static bool want_f32_like_first(const q35p_check *c, uint32_t t, const char *what, int64_t cols)
{
    return want_f32(c, t, what, cols) && q35p_want_rows_like(c, t, what, in(c, 0));
}

static bool want_out(const q35p_check *c, uint32_t i, int64_t cols)
{
    return want_f32_like_first(c, c->node->out[i], "output", cols);
}

/* first: bytes of the struct's first version; known: of the one read here. What a newer host adds must be zero. */
static bool want_params(const q35p_check *c, uint32_t type, uint32_t first, uint32_t known)
{
    const q35_hdr *p = c->node->params;
    if (!p || p->type != type || p->size < first)
        return q35p_refuse(c, "parameters have type %u and %u bytes, need type %u and %u bytes", p ? p->type : 0,
                           p ? p->size : 0, type, first);
    for (uint32_t i = known; i < p->size; i++)
        if (((const unsigned char *)p)[i] != 0)
            return q35p_refuse(c, "parameters have %u at byte %u, need 0 past the %u bytes known here",
                               ((const unsigned char *)p)[i], i, known);
    return true;
}

/* Input 2: the codebook, dense. */
static bool want_book(const q35p_check *c, uint32_t entries)
{
    const q35_tensor_desc *book = q35p_in(c, 2);
    if (!q35p_want_matrix(c, in(c, 2), "book", Q35_DT_I8, 2))
        return false;
    if (book->dim[1] != entries || book->stride[1] != 2 || book->flags != 0)
        return q35p_refuse(c, "book has %lld rows %lld apart, need %u rows 2 apart", (long long)book->dim[1],
                           (long long)book->stride[1], entries);
    return true;
}

/* Rows of the 3.5-bit types and of those with one scale per row may end inside a block. */
static bool pads_rows(uint32_t dtype)
{
    return dtype == Q35_DT_Q35_PAIR || dtype == Q35_DT_Q35_SPLIT || q35_is_row_type(dtype);
}

/* Inputs 1 (weights [N][K]) and, for types with one, 2 (codebook) of LINEAR and GET_ROWS. */
static bool want_weights(const q35p_check *c)
{
    const q35_tensor_desc *w = q35p_in(c, 1);
    const q35_dtype_info info = q35_dtype_describe(w->dtype);
    const uint32_t entries = q35_book_entries(w->dtype), need = entries ? 3 : 2;
    if (w->dtype == Q35_DT_I8 || w->dtype == Q35_DT_I32 || q35p_is_act(w->dtype))
        return q35p_refuse(c, "weight is %s, need a weight type", info.name);
    if (w->rank != 2 || w->flags != 0)
        return q35p_refuse(c, "weight has rank %u and flags %#x, need 2 and 0", w->rank, w->flags);
    if (!pads_rows(w->dtype) && w->dim[0] % info.block_len != 0)
        return q35p_refuse(c, "weight has rows of %lld, need a multiple of %u for %s", (long long)w->dim[0],
                           info.block_len, info.name);
    if (c->node->n_in != need)
        return q35p_refuse(c, "%u inputs, need %u for %s", c->node->n_in, need, info.name);
    return !entries || want_book(c, entries);
}

static bool check_get_rows(const q35p_check *c)
{
    const q35_tensor_desc *ids = q35p_in(c, 0);
    if (!want_weights(c))
        return false;
    if (ids->dtype != Q35_DT_I32 || ids->rank != 1)
        return q35p_refuse(c, "ids are %s of rank %u, need I32 of 1", q35_dtype_describe(ids->dtype).name,
                           ids->rank);
    return want_out(c, 0, q35p_in(c, 1)->dim[0]);
}

static bool want_norm_params(const q35p_check *c)
{
    if (!want_params(c, Q35_STRUCT_NORM_PARAMS, sizeof(q35_norm_params), sizeof(q35_norm_params)))
        return false;
    const float eps = Q35P_PARAMS(c->node, q35_norm_params)->eps;
    return eps >= 0 || q35p_refuse(c, "eps is %g, need 0 or more", (double)eps);
}

static bool check_rms_norm(const q35p_check *c)
{
    const int64_t k = row_length(c);
    return want_norm_params(c) && want_f32(c, in(c, 0), "input", k) &&
           q35p_want_vector(c, in(c, 1), "norm weight", Q35_DT_F32, k) && want_out(c, 0, k);
}

static bool check_add_rms_norm(const q35p_check *c)
{
    const int64_t k = row_length(c);
    return want_norm_params(c) && want_f32(c, in(c, 0), "input a", k) &&
           want_f32_like_first(c, in(c, 1), "input b", k) &&
           q35p_want_vector(c, in(c, 2), "norm weight", Q35_DT_F32, k) && want_out(c, 0, k) && want_out(c, 1, k);
}

/* Input 1: signs i8 [K] of a rotation in blocks of `width`. */
static bool want_rotation(const q35p_check *c, uint32_t width, int64_t k)
{
    if (width < 2 || width > Q35P_MAX_ROTATION || (width & (width - 1)) != 0)
        return q35p_refuse(c, "width is %u, need a power of two from 2 to %d", width, (int)Q35P_MAX_ROTATION);
    return q35p_want_vector(c, in(c, 1), "signs", Q35_DT_I8, k);
}

/* Sums over a whole row stay within an int32. */
static bool want_exact(const q35p_check *c, const char *what, int64_t k)
{
    return k <= Q35P_MAX_EXACT || q35p_refuse(c, "%s has rows of %lld, need at most %d for exact sums", what,
                                              (long long)k, (int)Q35P_MAX_EXACT);
}

static bool check_rotate(const q35p_check *c)
{
    if (!want_params(c, Q35_STRUCT_ROTATE_PARAMS, sizeof(q35_rotate_params), sizeof(q35_rotate_params)))
        return false;
    const q35_rotate_params *p = Q35P_PARAMS(c->node, q35_rotate_params);
    const int64_t k = row_length(c);
    if (p->inverse > 1)
        return q35p_refuse(c, "inverse is %u, need 0 or 1", p->inverse);
    return want_f32(c, in(c, 0), "input", k) && want_rotation(c, p->width, k) && want_out(c, 0, k);
}

static bool check_quantize_act(const q35p_check *c)
{
    const int64_t k = row_length(c);
    const uint32_t out = c->node->out[0];
    uint32_t dtype = Q35_DT_A8_32, width = 0;
    if (c->node->params) {
        if (!want_params(c, Q35_STRUCT_QUANTIZE_PARAMS, sizeof(q35_quantize_params), sizeof(q35_quantize_params)))
            return false;
        dtype = Q35P_PARAMS(c->node, q35_quantize_params)->dtype;
        width = Q35P_PARAMS(c->node, q35_quantize_params)->width;
    }
    if (!q35p_is_act(dtype))
        return q35p_refuse(c, "parameters ask for dtype %#x, need A8_32, A8_128 or A8_ROW", dtype);
    if (c->node->n_in == 1 && width != 0)
        return q35p_refuse(c, "width is %u without signs, need 0", width);
    if (c->node->n_in == 2 && !want_rotation(c, width, k))
        return false;
    if (dtype == Q35_DT_A8_ROW && !want_exact(c, "input", k))
        return false;
    return want_f32(c, in(c, 0), "input", k) && q35p_want_matrix(c, out, "output", dtype, k) &&
           q35p_want_rows_like(c, out, "output", in(c, 0));
}

/* Weights with one scale per row take codes with one scale per 128 or row, the others per 32. */
static bool check_linear(const q35p_check *c)
{
    const q35_tensor_desc *x = q35p_in(c, 0), *w = q35p_in(c, 1);
    const bool exact = q35_is_row_type(w->dtype);
    if (!want_weights(c))
        return false;
    if (x->dtype != Q35_DT_F32 && (!q35p_is_act(x->dtype) || exact == (x->dtype == Q35_DT_A8_32)))
        return q35p_refuse(c, "input is %s, need F32 or %s", q35_dtype_describe(x->dtype).name,
                           exact ? "A8_ROW or A8_128" : "A8_32");
    if (exact && !want_exact(c, "weight", w->dim[0]))
        return false;
    return q35p_want_matrix(c, in(c, 0), "input", x->dtype, w->dim[0]) && want_out(c, 0, w->dim[1]);
}

static bool check_rope(const q35p_check *c)
{
    const uint32_t first = offsetof(q35_rope_params, temperature_beta);
    if (!want_params(c, Q35_STRUCT_ROPE_PARAMS, first, sizeof(q35_rope_params)))
        return false;
    const q35_rope_params *p = Q35P_PARAMS(c->node, q35_rope_params);
    const int64_t k = row_length(c);
    if (p->head_dim == 0 || k % p->head_dim != 0)
        return q35p_refuse(c, "head_dim is %u, need a divisor of the row length %lld", p->head_dim, (long long)k);
    if (p->n_rot == 0 || p->n_rot % 2 != 0 || p->n_rot > p->head_dim)
        return q35p_refuse(c, "n_rot is %u, need an even number up to head_dim %u", p->n_rot, p->head_dim);
    if (Q35_HAS_FIELD(p, q35_rope_params, temperature_length) && !isfinite(p->temperature_beta))
        return q35p_refuse(c, "temperature_beta is %g, need a finite number", (double)p->temperature_beta);
    return want_f32(c, in(c, 0), "input", k) &&
           q35p_want_vector(c, in(c, 1), "inv_freq", Q35_DT_F32, p->n_rot / 2) &&
           q35p_want_indices(c, in(c, 2), "positions", in(c, 0)) && want_out(c, 0, k);
}

/* One of the states [n_pages][n_kv_heads][Q35_KV_PAGE][head_dim], dense. */
static bool want_cache(const q35p_check *c, uint32_t t, const char *what, uint32_t n_kv_heads, uint32_t head_dim)
{
    const q35_tensor_desc *d = &c->region->tensors[t];
    if (!q35p_want_state(c, t, what))
        return false;
    if (d->dtype != Q35_DT_F16 && d->dtype != Q35_DT_F32 && d->dtype != Q35_DT_Q8_0)
        return q35p_refuse(c, "%s is %s, need F16, F32 or Q8_0", what, q35_dtype_describe(d->dtype).name);
    if (d->rank != 4 || d->dim[0] != head_dim || d->dim[1] != Q35_KV_PAGE || d->dim[2] != n_kv_heads)
        return q35p_refuse(c, "%s is [pages][%lld][%lld][%lld], need [pages][%u][%d][%u]", what,
                           (long long)d->dim[2], (long long)d->dim[1], (long long)d->dim[0], n_kv_heads,
                           Q35_KV_PAGE, head_dim);
    if (d->dtype == Q35_DT_Q8_0 && head_dim % 32 != 0)
        return q35p_refuse(c, "%s is Q8_0 with head_dim %u, need a multiple of 32", what, head_dim);
    if (d->stride[1] != (int64_t)q35_row_bytes(d->dtype, head_dim) || d->stride[2] != d->dim[1] * d->stride[1] ||
        d->stride[3] != d->dim[2] * d->stride[2] || d->flags != 0)
        return q35p_refuse(c, "%s has padded rows or row flags, need a dense tensor", what);
    if (d->dim[3] > INT32_MAX / Q35_KV_PAGE)
        return q35p_refuse(c, "%s has %lld pages, need at most %d", what, (long long)d->dim[3],
                           INT32_MAX / Q35_KV_PAGE);
    return true;
}

/* Inputs i and i + 1: both states, of one type and size. */
static bool want_caches(const q35p_check *c, uint32_t i, uint32_t n_kv_heads, uint32_t head_dim)
{
    const q35_tensor_desc *k = q35p_in(c, i), *v = q35p_in(c, i + 1);
    if (!want_cache(c, in(c, i), "state k", n_kv_heads, head_dim) ||
        !want_cache(c, in(c, i + 1), "state v", n_kv_heads, head_dim))
        return false;
    if (k->dtype != v->dtype || k->dim[3] != v->dim[3])
        return q35p_refuse(c, "state v is %s of %lld pages, need %s of %lld as state k",
                           q35_dtype_describe(v->dtype).name, (long long)v->dim[3],
                           q35_dtype_describe(k->dtype).name, (long long)k->dim[3]);
    return true;
}

static bool check_kv_append(const q35p_check *c)
{
    if (!want_params(c, Q35_STRUCT_KV_PARAMS, sizeof(q35_kv_params), sizeof(q35_kv_params)))
        return false;
    const q35_kv_params *p = Q35P_PARAMS(c->node, q35_kv_params);
    const int64_t cols = (int64_t)p->n_kv_heads * p->head_dim;
    return want_f32(c, in(c, 0), "k", cols) && want_f32_like_first(c, in(c, 1), "v", cols) &&
           want_caches(c, 2, p->n_kv_heads, p->head_dim) && q35p_want_indices(c, in(c, 4), "slots", in(c, 0));
}

static bool want_page_table(const q35p_check *c, uint32_t t)
{
    const q35_tensor_desc *d = &c->region->tensors[t];
    if (!q35p_want_matrix(c, t, "pages", Q35_DT_I32, d->dim[0]))
        return false;
    if (d->flags != Q35_TF_SEQUENCES && d->flags != 0)
        return q35p_refuse(c, "pages have flags %#x, need sequences or none", d->flags);
    if (d->dim[0] > INT32_MAX / Q35_KV_PAGE)
        return q35p_refuse(c, "pages are rows of %lld, need at most %d", (long long)d->dim[0],
                           INT32_MAX / Q35_KV_PAGE);
    return true;
}

static bool check_attention(const q35p_check *c)
{
    if (!want_params(c, Q35_STRUCT_ATTENTION_PARAMS, sizeof(q35_attention_params), sizeof(q35_attention_params)))
        return false;
    const q35_attention_params *p = Q35P_PARAMS(c->node, q35_attention_params);
    const int64_t cols = (int64_t)p->n_heads * p->head_dim;
    if (p->n_kv_heads == 0 || p->n_heads % p->n_kv_heads != 0)
        return q35p_refuse(c, "n_heads is %u, need a multiple of n_kv_heads %u", p->n_heads, p->n_kv_heads);
    return want_f32(c, in(c, 0), "q", cols) && want_caches(c, 1, p->n_kv_heads, p->head_dim) &&
           q35p_want_indices(c, in(c, 3), "positions", in(c, 0)) &&
           q35p_want_indices(c, in(c, 4), "sequence", in(c, 0)) && want_page_table(c, in(c, 5)) &&
           want_out(c, 0, cols);
}

static bool check_elementwise(const q35p_check *c)
{
    const int64_t k = row_length(c);
    return want_f32(c, in(c, 0), "input a", k) &&
           (c->node->n_in == 1 || want_f32_like_first(c, in(c, 1), "input b", k)) && want_out(c, 0, k);
}

static bool check_take_rows(const q35p_check *c)
{
    const int64_t k = row_length(c);
    return want_f32(c, in(c, 0), "input", k) && want_f32(c, c->node->out[0], "output", k) &&
           q35p_want_indices(c, in(c, 1), "rows", c->node->out[0]);
}

static bool check_sum_squares(const q35p_check *c)
{
    const int64_t k = row_length(c);
    return want_f32(c, in(c, 0), "input", k) && q35p_want_state(c, in(c, 1), "accumulator") &&
           q35p_want_vector(c, in(c, 1), "accumulator", Q35_DT_F32, k);
}

static bool check_top_k(const q35p_check *c)
{
    const int64_t n = row_length(c);
    if (!want_params(c, Q35_STRUCT_TOP_K_PARAMS, sizeof(q35_top_k_params), sizeof(q35_top_k_params)))
        return false;
    const uint32_t k = Q35P_PARAMS(c->node, q35_top_k_params)->k, ids = c->node->out[1];
    if (k < 1 || k > n)
        return q35p_refuse(c, "k is %u, need 1 to the row length %lld", k, (long long)n);
    return want_f32(c, in(c, 0), "input", n) && want_out(c, 0, k) &&
           q35p_want_matrix(c, ids, "columns", Q35_DT_I32, k) && q35p_want_rows_like(c, ids, "columns", in(c, 0));
}

const q35p_op *q35p_find_op(uint32_t op)
{
    static const q35p_op ops[] = {
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
        [Q35_OP_TOP_K] = {"top_k", 1, 1, 2, check_top_k},
    };
    return op < sizeof ops / sizeof ops[0] && ops[op].check ? &ops[op] : NULL;
}
