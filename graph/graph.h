/* SPDX-License-Identifier: Apache-2.0
 *
 * The graph of one step (a phase of a model with a token capacity): tensors and nodes in execution order. Built by
 * arch_<family>.c, rewritten by passes, turned into a plan. One thread at a time. */
#ifndef Q35I_GRAPH_H
#define Q35I_GRAPH_H

#include <q35rt/status.h>

#define Q35I_MAX_IN  6
#define Q35I_MAX_OUT 2

#define Q35I_MAX_ROTATION 4096u /* widest block of a rotation */

typedef struct q35i_tensor {
    char name[80];
    q35_tensor_desc desc;
    uint32_t role;     /* Q35_ROLE_*; TEMP for everything a node produces but the logits */
    uint32_t producer; /* node that writes it, Q35_NONE for inputs, weights and states */
    const void *data;  /* WEIGHT: canonical bytes, borrowed or owned by the graph's constants */
    uint32_t home;     /* of a state: 1 + the device where an earlier plan has put it, 0: none has */
} q35i_tensor;

typedef union q35i_params {
    q35_hdr h; /* h.size == 0: the op has none */
    q35_norm_params norm;
    q35_rope_params rope;
    q35_kv_params kv;
    q35_attention_params attention;
    q35_quantize_params quantize;
    q35_rotate_params rotate;
    q35_top_k_params top_k;
} q35i_params;

typedef struct q35i_node {
    char name[48]; /* "blk.3.attn_q" */
    uint32_t op;   /* Q35_OP_* */
    uint32_t n_in, n_out;
    uint32_t in[Q35I_MAX_IN], out[Q35I_MAX_OUT];
    q35i_params params;
} q35i_node;

typedef struct q35i_graph {
    q35i_tensor *tensors;
    q35i_node *nodes;
    uint32_t n_tensors, cap_tensors, n_nodes, cap_nodes;
    uint32_t step, ids, logits;                           /* tensor indices; Q35_NONE: the graph has none */
    uint32_t positions, slots, sequence, pages, out_rows; /* likewise, inputs of the step (plan.h) */
    uint32_t n_candidates; /* logits of each row that a sampler looks at first; 0: it does not (pass_select.c) */
    uint32_t top_values, top_ids; /* outputs, the first of each row and their columns; Q35_NONE: not chosen */
    void **constants;             /* owned blocks that tensors' data may point into */
    uint32_t n_constants;
    q35_status status; /* first failure while building; later calls do nothing */
} q35i_graph;

void q35i_graph_init(q35i_graph *graph);
void q35i_graph_free(q35i_graph *graph); /* zeroed graph: nothing */

/* Contiguous tensor of `rank` dims, dim[0] first. */
q35_tensor_desc q35i_desc(uint32_t dtype, uint32_t rank, const int64_t *dim, uint32_t flags);
q35_tensor_desc q35i_desc2(uint32_t dtype, int64_t dim0, int64_t dim1, uint32_t flags);

/* Bytes a tensor occupies: dim[rank-1] * stride[rank-1]. */
uint64_t q35i_desc_bytes(const q35_tensor_desc *desc);

/* Each returns an index, Q35_NONE after a failure (kept in graph->status). */
uint32_t q35i_graph_tensor(q35i_graph *graph, uint32_t role, q35_tensor_desc desc, const void *data,
                           const char *name);
/* Appends a node whose outputs are new TEMP tensors, shaped by the op's rule and named after the node; returns the
 * node. params NULL: none. */
uint32_t q35i_graph_node(q35i_graph *graph, uint32_t op, const q35i_params *params, uint32_t n_in,
                         const uint32_t *in, const char *name);
/* Zeroed memory that lives as long as the graph. */
void *q35i_graph_constant(q35i_graph *graph, uint64_t bytes);

/* Text of an op ("linear"), "?" when unknown. */
const char *q35i_op_name(uint32_t op);

/* Shape rule of the node's op: checks inputs and params, fills out[n_out]. INVALID names the node and what is
 * wrong. */
q35_status q35i_shape_infer(const q35i_graph *graph, const q35i_node *node, q35_tensor_desc *out);

/* Every node against its shape rule, every input produced earlier. For graphs after a pass. */
q35_status q35i_graph_verify(const q35i_graph *graph);

/* Tensor by name, Q35_NONE: there is none. */
uint32_t q35i_graph_find(const q35i_graph *graph, const char *name);

/* 1: an output that comes to the host when asked for (q35i_plan_fetch) and not with every run: logits of which the
 * candidates do. */
static inline int q35i_on_demand(const q35i_graph *graph, uint32_t tensor)
{
    return tensor == graph->logits && graph->top_values != Q35_NONE;
}

/* Number of uses of a tensor as an input. */
uint32_t q35i_graph_uses(const q35i_graph *graph, uint32_t tensor);

typedef void q35i_write_fn(void *user, const char *text, uint64_t len);

/* Text form, stable: one line per tensor that is not a TEMP, then one per node. */
void q35i_graph_print(const q35i_graph *graph, q35i_write_fn *write, void *user);

/* "f32 [576][7]", outermost first; returns buf. */
const char *q35i_desc_text(const q35_tensor_desc *desc, char *buf, uint32_t cap);

/* printf through a write function. */
Q35_PRINTF(3, 4) void q35i_print(q35i_write_fn *write, void *user, const char *fmt, ...);

#endif
