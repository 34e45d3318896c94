/* SPDX-License-Identifier: Apache-2.0
 *
 * Host services for the plugin under test. A parallel call starts one thread per worker, and workers are held back
 * at random before they start and after barriers, so that a missing barrier shows as wrong results. */
#define _GNU_SOURCE
#include "fixture.h"

#include <check.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MAX_WORKERS = 8 };

struct q35_team {
    pthread_barrier_t barrier;
};

typedef struct worker {
    void (*fn)(void *, uint32_t, uint32_t, q35_team *);
    void *arg;
    uint32_t index, n_workers;
    q35_team *team;
} worker;

static _Thread_local char error_text[256];
static _Thread_local uint32_t delay_random;
static atomic_ullong allocs, live, failing;

const char *fixture_error(void)
{
    return error_text;
}

uint64_t fixture_allocs(void)
{
    return allocs;
}

uint64_t fixture_live_allocs(void)
{
    return live;
}

void fixture_fail_alloc(uint64_t n)
{
    failing = n ? allocs + n : 0;
}

static void host_log(int32_t level, const char *msg)
{
    (void)level;
    (void)msg;
}

static q35_status host_fail(q35_status code, const char *msg)
{
    snprintf(error_text, sizeof error_text, "%s", msg);
    return code;
}

static void *host_alloc(uint64_t bytes, uint64_t align, int32_t numa)
{
    void *p = NULL;
    (void)numa;
    if (atomic_fetch_add(&allocs, 1) + 1 == failing ||
        posix_memalign(&p, align < sizeof(void *) ? sizeof(void *) : align, bytes))
        return NULL;
    atomic_fetch_add(&live, 1);
    return p;
}

static void host_free(void *p)
{
    if (p)
        atomic_fetch_sub(&live, 1);
    free(p);
}

static uint32_t host_pool_size(const q35_pool *pool)
{
    return pool->n_workers;
}

/* Nothing, or 200 microseconds. */
static void delay(void)
{
    delay_random = delay_random * 1664525u + 1013904223u;
    struct timespec t = {0, 200000};
    if (delay_random >> 30 == 0)
        nanosleep(&t, NULL);
}

static void *run_worker(void *arg)
{
    worker *w = arg;
    delay_random = 977u * (w->index + 1);
    delay();
    w->fn(w->arg, w->index, w->n_workers, w->team);
    return NULL;
}

static void host_parallel(q35_pool *pool, void (*fn)(void *, uint32_t, uint32_t, q35_team *), void *arg)
{
    pthread_t threads[MAX_WORKERS];
    worker workers[MAX_WORKERS];
    q35_team team;
    uint32_t n = pool->n_workers;
    pthread_barrier_init(&team.barrier, NULL, n);
    for (uint32_t i = 0; i < n; i++) {
        workers[i] = (worker){fn, arg, i, n, &team};
        if (i > 0)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, run_worker, &workers[i]), 0);
    }
    run_worker(&workers[0]);
    for (uint32_t i = 1; i < n; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&team.barrier);
}

static void host_barrier(q35_team *team)
{
    pthread_barrier_wait(&team->barrier);
    delay();
}

static uint64_t host_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

const q35_host fixture_host = {
    .h = {sizeof fixture_host, Q35_STRUCT_HOST, NULL},
    .abi_major = Q35_ABI_MAJOR,
    .abi_minor = Q35_ABI_MINOR,
    .log = host_log,
    .fail = host_fail,
    .alloc = host_alloc,
    .free = host_free,
    .pool_size = host_pool_size,
    .parallel = host_parallel,
    .barrier = host_barrier,
    .now_ns = host_now_ns,
};

q35_plugin_query_fn fixture_query(void)
{
    static q35_plugin_query_fn query;
    if (query)
        return query;
    void *library = dlopen(Q35RT_CPU_PLUGIN, RTLD_NOW | RTLD_LOCAL);
    ck_assert_msg(library != NULL, "%s", dlerror());
    void *symbol = dlsym(library, Q35_PLUGIN_SYMBOL);
    ck_assert_ptr_nonnull(symbol);
    memcpy(&query, &symbol, sizeof query);
    return query;
}

const q35_plugin *fixture_plugin(void)
{
    const q35_plugin *api;
    ck_assert_uint_eq(fixture_query()(&fixture_host, &api), Q35_OK);
    return api;
}

bool fixture_offers(const char *isa)
{
    const char *key = "isa";
    q35_device *dev = NULL;
    q35_open_options options = {
        .h = {sizeof options, Q35_STRUCT_OPEN_OPTIONS, NULL}, .n_options = 1, .keys = &key, .values = &isa};
    if (fixture_plugin()->device_open(0, &options, &dev) != Q35_OK)
        return false;
    fixture_plugin()->device_close(dev);
    return true;
}
