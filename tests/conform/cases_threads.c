/* SPDX-License-Identifier: Apache-2.0
 *
 * Slots that may be called from any thread, from several at once, while another thread runs plans: each must give
 * the answer it gave alone. */
#define _GNU_SOURCE
#include "conform.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { THREADS = 4, QUESTIONS = 24, ROUNDS = 40 };

typedef struct question {
    cf_case c;
    const q35_region *region;
    q35_support support;
    q35_layout layout;
    bool has_layout;
} question;

typedef struct crowd {
    cf_env *e;
    question *q[QUESTIONS];
    uint32_t n;
    atomic_int stop;
} crowd;

static void ask(cf_env *e, const question *q, q35_support *s, q35_layout *layout, bool *has_layout)
{
    memset(s, 0, sizeof *s);
    memset(layout, 0, sizeof *layout);
    s->h = (q35_hdr){sizeof *s, Q35_STRUCT_SUPPORT, NULL};
    cf_ok(e->api->op_support(e->dev, q->region, s), "op_support");
    *has_layout = q->c.weight != Q35_NONE && cf_layout(e, q->c.nodes[0].op, &q->c.t[q->c.weight].desc, 0, layout);
}

static void *ask_all(void *arg)
{
    crowd *w = arg;
    for (int round = 0; round < ROUNDS && !atomic_load(&w->stop); round++) {
        for (uint32_t i = 0; i < w->n; i++) {
            const question *q = w->q[i];
            q35_support s;
            q35_layout layout;
            bool has_layout;
            ask(w->e, q, &s, &layout, &has_layout);
            if (memcmp(&s, &q->support, sizeof s) != 0)
                cf_fail("%s: op_support gives another answer among several threads: '%s', alone '%s'", q->c.text,
                        s.reason, q->support.reason);
            if (has_layout != q->has_layout || (has_layout && memcmp(&layout, &q->layout, sizeof layout) != 0))
                cf_fail("%s: layout_query gives another answer among several threads", q->c.text);
            q35_plan *plan = NULL;
            if (s.ok && (round + (int)i) % 8 == 0) {
                cf_ok(w->e->api->plan_compile(w->e->dev, q->region, &plan), "plan_compile");
                w->e->api->plan_free(plan);
            }
        }
    }
    return NULL;
}

static void threads_answers(cf_env *e, uint32_t a, uint32_t b)
{
    pthread_t threads[THREADS];
    crowd w = {.e = e};
    (void)a, (void)b;
    for (; w.n < QUESTIONS; w.n++) {
        question *q = w.q[w.n] = kc_alloc(&e->x, sizeof *q);
        if (!cf_small_case(e, &q->c, w.n))
            break;
        q->region = cf_region(&q->c);
        ask(e, q, &q->support, &q->layout, &q->has_layout);
    }
    cf_case *c = kc_alloc(&e->x, sizeof *c);
    const bool runs = cf_any_case(e, c, 0);
    e->crowded = true;
    cf_stage("op_support, layout_query, plan_compile from %d threads while plans run", (int)THREADS);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, ask_all, &w) != 0)
            cf_skip("no threads");
    for (int i = 0; runs && i < 10; i++) {
        const size_t used = e->x.arena_used;
        cf_exec x = {0};
        cf_exec_compile(e, &x, c);
        cf_exec_place(e, &x, i & 1, false);
        cf_exec_run(e, &x);
        cf_compare(e, c, x.got, -1, "among other threads");
        cf_exec_free(e, &x);
        e->x.arena_used = used;
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

/* Two devices of one plugin, or one device twice, in two threads. */
typedef struct session {
    cf_env e;
    pthread_t thread;
} session;

static void *run_session(void *arg)
{
    session *s = arg;
    cf_env *e = &s->e;
    cf_case *c = kc_alloc(&e->x, sizeof *c);
    cf_open(e, 1);
    for (uint32_t i = 0; cf_any_case(e, c, i) && i < 6; i++) {
        const size_t used = e->x.arena_used;
        cf_exec x = {0};
        cf_exec_compile(e, &x, c);
        cf_exec_place(e, &x, true, false);
        cf_exec_run(e, &x);
        cf_compare(e, c, x.got, -1, "with two open devices");
        cf_exec_free(e, &x);
        e->x.arena_used = used;
    }
    cf_close(e);
    return NULL;
}

static void threads_devices(cf_env *e, uint32_t a, uint32_t b)
{
    session s[2];
    (void)a, (void)b;
    for (int i = 0; i < 2; i++) {
        s[i] = (session){.e = *e};
        s[i].e.guard = NULL;
        s[i].e.crowded = true;
        s[i].e.x.arena = kc_arena_open(&s[i].e.x.arena_size);
        s[i].e.x.arena_used = 0;
        if (!s[i].e.x.arena || pthread_create(&s[i].thread, NULL, run_session, &s[i]) != 0)
            cf_skip("no threads or memory");
    }
    for (int i = 0; i < 2; i++)
        pthread_join(s[i].thread, NULL);
}

void cf_list_threads(cf_list *list)
{
    cf_add_test(list, CF_DEVICE, threads_answers, 0, 0, "threads/answers");
    cf_add_test(list, CF_CLOSED, threads_devices, 0, 0, "threads/devices");
}
