/* SPDX-License-Identifier: Apache-2.0
 *
 * What the ABI demands of a region, checked op by op, so that a device that runs all ops of abi 1.1 writes down
 * only what it demands beyond that (q35p_rules). After a check has passed, dims, strides, roles and parameters
 * need no further look: sizes fit 63 bits, and every node has the inputs and outputs of its op. */
#ifndef Q35P_REGION_H
#define Q35P_REGION_H

#include <q35rt/blocks.h>
#include <q35rt/plugin.h>
#include <stdbool.h>

enum {
    Q35P_MAX_IN = 6,
    Q35P_MAX_OUT = 2,
    Q35P_MAX_EXACT = 66304, /* K up to which the sums of a linear with row types fit an int32 */
    Q35P_MAX_ROTATION = 4096
};

typedef struct q35p_rules q35p_rules;

/* What is being checked, and where the reason for a refusal goes. */
typedef struct q35p_check {
    const q35p_rules *rules;
    const q35_device *dev;
    const q35_region *region;
    const q35_node *node;
    uint32_t index; /* of node */
    char *reason;   /* [cap] */
    size_t cap;
} q35p_check;

/* A device's own part. */
struct q35p_rules {
    uint32_t ops;    /* those it runs: bit 1 << Q35_OP_* */
    int64_t max_dim; /* of any tensor, at most 1 << 40 */
    /* Alignment that kernels need of an address and row stride, a power of two. */
    uint32_t (*align)(const q35_tensor_desc *desc);
    /* Bytes of a weight [N][K] in a private layout; 0: the type has no such layout. */
    uint64_t (*packed_bytes)(const q35_tensor_desc *desc);
    /* May this input of the node, whose private layout is a known one, be so? */
    bool (*reads_packed)(const q35p_check *c, uint32_t input);
    /* What else it demands of a node that is as the ABI wants it; false after q35p_refuse. NULL: nothing. */
    bool (*wants)(const q35p_check *c);
};

/* The whole region. reason: why not, NUL-terminated. */
bool q35p_check_region(const q35p_rules *rules, const q35_device *dev, const q35_region *region, char *reason,
                       size_t cap);

/* Writes "linear (node 3): ..." to the reason; returns false. */
__attribute__((format(printf, 2, 3))) bool q35p_refuse(const q35p_check *c, const char *fmt, ...);

/* Text of an op, "?" when unknown. */
const char *q35p_op_name(uint32_t op);

/* First parameter struct of a node; the check has established its type. */
#define Q35P_PARAMS(node, type) ((const type *)(const void *)(node)->params)

/* Row kind of a tensor: one of Q35_TF_TOKEN_ROWS, _OUT_ROWS, _SEQUENCES; 0: all its rows are valid. */
static inline uint32_t q35p_row_kind(const q35_tensor_desc *desc)
{
    return desc->flags & (Q35_TF_TOKEN_ROWS | Q35_TF_OUT_ROWS | Q35_TF_SEQUENCES);
}

static inline bool q35p_is_act(uint32_t dtype)
{
    return dtype == Q35_DT_A8_32 || dtype == Q35_DT_A8_128 || dtype == Q35_DT_A8_ROW;
}

/* Descriptor of an input of the node. */
static inline const q35_tensor_desc *q35p_in(const q35p_check *c, uint32_t i)
{
    return &c->region->tensors[c->node->in[i]];
}

/* Bytes that a tensor with sane dims and strides spans at capacity, in its layout; false: they do not fit 63 bits,
 * or the layout is unknown. */
bool q35p_tensor_bytes(const q35p_rules *rules, const q35_tensor_desc *desc, uint64_t *out);

/* A node of a checked region, to keep. */
typedef struct q35p_node {
    uint32_t op, n_in, n_out;
    uint32_t in[Q35P_MAX_IN], out[Q35P_MAX_OUT];
    union {
        q35_norm_params norm;
        q35_quantize_params quantize;
        q35_rotate_params rotate;
        q35_rope_params rope;
        q35_kv_params kv;
        q35_attention_params attention;
        q35_top_k_params top_k;
    } params; /* what a smaller struct lacks is 0 */
} q35p_node;

q35p_node q35p_keep_node(const q35_node *node);

/* What one run of a checked region does at full capacity: floating-point operations, and bytes of memory. */
typedef struct q35p_work {
    double flops, read, written;
} q35p_work;

q35p_work q35p_work_of(const q35p_rules *rules, const q35_region *region);

/* value as a counter, saturating. */
uint64_t q35p_to_count(double value);

/* Arguments common to pack and unpack of rows [row, row + n_rows): a weight with a layout that packed_bytes knows,
 * in slices of slice_rows. host->fail with `what`, "cpu pack". */
q35_status q35p_check_slice(const q35p_rules *rules, const char *what, uint32_t layout,
                            const q35_tensor_desc *weight, uint64_t row, uint64_t n_rows, uint32_t slice_rows);

/* ------------------------------------------------------------------ inside of the checks (tensor.c, ops.c) */

/* Each answers whether tensor t of the region is so, with the reason if not. `what` names it for people. */
bool q35p_want_tensor(const q35p_check *c, uint32_t t, const char *what);
/* [rows][cols] of the type. */
bool q35p_want_matrix(const q35p_check *c, uint32_t t, const char *what, uint32_t dtype, int64_t cols);
/* [length] of the type, all of it valid. */
bool q35p_want_vector(const q35p_check *c, uint32_t t, const char *what, uint32_t dtype, int64_t length);
/* Row kind and number of rows as those of `like`. */
bool q35p_want_rows_like(const q35p_check *c, uint32_t t, const char *what, uint32_t like);
/* i32, one per row of `like`. */
bool q35p_want_indices(const q35p_check *c, uint32_t t, const char *what, uint32_t like);
bool q35p_want_state(const q35p_check *c, uint32_t t, const char *what);

/* The node's op, its inputs, outputs and parameters; single tensors have been checked. */
typedef struct q35p_op {
    const char *name;
    uint32_t min_in, max_in, n_out;
    bool (*check)(const q35p_check *c);
} q35p_op;

/* NULL: there is none of that id. */
const q35p_op *q35p_find_op(uint32_t op);

#endif
