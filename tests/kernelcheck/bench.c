/* SPDX-License-Identifier: Apache-2.0
 *
 * --bench: times whole calls of a row in plain memory. A sample is a batch of calls long enough for the clock; the
 * median of the samples and their median absolute deviation are robust against a busy machine. The reference is
 * timed on the same operands just before.
 */
#define _GNU_SOURCE
#include "kernelcheck.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { SAMPLES = 15 };
#define SAMPLE_NS 2e6

typedef struct timing {
    double median, mad; /* ns per call */
} timing;

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static double run_batch(const kc_case *c, kc_fn *fn, int64_t n_calls)
{
    double start = now_ns();
    for (int64_t i = 0; i < n_calls; i++)
        c->call(c, fn, 0, c->n_items);
    return (now_ns() - start) / (double)n_calls;
}

static timing measure(const kc_case *c, kc_fn *fn)
{
    double samples[SAMPLES];
    double once = run_batch(c, fn, 1);
    int64_t n_calls = once > SAMPLE_NS ? 1 : (int64_t)(SAMPLE_NS / (once + 1)) + 1;
    int n_samples = once > 50 * SAMPLE_NS ? 3 : SAMPLES;
    for (int i = 0; i < n_samples; i++)
        samples[i] = run_batch(c, fn, n_calls);
    timing t = {.median = median(samples, n_samples)};
    for (int i = 0; i < n_samples; i++)
        samples[i] = fabs(samples[i] - t.median);
    t.mad = median(samples, n_samples);
    return t;
}

static void bench_case(kc_context *x, const kc_op *op, int64_t index)
{
    kc_case c = {.unit = 1};
    x->arena_used = 0;
    kc_reseed(x, op->slot, index);
    op->build_bench(x, index, &c);
    kc_bind_plain(x, &c);
    timing ref = measure(&c, x->ref->fn), t = x->row == x->ref ? ref : measure(&c, x->row->fn);
    printf("%-26s %11.0f ns +- %7.0f %7.2f GB/s", x->row->symbol, t.median, t.mad, c.bytes / t.median);
    if (c.macs > 0)
        printf(" %8.2f GMAC/s", c.macs / t.median);
    else
        printf("                ");
    printf(" %7.1fx  %s\n", ref.median / t.median, c.text);
    fflush(stdout);
}

int kc_bench(const char *filter, uint64_t seed)
{
    size_t arena_size;
    uint8_t *arena = kc_arena_open(&arena_size);
    if (!arena) {
        fputs("kernelcheck: no memory for timings\n", stderr);
        return 1;
    }
    printf("%-26s %14s %10s %12s %15s %8s  case\n", "kernel", "median", "MAD", "bytes/s", "", "over ref");
    for (size_t i = 0; i < kc_n_dispatched; i++) {
        const kc_row *row = &kc_rows[i];
        if ((filter && fnmatch(filter, row->symbol, 0) != 0) || (row->features & ~q35k_cpu_features()))
            continue;
        kc_context x = {
            .seed = seed, .row = row, .ref = kc_find_ref(row->slot), .arena = arena, .arena_size = arena_size};
        const kc_op *op = kc_find_op(row->slot);
        for (int64_t b = 0; b < op->n_bench; b++)
            bench_case(&x, op, b);
    }
    munmap(arena, arena_size);
    return 0;
}
