/* SPDX-License-Identifier: Apache-2.0
 *
 * A libcuda.so.1 for machines without a GPU: what plugins/cuda/drv.def lists, on host memory, with the kernels of
 * kernels-cuda run by tests/cuda-emu. A stream is a thread that takes its operations in order, so what is not
 * waited for is not there. Strict where the driver is lenient: addresses, sizes and captures are checked, and each
 * call must come in the context of what it is about.
 *
 * Q35RT_MOCK_CUDA, or q35_mock_set from a test, is a list of key=value separated by commas:
 *   devices=N        number of devices (1)
 *   version=N        what cuDriverGetVersion says (13000)
 *   init=E           cuInit answers error E: 34 stub library, 100 no device
 *   memory_mib=N     memory of a device (4096)
 *   integrated=B     its memory is the host's: 1 as pinned memory, 2 as managed memory, 3 as neither
 *   lying=L          and kernels do not see there what the host wrote, nor the host what they did: 1 never,
 *                    2 they see what was there when the first of them ran, and the host sees what they wrote,
 *                    3 pinned memory has other addresses for them
 *   capability=N     its compute capability, 10 major + minor (87)
 *   code=N           what its kernels were compiled for (capability)
 *   wgmma=W          its kernels are those for sm_90a; those with wgmma 1 work, 2 have a wrong bit in the 100th
 *                    number of their results, 3 are refused with 701
 *   early_capture=E  capturing a launch that may start early fails with E
 *   oom_at=K         the K-th allocation of device memory fails with 2
 *   launch_fails_at=K  the K-th kernel launch is refused with 701
 *   sticky_at=K      the K-th kernel run ends the context with 700
 *   lost_at=K        at the K-th kernel run the device falls off the bus: 999 until it is reset
 *   no_module=E      images do not load: error E
 *   copy_us=N        each copy takes N microseconds more
 *   alone=D          device D - 1 and the others have no access to each other's memory
 *   access_fails=E   giving access fails with E; 704, which says that it was given before, gives it
 *   peer_fails_at=K  the K-th copy between devices is refused with 217
 *   peer_damage=1    copies between devices arrive with a bit changed
 *   order=O          0 forward, 1 reverse, 2 random: order of a block's threads */
#ifndef CUDA_MOCK_H
#define CUDA_MOCK_H

#include "plugins/cuda/drv.h"

#include <pthread.h>
#include <stdint.h>

#define MOCK_EXPORT __attribute__((visibility("default")))

#define NEED(name, parameters) MOCK_EXPORT q35i_cu_result name parameters;
#include "plugins/cuda/drv.def"

enum {
    MOCK_DEINITIALIZED = 4,
    MOCK_INVALID_DEVICE = 101,
    MOCK_INVALID_CONTEXT = 201,
    MOCK_NO_PEER_ACCESS = 217,
    MOCK_INVALID_HANDLE = 400,
    MOCK_CAPTURE_UNSUPPORTED = 900,
    MOCK_UNKNOWN = 999,
    MOCK_MAX_DEVICES = 8
};

typedef struct mock_faults {
    uint64_t devices, version, init, memory_mib, integrated, lying, capability, code, wgmma, early_capture, oom_at,
        launch_fails_at, sticky_at, lost_at, no_module, copy_us, alone, access_fails, peer_fails_at, peer_damage,
        order;
} mock_faults;

/* What happened since the last q35_mock_set. */
typedef struct q35_mock_counts {
    uint64_t allocations, bytes_in_use; /* of device memory */
    uint64_t kernels;                   /* run, in graphs too */
    uint64_t launches;                  /* captured ones too */
    uint64_t early;                     /* those that may start while the kernel before them runs */
    uint64_t graph_launches, captures;
    uint64_t blocking_copies; /* to host memory that is not pinned */
    uint64_t transfers;       /* copies between host and device by the driver */
    uint64_t peer_copies;     /* between devices */
    uint64_t staged_copies;   /* those of them without access */
    uint64_t wrong_contexts;  /* calls that came in another context than that of what they are about, or in none */
    uint64_t objects;         /* streams, events, modules, graphs and pinned allocations that live now */
} q35_mock_counts;

/* For tests in the same process. set: NULL takes the environment anew; live objects stay. */
MOCK_EXPORT void q35_mock_set(const char *list);
MOCK_EXPORT void q35_mock_get(q35_mock_counts *out);

struct CUctx_st {
    int device;
    unsigned users; /* retained, 0: not there */
    unsigned reach; /* bit d: has access to memory of device d */
    q35i_cu_result dead;
};

/* One lock for all of the driver, and one condition for whatever changes. */
extern pthread_mutex_t mock_lock;
extern pthread_cond_t mock_changed;
extern mock_faults mock_fault;
extern q35_mock_counts mock_counts;
extern struct CUctx_st mock_contexts[MOCK_MAX_DEVICES];

/* The current context of the calling thread; NULL: none, then *error says why. With the lock held. */
struct CUctx_st *mock_context(q35i_cu_result *error);

/* Is it the calling thread's current one? Otherwise the call is counted as one in a wrong context. With the lock
 * held. */
int mock_is_current(const struct CUctx_st *context);

/* What a context had is gone with it. With the lock held. */
void mock_end_access(struct CUctx_st *context);

/* May kernels of the context use the address? Yes where it is no device memory. With the lock held. */
int mock_may_use(const struct CUctx_st *context, q35i_cu_address address);

/* Is the calling thread capturing? What may not be captured then answers 900. */
extern _Thread_local struct CUstream_st *mock_capturing;

/* Is [address, address + bytes) device memory of the context's device, or pinned? With the lock held. */
int mock_is_device(const struct CUctx_st *context, q35i_cu_address address, size_t bytes);
int mock_is_pinned(const void *address, size_t bytes);

/* Around a kernel, without the lock: memory that host and device share becomes what the device sees of it. */
void mock_enter_kernel(void);
void mock_leave_kernel(void);

/* Runs a kernel (launch.c), without the lock. */
q35i_cu_result mock_run_kernel(struct CUctx_st *context, const char *name, const void *args,
                               const uint32_t grid[3], uint32_t threads, uint32_t shared);

#endif
