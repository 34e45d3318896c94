/* SPDX-License-Identifier: Apache-2.0
 *
 * The host that the plugin sees. Memory has its size in front of it and a mark behind, is filled with garbage,
 * counted, and refused where a case asks for it. Wrong calls of the host's services fail the case at once. */
#define _GNU_SOURCE
#include "conform.h"

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { GARBAGE = 0xa5, TAIL = 16, MOST_GARBAGE = 1 << 20 };
#define MAGIC UINT64_C(0x71333568656170)

typedef struct block {
    uint64_t magic, bytes;
    void *raw;
    uint64_t mapped;
} block;

static atomic_llong left = -1; /* allocations until one fails; -1: none fails */
static atomic_ullong n_allocs, n_live, live_bytes;
static _Thread_local char error_text[CF_TEXT];
static _Thread_local bool in_parallel;
static char log_text[CF_TEXT];
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

void cf_host_fail_alloc(int64_t n)
{
    atomic_store(&left, n > 0 ? n : -1);
}

uint64_t cf_host_allocs(void)
{
    return atomic_load(&n_allocs);
}

uint64_t cf_host_live(uint64_t *bytes)
{
    *bytes = atomic_load(&live_bytes);
    return atomic_load(&n_live);
}

const char *cf_host_log(void)
{
    return log_text;
}

const char *cf_host_error(void)
{
    return error_text;
}

void cf_host_clear(void)
{
    error_text[0] = log_text[0] = '\0';
}

static void want_line(const char *service, const char *msg)
{
    if (!msg || msg[0] == '\0')
        cf_fail("%s without a text", service);
    if (strchr(msg, '\n'))
        cf_fail("%s with more than one line: '%.*s'", service, (int)strcspn(msg, "\n"), msg);
}

static void host_log(int32_t level, const char *msg)
{
    want_line("host->log", msg);
    if (level < 0 || level > 3)
        cf_fail("host->log with level %d, need 0 to 3: '%.200s'", level, msg);
    pthread_mutex_lock(&log_lock);
    if (level <= 2)
        snprintf(log_text, sizeof log_text, "%s", msg);
    pthread_mutex_unlock(&log_lock);
}

static q35_status host_fail(q35_status code, const char *msg)
{
    want_line("host->fail", msg);
    if (code == Q35_OK)
        cf_fail("host->fail with status 0: '%.200s'", msg);
    snprintf(error_text, sizeof error_text, "%s", msg);
    return code;
}

static void *host_alloc(uint64_t bytes, uint64_t align, int32_t numa)
{
    (void)numa;
    if (bytes == 0 || align == 0 || (align & (align - 1)) != 0)
        cf_fail("host->alloc of %llu bytes aligned to %llu, need some bytes and a power of two",
                (unsigned long long)bytes, (unsigned long long)align);
    atomic_fetch_add(&n_allocs, 1);
    if (atomic_load(&left) > 0 && atomic_fetch_sub(&left, 1) == 1) {
        atomic_store(&left, -1);
        return NULL;
    }
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), room = align < 64 ? 64 : align;
    if (bytes > UINT64_C(1) << 46 || align > UINT64_C(1) << 30)
        return NULL;
    const uint64_t mapped = (room + sizeof(block) + bytes + TAIL + 2 * page - 1) / page * page;
    void *raw = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw == MAP_FAILED)
        return NULL;
    uint8_t *end = (uint8_t *)raw + mapped - page, *p = end - TAIL - bytes;
    mprotect(end, page, PROT_NONE);
    p -= (uintptr_t)p % align;
    const block b = {MAGIC, bytes, raw, mapped};
    memcpy(p - sizeof b, &b, sizeof b);
    memset(p, GARBAGE, (size_t)(bytes < MOST_GARBAGE ? bytes : MOST_GARBAGE));
    memset(p + bytes, GARBAGE, TAIL);
    atomic_fetch_add(&n_live, 1);
    atomic_fetch_add(&live_bytes, bytes);
    return p;
}

static void host_free(void *ptr)
{
    block b;
    if (!ptr)
        return;
    memcpy(&b, (uint8_t *)ptr - sizeof b, sizeof b);
    if (b.magic != MAGIC)
        cf_fail("host->free of something that host->alloc did not give, or gave and got back");
    for (int i = 0; i < TAIL; i++)
        if (((uint8_t *)ptr)[b.bytes + (uint64_t)i] != GARBAGE)
            cf_fail("wrote past the end of %llu bytes of host->alloc", (unsigned long long)b.bytes);
    atomic_fetch_sub(&n_live, 1);
    atomic_fetch_sub(&live_bytes, b.bytes);
    munmap(b.raw, b.mapped);
}

static uint32_t host_pool_size(const q35_pool *pool)
{
    return q35i_pool_size(pool);
}

typedef struct call {
    void (*fn)(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team);
    void *arg;
} call;

static void run_worker(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    const call *c = arg;
    const uint32_t mode = cf_fpu_mode();
    in_parallel = true;
    c->fn(c->arg, worker, n_workers, team);
    in_parallel = false;
    if (cf_fpu_mode() != mode)
        cf_fail("the floating-point mode of worker %u is 0x%x after host->parallel, need 0x%x as before", worker,
                cf_fpu_mode(), mode);
}

static void host_parallel(q35_pool *pool, void (*fn)(void *, uint32_t, uint32_t, q35_team *), void *arg)
{
    call c = {fn, arg};
    if (in_parallel)
        cf_fail("host->parallel from inside a function of host->parallel");
    if (!pool || !fn)
        cf_fail("host->parallel without a %s", pool ? "function" : "pool");
    q35i_pool_parallel(pool, run_worker, &c);
}

static void host_barrier(q35_team *team)
{
    if (!in_parallel)
        cf_fail("host->barrier outside of host->parallel");
    q35i_pool_barrier(team);
}

const q35_host *cf_host(void)
{
    static const q35_host table = {.h = {sizeof table, Q35_STRUCT_HOST, NULL},
                                   .abi_major = Q35_ABI_MAJOR,
                                   .abi_minor = Q35_ABI_MINOR,
                                   .log = host_log,
                                   .fail = host_fail,
                                   .alloc = host_alloc,
                                   .free = host_free,
                                   .pool_size = host_pool_size,
                                   .parallel = host_parallel,
                                   .barrier = host_barrier,
                                   .now_ns = q35i_now_ns};
    return &table;
}
