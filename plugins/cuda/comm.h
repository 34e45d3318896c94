/* SPDX-License-Identifier: Apache-2.0
 *
 * Members of groups: devices that combine tensors by NCCL (collectives.h).
 *
 * A member has a thread. A collective is handed to it once all it waits for is there and all that was submitted
 * before it to the same member is under way; it gives it to the stream of its queue, looks after it until it ends,
 * and ends the group when it does not. The thread also pumps the device, since a host that waits for one member
 * looks at no other. */
#ifndef Q35I_PLUGIN_CUDA_COMM_H
#define Q35I_PLUGIN_CUDA_COMM_H

#include "nccl.h"
#include "unified.h"

#include <q35rt/collectives.h>

/* Members of this process that belong together, for as long as one of them lives. */
typedef struct q35i_cuda_clique {
    struct q35i_cuda_clique *next;
    uint8_t id[16];
    uint32_t members;
    atomic_uint failed; /* q35_status, sticky: the group has ended */
    char text[Q35I_CUDA_TEXT];
} q35i_cuda_clique;

struct q35_comm {
    q35_device *dev;
    q35i_cuda_clique *group;
    const q35i_nccl *nccl;
    q35i_nccl_comm handle; /* NULL: aborted */
    uint32_t rank, size;
    uint64_t timeout_ns;
    q35i_cu_address scratch; /* parts of a sum of all members, Q35I_CUDA_PART numbers each */
    q35i_cu_event used;      /* when scratch is free again */
    pthread_t thread;
    /* with the device's lock held */
    uint64_t submitted, next; /* collectives; the first that was not handed over */
    q35i_cuda_work *handed;   /* to the thread, NULL: none */
    bool stop;
};

enum { Q35I_CUDA_PART = 1 << 18 };

/* The extension, NULL when NCCL is not there, which the log then says. */
const q35_hdr *q35i_cuda_collectives(void);
void q35i_cuda_collectives_close(void);

/* The first failure of a group stays. Any thread, with any lock held. */
__attribute__((format(printf, 3, 4))) void q35i_cuda_clique_fail(q35i_cuda_clique *g, q35_status status,
                                                                 const char *fmt, ...);
/* What it was; Q35_OK: it goes on. */
q35_status q35i_cuda_clique_failure(q35i_cuda_clique *g, char text[Q35I_CUDA_TEXT]);

/* Polls until the communicator is through with the last call. false: it is not, the group has failed. */
bool q35i_cuda_comm_settle(q35_comm *comm, const char *what, uint64_t deadline);
/* A call of NCCL's failed, or has; of the driver's, false: not so that the device is lost. The context is current,
 * the device's lock is not held. Both end the group. */
void q35i_cuda_comm_failed(q35_comm *comm, const char *what, q35i_nccl_result error);
bool q35i_cuda_comm_lost(q35_comm *comm, q35i_cu_result error);
/* Ends the communicator, and with it what it has on streams. */
void q35i_cuda_comm_abort(q35_comm *comm);

/* ns from now, UINT64_MAX: never. */
uint64_t q35i_cuda_deadline(uint64_t timeout_ns);
void q35i_cuda_pause(void);

/* The member's thread (comm_thread.c). */
bool q35i_cuda_comm_start(q35_comm *comm);
void q35i_cuda_comm_stop(q35_comm *comm);

#endif
