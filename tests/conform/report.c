/* SPDX-License-Identifier: Apache-2.0
 *
 * Results as text, JSON and JUnit XML. */
#include "report.h"

#include <jansson.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool cf_is_bad(cf_outcome outcome)
{
    return outcome != CF_PASS && outcome != CF_SKIP && outcome != CF_XFAIL;
}

void cf_print_result(const cf_options *o, const cf_test *test, const cf_result *r)
{
    if (o->quiet && !cf_is_bad(r->outcome))
        return;
    printf("%-5s %s%s%s\n", cf_outcome_name(r->outcome), test->name, r->text[0] ? "  " : "", r->text);
    if (cf_is_bad(r->outcome) && r->outcome != CF_XPASS) {
        if (r->stage[0] && r->outcome != CF_CRASH && r->outcome != CF_HANG)
            printf("      in: %s\n", r->stage);
        printf("      repeat: q35rt-conform --seed %llu --replay %s", (unsigned long long)o->seed, test->name);
        for (uint32_t i = 0; i < o->n_options; i++)
            printf(" --option %s=%s", o->keys[i], o->values[i]);
        if (o->device)
            printf(" --device %u", o->device);
        printf(" %s\n", o->plugin);
    }
    fflush(stdout);
}

void cf_print_summary(const cf_report *r)
{
    const size_t *n = r->counts;
    const cf_probe *p = r->probe;
    size_t failed = n[CF_FAIL] + n[CF_CRASH] + n[CF_HANG] + n[CF_LEAK] + n[CF_XPASS];
    if (!p->loaded)
        printf("%s: not loaded: %s\n", r->options->plugin, p->reason);
    else if (p->n_devices == 0)
        printf("plugin %s %s: no device: %s\n", p->id, p->version, p->reason);
    else
        printf("plugin %s %s, device %u of %u: %s; level %s%s\n", p->id, p->version, r->options->device,
               p->n_devices, p->device, p->l1 ? "L1" : "L0", failed ? ", not reached" : "");
    if (failed)
        printf("failed: %zu fail, %zu crash, %zu hang, %zu leak, %zu xpass\n", n[CF_FAIL], n[CF_CRASH], n[CF_HANG],
               n[CF_LEAK], n[CF_XPASS]);
    if (n[CF_XFAIL])
        printf("%zu failed as expected\n", n[CF_XFAIL]);
    printf("%zu passed, %zu failed", n[CF_PASS], failed);
    if (n[CF_SKIP])
        printf(", %zu skipped", n[CF_SKIP]);
    printf("\n");
}

static bool complain(const char *path)
{
    fprintf(stderr, "q35rt-conform: %s: cannot write it: %s\n", path, strerror(errno));
    return false;
}

bool cf_write_json(const cf_report *r, const char *path)
{
    json_t *cases = json_array();
    for (size_t i = 0; i < r->n; i++) {
        const cf_result *result = &r->results[i];
        json_array_append_new(cases, json_pack("{s:s, s:s, s:f, s:s*, s:s*}", "name", r->tests[i]->name, "outcome",
                                               cf_outcome_name(result->outcome), "seconds", result->seconds,
                                               "text", result->text[0] ? result->text : NULL, "stage",
                                               cf_is_bad(result->outcome) ? result->stage : NULL));
    }
    json_t *counts = json_object();
    for (int i = 0; i < CF_OUTCOMES; i++)
        json_object_set_new(counts, cf_outcome_name((cf_outcome)i), json_integer((json_int_t)r->counts[i]));
    const cf_probe *p = r->probe;
    json_t *all = json_pack(
        "{s:s, s:s, s:s, s:s, s:i, s:s, s:I, s:b, s:s*, s:f, s:o, s:o}", "plugin", r->options->plugin, "id", p->id,
        "version", p->version, "device", p->device, "device_index", (int)r->options->device, "level",
        p->l1 ? "L1" : "L0", "seed", (json_int_t)r->options->seed, "loaded", p->loaded, "reason",
        p->reason[0] ? p->reason : NULL, "seconds", r->seconds, "counts", counts, "cases", cases);
    bool ok = all && json_dump_file(all, path, JSON_INDENT(1) | JSON_ENSURE_ASCII) == 0;
    json_decref(all);
    return ok || complain(path);
}

/* Text of an attribute: what XML 1.0 reserves or forbids is replaced. */
static void put_text(FILE *f, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '&')
            fputs("&amp;", f);
        else if (c == '<')
            fputs("&lt;", f);
        else if (c == '"')
            fputs("&quot;", f);
        else
            fputc(c < ' ' || c > '~' ? '?' : c, f);
    }
}

static void put_case(FILE *f, const cf_report *r, size_t i)
{
    const cf_result *result = &r->results[i];
    fprintf(f, "  <testcase classname=\"conform.%s\" name=\"", r->probe->id[0] ? r->probe->id : "plugin");
    put_text(f, r->tests[i]->name);
    fprintf(f, "\" time=\"%.3f\"", result->seconds);
    if (!cf_is_bad(result->outcome) && result->outcome != CF_SKIP) {
        fputs("/>\n", f);
        return;
    }
    fprintf(f, ">\n    <%s %s=\"", result->outcome == CF_SKIP ? "skipped" : "failure", "message");
    if (result->outcome != CF_SKIP)
        fprintf(f, "%s: ", cf_outcome_name(result->outcome));
    put_text(f, result->text);
    fputs("\"/>\n  </testcase>\n", f);
}

bool cf_write_junit(const cf_report *r, const char *path)
{
    FILE *f = fopen(path, "we");
    if (!f)
        return complain(path);
    size_t failed = 0;
    for (size_t i = 0; i < r->n; i++)
        failed += cf_is_bad(r->results[i].outcome);
    fprintf(f,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<testsuite name=\"q35rt-conform\" tests=\"%zu\" failures=\"%zu\" skipped=\"%zu\" time=\"%.3f\">\n",
            r->n, failed, r->counts[CF_SKIP], r->seconds);
    for (size_t i = 0; i < r->n; i++)
        put_case(f, r, i);
    fputs("</testsuite>\n", f);
    bool ok = ferror(f) == 0;
    return (fclose(f) == 0 && ok) || complain(path);
}
