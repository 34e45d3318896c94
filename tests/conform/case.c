/* SPDX-License-Identifier: Apache-2.0
 *
 * Building regions. The step tensor is number 0. */
#include "conform.h"

#include <stdio.h>
#include <string.h>

uint64_t cf_desc_bytes(const q35_tensor_desc *d)
{
    uint64_t bytes = q35_row_bytes(d->dtype, (uint64_t)d->dim[0]);
    for (int i = 1; i < 4; i++)
        bytes += (uint64_t)((d->dim[i] - 1) * d->stride[i]);
    return bytes;
}

uint32_t cf_add_tensor(cf_env *e, cf_case *c, const char *name, uint32_t role, const q35_tensor_desc *desc)
{
    if (c->n_tensors == CF_TENSORS)
        cf_fail("%s: more tensors than the kit has room for", c->text);
    cf_tensor *t = &c->t[c->n_tensors];
    *t = (cf_tensor){.name = name, .desc = *desc, .role = role, .align = 64, .bytes = cf_desc_bytes(desc)};
    t->init = kc_alloc(&e->x, t->bytes);
    kc_fill_unwritten(t->init, t->bytes);
    return c->n_tensors++;
}

static q35_tensor_desc dense(uint32_t dtype, uint32_t rank, int64_t cols, int64_t rows, uint32_t flags,
                             int64_t pad)
{
    q35_tensor_desc d = {.dtype = dtype, .rank = rank, .dim = {cols, rows, 1, 1}, .flags = flags};
    int64_t row = (int64_t)q35_row_bytes(dtype, (uint64_t)cols) + pad;
    d.stride[0] = q35_dtype_describe(dtype).block_bytes;
    d.stride[1] = row;
    d.stride[2] = d.stride[3] = row * rows;
    return d;
}

uint32_t cf_matrix(cf_env *e, cf_case *c, const char *name, uint32_t role, uint32_t dtype, int64_t cols,
                   int64_t rows, uint32_t flags, int64_t pad)
{
    q35_tensor_desc d = dense(dtype, 2, cols, rows, flags, pad);
    return cf_add_tensor(e, c, name, role, &d);
}

uint32_t cf_vector(cf_env *e, cf_case *c, const char *name, uint32_t role, uint32_t dtype, int64_t n,
                   uint32_t flags)
{
    q35_tensor_desc d = dense(dtype, 1, n, 1, flags, 0);
    return cf_add_tensor(e, c, name, role, &d);
}

void cf_begin(cf_env *e, cf_case *c, int64_t n_tokens, int64_t n_out, int64_t n_sequences)
{
    const q35_step step = {
        .n_tokens = (int32_t)n_tokens, .n_out = (int32_t)n_out, .n_sequences = (int32_t)n_sequences};
    memset(c, 0, sizeof *c);
    c->weight = Q35_NONE;
    c->step = cf_vector(e, c, "step", Q35_ROLE_STEP, Q35_DT_I32, sizeof step / 4, 0);
    memcpy(c->t[c->step].init, &step, sizeof step);
}

q35_node *cf_node(cf_case *c, uint32_t op, const q35_hdr *params, uint32_t n_in, const uint32_t *in,
                  uint32_t n_out, const uint32_t *out)
{
    if (c->n_nodes == CF_NODES)
        cf_fail("%s: more nodes than the kit has room for", c->text);
    const uint32_t i = c->n_nodes++;
    memcpy(c->in[i], in, n_in * sizeof *in);
    if (n_out > 0)
        memcpy(c->out[i], out, n_out * sizeof *out);
    c->nodes[i] = (q35_node){.h = {sizeof(q35_node), Q35_STRUCT_NODE, NULL},
                             .op = op,
                             .n_in = n_in,
                             .n_out = n_out,
                             .in = c->in[i],
                             .out = c->out[i],
                             .params = params};
    return &c->nodes[i];
}

const q35_region *cf_region(cf_case *c)
{
    for (uint32_t i = 0; i < c->n_tensors; i++) {
        c->tensors[i] = c->t[i].desc;
        c->roles[i] = c->t[i].role;
    }
    for (uint32_t i = 0; i < c->n_nodes; i++)
        c->node_list[i] = &c->nodes[i];
    c->region = (q35_region){.h = {sizeof c->region, Q35_STRUCT_REGION, NULL},
                             .n_tensors = c->n_tensors,
                             .n_nodes = c->n_nodes,
                             .tensors = c->tensors,
                             .roles = c->roles,
                             .nodes = c->node_list,
                             .step = c->step};
    return &c->region;
}

uint8_t *cf_expect(cf_env *e, cf_tensor *t, cf_elem elem, bool with_bound)
{
    t->elem = elem;
    t->want = kc_alloc(&e->x, t->bytes);
    memcpy(t->want, t->init, t->bytes);
    if (with_bound)
        t->bound = kc_alloc(&e->x, t->bytes / 4 * sizeof *t->bound);
    return t->want;
}

float *cf_row_f32(uint8_t *data, const cf_tensor *t, int64_t row)
{
    return (float *)(void *)(data + row * t->desc.stride[1]);
}
