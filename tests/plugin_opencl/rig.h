/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a region on the OpenCL plugin and on the CPU plugin with its reference kernels, from the same bytes. */
#ifndef Q35T_PLUGIN_OPENCL_RIG_H
#define Q35T_PLUGIN_OPENCL_RIG_H

#include <q35rt/blocks.h>
#include <stdbool.h>

enum { RIG_TENSORS = 48, RIG_NODES = 18 };

typedef union rig_params {
    q35_hdr h;
    q35_norm_params norm;
    q35_rope_params rope;
    q35_kv_params kv;
    q35_attention_params attention;
    q35_quantize_params quantize;
    q35_rotate_params rotate;
    q35_top_k_params top_k;
} rig_params;

typedef struct rig {
    q35_region region;
    q35_tensor_desc tensors[RIG_TENSORS];
    uint32_t roles[RIG_TENSORS];
    uint8_t *data[RIG_TENSORS];   /* what each side starts from */
    uint8_t *result[RIG_TENSORS]; /* of the last run */
    uint64_t bytes[RIG_TENSORS];
    q35_node nodes[RIG_NODES];
    const q35_node *list[RIG_NODES];
    uint32_t in[RIG_NODES][6], out[RIG_NODES][2];
    rig_params params[RIG_NODES];
    bool packs; /* LINEAR's weights go through layout_query and pack */
} rig;

/* Text of the last failure. */
const char *rig_error(void);

/* Tables of the two plugins; has_device: there is an OpenCL device. */
const q35_plugin *rig_opencl(void), *rig_cpu(void);
bool rig_has_device(void);

/* Opens device 0 with an option (key NULL: none); fails the test when that does not work. */
q35_device *rig_open(const q35_plugin *api, const char *key, const char *value);

void rig_init(rig *r, int32_t n_tokens, int32_t n_out, int32_t n_sequences); /* tensor 0: the step's values */
void rig_free(rig *r);

/* A contiguous tensor, random bytes that are f32 values in [-1, 1) where the type is F32. */
uint32_t rig_tensor(rig *r, uint32_t role, uint32_t dtype, uint32_t flags, int64_t d0, int64_t d1);
/* i32 [n] */
uint32_t rig_indices(rig *r, uint32_t flags, const int32_t *values, int64_t n);
/* [N][K] weights with sane scales */
uint32_t rig_weights(rig *r, uint32_t dtype, int64_t k, int64_t n);
/* Its codebook. */
uint32_t rig_book(rig *r, uint32_t dtype);
uint32_t rig_node(rig *r, uint32_t op, const rig_params *params, uint32_t n_in, const uint32_t *in, uint32_t n_out,
                  const uint32_t *out);

/* Runs it on the CPU's reference kernels; must work. */
void rig_run_cpu(rig *r);
/* The status of compiling, binding or running it on an open OpenCL device. */
q35_status rig_run_opencl(rig *r, q35_device *dev);

/* The same step by step: tensors on the device, a bound plan, runs of it. */
typedef struct rig_session {
    rig *r;
    q35_device *dev;
    q35_queue *queue;
    q35_timeline *timeline;
    q35_plan *plan; /* NULL: not compiled */
    q35_tensor_desc tensors[RIG_TENSORS];
    q35_binding bindings[RIG_TENSORS];
    uint64_t point;
} rig_session;

q35_status rig_prepare(rig_session *s, rig *r, q35_device *dev);
q35_status rig_submit(rig_session *s); /* and waits */
void rig_fetch(rig_session *s);        /* results */
void rig_finish(rig_session *s);

/* Runs it on both; results of outputs and states must be the same bits. */
void rig_compare(rig *r, q35_device *dev, const char *what);
/* The same, but f32 outputs may differ by `bound` times the largest of the row. */
void rig_compare_near(rig *r, q35_device *dev, const char *what, double bound);

float rig_random(void); /* [-1, 1) */
uint32_t rig_random_u32(void);

#endif
