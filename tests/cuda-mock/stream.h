/* SPDX-License-Identifier: Apache-2.0
 *
 * Mock driver: what a stream does, one operation after the other. */
#ifndef CUDA_MOCK_STREAM_H
#define CUDA_MOCK_STREAM_H

#include "mock.h"

typedef enum op_kind { OP_COPY, OP_FILL, OP_KERNEL, OP_CALL, OP_EVENT, OP_WAIT, OP_BARRIER } op_kind;

enum { MAX_ARGS = 256 };

typedef struct op {
    struct op *next;
    op_kind kind;
    char *dst;
    const char *src;
    char *owned; /* src is this, and freed with the operation */
    size_t bytes;
    int damage; /* OP_COPY: of the byte in the middle */
    unsigned char value;
    q35i_cu_host_fn call;
    void *call_arg;
    struct CUevent_st *event;
    uint64_t ticket; /* OP_WAIT: records of event that are waited for */
    const char *kernel;
    uint32_t grid[3], threads, shared;
    _Alignas(16) char args[MAX_ARGS];
    int *done; /* OP_BARRIER: set under the lock */
} op;

struct CUstream_st {
    struct CUctx_st *context;
    pthread_t thread;
    op *first, *last;
    int busy, stop;
    struct CUgraph_st *capture; /* NULL: operations run */
};

struct CUevent_st {
    struct CUctx_st *context;
    uint64_t pending, waits;   /* under way */
    uint64_t records, reached; /* ever */
    int timed;
    uint64_t at_ns; /* of the last one done */
};

struct CUgraph_st {
    struct CUctx_st *context;
    op *first, *last;
};

struct CUgraphExec_st {
    struct CUctx_st *context;
    op *first;
};

/* Takes a copy of what to do; into the graph when the stream is being captured. With the lock held. */
q35i_cu_result mock_enqueue(struct CUstream_st *stream, const op *what);

/* The stream of a call that needs one, in a living context: NULL and *error otherwise. With the lock held. */
struct CUstream_st *mock_stream(q35i_cu_stream stream, q35i_cu_result *error);

#endif
