/* SPDX-License-Identifier: Apache-2.0
 *
 * Plans: a region's nodes with the parameters that launches need, and after a bind the launches themselves. */
#ifndef Q35I_PLUGIN_CUDA_PLAN_H
#define Q35I_PLUGIN_CUDA_PLAN_H

#include "cuda.h"

/* Parameters of any kernel. */
typedef union q35i_cuda_args {
    q35_get_rows_args get_rows;
    q35_norm_args norm;
    q35_quantize_args quantize;
    q35_norm_quantize_args norm_quantize;
    q35_rotate_args rotate;
    q35_linear_args linear;
    q35_linear_float_args linear_float;
    q35_rope_args rope;
    q35_kv_append_args kv_append;
    q35_rope_append_args rope_append;
    q35_attention_args attention;
    q35_elementwise_args elementwise;
    q35_take_rows_args take_rows;
    q35_sum_squares_args sum_squares;
    q35_top_k_args top_k;
} q35i_cuda_args;

/* Nodes that one launch does, at the place of the first (fuse.c). */
enum {
    Q35I_CUDA_SINGLE = 0,         /* one node, of any op; attention may take two launches, top_k does */
    Q35I_CUDA_NORM_QUANTIZE = 1,  /* RMS_NORM or ADD_RMS_NORM; QUANTIZE_ACT of its result */
    Q35I_CUDA_LINEARS = 2,        /* two or three LINEARs of one input and type */
    Q35I_CUDA_LINEARS_SWIGLU = 3, /* two such LINEARs of as many rows; SWIGLU of their results */
    Q35I_CUDA_ROPE_APPEND = 4,    /* ROPE; ROPE; KV_APPEND of what the second gives */
    Q35I_CUDA_MAX_GROUP = 3
};

typedef struct q35i_cuda_group {
    uint32_t kind, n;
    uint32_t node[Q35I_CUDA_MAX_GROUP]; /* of the region, ascending */
} q35i_cuda_group;

typedef struct q35i_cuda_launch {
    uint32_t kernel; /* Q35_CUDA_K_* */
    q35i_cuda_group group;
    q35_cuda_launch geometry;
    q35i_cuda_args args;
} q35i_cuda_launch;

typedef struct q35i_cuda_tensor {
    q35_tensor_desc desc;
    uint32_t role;
    bool used, packs; /* a node needs it; it is a canonical weight that the plan packs for itself */
    uint64_t bytes;   /* at capacity */
    q35i_cu_address address;
    q35i_cu_address packed; /* the plan's own copy, 0: none */
    uint32_t slot;          /* 1 + that of q35_plan.slots which it is in; 0: where the host has bound it */
} q35i_cuda_tensor;

typedef struct q35i_cuda_profile q35i_cuda_profile;

/* A launch of several nodes reads all their inputs until it ends, but the host may have bound its result, whose
 * life begins with the last node, to memory of an input whose life ended before. So a result that lives only
 * inside the region goes to memory of the plan's own: codes of a norm, and products of SWIGLU, each one at a time.
 */
enum { Q35I_CUDA_SLOT_CODES = 0, Q35I_CUDA_SLOT_PRODUCT = 1, Q35I_CUDA_SLOTS = 2 };

struct q35_plan {
    q35_device *dev;
    uint32_t n_tensors, n_nodes, n_launches, step;
    q35i_cuda_tensor *tensors;
    q35p_node *nodes;
    bool *launched;             /* [n_nodes] the bind under way has a launch for it */
    q35i_cuda_launch *launches; /* [2 * n_nodes] */
    q35i_cu_address scratch;    /* records, then the slots */
    uint64_t records_bytes;     /* of attention and top_k, shared by their nodes */
    uint64_t slot_bytes[Q35I_CUDA_SLOTS];
    bool bound;
    bool overlaps;              /* launches but the first start while those before them run */
    bool eager;                 /* no graph: off, not there, or its capture failed */
    q35i_cu_graph_exec exec;    /* NULL: not captured since the last bind */
    q35i_cuda_profile *profile; /* NULL: runs are not counted */
};

q35_status q35i_cuda_plan_compile(q35_device *dev, const q35_region *region, q35_plan **out);
q35_status q35i_cuda_plan_bind(q35_plan *plan, const q35_binding *bindings);
void q35i_cuda_plan_free(q35_plan *plan);

/* Is the plan bound, and of this device? */
q35_status q35i_cuda_plan_check(const q35_plan *plan, const q35_device *dev);

/* Appends the launches of a group to the bound plan (launch.c). */
void q35i_cuda_add_launches(q35_plan *plan, const q35i_cuda_group *group);
/* Bytes of scratch of a node. */
uint64_t q35i_cuda_node_records(const q35_plan *plan, const q35p_node *node);
/* q35_cuda_linear_first of a LINEAR. */
uint32_t q35i_cuda_linear_first(const q35_plan *plan, const q35p_node *node);

/* Gives results of groups their slots, once per plan, and sets slot_bytes (fuse.c). */
void q35i_cuda_assign_slots(q35_plan *plan);
/* The group that begins with node i of a plan with addresses, of nodes that are not launched yet: the largest that
 * leaves in memory what the nodes would have left, one after the other. Marks its nodes as launched. */
q35i_cuda_group q35i_cuda_take_group(q35_plan *plan, uint32_t i);
/* Is the tensor, which one node of the group makes for another, of no use outside of it? It is not written then.
 */
bool q35i_cuda_is_hidden(const q35_plan *plan, const q35i_cuda_group *group, uint32_t tensor);

/* Gives a run of the plan to the stream, with the context current: one graph, captured at the first run after a
 * bind, or launch by launch. */
q35i_cu_result q35i_cuda_plan_start(q35_plan *plan, q35i_cu_stream stream);
void q35i_cuda_plan_drop_graph(q35_plan *plan);
/* Launch i; early: it may start while the kernel before it in the stream runs. */
q35i_cu_result q35i_cuda_launch_one(const q35_plan *plan, uint32_t i, q35i_cu_stream stream, bool early);

/* Counting (profile.c); the nodes of a launch share its time evenly. start: a run, launch by launch with an event
 * after each; false: one is under way. collect: that run is done. Both with the device's lock held. */
bool q35i_cuda_profile_start(q35_plan *plan, q35i_cu_stream stream, q35i_cu_result *error);
void q35i_cuda_profile_collect(q35_plan *plan);
void q35i_cuda_profile_free(q35_plan *plan);
q35_status q35i_cuda_profile_switch(q35_plan *plan, uint32_t on);
q35_status q35i_cuda_profile_read(q35_plan *plan, q35_profile *out);

/* The plan's own copies of canonical weights in the layout that kernels read (repack.c). */
q35_status q35i_cuda_plan_pack(q35_plan *plan);

#endif
