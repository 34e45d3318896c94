/* SPDX-License-Identifier: Apache-2.0
 *
 * Mock NCCL. Nothing is ever freed, for streams of a device that failed keep what they do not come to; all of it
 * is reachable from the list of groups. */
#define _GNU_SOURCE
#include "nccl_mock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_SIZE = 16, SYSTEM_ERROR = 2, INTERNAL_ERROR = 3, INVALID_ARGUMENT = 4, REMOTE_ERROR = 6 };

typedef struct group {
    struct group *next;
    q35i_nccl_id id;
    int size, came, connected, arrived;
    uint64_t generation;
    const struct job *at[MAX_SIZE]; /* what each member has come with */
    struct ncclComm *first;
} group;

typedef struct job {
    struct job *next;
    struct ncclComm *comm;
    uint64_t sequence;
    const char *src;
    char *dst;
    uint64_t count;
    q35i_nccl_type type;
    int gather, ends; /* ends: no fault says otherwise */
    q35i_cu_stream stream;
} job;

struct ncclComm {
    struct ncclComm *next;
    group *group;
    q35i_cu_context context;
    int rank, aborted, has_thread, connected;
    q35i_nccl_result state;
    uint64_t called, done; /* collectives */
    job *jobs;
    pthread_t thread;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static group *groups;
static uint64_t ids, live, calls;
static struct {
    uint64_t version, no_id, init_fails, call_fails_at, breaks_at, hangs_at, delay_us;
} fault;

static uint64_t value_of(const char *list, const char *key, uint64_t otherwise)
{
    const size_t n = strlen(key);
    for (const char *at = list; at && *at; at += strcspn(at, ","), at += *at == ',')
        if (strncmp(at, key, n) == 0 && at[n] == '=')
            return strtoull(at + n + 1, NULL, 10);
    return otherwise;
}

void q35_nccl_set(const char *list)
{
    list = list ? list : getenv("Q35RT_MOCK_NCCL");
    pthread_mutex_lock(&lock);
    calls = 0;
    fault.version = value_of(list, "version", 22809);
    fault.no_id = value_of(list, "no_id", 0);
    fault.init_fails = value_of(list, "init_fails", 0);
    fault.call_fails_at = value_of(list, "call_fails_at", 0);
    fault.breaks_at = value_of(list, "breaks_at", 0);
    fault.hangs_at = value_of(list, "hangs_at", 0);
    fault.delay_us = value_of(list, "delay_us", 0);
    pthread_mutex_unlock(&lock);
}

__attribute__((constructor)) static void read_environment(void)
{
    q35_nccl_set(NULL);
}

static uint64_t read_locked(const uint64_t *value)
{
    pthread_mutex_lock(&lock);
    const uint64_t v = *value;
    pthread_mutex_unlock(&lock);
    return v;
}

uint64_t q35_nccl_live(void)
{
    return read_locked(&live);
}

uint64_t q35_nccl_calls(void)
{
    return read_locked(&calls);
}

static void misused(const char *what)
{
    fprintf(stderr, "mock libnccl: %s\n", what);
    abort();
}

static void *get_memory(size_t bytes)
{
    void *p = calloc(1, bytes ? bytes : 1);
    if (!p)
        misused("out of memory");
    return p;
}

q35i_nccl_result ncclGetVersion(int *version)
{
    *version = (int)fault.version;
    return 0;
}

q35i_nccl_result ncclGetUniqueId(q35i_nccl_id *id)
{
    pthread_mutex_lock(&lock);
    const uint64_t number = ++ids;
    memset(id, 0, sizeof *id);
    memcpy(id, &number, sizeof number);
    pthread_mutex_unlock(&lock);
    return fault.no_id ? SYSTEM_ERROR : 0;
}

const char *ncclGetErrorString(q35i_nccl_result error)
{
    static const char *const texts[] = {"no error",
                                        "unhandled cuda error",
                                        "unhandled system error",
                                        "internal error",
                                        "invalid argument",
                                        "invalid usage",
                                        "remote process exited or there was a network error",
                                        "in progress"};
    return error < sizeof texts / sizeof *texts ? texts[error] : "unknown result code";
}

const char *ncclGetLastError(q35i_nccl_comm comm)
{
    (void)comm;
    return "the mock was told to";
}

/* ---- groups */

static group *find_group(const q35i_nccl_id *id, int size)
{
    group *g = groups;
    while (g && memcmp(&g->id, id, sizeof *id) != 0)
        g = g->next;
    if (!g) {
        g = get_memory(sizeof *g);
        g->id = *id;
        g->size = size;
        g->next = groups;
        groups = g;
    }
    return g;
}

q35i_nccl_result ncclCommInitRankConfig(q35i_nccl_comm *comm, int size, q35i_nccl_id id, int rank,
                                        q35i_nccl_config *config)
{
    q35i_cu_context context = NULL;
    if (config->size != sizeof *config || config->magic != Q35I_NCCL_MAGIC || config->version < 21400 ||
        config->blocking != 0 || size > MAX_SIZE || rank < 0 || rank >= size)
        return INVALID_ARGUMENT;
    if (cuCtxPopCurrent_v2(&context) != 0 || cuCtxPushCurrent_v2(context) != 0)
        return 1;
    struct ncclComm *c = get_memory(sizeof *c);
    pthread_mutex_lock(&lock);
    group *g = find_group(&id, size);
    for (const struct ncclComm *other = g->first; other; other = other->next)
        if (other->rank == rank || other->context == context)
            misused("two members have one rank or one device");
    *c = (struct ncclComm){.next = g->first, .group = g, .context = context, .rank = rank};
    g->first = c;
    g->came++;
    live++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    *comm = c;
    return Q35I_NCCL_IN_PROGRESS;
}

q35i_nccl_result ncclCommGetAsyncError(q35i_nccl_comm comm, q35i_nccl_result *error)
{
    pthread_mutex_lock(&lock);
    *error = comm->group->came < comm->group->size ? Q35I_NCCL_IN_PROGRESS : comm->state;
    if (*error == 0 && comm->called == 0 && fault.init_fails == (uint64_t)comm->rank + 1)
        *error = SYSTEM_ERROR;
    pthread_mutex_unlock(&lock);
    return 0;
}

/* What is on streams ends without a result. */
q35i_nccl_result ncclCommAbort(q35i_nccl_comm comm)
{
    pthread_mutex_lock(&lock);
    if (comm->aborted)
        misused("a communicator is aborted twice");
    comm->aborted = 1;
    live--;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    if (comm->has_thread)
        pthread_join(comm->thread, NULL);
    return 0;
}

/* ---- work on a stream */

/* Returns 1 when all members are here, 0 when this one was aborted. With the lock held. */
static int meet(struct ncclComm *comm)
{
    group *g = comm->group;
    const uint64_t generation = g->generation;
    if (++g->arrived == g->size) {
        g->arrived = 0;
        g->generation++;
        pthread_cond_broadcast(&changed);
    }
    while (g->generation == generation && !comm->aborted)
        pthread_cond_wait(&changed, &lock);
    return g->generation != generation;
}

static uint64_t bytes_of(const job *j)
{
    return j->count * (j->type == Q35I_NCCL_INT8 ? 1 : 4);
}

static void combine(const group *g, const job *mine, char *result)
{
    const uint64_t bytes = bytes_of(mine);
    for (int r = g->size - 1; r >= 0; r--) {
        const job *j = g->at[r];
        if (j->gather != mine->gather || j->count != mine->count || j->type != mine->type)
            misused("members call other collectives");
        if (mine->gather)
            memcpy(result + (uint64_t)r * bytes, j->src, bytes);
        for (uint64_t at = 0; !mine->gather && at < bytes; at += 4) {
            uint32_t a, b;
            memcpy(&a, result + at, 4);
            memcpy(&b, j->src + at, 4);
            float x, y;
            memcpy(&x, &a, 4);
            memcpy(&y, &b, 4);
            x += y;
            a += b;
            memcpy(result + at, mine->type == Q35I_NCCL_FLOAT32 ? (void *)&x : (void *)&a, 4);
        }
    }
}

static void run(void *arg)
{
    const job *j = arg;
    struct ncclComm *comm = j->comm;
    group *g = comm->group;
    const uint64_t bytes = bytes_of(j) * (j->gather ? (uint64_t)g->size : 1);
    char *result = get_memory(bytes);
    pthread_mutex_lock(&lock);
    while (!comm->aborted && (comm->done != j->sequence || !j->ends))
        pthread_cond_wait(&changed, &lock);
    g->at[comm->rank] = j;
    if (!comm->aborted && meet(comm)) {
        combine(g, j, result);
        if (meet(comm))
            memcpy(j->dst, result, bytes);
    }
    comm->done++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    free(result);
}

/* ---- calls */

static void *end_call(void *arg)
{
    job *j = arg;
    struct ncclComm *comm = j->comm;
    const struct timespec t = {0, (long)(fault.delay_us * 1000u)};
    if (fault.delay_us)
        nanosleep(&t, NULL);
    pthread_mutex_lock(&lock);
    if (!comm->connected)
        comm->group->connected++;
    comm->connected = 1;
    pthread_cond_broadcast(&changed);
    while (comm->group->connected < comm->group->size && !comm->aborted)
        pthread_cond_wait(&changed, &lock);
    const int aborted = comm->aborted;
    pthread_mutex_unlock(&lock);
    q35i_cu_context popped;
    q35i_nccl_result state = 0;
    if (!aborted) {
        (void)cuCtxPushCurrent_v2(comm->context);
        state = cuLaunchHostFunc(j->stream, run, j) == 0 ? 0 : 1;
        (void)cuCtxPopCurrent_v2(&popped);
    }
    pthread_mutex_lock(&lock);
    comm->state = state;
    pthread_mutex_unlock(&lock);
    return NULL;
}

static q35i_nccl_result call(job what)
{
    struct ncclComm *comm = what.comm;
    job *j = get_memory(sizeof *j);
    pthread_mutex_lock(&lock);
    if (comm->aborted || comm->state == Q35I_NCCL_IN_PROGRESS)
        misused("a communicator is used while a call is in progress, or after its end");
    const uint64_t k = ++calls;
    const int refused = k == fault.call_fails_at;
    what.sequence = comm->called++;
    what.ends = k != fault.breaks_at && k != fault.hangs_at;
    what.next = comm->jobs;
    *j = what;
    comm->jobs = j;
    comm->state = refused ? INTERNAL_ERROR : k == fault.breaks_at ? REMOTE_ERROR : Q35I_NCCL_IN_PROGRESS;
    const int starts = comm->state == Q35I_NCCL_IN_PROGRESS, joins = comm->has_thread;
    comm->has_thread = comm->has_thread || starts;
    pthread_mutex_unlock(&lock);
    if (starts && joins)
        pthread_join(comm->thread, NULL);
    if (starts && pthread_create(&comm->thread, NULL, end_call, j) != 0)
        misused("no thread");
    return refused ? INTERNAL_ERROR : Q35I_NCCL_IN_PROGRESS;
}

q35i_nccl_result ncclAllReduce(const void *src, void *dst, size_t count, q35i_nccl_type type,
                               q35i_nccl_operator op, q35i_nccl_comm comm, q35i_cu_stream stream)
{
    if (op != Q35I_NCCL_SUM)
        return INVALID_ARGUMENT;
    return call((job){.comm = comm, .src = src, .dst = dst, .count = count, .type = type, .stream = stream});
}

q35i_nccl_result ncclAllGather(const void *src, void *dst, size_t count, q35i_nccl_type type, q35i_nccl_comm comm,
                               q35i_cu_stream stream)
{
    return call(
        (job){.comm = comm, .src = src, .dst = dst, .count = count, .type = type, .gather = 1, .stream = stream});
}
