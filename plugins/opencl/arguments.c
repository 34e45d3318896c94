/* SPDX-License-Identifier: Apache-2.0
 *
 * Arguments of kernels, in the order of their parameters in kernels-opencl. Set when a plan is bound; a run sets
 * none. */
#include "plugins/opencl/opencl.h"

/* Puts arguments one after another; the first error stays. */
typedef struct arguments {
    const q35_plan *plan;
    cl_kernel kernel;
    cl_uint n;
    cl_int error;
} arguments;

static void put(arguments *a, size_t bytes, const void *value)
{
    const cl_int error = q35i_cl.SetKernelArg(a->kernel, a->n++, bytes, value);
    if (a->error == CL_SUCCESS)
        a->error = error;
}

static void put_mem(arguments *a, cl_mem mem)
{
    put(a, sizeof mem, &mem);
}

static void put_int(arguments *a, int64_t value)
{
    const cl_int v = (cl_int)value;
    put(a, sizeof v, &v);
}

static void put_long(arguments *a, uint64_t value)
{
    const cl_ulong v = value;
    put(a, sizeof v, &v);
}

static void put_float(arguments *a, float value)
{
    put(a, sizeof value, &value);
}

/* Local memory, of so many floats. */
static void put_local(arguments *a, uint32_t floats)
{
    put(a, floats * sizeof(float), NULL);
}

/* Q35_IN, Q35_OUT: buffer and offset of the first byte. Q35_NONE: any buffer, which the kernel leaves alone. */
static void put_tensor(arguments *a, uint32_t t)
{
    const q35i_cl_tensor *tensor = t == Q35_NONE ? NULL : &a->plan->tensors[t];
    if (!tensor) {
        put_mem(a, a->plan->fault);
        put_long(a, 0);
    } else if (tensor->tiled) {
        put_mem(a, tensor->tiles);
        put_long(a, 0);
    } else {
        put_mem(a, tensor->binding.buf->mem);
        put_long(a, tensor->binding.offset);
    }
}

/* The same and the distance of its rows. */
static void put_rows(arguments *a, uint32_t t)
{
    put_tensor(a, t);
    put_long(a, t == Q35_NONE ? 0 : (uint64_t)a->plan->tensors[t].desc.stride[1]);
}

static int64_t capacity(const q35_tensor_desc *d)
{
    return d->dim[d->rank - 1];
}

/* Q35_ROWS: how many rows are valid, as of tensor t. */
static void put_n_rows(arguments *a, uint32_t t)
{
    const q35_tensor_desc *d = &a->plan->tensors[t].desc;
    put_tensor(a, a->plan->step);
    put_int(a, q35i_cl_row_kind(d));
    put_int(a, capacity(d));
}

/* Q35_FAULT */
static void put_fault(arguments *a, uint32_t node)
{
    put_mem(a, a->plan->fault);
    put_int(a, node);
}

/* Smallest capacity of the tensors with this row flag. */
static int64_t least_capacity(const q35_plan *plan, uint32_t flag)
{
    int64_t least = INT32_MAX;
    for (uint32_t i = 0; i < plan->n_tensors; i++) {
        const q35_tensor_desc *d = &plan->tensors[i].desc;
        if (plan->tensors[i].used && d->flags & flag && capacity(d) < least)
            least = capacity(d);
    }
    return least;
}

static void put_step(arguments *a)
{
    put_tensor(a, a->plan->step);
    put_int(a, least_capacity(a->plan, Q35_TF_TOKEN_ROWS));
    put_int(a, least_capacity(a->plan, Q35_TF_OUT_ROWS));
    put_int(a, least_capacity(a->plan, Q35_TF_SEQUENCES));
    put_fault(a, 0);
}

/* WIDE of quantize.cl; NULL: nothing. */
static void put_wide(arguments *a, const q35p_node *linear)
{
    q35i_cl_linear l = {.padded = 0};
    if (linear)
        l = q35i_cl_linear_of(a->plan, linear);
    put_mem(a, a->plan->wide);
    put_int(a, l.padded);
    put_mem(a, a->plan->heads);
    put_int(a, l.n_heads);
    put_float(a, l.even);
    put_float(a, l.odd);
    put_int(a, l.scaled);
}

static void put_widen(arguments *a, const q35p_node *n)
{
    const q35_tensor_desc *x = &a->plan->tensors[n->in[0]].desc;
    put_rows(a, n->in[0]);
    put_int(a, x->dim[0]);
    put_int(a, x->dtype == Q35_DT_F32 ? 0 : (int64_t)x->dtype);
    put_n_rows(a, n->in[0]);
    put_wide(a, n);
}

/* n_nodes of them */
static void put_linears(arguments *a, const q35p_node *n, uint32_t n_nodes, uint32_t span)
{
    const q35i_cl_linear l = q35i_cl_linear_of(a->plan, n);
    const q35_tensor_desc *w = &a->plan->tensors[n->in[1]].desc;
    for (uint32_t i = 0; i < Q35I_CL_TOGETHER; i++) {
        const bool there = i < n_nodes;
        put_tensor(a, there ? n[i].in[1] : Q35_NONE);
        put_tensor(a, there && n[i].n_in == 3 ? n[i].in[2] : Q35_NONE);
        put_rows(a, there ? n[i].out[0] : Q35_NONE);
        put_int(a, there ? a->plan->tensors[n[i].in[1]].desc.dim[1] : 0);
    }
    put_long(a, q35i_cl_tile_bytes(w->dtype, w->dim[0]));
    if (l.codes) {
        put_tensor(a, n->in[0]);
        put_int(a, span);
    } else {
        put_int(a, (int64_t)q35i_cl_n_parts(w->dtype, w->dim[0]));
        put_mem(a, a->plan->wide);
        put_int(a, l.padded);
        put_mem(a, a->plan->heads);
        put_int(a, l.n_heads);
    }
    put_int(a, (int64_t)q35i_cl_n_units(w->dtype, w->dim[0]));
    put_n_rows(a, n->in[0]);
}

static void put_norm(arguments *a, const q35p_node *n)
{
    const bool adds = n->op == Q35_OP_ADD_RMS_NORM;
    put_rows(a, n->in[0]);
    put_rows(a, adds ? n->in[1] : n->in[0]);
    put_tensor(a, n->in[adds ? 2 : 1]);
    put_rows(a, n->out[0]);
    put_rows(a, n->out[adds ? 1 : 0]);
    put_float(a, n->params.norm.eps);
    put_int(a, adds);
}

static void put_norm_alone(arguments *a, const q35p_node *n)
{
    put_norm(a, n);
    put_int(a, a->plan->tensors[n->in[0]].desc.dim[0]);
    put_n_rows(a, n->in[0]);
}

static void put_get_rows(arguments *a, const q35p_node *n, uint32_t node)
{
    const q35_tensor_desc *table = &a->plan->tensors[n->in[1]].desc;
    put_int(a, table->dtype);
    put_tensor(a, n->in[0]);
    put_rows(a, n->in[1]);
    put_int(a, table->dim[1]);
    put_tensor(a, n->n_in == 3 ? n->in[2] : Q35_NONE);
    put_rows(a, n->out[0]);
    put_int(a, table->dim[0]);
    put_n_rows(a, n->in[0]);
    put_fault(a, node);
}

/* QUANTIZE_ARGUMENTS of row.cl */
static void put_quantize(arguments *a, const q35p_node *n, uint32_t widens)
{
    put_rows(a, n->out[0]);
    put_int(a, a->plan->tensors[n->in[0]].desc.dim[0]);
    put_wide(a, widens == Q35_NONE ? NULL : &a->plan->nodes[widens]);
}

/* ROW_ARGUMENTS of row.cl */
static void put_quantize_row(arguments *a, const q35p_node *n, uint32_t widens)
{
    put_quantize(a, n, widens);
    if (n->n_in == 1)
        return;
    put_tensor(a, n->in[1]);
    put_mem(a, a->plan->rotated);
    put_local(a, n->params.quantize.width);
    put_int(a, n->params.quantize.width);
}

/* To A8_32 or A8_128 */
static void put_quantize_units(arguments *a, const q35p_node *n, uint32_t widens)
{
    const bool by_32 = a->plan->tensors[n->out[0]].desc.dtype == Q35_DT_A8_32;
    if (n->n_in == 2) { /* it is rotated already */
        put_mem(a, a->plan->rotated);
        put_long(a, 0);
        put_long(a, (uint64_t)a->plan->tensors[n->in[0]].desc.dim[0] * sizeof(float));
    } else {
        put_rows(a, n->in[0]);
    }
    put_quantize(a, n, widens);
    put_int(a, by_32 ? Q35_ACT_BLOCK : Q35_ACT_GROUP);
    put_n_rows(a, n->in[0]);
}

/* A ROTATE, or what a QUANTIZE_ACT with signs begins with. */
static void put_rotate(arguments *a, const q35p_node *n)
{
    const int64_t k = a->plan->tensors[n->in[0]].desc.dim[0];
    const bool alone = n->op == Q35_OP_ROTATE;
    const uint32_t width = alone ? n->params.rotate.width : n->params.quantize.width;
    put_rows(a, n->in[0]);
    put_tensor(a, n->in[1]);
    if (alone) {
        put_rows(a, n->out[0]);
    } else {
        put_mem(a, a->plan->rotated);
        put_long(a, 0);
        put_long(a, (uint64_t)k * sizeof(float));
    }
    put_local(a, width);
    put_int(a, k);
    put_int(a, width);
    put_int(a, alone && n->params.rotate.inverse);
    put_n_rows(a, n->in[0]);
}

/* ROPE_ARGUMENTS of rope.cl */
static void put_rope(arguments *a, const q35p_node *n)
{
    const q35_rope_params *p = &n->params.rope;
    put_rows(a, n->in[0]);
    put_tensor(a, n->in[1]);
    put_tensor(a, n->in[2]);
    put_rows(a, n->out[0]);
    put_int(a, a->plan->tensors[n->in[0]].desc.dim[0] / p->head_dim);
    put_int(a, p->head_dim);
    put_int(a, p->n_rot);
    put_float(a, p->temperature_beta);
    put_int(a, p->temperature_length < INT32_MAX ? p->temperature_length : INT32_MAX);
}

/* APPEND_ARGUMENTS of rope.cl */
static void put_kv_append(arguments *a, const q35p_node *n)
{
    const q35_tensor_desc *k = &a->plan->tensors[n->in[2]].desc;
    put_rows(a, n->in[0]);
    put_rows(a, n->in[1]);
    put_tensor(a, n->in[2]);
    put_tensor(a, n->in[3]);
    put_tensor(a, n->in[4]);
    put_int(a, k->dim[3] * Q35_KV_PAGE);
    put_int(a, n->params.kv.n_kv_heads);
    put_int(a, n->params.kv.head_dim);
    put_int(a, k->stride[1]);
}

static void put_attention(arguments *a, const q35p_node *n, uint32_t node)
{
    const q35_attention_params *p = &n->params.attention;
    const q35_tensor_desc *k = &a->plan->tensors[n->in[1]].desc, *pages = &a->plan->tensors[n->in[5]].desc;
    put_rows(a, n->in[0]);
    for (uint32_t i = 1; i <= 4; i++)
        put_tensor(a, n->in[i]);
    put_rows(a, n->in[5]);
    put_int(a, pages->dim[0]);
    put_int(a, k->dim[3]);
    put_int(a, q35i_cl_row_kind(pages));
    put_int(a, capacity(pages));
    put_rows(a, n->out[0]);
    put_int(a, p->n_heads / p->n_kv_heads);
    put_int(a, p->n_kv_heads);
    put_int(a, p->head_dim);
    put_int(a, k->stride[1]);
    put_float(a, p->scale);
    put_n_rows(a, n->in[0]);
    put_fault(a, node);
}

static void put_elementwise(arguments *a, const q35p_node *n)
{
    for (uint32_t i = 0; i < n->n_in; i++)
        put_rows(a, n->in[i]);
    put_rows(a, n->out[0]);
    put_int(a, a->plan->tensors[n->in[0]].desc.dim[0]);
    put_n_rows(a, n->in[0]);
}

static void put_take_rows(arguments *a, const q35p_node *n, uint32_t node)
{
    const q35_tensor_desc *x = &a->plan->tensors[n->in[0]].desc;
    put_rows(a, n->in[0]);
    put_tensor(a, n->in[1]);
    put_rows(a, n->out[0]);
    put_int(a, x->dim[0]);
    put_int(a, q35i_cl_row_kind(x));
    put_int(a, capacity(x));
    put_n_rows(a, n->out[0]);
    put_fault(a, node);
}

/* Of q35_top_k_parts, or of q35_top_k_join. */
static void put_top_k(arguments *a, const q35p_node *n, bool parts)
{
    const q35i_cl_top t = q35i_cl_top_of(a->plan, n);
    put_rows(a, n->in[0]);
    put_mem(a, a->plan->rotated);
    if (parts) {
        put_int(a, a->plan->tensors[n->in[0]].desc.dim[0]);
        put_int(a, t.span);
    }
    put_int(a, t.list);
    put_int(a, t.n_parts * t.list);
    if (!parts) {
        put_rows(a, n->out[0]);
        put_rows(a, n->out[1]);
        put_int(a, n->params.top_k.k);
    }
    put_n_rows(a, n->in[0]);
}

/* Of a launch that runs one node. */
static void put_node(arguments *a, const q35i_cl_launch *launch)
{
    const q35p_node *n = &a->plan->nodes[launch->node];
    switch (n->op) {
    case Q35_OP_GET_ROWS: put_get_rows(a, n, launch->node); break;
    case Q35_OP_RMS_NORM:
    case Q35_OP_ADD_RMS_NORM: put_norm_alone(a, n); break;
    case Q35_OP_QUANTIZE_ACT: put_quantize_units(a, n, launch->widens); break;
    case Q35_OP_ATTENTION: put_attention(a, n, launch->node); break;
    case Q35_OP_TAKE_ROWS: put_take_rows(a, n, launch->node); break;
    case Q35_OP_ROTATE: put_rotate(a, n); break;
    case Q35_OP_TOP_K: put_top_k(a, n, false); break;
    case Q35_OP_ROPE:
    case Q35_OP_KV_APPEND:
        if (n->op == Q35_OP_ROPE)
            put_rope(a, n);
        else
            put_kv_append(a, n);
        put_n_rows(a, n->in[0]);
        put_fault(a, launch->node);
        break;
    default: put_elementwise(a, n); break;
    }
}

/* A chain from that node on. */
static void put_chain(arguments *a, uint32_t chain, uint32_t node, uint32_t widens)
{
    const q35p_node *n = &a->plan->nodes[node];
    switch (chain) {
    case Q35I_CL_QUANTIZE:
        put_rows(a, n->in[0]);
        put_quantize_row(a, n, widens);
        break;
    case Q35I_CL_NORM_QUANTIZE:
        put_norm(a, n);
        put_quantize_row(a, n + 1, widens);
        break;
    case Q35I_CL_SWIGLU_QUANTIZE:
        put_rows(a, n->in[0]);
        put_rows(a, n->in[1]);
        put_rows(a, n->out[0]);
        put_quantize_row(a, n + 1, widens);
        break;
    default:
        put_rope(a, n);
        put_rope(a, n + 1);
        put_kv_append(a, n + 2);
        put_fault(a, node);
        break;
    }
}

q35_status q35i_cl_set_arguments(q35_plan *plan, const q35i_cl_launch *launch)
{
    arguments a = {.plan = plan, .kernel = launch->kernel};
    const q35p_node *n = &plan->nodes[launch->node];
    const uint32_t n_nodes = launch->n_nodes - launch->n_tail;
    char name[48];
    switch (launch->kind) {
    case Q35I_CL_STEPS: put_step(&a); break;
    case Q35I_CL_WIDEN: put_widen(&a, n); break;
    case Q35I_CL_ROTATE: put_rotate(&a, n); break;
    case Q35I_CL_PARTS: put_top_k(&a, n, true); break;
    case Q35I_CL_LINEARS: put_linears(&a, n, n_nodes, launch->span); break;
    case Q35I_CL_OP: put_node(&a, launch); break;
    default:
        put_chain(&a, launch->kind, launch->node, launch->widens);
        put_n_rows(&a, n->in[0]);
        break;
    }
    if (launch->tail != Q35I_CL_NOTHING) {
        put_mem(&a, plan->done);
        put_chain(&a, launch->tail, launch->node + n_nodes, launch->widens);
    }
    if (a.error == CL_SUCCESS)
        return Q35_OK;
    return q35p_fail(Q35_E_INTERNAL, "opencl plan: arguments of %s (node %u): %s", q35p_op_name(n->op),
                     launch->node, q35i_cl_error(a.error, name));
}
