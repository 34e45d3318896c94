/* SPDX-License-Identifier: Apache-2.0
 *
 * Extensions of <q35rt/measure.h>, <q35rt/energy.h> and <q35rt/capture.h>: what is measured is sane and adds up,
 * watching changes no result, and a recording does what was recorded. */
#include "conform.h"

#include <q35rt/capture.h>
#include <q35rt/energy.h>
#include <q35rt/measure.h>
#include <string.h>

enum { RUNS = 3, MOST_LIMITS = 64, LIMIT_MS = 20 };

#define WAIT_NS UINT64_C(3600000000000) /* the case has a deadline of its own */

static const void *need_table(cf_env *e, uint32_t type, const char *name)
{
    const q35_hdr *h = Q35_HAS_SLOT(e->api, q35_plugin, extension) ? e->api->extension(type) : NULL;
    if (!h)
        cf_skip("no extension %s", name);
    return h;
}

static void check_text(const char *text, size_t cap, const char *what)
{
    if (!memchr(text, '\0', cap))
        cf_fail("%s does not end within its %zu bytes", what, cap);
    if (text[0] == '\0')
        cf_fail("%s is empty", what);
}

/* ---- measure */

static void limits(cf_env *e, uint32_t a, uint32_t b)
{
    const q35_measure *m = need_table(e, Q35_STRUCT_MEASURE, "measure");
    uint32_t i = 0;
    (void)a, (void)b;
    if (!Q35_HAS_SLOT(m, q35_measure, limit))
        cf_skip("no slot limit");
    for (;; i++) {
        q35_limit limit = {.h = {sizeof limit, Q35_STRUCT_LIMIT, NULL}};
        cf_stage("limit %u", i);
        q35_status status = m->limit(e->dev, i, LIMIT_MS, &limit);
        if (status == Q35_E_RANGE) {
            cf_refused(status, "limit past the last");
            break;
        }
        cf_ok(status, "limit");
        check_text(limit.name, sizeof limit.name, "the name of a limit");
        if ((limit.kind != Q35_LIMIT_INT8 && limit.kind != Q35_LIMIT_READ) || limit.per_second == 0)
            cf_fail("limit %u (%s) has kind %u and %llu per second, need 1 or 2, and some", i, limit.name,
                    limit.kind, (unsigned long long)limit.per_second);
        if (i == MOST_LIMITS)
            cf_fail("limit %u is still there, need Q35_E_RANGE at some time", i);
    }
    cf_note(e, "%u", i);
}

/* A plan on its memory, bound; what it runs gives the same results whatever is done beside it. */
static void start(cf_env *e, cf_exec *x)
{
    cf_case *c = kc_alloc(&e->x, sizeof *c);
    if (!cf_any_case(e, c, 0))
        cf_skip("the device runs none of the small cases");
    *x = (cf_exec){0};
    cf_exec_compile(e, x, c);
    cf_exec_place(e, x, true, false);
}

static void check_profile(const q35_profile *p)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < p->n_nodes; i++)
        sum += p->node_ns[i];
    if (p->runs != RUNS)
        cf_fail("profile_read counts %llu runs, need %d", (unsigned long long)p->runs, (int)RUNS);
    if (p->run_ns == 0 || sum + p->barrier_ns > p->run_ns + p->run_ns / 16 + 1000 * RUNS)
        cf_fail(
            "profile_read has %llu ns in nodes and %llu ns of waiting in runs of %llu ns, need no more than all",
            (unsigned long long)sum, (unsigned long long)p->barrier_ns, (unsigned long long)p->run_ns);
}

static void profile(cf_env *e, uint32_t a, uint32_t b)
{
    const q35_measure *m = need_table(e, Q35_STRUCT_MEASURE, "measure");
    uint64_t node_ns[CF_NODES] = {0};
    cf_exec x;
    (void)a, (void)b;
    if (!Q35_HAS_SLOT(m, q35_measure, profile) || !Q35_HAS_SLOT(m, q35_measure, profile_read))
        cf_skip("no slot profile");
    start(e, &x);
    q35_profile p = {.h = {sizeof p, Q35_STRUCT_PROFILE, NULL}, .n_nodes = x.c->n_nodes, .node_ns = node_ns};
    cf_refused(m->profile_read(x.plan, &p), "profile_read before profile");
    for (int round = 0; round < 2; round++) { /* each from zero */
        cf_ok(m->profile(x.plan, 1), "profile");
        for (int i = 0; i < RUNS; i++) {
            cf_exec_run(e, &x);
            cf_compare(e, x.c, x.got, -1, "while its time is counted");
        }
        memset(node_ns, 0xa5, sizeof node_ns);
        cf_ok(m->profile_read(x.plan, &p), "profile_read");
        check_profile(&p);
    }
    cf_ok(m->profile(x.plan, 0), "profile off");
    cf_refused(m->profile_read(x.plan, &p), "profile_read after profile was ended");
    cf_exec_run(e, &x);
    cf_compare(e, x.c, x.got, -1, "after its time was counted");
    cf_exec_free(e, &x);
}

/* ---- energy */

static uint64_t microjoules(cf_env *e, const q35_energy *table)
{
    q35_energy_reading r = {.h = {sizeof r, Q35_STRUCT_ENERGY_READING, NULL}};
    q35_status status = table->read(e->dev, &r);
    if (status == Q35_E_UNAVAILABLE) {
        cf_refused(status, "energy");
        cf_skip("%s", cf_host_error());
    }
    cf_ok(status, "energy");
    check_text(r.covers, sizeof r.covers, "what an energy reading covers");
    if (r.source > Q35_ENERGY_MODEL)
        cf_fail("energy has source %u, need 0 or 1", r.source);
    return r.microjoules;
}

static void energy(cf_env *e, uint32_t a, uint32_t b)
{
    const q35_energy *table = need_table(e, Q35_STRUCT_ENERGY, "energy");
    cf_exec x;
    (void)a, (void)b;
    uint64_t before = microjoules(e, table);
    start(e, &x);
    for (int i = 0; i < RUNS; i++) {
        cf_exec_run(e, &x);
        const uint64_t now = microjoules(e, table);
        if (now < before)
            cf_fail("energy was %llu microjoules and is %llu, need no less than before",
                    (unsigned long long)before, (unsigned long long)now);
        before = now;
    }
    cf_exec_free(e, &x);
}

/* ---- capture */

static void wait_for(cf_env *e)
{
    cf_ok(e->api->timeline_wait(e->timeline, e->reached, WAIT_NS), "timeline_wait for a replay");
}

static void check_nothing_ran(const cf_exec *x)
{
    for (uint32_t i = 0; i < x->c->n_tensors; i++)
        if (memcmp(x->got[i], x->c->t[i].init, x->c->t[i].bytes) != 0)
            cf_fail("%s: %s changed while its run was only recorded", x->c->text, x->c->t[i].name);
}

static void capture(cf_env *e, uint32_t a, uint32_t b)
{
    const q35_capture *table = need_table(e, Q35_STRUCT_CAPTURE, "capture");
    q35_recording *recording = NULL;
    cf_exec x;
    (void)a, (void)b;
    start(e, &x);
    cf_stage("capture begin");
    q35_status status = table->begin(e->queue);
    if (status == Q35_E_UNSUPPORTED) {
        cf_refused(status, "capture");
        cf_skip("%s", cf_host_error());
    }
    cf_ok(status, "capture begin");
    cf_ok(e->api->plan_submit(e->queue, x.plan, NULL, 0, NULL, 0), "plan_submit into a recording");
    cf_ok(table->end(e->queue, &recording), "capture end");
    cf_exec_read_back(e, &x);
    check_nothing_ran(&x);
    for (int i = 0; i < RUNS; i++) {
        const q35_point done = {e->timeline, ++e->reached};
        cf_stage("replay %d", i);
        cf_ok(table->replay(e->queue, recording, NULL, 0, &done, 1), "replay");
        wait_for(e);
        cf_exec_read_back(e, &x);
        cf_compare(e, x.c, x.got, -1, "by a replay");
    }
    table->free(recording);
    cf_exec_run(e, &x);
    cf_compare(e, x.c, x.got, -1, "after a recording of it is gone");
    cf_exec_free(e, &x);
}

void cf_list_extension(cf_list *list)
{
    cf_add_test(list, CF_DEVICE, limits, 0, 0, "measure/limits");
    cf_add_test(list, CF_DEVICE, profile, 0, 0, "measure/profile");
    cf_add_test(list, CF_DEVICE, energy, 0, 0, "energy/grows");
    cf_add_test(list, CF_DEVICE | CF_L1, capture, 0, 0, "capture/replay");
}
