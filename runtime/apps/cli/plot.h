/* SPDX-License-Identifier: Apache-2.0
 *
 * Pictures of quality against size, as SVG: KL divergence on a logarithmic axis over bits per weight, and what an
 * allocation gave every tensor. Points that are not finite are left out; those of no KL, and of less than 1e-5 of
 * the largest, lie at the bottom. */
#ifndef Q35_CLI_PLOT_H
#define Q35_CLI_PLOT_H

#include "plan_tensor.h"

typedef struct plot_point {
    double bits, kl;
    const char *label; /* beside the point; NULL: none */
} plot_point;

typedef struct plot_curve {
    const char *name; /* in the legend; NULL: not there */
    const plot_point *points;
    uint64_t n_points;
    int is_line; /* 1: points in order, joined; 0: marks alone */
} plot_curve;

typedef struct plot_chart {
    const char *title, *note; /* note: a line below the title; "" for none */
    const plot_curve *curves; /* drawn in order, each in its colour and shape */
    uint64_t n_curves;
    const plot_point *chosen; /* marked, with guides to both axes; NULL: none */
} plot_chart;

/* The chart alone. free(); NULL: out of memory. */
char *plot_series(const plot_chart *chart, uint64_t *len);

/* The chart, and below it a map: kinds of tensors as rows, layers as columns, the chosen type as colour. */
char *plot_frontier(const plot_chart *chart, const plan_tensor *tensors, uint64_t n, uint64_t *len);

/* Takes text (NULL: tells that memory is out) and writes it to path, whole or not at all. 0, or an exit code after
 * a message. */
int plot_write(const char *path, char *text, uint64_t len);

#endif
