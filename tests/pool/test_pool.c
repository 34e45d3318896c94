/* SPDX-License-Identifier: Apache-2.0
 *
 * Thread pool: every worker runs exactly once per region, barriers separate phases, splits cover a range without
 * overlap, creation survives failing allocations. Run under ThreadSanitizer it also checks the ordering. */
#define _GNU_SOURCE
#include "runtime/base/affinity.h"
#include "runtime/base/alloc.h"
#include "runtime/base/pool.h"
#include "support/expect.h"
#include "support/suite.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_TEST_WORKERS = 4, REGIONS = 2000, BARRIERS = 3000 };

typedef struct count_state {
    uint32_t runs[MAX_TEST_WORKERS], n_workers[MAX_TEST_WORKERS];
} count_state;

static void count_run(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    count_state *s = arg;
    (void)team;
    s->runs[worker]++; /* plain: each worker owns its element, the region's end publishes it */
    s->n_workers[worker] = n_workers;
}

START_TEST(every_worker_runs_once_per_region)
{
    uint32_t n = (uint32_t)_i;
    q35_pool *pool;
    count_state s = {{0}, {0}};
    ck_assert_uint_eq(q35i_pool_create(n, NULL, &pool), Q35_OK);
    ck_assert_uint_eq(q35i_pool_size(pool), n);
    for (uint32_t r = 1; r <= REGIONS; r++) {
        q35i_pool_parallel(pool, count_run, &s);
        for (uint32_t w = 0; w < n; w++) {
            ck_assert_uint_eq(s.runs[w], r);
            ck_assert_uint_eq(s.n_workers[w], n);
        }
    }
    q35i_pool_destroy(pool);
}
END_TEST

typedef struct barrier_state {
    uint32_t value[MAX_TEST_WORKERS];
    atomic_uint errors;
} barrier_state;

/* In each phase a worker writes its own element and after the barrier reads all others. */
static void barrier_run(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    barrier_state *s = arg;
    for (uint32_t phase = 1; phase <= BARRIERS; phase++) {
        s->value[worker] = phase;
        q35i_pool_barrier(team);
        for (uint32_t w = 0; w < n_workers; w++)
            if (s->value[w] != phase)
                atomic_fetch_add(&s->errors, 1);
        q35i_pool_barrier(team);
    }
}

START_TEST(barrier_separates_phases)
{
    q35_pool *pool;
    barrier_state s;
    memset(&s, 0, sizeof s);
    ck_assert_uint_eq(q35i_pool_create((uint32_t)_i, NULL, &pool), Q35_OK);
    q35i_pool_parallel(pool, barrier_run, &s);
    q35i_pool_parallel(pool, barrier_run, &s);
    ck_assert_uint_eq(atomic_load(&s.errors), 0);
    q35i_pool_destroy(pool);
}
END_TEST

typedef struct split_state {
    uint8_t *hits;
    uint64_t n, grain;
} split_state;

static void split_run(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    split_state *s = arg;
    uint64_t begin, end;
    (void)team;
    q35i_split(s->n, s->grain, worker, n_workers, &begin, &end);
    for (uint64_t i = begin; i < end; i++)
        s->hits[i]++;
}

START_TEST(split_covers_range_once)
{
    static const uint64_t sizes[] = {0, 1, 2, 7, 64, 100, 577, 4096}, grains[] = {1, 4, 64, 1000};
    q35_pool *pool;
    ck_assert_uint_eq(q35i_pool_create((uint32_t)_i, NULL, &pool), Q35_OK);
    for (size_t a = 0; a < sizeof sizes / sizeof *sizes; a++) {
        for (size_t b = 0; b < sizeof grains / sizeof *grains; b++) {
            split_state s = {calloc(sizes[a] + 1, 1), sizes[a], grains[b]};
            ck_assert_ptr_nonnull(s.hits);
            q35i_pool_parallel(pool, split_run, &s);
            for (uint64_t i = 0; i < s.n; i++)
                ck_assert_uint_eq(s.hits[i], 1);
            ck_assert_uint_eq(s.hits[s.n], 0);
            free(s.hits);
        }
    }
    q35i_pool_destroy(pool);
}
END_TEST

START_TEST(create_and_destroy_many)
{
    for (uint32_t i = 0; i < 100; i++) {
        q35_pool *pool;
        ck_assert_uint_eq(q35i_pool_create(1 + i % MAX_TEST_WORKERS, NULL, &pool), Q35_OK);
        q35i_pool_destroy(pool);
    }
    q35i_pool_destroy(NULL);
}
END_TEST

START_TEST(sleeping_workers_wake)
{
    q35_pool *pool;
    count_state s = {{0}, {0}};
    ck_assert_uint_eq(q35i_pool_create(3, NULL, &pool), Q35_OK);
    for (uint32_t r = 1; r <= 20; r++) {
        struct timespec pause = {0, 2000000};
        nanosleep(&pause, NULL);
        q35i_pool_parallel(pool, count_run, &s);
        for (uint32_t w = 0; w < 3; w++)
            ck_assert_uint_eq(s.runs[w], r);
    }
    q35i_pool_destroy(pool);
}
END_TEST

typedef struct pin_state {
    const int32_t *cpus;
    atomic_uint elsewhere;
} pin_state;

static void pin_run(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    pin_state *s = arg;
    (void)n_workers, (void)team;
    if (worker > 0 && sched_getcpu() != s->cpus[worker])
        atomic_fetch_add(&s->elsewhere, 1);
}

/* Workers run where they are pinned; the caller keeps its affinity mask. */
START_TEST(pinned_workers_stay)
{
    int32_t cpus[MAX_TEST_WORKERS];
    uint32_t n = q35i_affinity_cpus(cpus, MAX_TEST_WORKERS);
    pin_state s = {.cpus = cpus};
    q35_pool *pool;
    cpu_set_t before, after;
    n = n < MAX_TEST_WORKERS ? n : MAX_TEST_WORKERS;
    atomic_init(&s.elsewhere, 0);
    ck_assert_int_eq(sched_getaffinity(0, sizeof before, &before), 0);
    ck_assert_uint_eq(q35i_pool_create(n, cpus, &pool), Q35_OK);
    for (int i = 0; i < REGIONS; i++)
        q35i_pool_parallel(pool, pin_run, &s);
    ck_assert_uint_eq(atomic_load(&s.elsewhere), 0);
    ck_assert_int_eq(sched_getaffinity(0, sizeof after, &after), 0);
    ck_assert(CPU_EQUAL(&before, &after));
    q35i_pool_destroy(pool);
}
END_TEST

START_TEST(bad_arguments_and_no_memory)
{
    static const int32_t absent[2] = {0, 100000};
    q35_pool *pool = (q35_pool *)&pool;
    EXPECT_FAILURE(q35i_pool_create(1000000, NULL, &pool), Q35_E_INVALID, "1000000 threads asked for");
    ck_assert_ptr_null(pool);
    q35i_alloc_fail_at(1);
    ck_assert_uint_eq(q35i_pool_create(2, NULL, &pool), Q35_E_NOMEM);
    q35i_alloc_fail_at(0);
    ck_assert_ptr_null(pool);
    /* a CPU that does not exist costs the pinning, not the pool */
    ck_assert_uint_eq(q35i_pool_create(2, absent, &pool), Q35_OK);
    q35i_pool_destroy(pool);
    ck_assert_uint_eq(q35i_pool_create(0, NULL, &pool), Q35_OK);
    ck_assert_uint_ge(q35i_pool_size(pool), 1);
    q35i_pool_destroy(pool);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pool");
    TCase *tc = tcase_create("pool");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, every_worker_runs_once_per_region, 1, MAX_TEST_WORKERS + 1);
    tcase_add_loop_test(tc, barrier_separates_phases, 1, MAX_TEST_WORKERS + 1);
    tcase_add_loop_test(tc, split_covers_range_once, 1, MAX_TEST_WORKERS + 1);
    tcase_add_test(tc, create_and_destroy_many);
    tcase_add_test(tc, sleeping_workers_wake);
    tcase_add_test(tc, pinned_workers_stay);
    tcase_add_test(tc, bad_arguments_and_no_memory);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
