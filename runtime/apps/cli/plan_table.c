/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables whose columns are as wide as their longest text. "KL alone" is what the tensors cost in the smallest
 * type, and per million weights it says where bits pay. */
#include "plan_table.h"

#include "cli.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Sums over tensors. */
typedef struct sums {
    uint64_t tensors, weights, bytes;
    double sensitivity, expected;
    uint64_t measured;         /* tensors */
    uint64_t measured_weights; /* their weights */
} sums;

static void add(sums *s, const plan_tensor *t)
{
    s->tensors++;
    s->weights += t->weights;
    s->bytes += t->bytes;
    if (!isfinite(t->sensitivity) || !isfinite(t->expected))
        return;
    s->measured++;
    s->measured_weights += t->weights;
    s->sensitivity += t->sensitivity;
    s->expected += t->expected;
}

static double share(double part, double whole)
{
    return whole > 0 ? 100 * part / whole : 0;
}

static int width_of(const plan_row *rows, uint64_t n, int is_kind)
{
    size_t width = strlen(is_kind ? "kind" : "type");
    for (uint64_t i = 0; i < n; i++) {
        size_t len = strlen(is_kind ? rows[i].place.kind : rows[i].tensor->type);
        width = len > width ? len : width;
    }
    return (int)width;
}

static void print_kl(FILE *out, const sums *s, const sums *total)
{
    double per_million = s->measured_weights ? s->sensitivity / ((double)s->measured_weights / 1e6) : 0;
    if (s->measured == 0)
        fprintf(out, "%10s%10s%10s%8s\n", "-", "-", "-", "-");
    else
        fprintf(out, "%10.5f%10.5f%10.5f%6.1f %%\n", s->sensitivity, per_million, s->expected,
                share(s->expected, total->expected));
}

static void print_sums(FILE *out, const sums *s, const sums *total)
{
    fprintf(out, "%9" PRIu64 "%11.2f%6.1f %%%8.3f%10.2f", s->tensors, (double)s->weights / 1e6,
            share((double)s->weights, (double)total->weights), plan_bits(s->bytes, s->weights),
            (double)s->bytes / 1e6);
    print_kl(out, s, total);
}

static int same_line(const plan_row *a, const plan_row *b)
{
    return strcmp(a->place.kind, b->place.kind) == 0 && strcmp(a->tensor->type, b->tensor->type) == 0;
}

static void print_summary(FILE *out, const plan_row *rows, uint64_t n, const sums *total)
{
    int kind = width_of(rows, n, 1), type = width_of(rows, n, 0);
    fprintf(out, "%-*s  %-*s%9s%11s%8s%8s%10s%10s%10s%10s%8s\n", kind, "kind", type, "type", "tensors",
            "M weights", "share", "bits", "MB", "KL alone", "per M", "KL", "share");
    for (uint64_t i = 0, end; i < n; i = end) {
        sums s = {0};
        for (end = i; end < n && same_line(&rows[i], &rows[end]); end++)
            add(&s, rows[end].tensor);
        fprintf(out, "%-*s  %-*s", kind, rows[i].place.kind, type, rows[i].tensor->type);
        print_sums(out, &s, total);
    }
    fprintf(out, "%-*s  %-*s", kind, "total", type, "");
    print_sums(out, total, total);
}

static void print_tensors(FILE *out, const plan_row *rows, uint64_t n, const sums *total)
{
    int type = width_of(rows, n, 0);
    fprintf(out, "%-*s%11s%8s%10s%10s%10s%8s  %s\n", type, "type", "M weights", "bits", "KL alone", "per M", "KL",
            "share", "tensor");
    for (uint64_t i = 0; i < n; i++) {
        const plan_tensor *t = rows[i].tensor;
        fprintf(out, "%-*s%11.3f%8.3f", type, t->type, (double)t->weights / 1e6, plan_bits(t->bytes, t->weights));
        if (isfinite(t->sensitivity) && isfinite(t->expected))
            fprintf(out, "%10.6f%10.6f%10.6f%6.1f %%  ", t->sensitivity,
                    t->weights ? t->sensitivity / ((double)t->weights / 1e6) : 0, t->expected,
                    share(t->expected, total->expected));
        else
            fprintf(out, "%10s%10s%10s%8s  ", "-", "-", "-", "-");
        cli_print_safe(out, t->name, strlen(t->name));
        fputc('\n', out);
    }
    fputc('\n', out);
}

int plan_table_print(FILE *out, const plan_tensor *tensors, uint64_t n, int detail)
{
    sums total = {0};
    plan_row *rows = plan_rows(tensors, n);
    if (!rows)
        return cli_fail(CLI_EXIT_NOFIT, "plan: out of memory");
    for (uint64_t i = 0; i < n; i++)
        add(&total, &tensors[i]);
    if (detail)
        print_tensors(out, rows, n, &total);
    print_summary(out, rows, n, &total);
    free(rows);
    return 0;
}
