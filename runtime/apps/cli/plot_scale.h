/* SPDX-License-Identifier: Apache-2.0
 *
 * Axes of plots: from values to pixels, ticks at round values, numbers as text without the locale. */
#ifndef Q35_CLI_PLOT_SCALE_H
#define Q35_CLI_PLOT_SCALE_H

enum { PLOT_TICKS = 24 }; /* most of an axis */

typedef struct plot_axis {
    double lo, hi;   /* values at the ends, lo < hi; logarithmic: > 0 */
    double from, to; /* pixels there */
    int is_log;
    int is_whole; /* 1: ticks at whole numbers alone */
} plot_axis;

typedef struct plot_number {
    char text[40];
} plot_number;

typedef struct plot_tick {
    double value;
    plot_number text;
} plot_tick;

/* Pixel of a value; values outside lie at the end. */
double plot_pixel(const plot_axis *axis, double value);

/* Fills ticks[PLOT_TICKS] with round values within the axis; their number. */
int plot_ticks(const plot_axis *axis, plot_tick *ticks);

/* A step of 1, 2 or 5 times a power of ten that goes at most `most` times into span (> 0). */
double plot_step(double span, int most);

plot_number plot_fixed(double value, int decimals); /* decimals <= 9, |value| < 1e9 */
plot_number plot_significant(double value);         /* 3 digits; value < 1e15; "0" below 1e-300 */

#endif
