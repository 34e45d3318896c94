/* SPDX-License-Identifier: Apache-2.0
 *
 * Nodes gathered by kind, in a table or as JSON. */
#include "bench_profile.h"

#include "bench.h"
#include "json_out.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Text behind "blk.3." */
static const char *place_in_layer(const char *name)
{
    if (strncmp(name, "blk.", 4) != 0)
        return name;
    const char *dot = strchr(name + 4, '.');
    return dot ? dot + 1 : name;
}

typedef struct gathering {
    bench_profile *profile;
    uint32_t cap;
    int failed;
} gathering;

static bench_op *find_op(gathering *g, const char *name)
{
    bench_profile *p = g->profile;
    for (uint32_t i = 0; i < p->n; i++)
        if (strcmp(p->ops[i].name, name) == 0)
            return &p->ops[i];
    if (p->n == g->cap) {
        uint32_t cap = g->cap ? 2 * g->cap : 32;
        bench_op *grown = realloc(p->ops, cap * sizeof *grown);
        if (!grown)
            return NULL;
        p->ops = grown;
        g->cap = cap;
    }
    bench_op *op = &p->ops[p->n++];
    memset(op, 0, sizeof *op);
    snprintf(op->name, sizeof op->name, "%s", name);
    return op;
}

static void add_node(void *user, const q35_profile_node *node)
{
    gathering *g = user;
    char name[48];
    int linear = strcmp(node->op, "linear") == 0;
    if (node->runs == 0)
        return;
    snprintf(name, sizeof name, "%.20s%s%.26s", node->op, linear ? " " : "",
             linear ? place_in_layer(node->name) : "");
    bench_op *op = find_op(g, name);
    if (!op) {
        g->failed = 1;
        return;
    }
    if (!op->first[0])
        snprintf(op->first, sizeof op->first, "%s", node->name);
    op->plans += strcmp(op->first, node->name) == 0;
    op->calls += node->runs;
    op->ns += node->ns;
    op->weights += node->weights;
    op->bytes += (double)node->weight_bytes * (double)node->runs;
    op->of_outputs = node->of_outputs;
    op->is_attention = strcmp(node->op, "attention") == 0;
}

static int by_time(const void *a, const void *b)
{
    const bench_op *x = a, *y = b;
    return x->ns < y->ns ? 1 : x->ns > y->ns ? -1 : 0;
}

int bench_profile_read(bench_profile *p, const q35_session *session)
{
    gathering g = {.profile = p};
    q35_status status = q35_session_profile_read(session, add_node, &g, &p->sum);
    if (status != Q35_OK)
        return cli_fail_status(status, CLI_WHILE_RUNNING);
    if (g.failed)
        return cli_fail(CLI_EXIT_FAILED, "bench: profile: out of memory");
    for (uint32_t i = 0; i < p->n; i++) {
        bench_op *op = &p->ops[i];
        op->macs = (double)op->weights / op->plans * (op->of_outputs ? p->outputs : p->tokens);
        if (op->is_attention)
            op->bytes = p->kv_bytes;
    }
    if (p->n)
        qsort(p->ops, p->n, sizeof *p->ops, by_time);
    return 0;
}

void bench_profile_free(bench_profile *p)
{
    free(p->ops);
    memset(p, 0, sizeof *p);
}

static double seconds_of(uint64_t ns)
{
    return (double)ns / 1e9;
}

double bench_profile_dispatch(const bench_profile *p)
{
    double rest = seconds_of(p->sum.run_ns) - seconds_of(p->sum.node_ns) - seconds_of(p->sum.barrier_ns);
    return rest > 0 ? rest : 0;
}

double bench_profile_host(const bench_profile *p)
{
    double rest = p->seconds - seconds_of(p->sum.run_ns);
    return rest > 0 ? rest : 0;
}

static double best_peak(const bench_limits *l, const char **name)
{
    double best = 0;
    *name = "int8";
    for (uint32_t i = 0; i < l->n_peaks; i++)
        if (l->peaks[i].gmacs > best) {
            best = l->peaks[i].gmacs;
            *name = l->peaks[i].name;
        }
    return best;
}

static void print_number(double value, double limit)
{
    if (value <= 0)
        printf("        - |        - |");
    else if (limit <= 0)
        printf(" %8.2f |        - |", value);
    else
        printf(" %8.2f | %6.1f %% |", value, 100 * value / limit);
}

static void print_op(const bench_profile *p, const bench_op *op, const bench_limits *l, double peak)
{
    double s = seconds_of(op->ns);
    printf("| %-24s | %7.1f | %9.1f | %5.1f %% |", op->name, (double)op->calls / p->steps, s / p->steps * 1e6,
           100 * s / p->seconds);
    print_number(s > 0 ? op->bytes / s / 1e9 : 0, l->read_gbps);
    print_number(s > 0 ? op->macs / s / 1e9 : 0, peak);
    putchar('\n');
}

void bench_profile_print(const bench_profile *p, const char *test, const bench_limits *l)
{
    const char *name;
    double peak = best_peak(l, &name), dispatch = bench_profile_dispatch(p), host = bench_profile_host(p);
    double us = 1e6 / p->steps, percent = 100 / p->seconds;
    printf("\n%s, %" PRIu32 " thread%s: %.1f us per step\n\n", test, l->threads, l->threads == 1 ? "" : "s",
           p->seconds * us);
    printf("| op                       |   calls |        us |   share |     GB/s |  of read |   GMAC/s | %8s |\n"
           "| :----------------------- | ------: | --------: | ------: | -------: | -------: | -------: | "
           "-------: |\n",
           name);
    for (uint32_t i = 0; i < p->n; i++)
        print_op(p, &p->ops[i], l, peak);
    putchar('\n');
    printf("barriers: %.1f per step, waiting %.1f us, %.1f %% of the time", (double)p->sum.barriers / p->steps,
           seconds_of(p->sum.barrier_ns) * us, seconds_of(p->sum.barrier_ns) * percent);
    if (l->barrier_ns > 0 && p->sum.barriers > 0)
        printf("; by themselves %.2f us each, %.1f %% of the time", l->barrier_ns / 1e3,
               (double)p->sum.barriers * l->barrier_ns / 1e9 * percent);
    printf("\noutside kernels and barriers: %.1f us, %.2f %% of the time (starting and ending regions %.2f %%, "
           "the rest of the library %.2f %%)\n",
           (dispatch + host) * us, (dispatch + host) * percent, dispatch * percent, host * percent);
}

json_t *bench_profile_json(const bench_profile *p, const bench_limits *l)
{
    json_t *ops = json_array();
    for (uint32_t i = 0; i < p->n; i++) {
        const bench_op *op = &p->ops[i];
        double s = seconds_of(op->ns);
        json_array_append_new(
            ops, json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "op", op->name, "calls_per_step",
                           json_number((double)op->calls / p->steps), "ns_per_step",
                           json_number((double)op->ns / p->steps), "share", json_number(s / p->seconds),
                           "gb_per_s", op->bytes > 0 ? json_number(op->bytes / s / 1e9) : json_null(),
                           "gmac_per_s", op->macs > 0 ? json_number(op->macs / s / 1e9) : json_null()));
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "ns_per_step",
                     json_number(p->seconds / p->steps * 1e9), "ops", ops, "barriers_per_step",
                     json_number((double)p->sum.barriers / p->steps), "barrier_ns_per_step",
                     json_number((double)p->sum.barrier_ns / p->steps), "barrier_alone_ns",
                     l->barrier_ns > 0 ? json_number(l->barrier_ns) : json_null(), "dispatch_ns_per_step",
                     json_number(bench_profile_dispatch(p) / p->steps * 1e9), "host_ns_per_step",
                     json_number(bench_profile_host(p) / p->steps * 1e9));
}
