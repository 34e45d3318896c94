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
    q35_rotate_args rotate;
    q35_linear_args linear;
    q35_linear_float_args linear_float;
    q35_rope_args rope;
    q35_kv_append_args kv_append;
    q35_attention_args attention;
    q35_elementwise_args elementwise;
    q35_take_rows_args take_rows;
    q35_sum_squares_args sum_squares;
} q35i_cuda_args;

typedef struct q35i_cuda_launch {
    uint32_t kernel; /* Q35_CUDA_K_* */
    uint32_t node;   /* of the region */
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
} q35i_cuda_tensor;

typedef struct q35i_cuda_profile q35i_cuda_profile;

struct q35_plan {
    q35_device *dev;
    uint32_t n_tensors, n_nodes, n_launches, step;
    q35i_cuda_tensor *tensors;
    q35p_node *nodes;
    q35i_cuda_launch *launches; /* [2 * n_nodes] */
    q35i_cu_address records;    /* scratch of attention, shared by its nodes */
    uint64_t records_bytes;
    bool bound;
    bool eager;                 /* no graph: off, not there, or its capture failed */
    q35i_cu_graph_exec exec;    /* NULL: not captured since the last bind */
    q35i_cuda_profile *profile; /* NULL: runs are not counted */
};

q35_status q35i_cuda_plan_compile(q35_device *dev, const q35_region *region, q35_plan **out);
q35_status q35i_cuda_plan_bind(q35_plan *plan, const q35_binding *bindings);
void q35i_cuda_plan_free(q35_plan *plan);

/* Is the plan bound, and of this device? */
q35_status q35i_cuda_plan_check(const q35_plan *plan, const q35_device *dev);

/* Appends the launches of a node to the bound plan (launch.c). */
void q35i_cuda_add_launches(q35_plan *plan, const q35p_node *node);
/* Bytes of scratch of a node. */
uint64_t q35i_cuda_node_records(const q35_plan *plan, const q35p_node *node);

/* Gives a run of the plan to the stream, with the context current: one graph, captured at the first run after a
 * bind, or launch by launch. */
q35i_cu_result q35i_cuda_plan_start(q35_plan *plan, q35i_cu_stream stream);
void q35i_cuda_plan_drop_graph(q35_plan *plan);
q35i_cu_result q35i_cuda_launch_one(const q35_plan *plan, uint32_t i, q35i_cu_stream stream);

/* Counting (profile.c). start: a run, launch by launch with an event after each; false: one is under way. collect:
 * that run is done. Both with the device's lock held. */
bool q35i_cuda_profile_start(q35_plan *plan, q35i_cu_stream stream, q35i_cu_result *error);
void q35i_cuda_profile_collect(q35_plan *plan);
void q35i_cuda_profile_free(q35_plan *plan);
q35_status q35i_cuda_profile_switch(q35_plan *plan, uint32_t on);
q35_status q35i_cuda_profile_read(q35_plan *plan, q35_profile *out);

/* The plan's own copies of canonical weights in the layout that kernels read (repack.c). */
q35_status q35i_cuda_plan_pack(q35_plan *plan);

#endif
