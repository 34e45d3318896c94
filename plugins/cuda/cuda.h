/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the CUDA plugin: a level L1 device for every GPU that the driver shows. All of it is C over the driver
 * API; kernels come as one image of machine code (image.h). A region becomes a list of launches, which run as one
 * CUDA graph where the driver has them.
 *
 * Threads. The plugin has none but one for each member of a group (comm.h). What is submitted goes to its CUDA
 * stream at once, or waits in its queue until a call of the host makes it ready; every call that may do so looks
 * (q35i_cuda_pump). q35_device.lock guards queues and timelines; host services are never called under it. */
#ifndef Q35I_PLUGIN_CUDA_H
#define Q35I_PLUGIN_CUDA_H

#include "drv.h"
#include "kernels-cuda/q35_cuda.h"
#include "plugins/common/host.h"
#include "plugins/common/region.h"

#include <pthread.h>
#include <q35rt/collectives.h>
#include <q35rt/energy.h>
#include <q35rt/measure.h>
#include <q35rt/peer.h>
#include <stdatomic.h>

#define Q35I_CUDA_VERSION "0.1.0"

enum {
    Q35I_CUDA_MAX_DEVICES = 32,
    Q35I_CUDA_MAX_POINTS = 16, /* waits or signals of one submission */
    Q35I_CUDA_ALIGN = 256,     /* of what the driver gives */
    Q35I_CUDA_TEXT = 200       /* bytes of an error text */
};

/* ------------------------------------------------------------------ what there is (probe.c) */

/* How bytes get from the host to kernels: by copies, or in memory of one address for both (unified.c). */
typedef enum q35i_cuda_sharing_t {
    Q35I_CUDA_COPIED,
    Q35I_CUDA_MAPPED, /* pinned memory of the host */
    Q35I_CUDA_MANAGED
} q35i_cuda_sharing_t;

/* A device as the driver describes it. */
typedef struct q35i_cuda_gpu {
    q35i_cu_device handle;
    char name[64], uuid[40], pci[16];
    int32_t numa;
    int capability; /* 10 major + minor */
    int n_sm, clock_khz, memory_clock_khz, bus_bits, max_shared;
    bool integrated;             /* its memory is the host's */
    q35i_cuda_sharing_t sharing; /* what the driver promises of it */
    uint64_t memory_bytes;
} q35i_cuda_gpu;

/* The driver, opened and asked once until shutdown; NULL when there is no usable device. */
const q35i_cuda_driver *q35i_cuda_probe(uint32_t *out_n);
const q35i_cuda_gpu *q35i_cuda_gpu_at(uint32_t i);
/* What the driver promises, until a device that was opened showed otherwise. */
q35i_cuda_sharing_t q35i_cuda_sharing(uint32_t i);
void q35i_cuda_unshare(uint32_t i);
q35_status q35i_cuda_enumerate(uint32_t *out_n);
q35_status q35i_cuda_device_info(uint32_t i, q35_device_info *out);
q35_status q35i_cuda_memory_info(uint32_t i, uint32_t m, q35_memory_info *out);
void q35i_cuda_shutdown(void);

/* ------------------------------------------------------------------ devices (device.c) */

typedef struct q35i_cuda_work q35i_cuda_work;

struct q35_device {
    const q35i_cuda_driver *drv;
    const q35i_cuda_gpu *gpu;
    uint32_t index;
    q35i_cu_context context;
    q35i_cu_module module;
    q35i_cu_function kernel[Q35_CUDA_N_KERNELS];
    uint32_t shared_limit[Q35_CUDA_N_KERNELS]; /* bytes of shared memory a launch may ask for, 0: 48 KiB */
    bool graphs;
    bool overlaps;               /* kernels may be started while those before them run */
    bool wide;                   /* linear_wide may be used (wide.h) */
    q35i_cuda_sharing_t sharing; /* of its buffers */
    uint64_t memory_cap;         /* 0: none */
    atomic_ullong used;          /* bytes in buffers and scratch */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a timeline advanced or failed, or work was issued */
    q35_queue *queues;
    q35i_cuda_work *spare; /* done, to be used again */
    bool lost;             /* sticky */
    char lost_text[Q35I_CUDA_TEXT];
};

q35_status q35i_cuda_device_open(uint32_t i, const q35_open_options *options, q35_device **out);
void q35i_cuda_device_close(q35_device *dev);

/* Makes the device's context the calling thread's; what was current before comes back with leave. */
q35i_cu_result q35i_cuda_enter(const q35_device *dev);
void q35i_cuda_leave(const q35_device *dev);

/* Lets launches of a kernel ask for so much shared memory; the context is current. */
q35_status q35i_cuda_allow_shared(q35_device *dev, uint32_t kernel, uint32_t bytes);

/* host->fail with what was attempted and the driver's text. DEVICE_LOST for sticky errors, else code. */
q35_status q35i_cuda_driver_failed(const q35_device *dev, q35_status code, q35i_cu_result error, const char *what);

/* ------------------------------------------------------------------ memory (memory.c) */

struct q35_buf {
    q35_device *dev;
    q35i_cu_address address, allocated; /* aligned; what the driver gave */
    uint64_t bytes;                     /* as asked for */
    uint64_t taken;                     /* with alignment */
};

q35_status q35i_cuda_buf_alloc(q35_device *dev, uint32_t memory, uint64_t bytes, uint64_t align, uint32_t usage,
                               q35_buf **out);
void q35i_cuda_buf_free(q35_buf *buf);
q35_status q35i_cuda_buf_map(q35_buf *buf, void **out);
q35_status q35i_cuda_memory_refresh(q35_device *dev, uint32_t memory, uint64_t *out_available);

/* Address of [offset, offset + bytes) of a binding to a buffer of dev; 0: it is none, or too short. */
q35i_cu_address q35i_cuda_address(const q35_device *dev, const q35_binding *binding, uint64_t bytes);

/* ------------------------------------------------------------------ memory of other devices (peer.c) */

/* Can copies of dev take a buffer of `from` as their source? */
bool q35i_cuda_copies_from(const q35_device *dev, const q35_device *from);

/* What dev can do with memory of another device, a Q35_PEER_*; from Q35_PEER_ADDRESS on its kernels, too. Fails
 * only on a device that is lost. */
q35_status q35i_cuda_reach(const q35_device *dev, const q35_device *from, uint32_t *out_mode);

extern const q35_peer q35i_cuda_peer;

/* ------------------------------------------------------------------ queues and timelines (timeline.c, queue.c) */

struct q35_timeline {
    q35_device *dev;
    uint64_t value;
    q35_status failed; /* sticky */
    char text[Q35I_CUDA_TEXT];
};

/* A copy between a buffer and host memory, or two buffers, the first of them of this device or another. Through
 * pinned memory to the host, for the driver would block until a copy to pageable memory is done; in shared memory
 * directly, by a thread of the driver's. */
typedef struct q35i_cuda_copy {
    q35i_cu_address src, dst; /* 0: host memory */
    const char *host_src;
    char *host_dst;
    const q35_device *from; /* whose memory src is, NULL: in the queue's own context */
    uint64_t bytes;
    const char *staging; /* the queue's; and what is left to go from there, chunk by chunk */
    char *next_dst;
    uint64_t left;
} q35i_cuda_copy;

/* An operation of a member of a group. */
typedef struct q35i_cuda_collective {
    q35_comm *comm; /* NULL: the work is none */
    q35_queue *queue;
    q35i_cu_address src, dst;
    uint64_t count;    /* numbers of a sum, bytes of a gathering */
    uint32_t dtype;    /* of a sum; Q35_NONE: gathering */
    uint64_t sequence; /* among the member's */
    uint64_t turn_ns;  /* when all before it in the queue was done, 0: it is not */
} q35i_cuda_collective;

struct q35i_cuda_work {
    q35i_cuda_work *next;
    q35_plan *plan; /* NULL: a collective or a copy */
    q35i_cuda_copy copy;
    q35i_cuda_collective collective;
    uint32_t n_waits, n_signals;
    q35_point waits[Q35I_CUDA_MAX_POINTS], signals[Q35I_CUDA_MAX_POINTS];
    q35i_cu_event event;
    bool issued;       /* given to the stream, or failed */
    bool recorded;     /* event tells when it is done */
    bool done;         /* its signals are given */
    uint32_t pins;     /* threads that look at event */
    q35_status status; /* of issuing it, or of what it waited for */
    char text[Q35I_CUDA_TEXT];
};

struct q35_queue {
    q35_device *dev;
    q35_queue *next;
    q35i_cu_stream stream;
    q35i_cuda_work *first, *last; /* in order: issued, then waiting */
    void *staging;                /* pinned, STAGING_BYTES; NULL: memory is shared */
};

/* All with dev->lock held and the context current. */
void q35i_cuda_pump(q35_device *dev);
void q35i_cuda_set_lost(q35_device *dev, q35i_cu_result error);
/* Waits outside the lock until something may have changed; false: the deadline (ns, UINT64_MAX: none) has passed.
 * hint: work whose end is waited for, NULL: any. */
bool q35i_cuda_wait_change(q35_device *dev, q35i_cuda_work *hint, uint64_t deadline);
/* Work that was issued, is not done and signals the timeline with value or more; else any such work; NULL: none.
 */
q35i_cuda_work *q35i_cuda_find_work(q35_device *dev, const q35_timeline *t, uint64_t value);

/* Makes work fail; the first failure stays. */
void q35i_cuda_work_fail(q35i_cuda_work *w, q35_status status, const char *text);
/* A collective that was handed to its member's thread is on its stream; error: of recording its event. */
void q35i_cuda_work_issued(q35i_cuda_work *w, q35i_cu_result error);

/* Queues `what`: its plan, copy or collective. Without the lock. */
q35_status q35i_cuda_submit(q35_queue *q, const q35i_cuda_work *what, const q35_point *waits, uint32_t n_waits,
                            const q35_point *signals, uint32_t n_signals);

/* Releases what was kept for later submissions; no queue is left, the context is current. */
void q35i_cuda_free_works(q35_device *dev);

q35_status q35i_cuda_queue_create(q35_device *dev, uint32_t kind, q35_queue **out);
void q35i_cuda_queue_destroy(q35_queue *queue);
q35_status q35i_cuda_copy_submit(q35_queue *queue, const q35_binding *src, const q35_binding *dst, uint64_t bytes,
                                 const q35_point *waits, uint32_t n_waits, const q35_point *signals,
                                 uint32_t n_signals);
q35_status q35i_cuda_plan_submit(q35_queue *queue, q35_plan *plan, const q35_point *waits, uint32_t n_waits,
                                 const q35_point *signals, uint32_t n_signals);

q35_status q35i_cuda_timeline_create(q35_device *dev, uint64_t initial, q35_timeline **out);
void q35i_cuda_timeline_destroy(q35_timeline *timeline);
q35_status q35i_cuda_timeline_query(q35_timeline *timeline, uint64_t *out_value);
q35_status q35i_cuda_timeline_wait(q35_timeline *timeline, uint64_t value, uint64_t timeout_ns);
q35_status q35i_cuda_timeline_signal(q35_timeline *timeline, uint64_t value);

/* ------------------------------------------------------------------ what runs (support.c, cost.c) */

extern const q35p_rules q35i_cuda_rules;

q35_status q35i_cuda_op_support(q35_device *dev, const q35_region *region, q35_support *out);
q35_status q35i_cuda_op_cost(q35_device *dev, const q35_region *region, q35_cost *out);

/* ------------------------------------------------------------------ layouts (layout.c) */

q35_status q35i_cuda_layout_query(q35_device *dev, uint32_t op, const q35_tensor_desc *weight, uint32_t i,
                                  q35_layout *out);
q35_status q35i_cuda_pack(q35_device *dev, uint32_t layout, const q35_tensor_desc *weight, uint64_t row,
                          uint64_t n_rows, const void *src, void *dst);
q35_status q35i_cuda_unpack(q35_device *dev, uint32_t layout, const q35_tensor_desc *weight, uint64_t row,
                            uint64_t n_rows, const void *src, void *dst);
q35_status q35i_cuda_pack_key(q35_device *dev, uint32_t layout, uint8_t out_key[32]);

/* Bytes of a weight in the layout of its type's linear. */
uint64_t q35i_cuda_packed_bytes(const q35_tensor_desc *weight);

/* The energy counter of the board (energy.c). */
extern const q35_energy q35i_cuda_energy;
void q35i_cuda_energy_close(void);

/* Slots of q35_measure (measure.c). */
q35_status q35i_cuda_limit(q35_device *dev, uint32_t i, uint32_t ms, q35_limit *out);

#endif
