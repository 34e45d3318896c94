/* SPDX-License-Identifier: Apache-2.0
 *
 * The CUDA driver as a table of functions, opened at run time: neither NVIDIA's header nor its library is needed
 * to build the plugin. The tags of the handles are the driver's own, so that a test can hold these declarations
 * against cuda.h. */
#ifndef Q35I_PLUGIN_CUDA_DRV_H
#define Q35I_PLUGIN_CUDA_DRV_H

#include <stdbool.h>
#include <stddef.h>

typedef unsigned int q35i_cu_result; /* 0: success */
typedef unsigned int q35i_cu_enum;
typedef int q35i_cu_device;
typedef unsigned long long q35i_cu_address; /* of device memory */
typedef struct CUctx_st *q35i_cu_context;
typedef struct CUstream_st *q35i_cu_stream;
typedef struct CUevent_st *q35i_cu_event;
typedef struct CUmod_st *q35i_cu_module;
typedef struct CUfunc_st *q35i_cu_function;
typedef struct CUgraph_st *q35i_cu_graph;
typedef struct CUgraphExec_st *q35i_cu_graph_exec;
typedef void (*q35i_cu_host_fn)(void *arg);

/* A launch with attributes. */
typedef struct q35i_cu_attribute {
    q35i_cu_enum id; /* Q35I_CU_ATTRIBUTE_EARLY_START */
    char pad[4];
    union {
        int on;
        unsigned long long room[8];
    } value;
} q35i_cu_attribute;

typedef struct q35i_cu_launch {
    unsigned int grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes;
    q35i_cu_stream stream;
    q35i_cu_attribute *attributes;
    unsigned int n_attributes;
} q35i_cu_launch;

/* Where cuda.h was included, its own types, or prototypes would not compare. */
#ifdef CUDA_VERSION
typedef CUlaunchConfig q35i_cu_launch_config;
typedef CUuuid q35i_cu_uuid;
#else
typedef q35i_cu_launch q35i_cu_launch_config;
typedef struct q35i_cu_uuid {
    char bytes[16];
} q35i_cu_uuid;
#endif

/* Results that the plugin tells apart. */
enum {
    Q35I_CU_INVALID_VALUE = 1,
    Q35I_CU_OUT_OF_MEMORY = 2,
    Q35I_CU_STUB_LIBRARY = 34,
    Q35I_CU_NO_DEVICE = 100,
    Q35I_CU_NO_BINARY = 209,
    Q35I_CU_ECC_UNCORRECTABLE = 214,
    Q35I_CU_UNSUPPORTED_PTX = 222,
    Q35I_CU_NOT_FOUND = 500,
    Q35I_CU_NOT_READY = 600,
    Q35I_CU_ILLEGAL_ADDRESS = 700,
    Q35I_CU_LAUNCH_OUT_OF_RESOURCES = 701,
    Q35I_CU_LAUNCH_TIMEOUT = 702,
    Q35I_CU_PEER_ACCESS_ALREADY_ENABLED = 704,
    Q35I_CU_CONTEXT_IS_DESTROYED = 709,
    Q35I_CU_LAUNCH_FAILED = 719
};

/* Attributes of devices and functions, flags. */
enum {
    Q35I_CU_ATTR_CLOCK_KHZ = 13,
    Q35I_CU_ATTR_N_SM = 16,
    Q35I_CU_ATTR_INTEGRATED = 18,
    Q35I_CU_ATTR_CAN_MAP_HOST = 19,
    Q35I_CU_ATTR_MEMORY_CLOCK_KHZ = 36,
    Q35I_CU_ATTR_BUS_BITS = 37,
    Q35I_CU_ATTR_CAPABILITY_MAJOR = 75,
    Q35I_CU_ATTR_CAPABILITY_MINOR = 76,
    Q35I_CU_ATTR_CONCURRENT_MANAGED = 89, /* the host may touch managed memory while kernels run */
    Q35I_CU_ATTR_MAX_SHARED = 97,         /* that a block may ask for */
    Q35I_CU_ATTR_HOST_NUMA = 134,
    Q35I_CU_FUNC_PTX_VERSION = 5, /* 10 major + minor of the architecture that code was made for */
    Q35I_CU_FUNC_MAX_DYNAMIC_SHARED = 8,
    Q35I_CU_FUNC_CARVEOUT = 9,
    Q35I_CU_HOST_ALLOC_MAPPED = 2,
    Q35I_CU_ATTACH_GLOBAL = 1,
    Q35I_CU_STREAM_NON_BLOCKING = 1,
    Q35I_CU_EVENT_NO_TIMING = 2,
    Q35I_CU_CAPTURE_THREAD_LOCAL = 1,
    Q35I_CU_ATTRIBUTE_EARLY_START = 6 /* the kernel itself waits for the end of those before it in the stream */
};

typedef struct q35i_cuda_driver {
    void *library;
    int version; /* 1000 major + 10 minor: what the driver supports */
    bool has_graphs;
#define NEED(name, parameters) q35i_cu_result(*name) parameters;
#include "drv.def"
} q35i_cuda_driver;

/* Opens and starts libcuda.so.1; on failure nothing stays open and why says in one sentence what is missing. */
bool q35i_cuda_driver_open(q35i_cuda_driver *drv, char *why, size_t cap);
void q35i_cuda_driver_close(q35i_cuda_driver *drv);

/* "CUDA_ERROR_OUT_OF_MEMORY (2): out of memory" into buf, which it returns. */
const char *q35i_cuda_error_text(const q35i_cuda_driver *drv, q35i_cu_result error, char *buf, size_t cap);

/* Why there is no device, where the driver answers so to a question about all of them. */
void q35i_cuda_explain(const q35i_cuda_driver *drv, q35i_cu_result error, char *why, size_t cap);

/* Does the error end the context, so that nothing works until it is reset? */
bool q35i_cuda_error_is_sticky(q35i_cu_result error);

#endif
