/* SPDX-License-Identifier: Apache-2.0
 *
 * Collectives: life of a member, and submissions. Members find one another through the host's table: each says
 * that it is there, rank 0 says by which id NCCL knows the group. */
#define _GNU_SOURCE
#include "comm.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { MAX_SIZE = 64, POLL_NS = 50000 };

/* ---- groups */

static pthread_mutex_t groups_lock = PTHREAD_MUTEX_INITIALIZER;
static q35i_cuda_clique *groups;

static q35i_cuda_clique *join_group(const uint8_t id[16])
{
    q35i_cuda_clique *fresh = q35p_alloc(1, sizeof *fresh), *g;
    pthread_mutex_lock(&groups_lock);
    for (g = groups; g && memcmp(g->id, id, sizeof g->id) != 0;)
        g = g->next;
    if (!g && fresh) {
        g = fresh;
        fresh = NULL;
        memcpy(g->id, id, sizeof g->id);
        g->next = groups;
        groups = g;
    }
    if (g)
        g->members++;
    pthread_mutex_unlock(&groups_lock);
    q35p_free(fresh);
    return g;
}

static void leave_group(q35i_cuda_clique *g)
{
    pthread_mutex_lock(&groups_lock);
    const bool last = --g->members == 0;
    q35i_cuda_clique **link = &groups;
    while (last && *link != g)
        link = &(*link)->next;
    if (last)
        *link = g->next;
    pthread_mutex_unlock(&groups_lock);
    if (last)
        q35p_free(g);
}

void q35i_cuda_clique_fail(q35i_cuda_clique *g, q35_status status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    pthread_mutex_lock(&groups_lock);
    if (atomic_load(&g->failed) == Q35_OK) {
        vsnprintf(g->text, sizeof g->text, fmt, args);
        atomic_store(&g->failed, status);
    }
    pthread_mutex_unlock(&groups_lock);
    va_end(args);
}

/* The text is written before the status and stays. */
q35_status q35i_cuda_clique_failure(q35i_cuda_clique *g, char text[Q35I_CUDA_TEXT])
{
    const q35_status status = atomic_load(&g->failed);
    if (status != Q35_OK)
        memcpy(text, g->text, sizeof g->text);
    return status;
}

/* ---- NCCL */

static struct {
    pthread_mutex_t lock;
    bool asked, usable;
    char why[256];
    q35i_nccl nccl;
} library = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* NULL and why. */
static const q35i_nccl *get_nccl(char why[256])
{
    pthread_mutex_lock(&library.lock);
    if (!library.asked)
        library.usable = q35i_nccl_open(&library.nccl, library.why, sizeof library.why);
    library.asked = true;
    const q35i_nccl *nccl = library.usable ? &library.nccl : NULL;
    memcpy(why, library.why, sizeof library.why);
    pthread_mutex_unlock(&library.lock);
    return nccl;
}

void q35i_cuda_collectives_close(void)
{
    pthread_mutex_lock(&library.lock);
    q35i_nccl_close(&library.nccl);
    library.asked = library.usable = false;
    pthread_mutex_unlock(&library.lock);
}

uint64_t q35i_cuda_deadline(uint64_t timeout_ns)
{
    const uint64_t now = q35p_host->now_ns();
    return timeout_ns < UINT64_MAX - now ? now + timeout_ns : UINT64_MAX;
}

void q35i_cuda_pause(void)
{
    const struct timespec t = {0, POLL_NS};
    nanosleep(&t, NULL);
}

static const char *text_of(const q35_comm *comm, q35i_nccl_result error)
{
    const char *text = comm->nccl->ncclGetErrorString(error);
    return text ? text : "an error without a name";
}

bool q35i_cuda_comm_lost(q35_comm *comm, q35i_cu_result error)
{
    q35_device *dev = comm->dev;
    if (!q35i_cuda_error_is_sticky(error))
        return false;
    pthread_mutex_lock(&dev->lock);
    q35i_cuda_set_lost(dev, error);
    q35i_cuda_clique_fail(comm->group, Q35_E_DEVICE_LOST, "%s", dev->lost_text);
    pthread_mutex_unlock(&dev->lock);
    return true;
}

/* The driver knows whether it was the end of the device. */
void q35i_cuda_comm_failed(q35_comm *comm, const char *what, q35i_nccl_result error)
{
    const char *last = comm->handle ? comm->nccl->ncclGetLastError(comm->handle) : NULL;
    if (!q35i_cuda_comm_lost(comm, comm->dev->drv->cuEventQuery(comm->used)))
        q35i_cuda_clique_fail(comm->group, Q35_E_DEVICE, "cuda group: rank %u: %s: %s%s%.80s", comm->rank, what,
                              text_of(comm, error), last && *last ? ": " : "", last ? last : "");
}

bool q35i_cuda_comm_settle(q35_comm *comm, const char *what, uint64_t deadline)
{
    char text[Q35I_CUDA_TEXT];
    for (;;) {
        q35i_nccl_result state = 0;
        const q35i_nccl_result error = comm->nccl->ncclCommGetAsyncError(comm->handle, &state);
        state = error ? error : state;
        if (state == 0)
            return true;
        if (state != Q35I_NCCL_IN_PROGRESS) {
            q35i_cuda_comm_failed(comm, what, state);
            return false;
        }
        if (q35i_cuda_clique_failure(comm->group, text) != Q35_OK)
            return false;
        if (q35p_host->now_ns() >= deadline) {
            q35i_cuda_clique_fail(comm->group, Q35_E_TIMEOUT, "cuda group: rank %u: %s did not end within %llu ms",
                                  comm->rank, what, (unsigned long long)(comm->timeout_ns / 1000000u));
            return false;
        }
        q35i_cuda_pause();
    }
}

void q35i_cuda_comm_abort(q35_comm *comm)
{
    if (comm->handle)
        (void)comm->nccl->ncclCommAbort(comm->handle);
    comm->handle = NULL;
}

/* ---- creation */

typedef struct invitation {
    uint64_t status; /* of rank 0's making of it */
    q35i_nccl_id id;
} invitation;

static q35_status put_invitation(q35_comm *comm, const q35_comm_options *o, invitation *in)
{
    const q35i_nccl_result error = comm->nccl->ncclGetUniqueId(&in->id);
    in->status = error ? Q35_E_DEVICE : Q35_OK;
    q35_status status = o->put(o->user, "cuda nccl id", in, sizeof *in);
    if (status == Q35_OK && error)
        status = q35p_fail(Q35_E_DEVICE, "cuda group: NCCL gives no id: %s", text_of(comm, error));
    return status;
}

static uint64_t time_left(uint64_t deadline)
{
    const uint64_t now = q35p_host->now_ns();
    return deadline == UINT64_MAX ? UINT64_MAX : deadline > now ? deadline - now : 0;
}

static q35_status get_invitation(const q35_comm_options *o, uint64_t deadline, invitation *in)
{
    uint64_t bytes = sizeof *in;
    q35_status status = o->get(o->user, "cuda nccl id", in, &bytes, time_left(deadline));
    if (status == Q35_E_TIMEOUT)
        return q35p_fail(status, "cuda group: rank 0 did not come");
    if (status == Q35_OK && (bytes != sizeof *in || in->status != Q35_OK))
        return q35p_fail(Q35_E_DEVICE, "cuda group: rank 0 has no id of NCCL's for the group");
    return status;
}

/* Returns when all have said that they are there. */
static q35_status meet(const q35_comm_options *o, uint64_t deadline)
{
    char key[40];
    uint8_t here = 1;
    snprintf(key, sizeof key, "cuda rank %u", o->rank);
    q35_status status = o->put(o->user, key, &here, sizeof here);
    for (uint32_t r = 0; r < o->size && status == Q35_OK; r++) {
        uint64_t bytes = sizeof here;
        snprintf(key, sizeof key, "cuda rank %u", r);
        status = o->get(o->user, key, &here, &bytes, time_left(deadline));
        if (status == Q35_E_TIMEOUT)
            return q35p_fail(status, "cuda group: rank %u did not come", r);
    }
    return status;
}

static q35_status take_memory(q35_comm *comm)
{
    const q35_device *dev = comm->dev;
    q35i_cu_result error =
        dev->drv->cuMemAlloc_v2(&comm->scratch, (uint64_t)comm->size * Q35I_CUDA_PART * sizeof(float));
    if (error != 0)
        comm->scratch = 0;
    else
        error = dev->drv->cuEventCreate(&comm->used, Q35I_CU_EVENT_NO_TIMING);
    return error == 0 ? Q35_OK
                      : q35i_cuda_driver_failed(dev, error == Q35I_CU_OUT_OF_MEMORY ? Q35_E_NOMEM : Q35_E_DEVICE,
                                                error, "memory of a group's member");
}

static q35_status init_nccl(q35_comm *comm, const invitation *in, uint64_t deadline)
{
    char text[Q35I_CUDA_TEXT] = "";
    q35i_nccl_config_2_14 config = {.size = sizeof config, .magic = Q35I_NCCL_MAGIC, .version = Q35I_NCCL_VERSION};
    const q35i_nccl_result error =
        comm->nccl->ncclCommInitRankConfig(&comm->handle, (int)comm->size, in->id, (int)comm->rank, &config);
    if (error != 0 && error != Q35I_NCCL_IN_PROGRESS) {
        comm->handle = NULL;
        return q35p_fail(Q35_E_DEVICE, "cuda group: rank %u: joining by NCCL: %s", comm->rank,
                         text_of(comm, error));
    }
    if (q35i_cuda_comm_settle(comm, "joining by NCCL", deadline))
        return Q35_OK;
    const q35_status status = q35i_cuda_clique_failure(comm->group, text);
    return q35p_fail(status, "%s", text);
}

/* Gives back what a member has; its thread does not run. */
static void free_comm(q35_comm *comm)
{
    const q35_device *dev = comm->dev;
    (void)q35i_cuda_enter(dev);
    q35i_cuda_comm_abort(comm);
    if (comm->used)
        (void)dev->drv->cuEventDestroy_v2(comm->used);
    if (comm->scratch)
        (void)dev->drv->cuMemFree_v2(comm->scratch);
    q35i_cuda_leave(dev);
    leave_group(comm->group);
    q35p_free(comm);
}

static q35_status join(q35_comm *comm, const q35_comm_options *o)
{
    invitation in;
    const uint64_t deadline = q35i_cuda_deadline(o->timeout_ns);
    memset(&in, 0, sizeof in);
    q35_status status = o->rank == 0 ? put_invitation(comm, o, &in) : get_invitation(o, deadline, &in);
    if (status == Q35_OK)
        status = meet(o, deadline);
    if (status != Q35_OK)
        return status;
    (void)q35i_cuda_enter(comm->dev);
    status = take_memory(comm);
    if (status == Q35_OK)
        status = init_nccl(comm, &in, deadline);
    q35i_cuda_leave(comm->dev);
    if (status == Q35_OK && !q35i_cuda_comm_start(comm))
        status = q35p_fail(Q35_E_NOMEM, "cuda group: no thread for rank %u", comm->rank);
    return status;
}

static q35_status comm_create(q35_device *dev, const q35_comm_options *o, q35_comm **out)
{
    char why[256];
    const q35i_nccl *nccl = get_nccl(why);
    if (!nccl)
        return q35p_fail(Q35_E_UNAVAILABLE, "cuda group: %s", why);
    if (!Q35_HAS_FIELD(o, q35_comm_options, get) || !o->put || !o->get)
        return q35p_fail(Q35_E_INVALID, "cuda group: options without a table, need put and get");
    if (o->size == 0 || o->size > MAX_SIZE || o->rank >= o->size)
        return q35p_fail(Q35_E_INVALID, "cuda group: rank %u of %u, need less, and at most %d", o->rank, o->size,
                         (int)MAX_SIZE);
    q35_comm *comm = q35p_alloc(1, sizeof *comm);
    q35i_cuda_clique *group = comm ? join_group(o->group) : NULL;
    if (!group) {
        q35p_free(comm);
        return q35p_fail(Q35_E_NOMEM, "cuda group: out of host memory for a member");
    }
    comm->dev = dev;
    comm->group = group;
    comm->nccl = nccl;
    comm->rank = o->rank;
    comm->size = o->size;
    comm->timeout_ns = o->timeout_ns;
    const q35_status status = join(comm, o);
    if (status == Q35_OK) {
        *out = comm;
        return Q35_OK;
    }
    q35i_cuda_clique_fail(group, status, "cuda group: rank %u could not join",
                          o->rank); /* the others need not wait */
    free_comm(comm);
    return status;
}

static void comm_destroy(q35_comm *comm)
{
    q35i_cuda_comm_stop(comm);
    free_comm(comm);
}

/* Each member's thread sees it at its next look. */
static void cancel(q35_comm *comm)
{
    q35i_cuda_clique_fail(comm->group, Q35_E_CANCELLED, "cuda group: cancelled");
}

/* ---- operations */

static q35_status submit(q35_comm *comm, q35_queue *queue, const q35i_cuda_collective *what,
                         const q35_point *waits, uint32_t n_waits, const q35_point *signals, uint32_t n_signals)
{
    const q35i_cuda_work work = {.collective = *what};
    if (queue->dev != comm->dev)
        return q35p_fail(Q35_E_INVALID, "cuda group: rank %u: queue of another device, need its own", comm->rank);
    return q35i_cuda_submit(queue, &work, waits, n_waits, signals, n_signals);
}

static q35_status outside(const q35_comm *comm, const char *what, uint64_t bytes)
{
    return q35p_fail(Q35_E_RANGE, "cuda group: rank %u: %s of %llu bytes is not inside a buffer of the device",
                     comm->rank, what, (unsigned long long)bytes);
}

static q35_status all_reduce(q35_comm *comm, q35_queue *queue, const q35_binding *data, uint64_t count,
                             uint32_t dtype, const q35_point *waits, uint32_t n_waits, const q35_point *signals,
                             uint32_t n_signals)
{
    if (dtype != Q35_DT_F32 && dtype != Q35_DT_I32)
        return q35p_fail(Q35_E_UNSUPPORTED, "cuda group: sum of type %u, need f32 or i32", dtype);
    if (count > UINT64_MAX / 4)
        return outside(comm, "a sum", UINT64_MAX);
    const q35i_cu_address at = q35i_cuda_address(comm->dev, data, count * 4);
    if (at == 0)
        return outside(comm, "a sum", count * 4);
    if (at % 4 != 0)
        return q35p_fail(Q35_E_INVALID, "cuda group: rank %u: numbers at an address off by %u, need alignment 4",
                         comm->rank, (unsigned)(at % 4));
    const q35i_cuda_collective what = {
        .comm = comm, .queue = queue, .src = at, .dst = at, .count = count, .dtype = dtype};
    return submit(comm, queue, &what, waits, n_waits, signals, n_signals);
}

static q35_status all_gather(q35_comm *comm, q35_queue *queue, const q35_binding *part, const q35_binding *whole,
                             uint64_t bytes, const q35_point *waits, uint32_t n_waits, const q35_point *signals,
                             uint32_t n_signals)
{
    if (bytes > UINT64_MAX / comm->size)
        return outside(comm, "a whole", UINT64_MAX);
    const q35i_cuda_collective what = {.comm = comm,
                                       .queue = queue,
                                       .src = q35i_cuda_address(comm->dev, part, bytes),
                                       .dst = q35i_cuda_address(comm->dev, whole, bytes * comm->size),
                                       .count = bytes,
                                       .dtype = Q35_NONE};
    if (what.src == 0)
        return outside(comm, "a part", bytes);
    if (what.dst == 0)
        return outside(comm, "a whole", bytes * comm->size);
    return submit(comm, queue, &what, waits, n_waits, signals, n_signals);
}

const q35_hdr *q35i_cuda_collectives(void)
{
    static const q35_collectives table = {.h = {sizeof table, Q35_STRUCT_COLLECTIVES, NULL},
                                          .comm_create = comm_create,
                                          .comm_destroy = comm_destroy,
                                          .all_reduce = all_reduce,
                                          .all_gather = all_gather,
                                          .cancel = cancel};
    char why[256];
    if (get_nccl(why))
        return &table.h;
    q35p_log(2, "cuda: no collectives between devices: %s", why);
    return NULL;
}
