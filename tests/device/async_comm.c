/* SPDX-License-Identifier: Apache-2.0
 *
 * async1: collectives among its devices, in one process. The members meet through the host's table: rank 0 makes
 * the group and publishes its address, the others take it. An operation is work on each member's queue: all say
 * where their bytes are, all read, and only then each writes its own. Sums are in the order of the ranks. */
#define _GNU_SOURCE
#include "async.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MAX_MEMBERS = ASYNC_MAX_DEVICES };

/* Shared by the members; goes with the last of them. */
typedef struct group {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t size, members, arrived;
    uint64_t generation;
    q35_status failed; /* sticky */
    char text[ASYNC_TEXT];
    const uint8_t *data[MAX_MEMBERS]; /* of the operation under way */
    uint64_t bytes[MAX_MEMBERS];
} group;

struct q35_comm {
    group *group;
    q35_device *dev;
    uint32_t rank;
    uint64_t timeout_ns;
};

typedef struct invitation {
    uint64_t pid, group;
} invitation;

static struct timespec deadline_after(uint64_t ns)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t nanoseconds = (uint64_t)t.tv_nsec + ns % 1000000000u;
    t.tv_sec += (time_t)(ns / 1000000000u + nanoseconds / 1000000000u);
    t.tv_nsec = (long)(nanoseconds % 1000000000u);
    return t;
}

/* With the lock held: the first failure stays. */
static void fail_group(group *g, q35_status status, const char *text)
{
    if (g->failed == Q35_OK) {
        g->failed = status;
        snprintf(g->text, sizeof g->text, "%s", text);
    }
    pthread_cond_broadcast(&g->changed);
}

/* Returns when all members are here. text: [ASYNC_TEXT]. */
static q35_status meet(q35_comm *comm, char *text)
{
    group *g = comm->group;
    int rc = 0, forever = comm->timeout_ns == UINT64_MAX;
    const struct timespec end = deadline_after(forever ? 0 : comm->timeout_ns);
    pthread_mutex_lock(&g->lock);
    const uint64_t generation = g->generation;
    if (++g->arrived == g->size) {
        g->arrived = 0;
        g->generation++;
        pthread_cond_broadcast(&g->changed);
    }
    while (g->generation == generation && g->failed == Q35_OK && rc == 0)
        rc = forever ? pthread_cond_wait(&g->changed, &g->lock)
                     : pthread_cond_timedwait(&g->changed, &g->lock, &end);
    if (g->generation == generation && rc == ETIMEDOUT) {
        char why[ASYNC_TEXT];
        snprintf(why, sizeof why, "async1: %u of %u members came to a collective within %llu ns", g->arrived,
                 g->size, (unsigned long long)comm->timeout_ns);
        fail_group(g, Q35_E_TIMEOUT, why);
    }
    q35_status status = g->generation != generation ? Q35_OK : g->failed;
    if (status != Q35_OK)
        memcpy(text, g->text, ASYNC_TEXT);
    pthread_mutex_unlock(&g->lock);
    return status;
}

static void leave(group *g)
{
    pthread_mutex_lock(&g->lock);
    int last = --g->members == 0;
    pthread_mutex_unlock(&g->lock);
    if (!last)
        return;
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

static q35_status found_group(const q35_comm_options *o, group **out)
{
    pthread_condattr_t attr;
    group *g = calloc(1, sizeof *g);
    if (!g)
        return async_fail(Q35_E_NOMEM, "async1: out of memory for a group");
    pthread_mutex_init(&g->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&g->changed, &attr);
    pthread_condattr_destroy(&attr);
    g->size = o->size;
    g->members = 1;
    const invitation mine = {(uint64_t)getpid(), (uint64_t)(uintptr_t)g};
    q35_status status = o->put(o->user, "async1", &mine, sizeof mine);
    if (status != Q35_OK)
        leave(g);
    else
        *out = g;
    return status;
}

static q35_status join_group(const q35_comm_options *o, group **out)
{
    invitation theirs = {0};
    uint64_t bytes = sizeof theirs;
    q35_status status = o->get(o->user, "async1", &theirs, &bytes, o->timeout_ns);
    if (status != Q35_OK)
        return status;
    if (bytes != sizeof theirs || theirs.pid != (uint64_t)getpid())
        return async_fail(Q35_E_UNSUPPORTED, "async1: members in several processes, need one");
    *out = (group *)(uintptr_t)theirs.group;
    pthread_mutex_lock(&(*out)->lock);
    (*out)->members++;
    pthread_mutex_unlock(&(*out)->lock);
    return Q35_OK;
}

static q35_status comm_create(q35_device *dev, const q35_comm_options *o, q35_comm **out)
{
    char text[ASYNC_TEXT];
    if (o->size == 0 || o->size > MAX_MEMBERS || o->rank >= o->size)
        return async_fail(Q35_E_INVALID, "async1: rank %u of %u, need less, and at most %d", o->rank, o->size,
                          (int)MAX_MEMBERS);
    q35_comm *comm = calloc(1, sizeof *comm);
    if (!comm)
        return async_fail(Q35_E_NOMEM, "async1: out of memory for a member of a group");
    *comm = (q35_comm){.dev = dev, .rank = o->rank, .timeout_ns = o->timeout_ns};
    q35_status status = o->rank == 0 ? found_group(o, &comm->group) : join_group(o, &comm->group);
    if (status == Q35_OK && (status = meet(comm, text)) != Q35_OK) {
        (void)async_host->fail(status, text);
        leave(comm->group);
    }
    if (status != Q35_OK)
        free(comm);
    else
        *out = comm;
    return status;
}

static void comm_destroy(q35_comm *comm)
{
    leave(comm->group);
    free(comm);
}

static void comm_cancel(q35_comm *comm)
{
    pthread_mutex_lock(&comm->group->lock);
    fail_group(comm->group, Q35_E_CANCELLED, "async1: the group was cancelled");
    pthread_mutex_unlock(&comm->group->lock);
}

typedef struct operation {
    q35_comm *comm;
    int gather;
    uint32_t dtype;
    uint8_t *in, *out; /* the same for a reduction */
    uint64_t bytes;    /* of `in` */
} operation;

static void add_member(uint32_t dtype, uint8_t *sum, const uint8_t *data, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes; at += 4) {
        if (dtype == Q35_DT_F32) {
            float a, b;
            memcpy(&a, sum + at, 4);
            memcpy(&b, data + at, 4);
            a += b;
            memcpy(sum + at, &a, 4);
        } else {
            uint32_t a, b;
            memcpy(&a, sum + at, 4);
            memcpy(&b, data + at, 4);
            a += b;
            memcpy(sum + at, &a, 4);
        }
    }
}

static q35_status combine(const operation *op, uint8_t *result, char *text)
{
    const group *g = op->comm->group;
    for (uint32_t r = 0; r < g->size; r++) {
        if (g->bytes[r] != op->bytes) {
            snprintf(text, ASYNC_TEXT, "async1: rank %u has %llu bytes, rank %u %llu", r,
                     (unsigned long long)g->bytes[r], op->comm->rank, (unsigned long long)op->bytes);
            return Q35_E_INVALID;
        }
        if (op->gather || r == 0)
            memcpy(result + (op->gather ? r * op->bytes : 0), g->data[r], op->bytes);
        else
            add_member(op->dtype, result, g->data[r], op->bytes);
    }
    return Q35_OK;
}

/* On the queue's thread of every member. */
static q35_status carry_out(void *arg, char *text)
{
    const operation *op = arg;
    group *g = op->comm->group;
    const uint64_t bytes = op->gather ? op->bytes * g->size : op->bytes;
    uint8_t *result = malloc(bytes ? bytes : 1);
    q35_status status = result ? Q35_OK : Q35_E_NOMEM;
    pthread_mutex_lock(&g->lock);
    g->data[op->comm->rank] = op->in;
    g->bytes[op->comm->rank] = op->bytes;
    if (!result)
        fail_group(g, status, "async1: out of memory for a collective");
    pthread_mutex_unlock(&g->lock);
    if ((status = meet(op->comm, text)) == Q35_OK) {
        q35_status mine = combine(op, result, text);
        status = meet(op->comm, text);
        status = mine != Q35_OK ? mine : status;
    }
    if (status == Q35_OK)
        memcpy(op->out, result, bytes);
    free(result);
    return status;
}

static q35_status queue_operation(const operation *what, q35_queue *queue, const q35_point *waits,
                                  uint32_t n_waits, const q35_point *signals, uint32_t n_signals)
{
    if (!what->in || !what->out)
        return async_fail(Q35_E_RANGE, "async1: a collective's bytes are not inside a buffer of the device");
    operation *op = malloc(sizeof *op);
    if (!op)
        return async_fail(Q35_E_NOMEM, "async1: out of memory for a collective");
    *op = *what;
    q35_status status = async_submit(queue, carry_out, op, waits, n_waits, signals, n_signals);
    if (status != Q35_OK)
        free(op);
    return status;
}

static uint8_t *own_bytes(const q35_comm *comm, const q35_binding *b, uint64_t bytes)
{
    return b->buf && b->buf->dev == comm->dev ? async_buf_at(b, bytes) : NULL;
}

static q35_status all_reduce(q35_comm *comm, q35_queue *queue, const q35_binding *data, uint64_t count,
                             uint32_t dtype, const q35_point *waits, uint32_t n_waits, const q35_point *signals,
                             uint32_t n_signals)
{
    if (dtype != Q35_DT_F32 && dtype != Q35_DT_I32)
        return async_fail(Q35_E_UNSUPPORTED, "async1: sum of type %u, need f32 or i32", dtype);
    uint8_t *at = own_bytes(comm, data, count * 4);
    const operation op = {.comm = comm, .dtype = dtype, .in = at, .out = at, .bytes = count * 4};
    return queue_operation(&op, queue, waits, n_waits, signals, n_signals);
}

static q35_status all_gather(q35_comm *comm, q35_queue *queue, const q35_binding *part, const q35_binding *whole,
                             uint64_t bytes, const q35_point *waits, uint32_t n_waits, const q35_point *signals,
                             uint32_t n_signals)
{
    const operation op = {.comm = comm,
                          .gather = 1,
                          .in = own_bytes(comm, part, bytes),
                          .out = own_bytes(comm, whole, bytes * comm->group->size),
                          .bytes = bytes};
    return queue_operation(&op, queue, waits, n_waits, signals, n_signals);
}

const q35_collectives async_collectives = {
    .h = {sizeof async_collectives, Q35_STRUCT_COLLECTIVES, NULL},
    .comm_create = comm_create,
    .comm_destroy = comm_destroy,
    .all_reduce = all_reduce,
    .all_gather = all_gather,
    .cancel = comm_cancel,
};
