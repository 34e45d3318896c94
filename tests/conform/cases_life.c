/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening and closing, again and again: what is left behind is counted. After shutdown the table works again, and
 * a plugin that says so can be unloaded and loaded once more. */
#define _GNU_SOURCE
#include "conform.h"

#include "runtime/base/pool.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct counts {
    uint64_t allocations, heap;
    uint32_t threads, files;
} counts;

static counts count(void)
{
    uint64_t bytes;
    counts n = {.threads = cf_count_threads(), .files = cf_count_files(), .heap = cf_heap_bytes()};
    n.allocations = cf_host_live(&bytes);
    return n;
}

/* A thread that was joined may still be listed for a moment. */
static counts count_settled(const counts *before)
{
    counts n = count();
    for (int i = 0; i < 400 && n.threads > before->threads; i++) {
        nanosleep(&(struct timespec){0, 5000000}, NULL);
        n = count();
    }
    return n;
}

static void open_on(cf_env *e, q35_pool *pool)
{
    const q35_open_options options = cf_open_options(e, pool);
    e->dev = NULL;
    cf_ok(e->api->device_open(e->options->device, &options, &e->dev), "device_open");
    if (e->l1)
        cf_open_queue(e);
}

static void close_again(cf_env *e)
{
    if (e->queue)
        cf_close_queue(e);
    e->api->device_close(e->dev);
    e->dev = NULL;
}

/* One session; c NULL: nothing is run. */
static void use(cf_env *e, q35_pool *pool, cf_case *c)
{
    const size_t used = e->x.arena_used;
    cf_exec x = {0};
    open_on(e, pool);
    if (c) {
        cf_exec_compile(e, &x, c);
        cf_exec_place(e, &x, true, false);
        cf_exec_run(e, &x);
        cf_exec_free(e, &x);
    }
    close_again(e);
    e->x.arena_used = used;
}

/* What drivers keep for themselves is not the plugin's; a few bytes per round it would be. */
static uint64_t tolerated(const cf_env *e, uint32_t rounds)
{
    return rounds * (e->note.flags & Q35_NF_NEEDS_DRIVER ? 512u : 16u);
}

static void complain(const cf_env *e, const counts *a, const counts *b, uint32_t rounds)
{
    if (b->allocations != a->allocations)
        cf_leak("%llu allocations of host->alloc are left after %u rounds more",
                (unsigned long long)(b->allocations - a->allocations), rounds);
    if (b->files != a->files)
        cf_leak("%u more open files after %u rounds more", b->files - a->files, rounds);
    if (b->threads != a->threads)
        cf_leak("%u more threads after %u rounds more", b->threads - a->threads, rounds);
    if (b->heap > a->heap && b->heap - a->heap >= tolerated(e, rounds))
        cf_leak("%llu more bytes of the heap in use after %u rounds more", (unsigned long long)(b->heap - a->heap),
                rounds);
}

static void life_reopen(cf_env *e, uint32_t with_plan, uint32_t b)
{
    enum { WARM = 10, ROUNDS = 50 };
    q35_pool *pool = cf_pool(CF_THREADS);
    cf_case *c = kc_alloc(&e->x, sizeof *c);
    (void)b;
    cf_describe(e);
    if (with_plan) {
        open_on(e, pool);
        const bool any = cf_any_case(e, c, 0);
        close_again(e);
        if (!any)
            cf_skip("the device runs none of the kit's small cases");
    }
    for (uint32_t i = 0; i < WARM; i++)
        use(e, pool, with_plan ? c : NULL);
    const counts before = count();
    for (uint32_t i = 0; i < ROUNDS; i++)
        use(e, pool, with_plan ? c : NULL);
    const counts after = count_settled(&before);
    complain(e, &before, &after, ROUNDS);
    cf_note(e, "%d rounds", WARM + ROUNDS);
}

/* Questions leave nothing behind either. */
static void life_questions(cf_env *e, uint32_t a, uint32_t b)
{
    enum { ROUNDS = 200 };
    cf_case *c = kc_alloc(&e->x, sizeof *c);
    counts before = {0};
    (void)a, (void)b;
    if (!cf_any_case(e, c, 0))
        cf_small_case(e, c, 0);
    for (uint32_t i = 0; i < 2 * ROUNDS; i++) {
        q35_support s = {.h = {sizeof s, Q35_STRUCT_SUPPORT, NULL}};
        q35_device_info info = {.h = {sizeof info, Q35_STRUCT_DEVICE_INFO, NULL}};
        q35_cost cost = {.h = {sizeof cost, Q35_STRUCT_COST, NULL}};
        if (i == ROUNDS)
            before = count();
        cf_ok(e->api->op_support(e->dev, cf_region(c), &s), "op_support");
        cf_ok(e->api->device_info(e->options->device, &info), "device_info");
        if (s.ok && Q35_HAS_SLOT(e->api, q35_plugin, op_cost))
            cf_ok(e->api->op_cost(e->dev, cf_region(c), &cost), "op_cost");
    }
    const counts after = count_settled(&before);
    complain(e, &before, &after, ROUNDS);
}

static void life_shutdown(cf_env *e, uint32_t a, uint32_t b)
{
    const counts before = count();
    (void)a, (void)b;
    for (int round = 0; round < 3; round++) {
        cf_stage("round %d: open, close, shutdown", round);
        cf_open(e, CF_THREADS);
        cf_close(e);
        cf_unload(e); /* counts the host's allocations */
        if (!(e->note.flags & Q35_NF_NEEDS_DRIVER) && count_settled(&before).threads > before.threads)
            cf_leak("%u threads are left after shutdown", count().threads - before.threads);
        cf_load(e);
    }
}

void cf_list_life(cf_list *list)
{
    cf_add_test(list, CF_CLOSED, life_reopen, 0, 0, "life/reopen");
    cf_add_test(list, CF_CLOSED, life_reopen, 1, 0, "life/plans");
    cf_add_test(list, CF_DEVICE, life_questions, 0, 0, "life/questions");
    cf_add_test(list, CF_CLOSED, life_shutdown, 0, 0, "life/shutdown");
}
