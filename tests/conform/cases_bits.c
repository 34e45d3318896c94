/* SPDX-License-Identifier: Apache-2.0
 *
 * Q35_DET_BITWISE: the same bits with one, two and three threads. A device opened as deterministic promises
 * nothing less. Fewer rows and other addresses: execute.c. */
#include "conform.h"

#include "runtime/base/pool.h"

#include <stdio.h>
#include <string.h>

static void open_with(cf_env *e, uint32_t n_threads, uint32_t deterministic)
{
    e->pool = cf_pool(n_threads);
    q35_open_options options = cf_open_options(e, e->pool);
    options.deterministic = deterministic;
    cf_stage("device_open with %u threads, deterministic %u", n_threads, deterministic);
    cf_ok(e->api->device_open(e->options->device, &options, &e->dev), "device_open");
    if (e->l1)
        cf_open_queue(e);
}

/* Runs the case; the first time keeps what it left, then compares with that. */
static bool run_on(cf_env *e, cf_case *c, uint32_t n_threads, uint8_t **kept)
{
    q35_support support;
    cf_exec x = {0};
    open_with(e, n_threads, 0);
    const bool promised = cf_supported(e, cf_region(c), &support) && support.determinism == Q35_DET_BITWISE;
    if (promised) {
        cf_exec_compile(e, &x, c);
        cf_exec_place(e, &x, n_threads & 1, false);
        cf_exec_run(e, &x);
        for (uint32_t i = 0; i < c->n_tensors; i++) {
            if (!c->t[i].want)
                continue;
            if (kept[i] && memcmp(kept[i], x.got[i], c->t[i].bytes) != 0)
                cf_fail("%s: promises Q35_DET_BITWISE, but %s has other bits with %u threads", c->text,
                        c->t[i].name, n_threads);
            kept[i] = kept[i] ? kept[i] : kc_alloc(&e->x, c->t[i].bytes);
            memcpy(kept[i], x.got[i], c->t[i].bytes);
        }
        cf_exec_free(e, &x);
    }
    cf_close(e);
    return promised;
}

static void bits_threads(cf_env *e, uint32_t a, uint32_t b)
{
    static const uint32_t threads[] = {1, 2, 3};
    static const int64_t indices[] = {4, 12};
    (void)a, (void)b;
    cf_describe(e);
    cf_case *c = kc_alloc(&e->x, sizeof *c);
    const size_t used = e->x.arena_used;
    for (int j = 0; j < 2; j++) {
        for (uint32_t i = 0; cf_case_of(e, c, i, indices[j]); i++) {
            uint8_t *kept[CF_TENSORS] = {NULL};
            bool promised = true;
            for (int n = 0; n < 3 && promised; n++)
                promised = run_on(e, c, threads[n], kept);
            e->n_run += promised;
            e->x.arena_used = used;
        }
    }
    cf_sum_up(e, "the device promises Q35_DET_BITWISE for none of the kit's small cases");
}

static void bits_deterministic(cf_env *e, uint32_t a, uint32_t b)
{
    (void)a, (void)b;
    cf_describe(e);
    open_with(e, CF_THREADS, 1);
    cf_case *c = kc_alloc(&e->x, sizeof *c);
    for (uint32_t i = 0; cf_small_case(e, c, i); i++) {
        q35_support support;
        if (!cf_supported(e, cf_region(c), &support))
            continue;
        if (support.determinism != Q35_DET_BITWISE)
            cf_fail("%s: a device opened as deterministic says yes without Q35_DET_BITWISE", c->text);
        e->n_run++;
    }
    cf_sum_up(e, "opened as deterministic the device runs none of the kit's small cases");
}

void cf_list_bits(cf_list *list)
{
    cf_add_test(list, CF_CLOSED, bits_threads, 0, 0, "bits/threads");
    cf_add_test(list, CF_CLOSED, bits_deterministic, 0, 0, "bits/deterministic");
}
