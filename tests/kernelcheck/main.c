/* SPDX-License-Identifier: Apache-2.0
 *
 * Command line of kernelcheck. Exit status: 0 all passed, 1 a row failed, 2 usage.
 */
#define _GNU_SOURCE
#include "kernelcheck.h"

#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

typedef struct options {
    uint64_t seed;
    const char *filter;
    int64_t only;   /* case, or -1 */
    uint64_t every; /* of so many cases, one */
    bool list, bench, selftest;
} options;

typedef struct tally {
    int passed, failed, skipped;
} tally;

static void print_usage(FILE *to)
{
    fputs("usage: kernelcheck [--seed N] [--filter GLOB] [--case N | --every N] [--list | --bench | --selftest]\n"
          "  --seed N       seed of the inputs (default 1)\n"
          "  --filter GLOB  only kernels whose symbol matches\n"
          "  --case N       only case N of each kernel\n"
          "  --every N      one of N cases of each kernel, with another seed others\n"
          "  --list         list the kernels, their needs and numbers of cases\n"
          "  --bench        check, then time: median and median absolute deviation\n"
          "  --selftest     check that deliberately broken kernels are found\n",
          to);
}

static bool parse_number(const char *text, uint64_t *value)
{
    char *end;
    *value = strtoull(text, &end, 0);
    return *text != '\0' && *text != '-' && *end == '\0';
}

static bool parse(int argc, char **argv, options *o)
{
    static const struct option longs[] = {{"seed", required_argument, NULL, 's'},
                                          {"filter", required_argument, NULL, 'f'},
                                          {"case", required_argument, NULL, 'c'},
                                          {"every", required_argument, NULL, 'e'},
                                          {"list", no_argument, NULL, 'l'},
                                          {"bench", no_argument, NULL, 'b'},
                                          {"selftest", no_argument, NULL, 't'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    *o = (options){.seed = 1, .only = -1, .every = 1};
    int c;
    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        uint64_t number = 0;
        bool ok = true;
        switch (c) {
        case 's': ok = parse_number(optarg, &o->seed); break;
        case 'f': o->filter = optarg; break;
        case 'c':
            ok = parse_number(optarg, &number) && number < 1u << 30;
            o->only = (int64_t)number;
            break;
        case 'e': ok = parse_number(optarg, &o->every) && o->every > 0 && o->every < 1u << 30; break;
        case 'l': o->list = true; break;
        case 'b': o->bench = true; break;
        case 't': o->selftest = true; break;
        case 'h': print_usage(stdout); exit(0);
        default: ok = false;
        }
        if (!ok)
            return false;
    }
    return optind == argc;
}

static bool is_selected(const options *o, const char *symbol)
{
    return !o->filter || fnmatch(o->filter, symbol, 0) == 0;
}

static const char *missing_features(uint32_t features)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {{Q35K_CPU_AVX2, "AVX2 with FMA and F16C"},
                 {Q35K_CPU_AVX512, "AVX-512 F, BW, VL, DQ, VBMI, VNNI"},
                 {Q35K_CPU_AVXVNNI, "AVX-VNNI"},
                 {Q35K_CPU_AMX, "AMX-INT8, or no permission to use it"},
                 {Q35K_CPU_NEON, "NEON"},
                 {Q35K_CPU_NEON_DOT, "NEON with dotprod"},
                 {Q35K_CPU_NEON_I8MM, "NEON with i8mm"}};
    uint32_t missing = features & ~q35k_cpu_features();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (missing & names[i].bit)
            return names[i].name;
    }
    return NULL;
}

static int list(const options *o)
{
    for (size_t i = 0; i < kc_n_rows; i++) {
        const kc_row *r = &kc_rows[i];
        const kc_op *op = kc_find_op(r->slot);
        const char *missing = missing_features(r->features);
        if (is_selected(o, r->symbol))
            printf("%-14s %-29s %-9s %5lld cases%s%s\n", r->slot, r->symbol, r->isa,
                   op ? (long long)op->n_cases : 0LL, missing ? "  needs " : "", missing ? missing : "");
    }
    return 0;
}

static void print_failures(const options *o, const kc_row *row, const kc_progress *p)
{
    for (int i = 0; i < p->n_failures; i++) {
        const kc_failure *f = &p->failures[i];
        printf("  %s: %s seed=%llu\n    repeat: kernelcheck --filter %s --case %lld --seed %llu\n", row->symbol,
               f->text, (unsigned long long)o->seed, row->symbol, (long long)f->index,
               (unsigned long long)o->seed);
    }
}

/* A row whose slot has no cases, or none of whose cases called it, has not been tested and fails. */
static void check_row(const options *o, const kc_row *row, kc_progress *p, tally *t)
{
    const char *missing = missing_features(row->features);
    if (missing) {
        printf("SKIP %-29s the machine has no %s\n", row->symbol, missing);
        t->skipped++;
        return;
    }
    kc_limits limits = {.seed = o->seed,
                        .first = o->only < 0 ? (int64_t)(o->seed % o->every) : o->only,
                        .last = o->only,
                        .step = (int64_t)o->every,
                        .max_failures = KC_MAX_FAILURES,
                        .case_seconds = KC_CASE_SECONDS};
    bool has_cases = kc_find_op(row->slot) && kc_find_ref(row->slot);
    bool ok = has_cases && kc_run_row(row, &limits, p) && p->n_calls > 0;
    printf("%s %-29s", ok ? "PASS" : "FAIL", row->symbol);
    if (!has_cases)
        printf(" slot %s has no cases or no reference\n", row->slot);
    else
        printf(" %5lld cases %6lld calls  worst err/bound %.3f%s%s\n", (long long)p->n_cases,
               (long long)p->n_calls, p->worst, p->worst > 0 ? " in " : "", p->worst_at);
    if (has_cases)
        print_failures(o, row, p);
    fflush(stdout);
    *(ok ? &t->passed : &t->failed) += 1;
}

/* What the rows rest on: the dispatch table, the tile layouts and the elementary functions. */
static void check_foundations(const options *o, tally *t)
{
    static const char *const names[] = {"q35k_table_init", "q35k_tile16", "q35k_row16", "q35k_series"};
    kc_context x = {.seed = o->seed};
    x.arena = kc_arena_open(&x.arena_size);
    for (int i = 0; i < 4 && x.arena; i++) {
        char text[160] = "";
        if (!is_selected(o, names[i]) || o->only >= 0)
            continue;
        kc_reseed(&x, names[i], 0);
        bool ok = i == 0   ? kc_check_dispatch(text, sizeof text)
                  : i == 1 ? kc_check_tiles(&x, text, sizeof text)
                  : i == 2 ? kc_check_row_tiles(&x, text, sizeof text)
                           : kc_check_series(&x, text, sizeof text);
        printf("%s %s%s%s\n", ok ? "PASS" : "FAIL", names[i], ok ? "" : " ", text);
        *(ok ? &t->passed : &t->failed) += 1;
    }
    if (x.arena)
        munmap(x.arena, x.arena_size);
}

int main(int argc, char **argv)
{
    options o;
    if (!parse(argc, argv, &o)) {
        print_usage(stderr);
        return 2;
    }
    q35k_cpu_request_amx();
    if (o.list)
        return list(&o);
    if (o.selftest)
        return kc_selftest(o.seed);
    kc_progress *progress = kc_progress_open();
    if (!progress) {
        fputs("kernelcheck: no shared memory\n", stderr);
        return 1;
    }
    tally t = {0, 0, 0};
    check_foundations(&o, &t);
    for (size_t i = 0; i < kc_n_rows; i++) {
        if (is_selected(&o, kc_rows[i].symbol))
            check_row(&o, &kc_rows[i], progress, &t);
    }
    kc_progress_close(progress);
    int status = t.failed > 0 || t.passed + t.skipped == 0;
    if (o.filter && t.passed + t.failed + t.skipped == 0)
        fprintf(stderr, "kernelcheck: filter '%s' matches no kernel; see --list\n", o.filter);
    if (o.bench && status == 0)
        status = kc_bench(o.filter, o.seed);
    else if (o.bench)
        printf("no timings: the kernels must pass first\n");
    printf("%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped);
    return status;
}
