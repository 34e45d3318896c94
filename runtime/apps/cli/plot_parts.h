/* SPDX-License-Identifier: Apache-2.0
 *
 * The two halves of a plot. Heights in pixels; both are PLOT_WIDTH wide. */
#ifndef Q35_CLI_PLOT_PARTS_H
#define Q35_CLI_PLOT_PARTS_H

#include "plot.h"
#include "svg.h"

#define PLOT_WIDTH        960.0
#define PLOT_CHART_HEIGHT 500.0

/* At the top of the picture. 0: out of memory. */
int plot_draw_chart(svg *s, const plot_chart *chart);

/* rows: in plan order. */
double plot_map_height(const plan_row *rows, uint64_t n);
void plot_draw_map(svg *s, double top, const plan_row *rows, uint64_t n);

#endif
