/* SPDX-License-Identifier: Apache-2.0
 *
 * Pictures as SVG: curves over two axes, as KL divergence over bits per weight or speed over threads, and what an
 * allocation gave every tensor. Points that are not finite are left out; on a logarithmic axis those of 0, and of
 * less than 1e-5 of the largest, lie at the bottom. */
#ifndef Q35_CLI_PLOT_H
#define Q35_CLI_PLOT_H

#include "plan_tensor.h"

typedef struct plot_point {
    double x, y;
    const char *label; /* beside the point; NULL: none */
} plot_point;

typedef struct plot_curve {
    const char *name; /* in the legend; NULL: not there */
    const plot_point *points;
    uint64_t n_points;
    int is_line; /* 1: points in order, joined; 0: marks alone */
} plot_curve;

/* What the axes mean. */
typedef struct plot_style {
    const char *x_name, *y_name;             /* at the axes */
    const char *x_unit, *y_before, *y_after; /* of a point in words: "4 threads, 12.5 tok/s" */
    int x_is_log, y_is_log;                  /* else y begins at 0 */
    int x_is_whole;                          /* 1: x has no fractions, and x_unit no last letter for 1 */
    double most_x, most_y;                   /* points beyond are left out */
    int legend_beside;                       /* 1: the legend stands beside the curves, not over them */
} plot_style;

typedef struct plot_chart {
    const char *title, *note; /* note: a line below the title; "" for none */
    const plot_curve *curves; /* drawn in order, each in its colour and shape */
    uint64_t n_curves;
    const plot_point *chosen; /* marked, with guides to both axes; NULL: none */
    const plot_style *style;  /* NULL: KL over bits per weight */
} plot_chart;

/* The chart alone. free(); NULL: out of memory. */
char *plot_series(const plot_chart *chart, uint64_t *len);

/* The chart, and below it a map: kinds of tensors as rows, layers as columns, the chosen type as colour. */
char *plot_frontier(const plot_chart *chart, const plan_tensor *tensors, uint64_t n, uint64_t *len);

/* Takes text (NULL: tells that memory is out) and writes it to path, whole or not at all. 0, or an exit code after
 * a message. */
int plot_write(const char *path, char *text, uint64_t len);

#endif
