/* SPDX-License-Identifier: Apache-2.0
 *
 * One node by the reference kernels. Weights are canonical; valid rows are those of the step. */
#include "conform.h"

#include <kernels-cpu/kernels_decl.h>

#include <string.h>

typedef struct node_view {
    const cf_case *c;
    const q35_node *node;
    uint8_t *const *at;
} node_view;

static const q35_tensor_desc *desc_in(const node_view *v, uint32_t i)
{
    return &v->c->t[v->node->in[i]].desc;
}

static void *in(const node_view *v, uint32_t i)
{
    return v->at[v->node->in[i]];
}

static void *out(const node_view *v, uint32_t i)
{
    return v->at[v->node->out[i]];
}

static int64_t stride_out(const node_view *v, uint32_t i)
{
    return v->c->t[v->node->out[i]].desc.stride[1];
}

static float *row(void *base, int64_t stride, int64_t t)
{
    return (float *)(void *)((uint8_t *)base + t * stride);
}

static q35k_weights weights(const node_view *v, uint32_t i)
{
    const q35_tensor_desc *d = desc_in(v, i);
    return (q35k_weights){.data = in(v, i),
                          .dtype = d->dtype,
                          .layout = Q35K_LAYOUT_CANONICAL,
                          .n = d->dim[1],
                          .k = d->dim[0],
                          .rs = d->stride[1],
                          .book = v->node->n_in > i + 1 ? (const int8_t(*)[2])in(v, i + 1) : NULL};
}

static q35k_kv cache(const node_view *v, uint32_t i)
{
    const q35_tensor_desc *d = desc_in(v, i);
    return (q35k_kv){.k = in(v, i),
                     .v = in(v, i + 1),
                     .dtype = d->dtype,
                     .n_pages = d->dim[3],
                     .n_kv_heads = d->dim[2],
                     .head_dim = d->dim[0]};
}

static void norm(const node_view *v, int64_t n)
{
    const q35_norm_params *p = (const void *)v->node->params;
    const bool add = v->node->op == Q35_OP_ADD_RMS_NORM;
    const int64_t k = desc_in(v, 0)->dim[0];
    const uint32_t y = add ? 1 : 0;
    for (int64_t t = 0; t < n; t++)
        q35k_norm__ref(row(in(v, 0), desc_in(v, 0)->stride[1], t),
                       add ? row(in(v, 1), desc_in(v, 1)->stride[1], t) : NULL, in(v, add ? 2 : 1), p->eps,
                       add ? row(out(v, 0), stride_out(v, 0), t) : NULL, row(out(v, y), stride_out(v, y), t),
                       4 * k, k, 0, 1);
}

static void elementwise(const node_view *v, int64_t n, q35k_binary_fn *fn)
{
    for (int64_t t = 0; t < n; t++)
        fn(row(in(v, 0), desc_in(v, 0)->stride[1], t),
           v->node->n_in > 1 ? row(in(v, 1), desc_in(v, 1)->stride[1], t) : NULL,
           row(out(v, 0), stride_out(v, 0), t), 0, desc_in(v, 0)->dim[0]);
}

static void linear(cf_env *e, const node_view *v, int64_t n)
{
    const q35k_weights w = weights(v, 1);
    q35k_linear_fn *fn = q35_is_row_type(w.dtype) ? q35k_linear_row__ref : q35k_linear__ref;
    fn(in(v, 0), desc_in(v, 0)->dtype, desc_in(v, 0)->stride[1], n, &w, out(v, 0), stride_out(v, 0), 0, w.n,
       kc_alloc(&e->x, q35k_linear_scratch_bytes(w.k)));
}

static void quantize(cf_env *e, const node_view *v, int64_t n)
{
    const q35_quantize_params *p = (const void *)v->node->params;
    const int64_t k = desc_in(v, 0)->dim[0];
    const bool rotated = v->node->n_in > 1;
    const q35k_rotation rotation = {rotated ? in(v, 1) : NULL, p ? p->width : 0};
    q35k_quantize_act__ref(in(v, 0), desc_in(v, 0)->stride[1], k, rotated ? &rotation : NULL,
                           p ? p->dtype : Q35_DT_A8_32, out(v, 0), stride_out(v, 0), 0, n,
                           kc_alloc(&e->x, (size_t)k * 4));
}

static void rope(const node_view *v, int64_t n)
{
    const q35_rope_params *p = (const void *)v->node->params;
    const q35k_rope how = {.n_heads = desc_in(v, 0)->dim[0] / p->head_dim,
                           .head_dim = p->head_dim,
                           .n_rot = p->n_rot,
                           .inv_freq = in(v, 1),
                           .temperature_beta = p->temperature_beta,
                           .temperature_length = p->temperature_length};
    for (int64_t t = 0; t < n; t++)
        q35k_rope__ref(row(in(v, 0), desc_in(v, 0)->stride[1], t), row(out(v, 0), stride_out(v, 0), t),
                       stride_out(v, 0), &how, (const int32_t *)in(v, 2) + t, 0, 1);
}

static void attention(cf_env *e, const node_view *v, int64_t n)
{
    const q35_attention_params *p = (const void *)v->node->params;
    const q35k_kv kv = cache(v, 1);
    const q35k_attention a = {.q = in(v, 0),
                              .out = out(v, 0),
                              .rs_q = desc_in(v, 0)->stride[1],
                              .rs_out = stride_out(v, 0),
                              .n_heads = p->n_heads,
                              .scale = p->scale,
                              .kv = &kv,
                              .positions = in(v, 3),
                              .sequence = in(v, 4),
                              .pages = in(v, 5),
                              .max_pages = desc_in(v, 5)->dim[0]};
    q35k_attention__ref(&a, 0, n * kv.n_kv_heads, NULL,
                        kc_alloc(&e->x, q35k_attention_scratch_bytes(kv.head_dim)));
}

static void rotate(const node_view *v, int64_t n)
{
    const q35_rotate_params *p = (const void *)v->node->params;
    const q35k_rotation how = {in(v, 1), p->width};
    q35k_rotate__ref(in(v, 0), desc_in(v, 0)->stride[1], desc_in(v, 0)->dim[0], &how, (int)p->inverse, out(v, 0),
                     stride_out(v, 0), 0, n);
}

static void take_rows(const node_view *v, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        memcpy(row(out(v, 0), stride_out(v, 0), i),
               row(in(v, 0), desc_in(v, 0)->stride[1], ((const int32_t *)in(v, 1))[i]),
               (size_t)desc_in(v, 0)->dim[0] * 4);
}

static void top_k(const node_view *v, int64_t n)
{
    const q35_top_k_params *p = (const void *)v->node->params;
    q35k_top_k__ref(in(v, 0), desc_in(v, 0)->stride[1], desc_in(v, 0)->dim[0], p->k, out(v, 0), stride_out(v, 0),
                    out(v, 1), stride_out(v, 1), 0, n);
}

static void kv_append(const node_view *v, int64_t n)
{
    const q35k_kv kv = cache(v, 2);
    q35k_kv_append__ref(in(v, 0), desc_in(v, 0)->stride[1], in(v, 1), desc_in(v, 1)->stride[1], &kv, in(v, 4), 0,
                        n);
}

void cf_reference(cf_env *e, const cf_case *c, uint32_t i, uint8_t *const *at)
{
    const node_view v = {c, &c->nodes[i], at};
    q35_step step;
    memcpy(&step, c->t[c->step].init, sizeof step);
    const int64_t n = step.n_tokens;
    switch (v.node->op) {
    case Q35_OP_RMS_NORM:
    case Q35_OP_ADD_RMS_NORM: norm(&v, n); break;
    case Q35_OP_ADD: elementwise(&v, n, q35k_add__ref); break;
    case Q35_OP_MUL: elementwise(&v, n, q35k_mul__ref); break;
    case Q35_OP_SILU: elementwise(&v, n, q35k_silu__ref); break;
    case Q35_OP_SWIGLU: elementwise(&v, n, q35k_swiglu__ref); break;
    case Q35_OP_LINEAR: linear(e, &v, n); break;
    case Q35_OP_QUANTIZE_ACT: quantize(e, &v, n); break;
    case Q35_OP_ROTATE: rotate(&v, n); break;
    case Q35_OP_ROPE: rope(&v, n); break;
    case Q35_OP_KV_APPEND: kv_append(&v, n); break;
    case Q35_OP_ATTENTION: attention(e, &v, n); break;
    case Q35_OP_TAKE_ROWS: take_rows(&v, step.n_out); break;
    case Q35_OP_TOP_K: top_k(&v, desc_in(&v, 0)->flags & Q35_TF_OUT_ROWS ? step.n_out : n); break;
    case Q35_OP_GET_ROWS: {
        const q35k_weights w = weights(&v, 1);
        q35k_get_rows__ref(in(&v, 0), &w, out(&v, 0), stride_out(&v, 0), 0, n);
        break;
    }
    case Q35_OP_SUM_SQUARES:
        q35k_sum_squares__ref(in(&v, 0), desc_in(&v, 0)->stride[1], n, in(&v, 1), 0, desc_in(&v, 0)->dim[0]);
        break;
    default: cf_fail("the kit has no reference for op %u", v.node->op);
    }
}

void cf_expect_node(cf_env *e, cf_case *c)
{
    uint8_t *at[CF_TENSORS];
    for (uint32_t i = 0; i < c->n_tensors; i++)
        at[i] = c->t[i].want ? c->t[i].want : c->t[i].init;
    cf_reference(e, c, 0, at);
}
