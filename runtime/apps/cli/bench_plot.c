/* SPDX-License-Identifier: Apache-2.0
 *
 * A curve per test, over the first of sequences, threads and context that has several values; what else varies
 * makes curves of its own. */
#include "bench_plot.h"

#include "out_file.h"
#include "plot.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum variable { SEQUENCES, THREADS, CONTEXT, NONE } variable;

static variable what_varies(const cli_options *o)
{
    return o->batch.n > 1 ? SEQUENCES : o->thread_counts.n > 1 ? THREADS : o->depth.n > 1 ? CONTEXT : NONE;
}

int bench_plot_check(const cli_options *o)
{
    out_file *file;
    if (what_varies(o) == NONE)
        return cli_fail(CLI_EXIT_USAGE, "--plot %s: one value of -b, -t and -d found, several of one needed",
                        o->plot);
    int rc = out_file_create("plot", o->plot, &file);
    if (rc == 0)
        out_file_discard(file);
    return rc;
}

static double place_of(const bench_test *t, variable v)
{
    return v == SEQUENCES ? t->batch : v == THREADS ? t->threads : t->depth;
}

/* The test without what varies along the axis: results with the same name lie on one curve. */
static void name_curve(const cli_options *o, const bench_test *t, variable v, char *out, size_t cap)
{
    bench_test rest = *t;
    rest.batch = v == SEQUENCES ? 1 : t->batch;
    rest.depth = v == CONTEXT ? 0 : t->depth;
    bench_test_name(&rest, out, cap);
    size_t len = strlen(out);
    if (v != THREADS && o->thread_counts.n > 1)
        snprintf(out + len, cap - len, ", %" PRIu32 " thread%s", t->threads, t->threads == 1 ? "" : "s");
}

typedef struct drawing {
    plot_curve *curves; /* [n_results] at most */
    plot_point *points; /* [n_results][n_results] */
    char (*names)[64];
    uint32_t n;
} drawing;

static int by_x(const void *a, const void *b)
{
    const plot_point *p = a, *q = b;
    return p->x < q->x ? -1 : p->x > q->x ? 1 : 0;
}

static void add_result(const bench *b, drawing *d, variable v, const bench_result *r)
{
    char name[64];
    uint32_t i = 0;
    name_curve(b->options, &r->test, v, name, sizeof name);
    while (i < d->n && strcmp(d->names[i], name) != 0)
        i++;
    plot_point *points = d->points + (size_t)i * b->n_results;
    if (i == d->n) {
        memcpy(d->names[i], name, sizeof name);
        d->curves[d->n++] = (plot_curve){d->names[i], points, 0, 1};
    }
    points[d->curves[i].n_points++] = (plot_point){place_of(&r->test, v), bench_rate(r).mean, NULL};
    qsort(points, d->curves[i].n_points, sizeof *points, by_x);
}

/* Logarithmic where the values lie far apart. */
static void choose_scales(const drawing *d, plot_style *style)
{
    const double far = 16;
    double x_lo = HUGE_VAL, x_hi = 0, y_lo = HUGE_VAL, y_hi = 0;
    for (uint32_t i = 0; i < d->n; i++)
        for (uint64_t k = 0; k < d->curves[i].n_points; k++) {
            const plot_point *p = &d->curves[i].points[k];
            x_lo = fmin(x_lo, p->x);
            x_hi = fmax(x_hi, p->x);
            y_lo = fmin(y_lo, p->y);
            y_hi = fmax(y_hi, p->y);
        }
    style->x_is_log = x_lo > 0 && x_hi > far * x_lo;
    style->y_is_log = y_hi > far * y_lo;
}

static int draw(const bench *b, drawing *d)
{
    static const char *const names[] = {"sequences side by side", "threads", "tokens in the context"};
    static const char *const units[] = {"sequences", "threads", "tokens"};
    char note[256];
    uint64_t len = 0;
    variable v = what_varies(b->options);
    for (uint32_t i = 0; i < b->n_results; i++)
        add_result(b, d, v, &b->results[i]);
    plot_style style = {.x_name = names[v],
                        .y_name = "tokens per second",
                        .x_unit = units[v],
                        .y_before = "",
                        .y_after = " tok/s",
                        .x_is_whole = 1,
                        .legend_beside = 1,
                        .most_x = 1e7,
                        .most_y = 1e9};
    choose_scales(d, &style);
    snprintf(note, sizeof note, "%.120s", b->devices);
    const plot_chart chart = {
        .title = b->name, .note = note, .curves = d->curves, .n_curves = d->n, .style = &style};
    char *text = plot_series(&chart, &len);
    return plot_write(b->options->plot, text, len);
}

int bench_plot(const bench *b)
{
    drawing d = {.curves = calloc(b->n_results, sizeof *d.curves),
                 .points = calloc((size_t)b->n_results * b->n_results, sizeof *d.points),
                 .names = calloc(b->n_results, sizeof *d.names)};
    int rc = d.curves && d.points && d.names ? draw(b, &d) : plot_write(b->options->plot, NULL, 0);
    free(d.curves);
    free(d.points);
    free(d.names);
    return rc;
}
