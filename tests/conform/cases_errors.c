/* SPDX-License-Identifier: Apache-2.0
 *
 * Failures: memory that is refused at every call there is, options nobody knows; and that through all of it
 * nothing of the process changes but what the plugin was asked for. */
#define _GNU_SOURCE
#include "conform.h"

#include "runtime/base/pool.h"

#include <stdio.h>
#include <string.h>

/* ---- host->alloc fails at its k-th call */

static void want_status(q35_status status, const char *what, int64_t k)
{
    if (status != Q35_E_NOMEM)
        cf_fail("%s with allocation %lld refused: %s, need NOMEM", what, (long long)k, q35_status_name(status));
    if (cf_host_error()[0] == '\0')
        cf_fail("%s with allocation %lld refused: NOMEM without a text", what, (long long)k);
}

/* Opens, compiles, frees, closes; the first failure ends it. OK: nothing failed. */
static q35_status attempt(cf_env *e, q35_pool *pool, cf_case *c, int64_t k)
{
    const q35_open_options options = cf_open_options(e, pool);
    q35_device *dev = NULL;
    q35_plan *plan = NULL;
    q35_queue *queue = NULL;
    q35_timeline *timeline = NULL;
    q35_support support = {.h = {sizeof support, Q35_STRUCT_SUPPORT, NULL}};
    cf_host_clear();
    cf_stage("device_open with allocation %lld refused", (long long)k);
    q35_status status = e->api->device_open(e->options->device, &options, &dev);
    if (status != Q35_OK) {
        want_status(status, "device_open", k);
        return status;
    }
    if (e->l1) {
        cf_stage("queue_create and timeline_create with allocation %lld refused", (long long)k);
        status = e->api->queue_create(dev, Q35_QUEUE_COMPUTE, &queue);
        if (status != Q35_OK)
            want_status(status, "queue_create", k);
        else if ((status = e->api->timeline_create(dev, 0, &timeline)) != Q35_OK)
            want_status(status, "timeline_create", k);
    }
    if (status == Q35_OK && c) {
        cf_stage("op_support with allocation %lld refused", (long long)k);
        status = e->api->op_support(dev, cf_region(c), &support);
        if (status != Q35_OK)
            want_status(status, "op_support", k);
        cf_stage("plan_compile with allocation %lld refused", (long long)k);
        if (status == Q35_OK && (status = e->api->plan_compile(dev, cf_region(c), &plan)) != Q35_OK)
            want_status(status, "plan_compile", k);
        cf_stage("plan_free with allocation %lld refused", (long long)k);
        if (status == Q35_OK)
            e->api->plan_free(plan);
    }
    cf_stage("closing with allocation %lld refused", (long long)k);
    if (timeline)
        e->api->timeline_destroy(timeline);
    if (queue)
        e->api->queue_destroy(queue);
    e->api->device_close(dev);
    return status;
}

static void errors_alloc(cf_env *e, uint32_t a, uint32_t b)
{
    enum { MOST = 2000 };
    (void)a, (void)b;
    cf_describe(e);
    q35_pool *pool = cf_pool(CF_THREADS);
    cf_case *c = kc_alloc(&e->x, sizeof *c);
    q35_open_options options = cf_open_options(e, pool);
    cf_ok(e->api->device_open(e->options->device, &options, &e->dev), "device_open");
    if (!cf_any_case(e, c, 0))
        c = NULL;
    e->api->device_close(e->dev);
    e->dev = NULL;
    int64_t refused = 0;
    for (int64_t k = 1; k <= MOST; k++) {
        uint64_t bytes;
        const uint64_t live = cf_host_live(&bytes), before = cf_host_allocs();
        cf_host_fail_alloc(k);
        q35_status status = attempt(e, pool, c, k);
        cf_host_fail_alloc(0);
        if (cf_host_live(&bytes) != live)
            cf_leak("%llu allocations of host->alloc are left after allocation %lld was refused",
                    (unsigned long long)(cf_host_live(&bytes) - live), (long long)k);
        if (cf_host_allocs() - before < (uint64_t)k)
            break; /* not as many */
        refused += status != Q35_OK;
    }
    cf_stage("everything again, nothing refused");
    cf_ok(attempt(e, pool, c, 0), "a session after all failures");
    cf_note(e, "%lld allocations refused", (long long)refused);
}

/* ---- options */

static void errors_options(cf_env *e, uint32_t a, uint32_t b)
{
    static const char *const keys[] = {"no_such_option_of_any_device", ""}, *const values[] = {"1", ""};
    q35_pool *pool = cf_pool(1);
    (void)a, (void)b;
    for (int i = 0; i < 2; i++) {
        q35_open_options options = cf_open_options(e, pool);
        q35_device *dev = NULL;
        options.n_options = 1;
        options.keys = &keys[i];
        options.values = &values[i];
        cf_host_clear();
        cf_stage("device_open with the unknown option '%s'", keys[i]);
        q35_status status = e->api->device_open(e->options->device, &options, &dev);
        cf_refused(status, "device_open with an unknown option");
        if (status != Q35_E_INVALID)
            cf_fail("device_open with an unknown option: %s, need INVALID", q35_status_name(status));
    }
}

/* ---- nothing else changes */

static void errors_quiet(cf_env *e, uint32_t a, uint32_t b)
{
    (void)a, (void)b;
    cf_watch_check("after device_open");
    cf_case *c = kc_alloc(&e->x, sizeof *c);
    const size_t used = e->x.arena_used;
    for (uint32_t i = 0; cf_small_case(e, c, i); i++) {
        q35_support support;
        cf_exec x = {0};
        const bool yes = cf_supported(e, cf_region(c), &support);
        cf_watch_check("after op_support");
        if (!yes)
            continue;
        cf_exec_compile(e, &x, c);
        cf_watch_check("after plan_compile");
        cf_exec_place(e, &x, true, false);
        cf_exec_run(e, &x);
        cf_watch_check("after a run");
        cf_exec_free(e, &x);
        cf_watch_check("after plan_free");
        e->x.arena_used = used;
        e->n_run++;
    }
    cf_close(e);
    cf_watch_check("after device_close");
}

void cf_list_errors(cf_list *list)
{
    cf_add_test(list, CF_CLOSED, errors_alloc, 0, 0, "errors/alloc");
    cf_add_test(list, CF_CLOSED, errors_options, 0, 0, "errors/options");
    cf_add_test(list, CF_DEVICE, errors_quiet, 0, 0, "errors/quiet");
}
