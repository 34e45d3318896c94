/* SPDX-License-Identifier: Apache-2.0
 *
 * Picks the cases, runs them, adds up. Exit status: 0 all passed, 1 something failed, 2 usage, 4 the plugin cannot
 * be loaded. */
#define _GNU_SOURCE
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PASSED = 0, FAILED = 1, USAGE = 2, NOT_LOADED = 4 };

/* The first look: in a process of its own, like everything that runs the plugin's code. */
static void probe_plugin(cf_env *e, uint32_t a, uint32_t b)
{
    cf_probe *p = e->probe;
    (void)a, (void)b;
    snprintf(p->id, sizeof p->id, "%s", e->note.id);
    snprintf(p->version, sizeof p->version, "%.31s", e->api->version);
    cf_stage("enumerate");
    cf_host_clear();
    q35_status status = e->api->enumerate(&p->n_devices);
    if (status != Q35_OK && status != Q35_E_UNAVAILABLE)
        cf_ok(status, "enumerate");
    if (status == Q35_E_UNAVAILABLE)
        p->n_devices = 0;
    if (p->n_devices == 0)
        snprintf(p->reason, sizeof p->reason, "%s",
                 status             ? cf_host_error()
                 : cf_host_log()[0] ? cf_host_log()
                                    : "the plugin gave no reason");
    if (e->options->device < p->n_devices) {
        cf_describe(e);
        snprintf(p->device, sizeof p->device, "%.63s", e->info.name);
        p->l1 = e->l1;
    }
    p->loaded = true;
}

static void look_at_plugin(const cf_options *options, cf_probe *probe, cf_result *result)
{
    const cf_test look = {.name = "probe", .run = probe_plugin};
    cf_options plain = *options;
    plain.replay = NULL;
    probe->loaded = true; /* or nothing would run */
    cf_run_test(&plain, &look, probe, result);
    probe->loaded = result->outcome == CF_PASS;
    if (!probe->loaded)
        snprintf(probe->reason, sizeof probe->reason, "%s%s%.990s",
                 result->outcome == CF_FAIL ? "" : cf_outcome_name(result->outcome),
                 result->outcome == CF_FAIL ? "" : ": ", result->text);
}

static bool is_selected(const cf_options *o, const cf_test *test)
{
    if (o->replay)
        return strcmp(test->name, o->replay) == 0;
    if (o->max_level < 1 && test->needs & CF_L1)
        return false;
    return !o->filter || cf_matches(o->filter, test->name);
}

static size_t select_tests(const cf_options *o, const cf_list *list, const cf_test **out)
{
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++)
        if (is_selected(o, &list->tests[i]))
            out[n++] = &list->tests[i];
    return n;
}

/* A known failure is no failure, and a known failure that passes is one. */
static void apply_expected(const cf_expected *expected, const cf_test *test, cf_result *r)
{
    const char *reason = cf_expected_reason(expected, test->name);
    if (!reason || r->outcome == CF_SKIP)
        return;
    if (r->outcome == CF_PASS) {
        r->outcome = CF_XPASS;
        snprintf(r->text, CF_TEXT, "passes, but a failure is expected: %.900s", reason);
    } else {
        char text[CF_TEXT];
        snprintf(text, sizeof text, "%s", r->text);
        snprintf(r->text, CF_TEXT, "%.400s (%s: %.500s)", reason, cf_outcome_name(r->outcome), text);
        r->outcome = CF_XFAIL;
    }
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int run(const cf_options *o, cf_report *r, cf_probe *probe, cf_result *shared)
{
    cf_expected expected;
    if (!cf_expected_read(o->expect, &expected)) {
        cf_expected_free(&expected);
        return USAGE;
    }
    const double start = seconds_now();
    look_at_plugin(o, probe, shared);
    if (probe->loaded && probe->n_devices > 0 && o->device >= probe->n_devices) {
        fprintf(stderr, "q35rt-conform: device %u, plugin %s has %u\n", o->device, probe->id, probe->n_devices);
        cf_expected_free(&expected);
        return USAGE;
    }
    for (size_t i = 0; i < r->n; i++) {
        cf_run_test(o, r->tests[i], probe, shared);
        r->results[i] = *shared;
        apply_expected(&expected, r->tests[i], &r->results[i]);
        r->counts[r->results[i].outcome]++;
        cf_print_result(o, r->tests[i], &r->results[i]);
    }
    r->seconds = seconds_now() - start;
    cf_expected_free(&expected);
    bool written = (!o->json || cf_write_json(r, o->json)) & (!o->junit || cf_write_junit(r, o->junit));
    cf_print_summary(r);
    if (!probe->loaded)
        return NOT_LOADED;
    for (int i = 0; i < CF_OUTCOMES; i++)
        if (cf_is_bad((cf_outcome)i) && r->counts[i] > 0)
            return FAILED;
    return written ? PASSED : FAILED;
}

int main(int argc, char **argv)
{
    cf_options options;
    cf_list list;
    int code = cf_options_parse(argc, argv, &options);
    if (code >= 0)
        return code;
    cf_result *shared = cf_shared(sizeof *shared);
    cf_probe *probe = cf_shared(sizeof *probe);
    if (!cf_list_all(&list) || !shared || !probe) {
        fputs("q35rt-conform: out of memory\n", stderr);
        return FAILED;
    }
    cf_report report = {.options = &options, .probe = probe};
    report.tests = calloc(list.n, sizeof *report.tests);
    report.results = calloc(list.n, sizeof *report.results);
    if (report.tests && report.results)
        report.n = select_tests(&options, &list, report.tests);
    if (report.n == 0) {
        fprintf(stderr, "q35rt-conform: no case is named '%s'; see --list\n",
                options.replay   ? options.replay
                : options.filter ? options.filter
                                 : "");
        code = USAGE;
    } else if (options.list) {
        for (size_t i = 0; i < report.n; i++)
            printf("%s  %s\n", report.tests[i]->needs & CF_L1 ? "L1" : "L0", report.tests[i]->name);
        code = PASSED;
    } else if (access(options.plugin, R_OK) != 0) {
        perror(options.plugin);
        code = NOT_LOADED;
    } else {
        code = run(&options, &report, probe, shared);
    }
    free(report.tests);
    free(report.results);
    free(list.tests);
    return code;
}
