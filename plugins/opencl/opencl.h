/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the OpenCL plugin: every OpenCL 1.2 device as an L1 device with memory of its own. A region becomes a
 * list of kernel launches whose arguments are set once, when it is bound; a run enqueues them. Kernels come as
 * source (kernels-opencl) and are built on first use, for one of two families of devices (q35i_cl_family). */
#ifndef Q35I_PLUGIN_OPENCL_H
#define Q35I_PLUGIN_OPENCL_H

#include "cl.h"
#include "plugins/common/host.h"
#include "plugins/common/region.h"

#include <pthread.h>
#include <q35rt/measure.h>
#include <stdatomic.h>

#define Q35I_CL_VERSION "0.1.0"

enum {
    Q35I_CL_TILE_ROWS = 16,
    Q35I_CL_LANES = 64,         /* work-items of a group in the GPU family */
    Q35I_CL_MAX_HEAD_DIM = 256, /* of attention: local memory */
    Q35I_CL_MAX_TOP = 64,       /* k of TOP_K; topk.cl */
    Q35I_CL_TOGETHER = 3,       /* LINEARs of one input in a launch */
    Q35I_CL_TEXT = 256
};

/* ------------------------------------------------------------------ devices (discover.c, device.c, plugin.c) */

/* What OpenCL says of a device; found once, when devices are counted. */
typedef struct q35i_cl_found {
    cl_platform_id platform;
    cl_device_id id;
    cl_device_type type;
    char name[128], driver[128], platform_name[64];
    char uuid[40], pci[16];
    cl_ulong memory, max_alloc, local_bytes;
    cl_uint units, base_align_bits;
    size_t max_group;
    bool unified;  /* memory is the host's */
    bool coherent; /* it is, and the device is the host's processor */
    bool fp64, divides, fma;
} q35i_cl_found;

q35_status q35i_cl_enumerate(uint32_t *out_n);
const q35i_cl_found *q35i_cl_device_at(uint32_t i); /* NULL: out of range, with host->fail */
void q35i_cl_forget_devices(void);

/* Calls work; afterwards signals have the handlers and the environment the variables that they had before. */
void q35i_cl_keep_process(void (*work)(void));

/* Kernels for devices whose work-items are cores with vector registers, or lanes. */
typedef enum q35i_cl_family { Q35I_CL_CPU, Q35I_CL_GPU } q35i_cl_family;

typedef struct q35i_cl_program q35i_cl_program;

struct q35_device {
    const q35i_cl_found *found;
    q35i_cl_family family;
    bool keeps_binaries;
    cl_context context;
    cl_command_queue maps; /* maps buffers */
    uint64_t capacity;
    atomic_ullong used;
    pthread_mutex_t lock; /* of programs */
    q35i_cl_program *programs;
};

q35_status q35i_cl_device_info(uint32_t i, q35_device_info *out);
q35_status q35i_cl_memory_info(uint32_t i, uint32_t m, q35_memory_info *out);
q35_status q35i_cl_device_open(uint32_t i, const q35_open_options *options, q35_device **out);
void q35i_cl_device_close(q35_device *dev);

/* ------------------------------------------------------------------ programs (program.c, binary.c) */

/* A source of kernels-opencl, embedded by the build. */
typedef struct q35i_cl_source {
    const char *name; /* "linear" */
    const unsigned char *text;
    size_t bytes;
} q35i_cl_source;

extern const q35i_cl_source q35i_cl_sources[];

/* A new kernel object of the program `source` ("row", or "row+linear": both as one text) built with `defines`
 * ("-DQ35_KV=1", may be ""). The build's log is part of the error. */
q35_status q35i_cl_kernel(q35_device *dev, const char *source, const char *defines, const char *kernel,
                          cl_kernel *out);
/* Has it that kernel? It may be there for some devices only. */
q35_status q35i_cl_has_kernel(q35_device *dev, const char *source, const char *defines, const char *kernel,
                              bool *out);
void q35i_cl_free_programs(q35_device *dev);

/* Binaries of built programs on disk. key: of everything that the binary depends on. NULL: there is none that is
 * whole; free with q35p_free. */
unsigned char *q35i_cl_binary_load(const uint8_t key[16], size_t *out_bytes);
void q35i_cl_binary_store(const uint8_t key[16], const unsigned char *binary, size_t bytes);

/* Two 64-bit FNV-1a hashes (Fowler, Noll, Vo) with different starts; `key` is the state, first 0. */
void q35i_cl_hash(uint8_t key[16], const void *data, size_t bytes);

/* ------------------------------------------------------------------ memory (memory.c) */

struct q35_buf {
    q35_device *dev;
    cl_mem mem;
    uint64_t bytes;
    void *mapped; /* NULL: not yet */
    void *host;   /* memory that OpenCL was given for it; NULL: its own */
};

q35_status q35i_cl_buf_alloc(q35_device *dev, uint32_t memory, uint64_t bytes, uint64_t align, uint32_t usage,
                             q35_buf **out);
void q35i_cl_buf_free(q35_buf *buf);
q35_status q35i_cl_buf_map(q35_buf *buf, void **out);
q35_status q35i_cl_memory_refresh(q35_device *dev, uint32_t memory, uint64_t *out_available);

/* ------------------------------------------------------------------ queues and timelines (queue.c, timeline.c) */

struct q35_timeline {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t value;
    q35_status failed; /* sticky */
    char text[Q35I_CL_TEXT];
};

q35_status q35i_cl_timeline_create(q35_device *dev, uint64_t initial, q35_timeline **out);
void q35i_cl_timeline_destroy(q35_timeline *timeline);
q35_status q35i_cl_timeline_query(q35_timeline *timeline, uint64_t *out_value);
q35_status q35i_cl_timeline_wait(q35_timeline *timeline, uint64_t value, uint64_t timeout_ns);
q35_status q35i_cl_timeline_signal(q35_timeline *timeline, uint64_t value);

/* As timeline_wait; text [Q35I_CL_TEXT] instead of host->fail, for threads of our own. */
q35_status q35i_cl_wait_point(q35_timeline *timeline, uint64_t value, uint64_t timeout_ns, char *text);
bool q35i_cl_reached(q35_timeline *timeline, uint64_t value);
void q35i_cl_fail_timeline(q35_timeline *timeline, q35_status status, const char *text);

q35_status q35i_cl_queue_create(q35_device *dev, uint32_t kind, q35_queue **out);
void q35i_cl_queue_destroy(q35_queue *queue);
q35_status q35i_cl_copy(q35_queue *queue, const q35_binding *src, const q35_binding *dst, uint64_t bytes,
                        const q35_point *waits, uint32_t n_waits, const q35_point *signals, uint32_t n_signals);
q35_status q35i_cl_plan_submit(q35_queue *queue, q35_plan *plan, const q35_point *waits, uint32_t n_waits,
                               const q35_point *signals, uint32_t n_signals);

/* ------------------------------------------------------------------ support (support.c, cost.c) */

extern const q35p_rules q35i_cl_rules;

/* Bytes that a tensor of a checked region spans at capacity. */
uint64_t q35i_cl_tensor_bytes(const q35_tensor_desc *desc);

q35_status q35i_cl_op_support(q35_device *dev, const q35_region *region, q35_support *out);
q35_status q35i_cl_op_cost(q35_device *dev, const q35_region *region, q35_cost *out);

/* ------------------------------------------------------------------ weights (layout.c, tile.c) */

enum { Q35I_CL_LAYOUT_TILE = 1 };

/* How kernels-opencl/linear.cl finds the weights of a type. */
typedef struct q35i_cl_codec {
    int codec;          /* Q35_CODEC; 0: LINEAR does not take the type */
    int part;           /* weights that share a scale; 0: the row's, or floats */
    int has_min;        /* each part has a minimum, too */
    uint32_t per_unit;  /* bytes of 16 weights of 16 rows, or 64 */
    bool floats, signs; /* no levels; the book is magnitudes and signs */
} q35i_cl_codec;

q35i_cl_codec q35i_cl_codec_of(uint32_t dtype);
uint64_t q35i_cl_n_units(uint32_t dtype, int64_t k);
uint64_t q35i_cl_n_parts(uint32_t dtype, int64_t k); /* rows of 16 scales */
uint64_t q35i_cl_tile_bytes(uint32_t dtype, int64_t k);
void q35i_cl_tile_pack(uint32_t dtype, int64_t k, int64_t n_rows, const void *src, int64_t stride, void *dst);
void q35i_cl_tile_unpack(uint32_t dtype, int64_t k, int64_t n_rows, const void *src, void *dst, int64_t stride);
bool q35i_cl_tile_reversible(uint32_t dtype, int64_t k);

q35_status q35i_cl_layout_query(q35_device *dev, uint32_t op, const q35_tensor_desc *weight, uint32_t i,
                                q35_layout *out);
q35_status q35i_cl_pack(q35_device *dev, uint32_t layout, const q35_tensor_desc *weight, uint64_t row,
                        uint64_t n_rows, const void *src, void *dst);
q35_status q35i_cl_unpack(q35_device *dev, uint32_t layout, const q35_tensor_desc *weight, uint64_t row,
                          uint64_t n_rows, const void *src, void *dst);
q35_status q35i_cl_pack_key(q35_device *dev, uint32_t layout, uint8_t out_key[32]);

/* ------------------------------------------------------------------ plans (plan.c, launch.c, arguments.c) */

typedef struct q35i_cl_tensor {
    q35_tensor_desc desc;
    uint64_t bytes; /* at capacity */
    uint32_t role;
    bool used, tiled; /* tiled: a weight of LINEAR that is bound in canonical layout */
    q35_binding binding;
    cl_mem tiles; /* tiled: its tiles, made before the first run */
} q35i_cl_tensor;

/* What a launch does: a chain, which is nodes that one group does one after the other, or else checks the step's
 * values, makes floats of a LINEAR's input, rotates that of a QUANTIZE_ACT, chooses from the parts of a TOP_K's
 * rows, or runs a node or LINEARs of one input. Chains are Q35_TAIL of common.cl. */
enum {
    Q35I_CL_NOTHING,
    Q35I_CL_QUANTIZE, /* of A8_ROW */
    Q35I_CL_NORM_QUANTIZE,
    Q35I_CL_SWIGLU_QUANTIZE,
    Q35I_CL_ROPE_APPEND,
    Q35I_CL_STEPS,
    Q35I_CL_WIDEN,
    Q35I_CL_ROTATE,
    Q35I_CL_PARTS,
    Q35I_CL_OP,
    Q35I_CL_LINEARS
};

/* One kernel launch. */
typedef struct q35i_cl_launch {
    cl_kernel kernel;
    uint32_t kind;
    uint32_t node, n_nodes; /* the first, how many */
    uint32_t tail, n_tail;  /* a chain that the last group does, and how many of the nodes it has */
    uint32_t span;          /* of LINEARs of codes: tiles of a group */
    uint32_t widens;        /* the LINEAR whose input a QUANTIZE_ACT writes as floats, too; or Q35_NONE */
    size_t global[2];       /* work-items */
    size_t local;           /* of dimension 0; 1 of the other */
} q35i_cl_launch;

enum { Q35I_CL_FAULT_INTS = 5 };

typedef struct q35i_cl_profile q35i_cl_profile;

struct q35_plan {
    q35_device *dev;
    uint32_t n_tensors, n_nodes, n_launches, step;
    q35i_cl_tensor *tensors;
    q35p_node *nodes;
    q35i_cl_launch *launches;                       /* [1 + 2 n_nodes] */
    uint64_t wide_bytes, head_bytes, rotated_bytes; /* of scratch; rotated: also keys of TOP_K */
    cl_mem wide, heads, rotated, fault, done;
    bool bound, has_tiles;
    bool multiplies_codes;                  /* the device has the kernel for q35i_cl_linear.codes, and tails */
    q35i_cl_profile *profile;               /* NULL: runs are not counted */
    int32_t fault_read[Q35I_CL_FAULT_INTS]; /* of the last run, written by the queue */
};

q35_status q35i_cl_plan_compile(q35_device *dev, const q35_region *region, q35_plan **out);
q35_status q35i_cl_plan_bind(q35_plan *plan, const q35_binding *bindings);
void q35i_cl_plan_free(q35_plan *plan);

typedef struct q35i_cl_chain {
    uint32_t kind, n_nodes;
    const char *source, *kernel;
    char defines[32];
} q35i_cl_chain;

/* Does a chain begin at node i (any number: none does past the last)? */
bool q35i_cl_find_chain(const q35_plan *plan, uint32_t i, q35i_cl_chain *out);
/* Is there one behind the n nodes from i on that the last group of their kernel can do? */
bool q35i_cl_find_tail(const q35_plan *plan, uint32_t i, uint32_t n, q35i_cl_chain *out);

/* Appends the launches of all nodes, and says what scratch they need (launch.c). */
q35_status q35i_cl_make_launches(q35_plan *plan);
/* Sets a launch's arguments, once bound (arguments.c). */
q35_status q35i_cl_set_arguments(q35_plan *plan, const q35i_cl_launch *launch);

/* What LINEAR is compiled for and its widened input. */
typedef struct q35i_cl_linear {
    q35i_cl_codec codec;
    int mode;                   /* Q35_MODE of linear.cl */
    int tokens;                 /* Q35_TOKENS */
    int64_t k, padded, n_heads; /* inputs; with zeros; scales of a row of activations */
    float even, odd;            /* factors of the codes */
    int scaled;                 /* 1: codes times their scale */
    bool codes;                 /* reads A8_ROW itself: no widened input */
} q35i_cl_linear;

q35i_cl_linear q35i_cl_linear_of(const q35_plan *plan, const q35p_node *node);

/* How TOP_K cuts a row: parts of `span` columns, of each of which it keeps `list` keys of 8 bytes, in what is
 * scratch of rotations otherwise. */
typedef struct q35i_cl_top {
    int64_t span, n_parts, list;
} q35i_cl_top;

q35i_cl_top q35i_cl_top_of(const q35_plan *plan, const q35p_node *node);

/* Number of a row kind in the step's values, 0: all rows are valid. */
int q35i_cl_row_kind(const q35_tensor_desc *desc);

cl_int q35i_cl_launch_one(const q35_plan *plan, uint32_t i, cl_command_queue queue, cl_event *out);
/* Enqueues all launches and the reading of faults; *out: event of the last. */
cl_int q35i_cl_plan_enqueue(q35_plan *plan, cl_command_queue queue, cl_event *out);
/* After a run: what its values were wrong in, as status and text [Q35I_CL_TEXT]. */
q35_status q35i_cl_plan_fault(q35_plan *plan, cl_command_queue queue, char *text);

/* ------------------------------------------------------------------ measuring (measure.c, profile.c) */

q35_status q35i_cl_limit(q35_device *dev, uint32_t i, uint32_t ms, q35_limit *out);
q35_status q35i_cl_profile_switch(q35_plan *plan, uint32_t on);
q35_status q35i_cl_profile_read(q35_plan *plan, q35_profile *out);
void q35i_cl_profile_free(q35_plan *plan);
/* Runs all launches and counts them, once what is in the queue `before` is done. */
cl_int q35i_cl_profile_run(q35_plan *plan, cl_command_queue before);

#endif
