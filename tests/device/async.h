/* SPDX-License-Identifier: Apache-2.0
 *
 * "async1": a level L1 device for tests. Its memory is ordinary memory that it never lets the host see, each queue
 * is a thread, timelines are a mutex and a condition. Environment, read when a device is opened:
 *   Q35RT_TEST_ASYNC_DELAY_US  every command starts after a pseudo-random delay of up to this many microseconds
 *   Q35RT_TEST_ASYNC_FAIL_AT   the n-th plan run of the device fails with DEVICE
 *   Q35RT_TEST_ASYNC_MEMORY    capacity of the memory in bytes (default 1 GiB)
 *   Q35RT_TEST_ASYNC_PEER      between devices: none, staged, copy (default), or broken: copies arrive damaged
 *   Q35RT_TEST_ASYNC_SPLIT     1: devices of even numbers run linears alone, the others everything else
 *   Q35RT_TEST_ASYNC_CAPTURE   0: the queues do not record; fails: `end` fails
 * and read at any time: Q35RT_TEST_ASYNC_DEVICES, their number (default 1); Q35RT_TEST_ASYNC_COLLECTIVES, 0: no
 * such extension. */
#ifndef ASYNC_H
#define ASYNC_H

#ifdef ASYNC_NO_EXTENSIONS /* as a plugin of ABI 1.0 */
#include <q35rt/plugin.h>
typedef struct q35_recording q35_recording;
#else
#include <q35rt/capture.h>
#include <q35rt/collectives.h>
#endif

#include <pthread.h>
#include <stdatomic.h>

extern const q35_host *async_host;

enum { ASYNC_MAX_DEVICES = 8, ASYNC_TEXT = 160 };

typedef enum async_peer { PEER_NONE, PEER_STAGED, PEER_COPY, PEER_BROKEN } async_peer;

struct q35_device {
    uint64_t capacity;
    uint32_t delay_us;
    async_peer peer;
    int captures, capture_fails;
    int only_linears, no_linears;
    atomic_ullong used;
    atomic_ullong picojoules; /* of the work done */
    atomic_uint runs_left;    /* until the injected failure, 0: none */
};

struct q35_buf {
    q35_device *dev;
    uint8_t *data;
    uint64_t bytes;
};

struct q35_timeline {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t value;
    q35_status failed; /* sticky */
    char text[ASYNC_TEXT];
};

q35_status async_fail(q35_status code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Fills what the caller's struct has room for. */
void async_answer(q35_hdr *out, const q35_hdr *known);

/* The first byte of [offset, offset + bytes) of a binding's buffer; NULL for host memory or out of bounds. */
uint8_t *async_buf_at(const q35_binding *binding, uint64_t bytes);

/* async_top_k.c: TOP_K, an op of abi 1.1. A plugin of 1.0 has only the answer that it knows none. */
#ifdef ASYNC_NO_EXTENSIONS
static inline int async_is_top_k(uint32_t op)
{
    (void)op;
    return 0;
}
#define async_top_k_refusal(tensors, node)        ""
#define async_top_k_row(x, n, values, columns, k) (void)0
#else
static inline int async_is_top_k(uint32_t op)
{
    return op == Q35_OP_TOP_K;
}
/* Why the node cannot run; NULL: it can. */
const char *async_top_k_refusal(const q35_tensor_desc *tensors, const q35_node *node);
/* Of n elements the first k. */
void async_top_k_row(const float *x, int64_t n, float *values, int32_t *columns, int64_t k);
#endif

/* async_plan.c; async_plan_execute runs on a queue's thread, text: [ASYNC_TEXT]. */
q35_status async_op_support(q35_device *dev, const q35_region *region, q35_support *out);
q35_status async_plan_compile(q35_device *dev, const q35_region *region, q35_plan **out);
q35_status async_plan_bind(q35_plan *plan, const q35_binding *bindings);
void async_plan_free(q35_plan *plan);
q35_status async_plan_execute(q35_plan *plan, char *text);
uint64_t async_plan_picojoules(const q35_plan *plan); /* of one run with all rows */

/* async_queue.c: slots of the table. */
q35_status async_queue_create(q35_device *dev, uint32_t kind, q35_queue **out);
void async_queue_destroy(q35_queue *queue);
q35_status async_copy(q35_queue *queue, const q35_binding *src, const q35_binding *dst, uint64_t bytes,
                      const q35_point *waits, uint32_t n_waits, const q35_point *signals, uint32_t n_signals);
q35_status async_plan_submit(q35_queue *queue, q35_plan *plan, const q35_point *waits, uint32_t n_waits,
                             const q35_point *signals, uint32_t n_signals);
q35_status async_timeline_create(q35_device *dev, uint64_t initial, q35_timeline **out);
void async_timeline_destroy(q35_timeline *timeline);
q35_status async_timeline_query(q35_timeline *timeline, uint64_t *out_value);
q35_status async_timeline_wait(q35_timeline *timeline, uint64_t value, uint64_t timeout_ns);
q35_status async_timeline_signal(q35_timeline *timeline, uint64_t value);
/* Queues work(arg, text) on the queue's thread; arg is freed after it. */
q35_status async_submit(q35_queue *queue, q35_status (*work)(void *arg, char *text), void *arg,
                        const q35_point *waits, uint32_t n_waits, const q35_point *signals, uint32_t n_signals);

#ifndef ASYNC_NO_EXTENSIONS
extern const q35_capture async_capture;         /* async_queue.c */
extern const q35_collectives async_collectives; /* async_comm.c */
#endif

#endif
