/* SPDX-License-Identifier: Apache-2.0
 *
 * Each wait is on one 32-bit atomic word: load it for SPIN_NS, then sleep in the kernel until it changes (futex).
 * A counter of sleepers beside the word lets the waking side skip the system call when nobody sleeps. Word and
 * counter are read and written sequentially consistent: either the waker sees the sleeper, or the kernel's
 * comparison of the word sees the wake. */
#define _GNU_SOURCE
#include "pool.h"

#include "affinity.h"
#include "alloc.h"
#include "clock.h"
#include "error.h"
#include "log.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_WORKERS = 4096, LINE_BYTES = 64 };

/* Longer than a worker's lag behind its peers in a balanced region, shorter than a time slice by three orders. */
#define SPIN_NS         UINT64_C(20000)
#define SPINS_PER_CLOCK 32

/* Regions between two looks at the caller's CPU: about one token of a small model. */
#define REGIONS_PER_LOOK 32

typedef struct wait_word {
    alignas(LINE_BYTES) atomic_uint value;
    atomic_uint sleepers;
} wait_word;

_Static_assert(sizeof(atomic_uint) == sizeof(uint32_t), "futex words are 32 bits");

struct q35_team {
    uint32_t n_workers;
    bool spin;
    wait_word arrived; /* workers inside the current barrier */
    wait_word phase;   /* barriers completed */
};

typedef struct worker {
    q35_pool *pool;
    pthread_t thread;
    uint32_t index;
    int32_t cpu; /* -1: not pinned */
} worker;

struct q35_pool {
    q35_team team;
    wait_word epoch;   /* regions started; a change starts the workers */
    wait_word running; /* workers other than 0 still inside fn */
    void (*fn)(void *, uint32_t, uint32_t, q35_team *);
    void *arg;
    bool stop;
    uint32_t n_started;       /* threads to join */
    int32_t first_cpu;        /* CPU meant for worker 0, -1: not pinned */
    uint32_t regions_to_look; /* until the caller's CPU is looked at again */
    worker workers[];         /* of index 1 .. n_workers - 1 */
};

static inline void cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Returns true when *word stopped being `old` within the spinning time. */
static bool spin_while(const atomic_uint *word, uint32_t old)
{
    uint64_t end = q35i_now_ns() + SPIN_NS;
    do {
        for (int i = 0; i < SPINS_PER_CLOCK; i++) {
            if (atomic_load_explicit(word, memory_order_acquire) != old)
                return true;
            cpu_relax();
        }
    } while (q35i_now_ns() < end);
    return false;
}

static void wait_while(wait_word *word, uint32_t old, bool spin)
{
    if (atomic_load_explicit(&word->value, memory_order_acquire) != old || (spin && spin_while(&word->value, old)))
        return;
    atomic_fetch_add(&word->sleepers, 1);
    while (atomic_load(&word->value) == old)
        (void)syscall(SYS_futex, &word->value, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
    atomic_fetch_sub(&word->sleepers, 1);
}

static void wake(wait_word *word)
{
    if (atomic_load(&word->sleepers) > 0)
        (void)syscall(SYS_futex, &word->value, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void q35i_pool_barrier(q35_team *team)
{
    if (team->n_workers == 1)
        return;
    /* The phase cannot change before this worker has arrived. */
    uint32_t phase = atomic_load_explicit(&team->phase.value, memory_order_acquire);
    if (atomic_fetch_add(&team->arrived.value, 1) + 1 < team->n_workers) {
        wait_while(&team->phase, phase, team->spin);
        return;
    }
    atomic_store(&team->arrived.value, 0);
    atomic_store(&team->phase.value, phase + 1);
    wake(&team->phase);
}

static void *worker_main(void *arg)
{
    worker *self = arg;
    q35_pool *pool = self->pool;
    uint32_t epoch = 0;
    for (;;) {
        wait_while(&pool->epoch, epoch, pool->team.spin);
        epoch++;
        if (pool->stop)
            return NULL;
        pool->fn(pool->arg, self->index, pool->team.n_workers, &pool->team);
        if (atomic_fetch_sub(&pool->running.value, 1) == 1)
            wake(&pool->running);
    }
}

static void wait_for_workers(q35_pool *pool)
{
    uint32_t running;
    while ((running = atomic_load(&pool->running.value)) > 0)
        wait_while(&pool->running, running, pool->team.spin);
}

static void start_epoch(q35_pool *pool)
{
    atomic_fetch_add(&pool->epoch.value, 1);
    wake(&pool->epoch);
}

/* True when one of the workers is pinned to this CPU. */
static bool is_worker_cpu(const q35_pool *pool, int cpu)
{
    for (uint32_t i = 0; i + 1 < pool->team.n_workers; i++)
        if (pool->workers[i].cpu == cpu)
            return true;
    return false;
}

/* The caller is not ours to pin, but two workers on one CPU take turns, and since each sleeps while the other
 * runs, the kernel sees no reason to part them. Moves the caller to its CPU once and gives it its old mask back.
 */
static void part_from_workers(q35_pool *pool)
{
    cpu_set_t old, first;
    if (pool->first_cpu < 0 || pool->first_cpu >= CPU_SETSIZE || pool->regions_to_look-- > 0)
        return;
    pool->regions_to_look = REGIONS_PER_LOOK;
    if (!is_worker_cpu(pool, sched_getcpu()) || sched_getaffinity(0, sizeof old, &old) != 0 ||
        !CPU_ISSET((size_t)pool->first_cpu, &old))
        return;
    CPU_ZERO(&first);
    CPU_SET((size_t)pool->first_cpu, &first);
    if (sched_setaffinity(0, sizeof first, &first) == 0)
        (void)sched_setaffinity(0, sizeof old, &old);
}

void q35i_pool_parallel(q35_pool *pool, void (*fn)(void *, uint32_t, uint32_t, q35_team *), void *arg)
{
    uint32_t n = pool->team.n_workers;
    if (n > 1) {
        part_from_workers(pool);
        pool->fn = fn;
        pool->arg = arg;
        atomic_store(&pool->running.value, n - 1);
        start_epoch(pool);
    }
    fn(arg, 0, n, &pool->team);
    if (n > 1)
        wait_for_workers(pool);
}

uint32_t q35i_pool_size(const q35_pool *pool)
{
    return pool->team.n_workers;
}

/* A CPU that is not allowed (any more) leaves the worker where the kernel puts it. */
static void pin(pthread_t thread, int32_t cpu)
{
    if (cpu < 0)
        return;
    size_t bit = (size_t)cpu, bytes = CPU_ALLOC_SIZE(bit + 1);
    cpu_set_t *set = CPU_ALLOC(bit + 1);
    if (!set)
        return;
    CPU_ZERO_S(bytes, set);
    CPU_SET_S(bit, bytes, set);
    int rc = pthread_setaffinity_np(thread, bytes, set);
    if (rc != 0)
        q35i_log(Q35_LOG_INFO, "worker not pinned to CPU %d: %s", (int)cpu, strerror(rc));
    CPU_FREE(set);
}

static q35_status start_worker(q35_pool *pool, uint32_t index, const int32_t *cpus)
{
    worker *w = &pool->workers[index - 1];
    char name[16];
    w->pool = pool;
    w->index = index;
    w->cpu = cpus ? cpus[index] : -1;
    int rc = pthread_create(&w->thread, NULL, worker_main, w);
    if (rc != 0)
        return Q35_FAIL(Q35_E_NOMEM, "thread pool: worker %u of %u cannot start: %s", index, pool->team.n_workers,
                        strerror(rc));
    pool->n_started++;
    snprintf(name, sizeof name, "q35-%u", index);
    (void)pthread_setname_np(w->thread, name); /* for debuggers only */
    pin(w->thread, w->cpu);
    return Q35_OK;
}

q35_status q35i_pool_create(uint32_t n_workers, const int32_t *cpus, q35_pool **out)
{
    q35_status status = Q35_OK;
    uint32_t n_usable = q35i_affinity_cpus(NULL, 0);
    sigset_t all, old;
    *out = NULL;
    if (n_workers == 0)
        n_workers = n_usable < MAX_WORKERS ? n_usable : MAX_WORKERS;
    if (n_workers > MAX_WORKERS)
        return Q35_FAIL(Q35_E_INVALID, "thread pool: %u threads asked for, need at most %d", n_workers,
                        MAX_WORKERS);
    uint64_t bytes = sizeof(q35_pool) + (uint64_t)(n_workers - 1) * sizeof(worker);
    q35_pool *pool = q35i_alloc_aligned(bytes, alignof(q35_pool));
    if (!pool)
        return Q35_E_NOMEM;
    memset(pool, 0, bytes);
    pool->team.n_workers = n_workers;
    pool->team.spin = n_workers <= n_usable;
    pool->first_cpu = cpus ? cpus[0] : -1;

    /* Signals go to the program's own threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    for (uint32_t i = 1; i < n_workers && status == Q35_OK; i++)
        status = start_worker(pool, i, cpus);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (status != Q35_OK) {
        q35i_pool_destroy(pool);
        return status;
    }
    *out = pool;
    return Q35_OK;
}

void q35i_pool_destroy(q35_pool *pool)
{
    if (!pool)
        return;
    pool->stop = true;
    start_epoch(pool);
    for (uint32_t i = 0; i < pool->n_started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    q35i_free(pool);
}
