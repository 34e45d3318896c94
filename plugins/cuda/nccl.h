/* SPDX-License-Identifier: Apache-2.0
 *
 * NCCL as a table of functions, opened at run time: neither its header nor its library is needed to build the
 * plugin, and without the library the plugin has no collectives. */
#ifndef Q35I_PLUGIN_CUDA_NCCL_H
#define Q35I_PLUGIN_CUDA_NCCL_H

#include "drv.h"

typedef struct ncclComm *q35i_nccl_comm;

/* Where nccl.h was included, its own types, or prototypes would not compare. */
#ifdef NCCL_MAJOR
typedef ncclResult_t q35i_nccl_result;
typedef ncclDataType_t q35i_nccl_type;
typedef ncclRedOp_t q35i_nccl_operator;
typedef ncclUniqueId q35i_nccl_id;
typedef ncclConfig_t q35i_nccl_config;
#else
typedef unsigned int q35i_nccl_result; /* 0: success */
typedef unsigned int q35i_nccl_type;
typedef unsigned int q35i_nccl_operator;
typedef struct q35i_nccl_id {
    char bytes[128];
} q35i_nccl_id;
typedef struct q35i_nccl_config_2_14 q35i_nccl_config;
#endif

/* The configuration as version 2.14 had it; later ones append to it, and know by size and version what is there.
 */
typedef struct q35i_nccl_config_2_14 {
    size_t size;
    unsigned int magic, version;
    int blocking, unused;
} q35i_nccl_config_2_14;

enum {
    Q35I_NCCL_IN_PROGRESS = 7,
    Q35I_NCCL_INT8 = 0,
    Q35I_NCCL_INT32 = 2,
    Q35I_NCCL_FLOAT32 = 7,
    Q35I_NCCL_SUM = 0,
    Q35I_NCCL_VERSION = 21400 /* at least: communicators that do not block */
};
#define Q35I_NCCL_MAGIC 0xcafebeefU

typedef struct q35i_nccl {
    void *library;
    int version;
#define NEED(name, parameters) q35i_nccl_result(*name) parameters;
#define TEXT(name, parameters) const char *(*name)parameters;
#include "nccl.def"
} q35i_nccl;

/* Opens libnccl.so.2; on failure nothing stays open and why says in one sentence what is missing. */
bool q35i_nccl_open(q35i_nccl *nccl, char *why, size_t cap);
void q35i_nccl_close(q35i_nccl *nccl);

#endif
