/* SPDX-License-Identifier: Apache-2.0
 *
 * Axes and their numbers. */
#include "plot_scale.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double plot_pixel(const plot_axis *axis, double value)
{
    double v = fmax(axis->lo, fmin(axis->hi, value));
    double part =
        axis->is_log ? log(v / axis->lo) / log(axis->hi / axis->lo) : (v - axis->lo) / (axis->hi - axis->lo);
    return axis->from + part * (axis->to - axis->from);
}

plot_number plot_fixed(double value, int decimals)
{
    plot_number n;
    char behind[24];
    long long unit = 1;
    for (int i = 0; i < decimals; i++)
        unit *= 10;
    long long scaled = llround(value * (double)unit), size = llabs(scaled);
    const char *sign = scaled < 0 ? "-" : "";
    snprintf(behind, sizeof behind, "%lld", unit + size % unit); /* a 1 and the decimals */
    if (decimals > 0)
        snprintf(n.text, sizeof n.text, "%s%lld.%.9s", sign, size / unit, behind + 1);
    else
        snprintf(n.text, sizeof n.text, "%s%lld", sign, size);
    return n;
}

static void strip_zeros(char *text)
{
    size_t n = strlen(text);
    while (strchr(text, '.') && n > 0 && text[n - 1] == '0')
        text[--n] = '\0';
    if (n > 0 && text[n - 1] == '.')
        text[n - 1] = '\0';
}

plot_number plot_significant(double value)
{
    enum { DIGITS = 3, SMALLEST = -4 };
    const double smallest = 1e-300;
    if (!(value >= smallest))
        return plot_fixed(0, 0);
    int exponent = (int)floor(log10(value));
    if (llround(value * pow(10, DIGITS - 1 - exponent)) >= 1000)
        exponent++;
    int decimals = exponent < DIGITS - 1 ? DIGITS - 1 - exponent : 0;
    plot_number n =
        exponent < SMALLEST ? plot_fixed(value * pow(10, -exponent), DIGITS - 1) : plot_fixed(value, decimals);
    strip_zeros(n.text);
    if (exponent < SMALLEST) {
        size_t at = strlen(n.text);
        snprintf(n.text + at, sizeof n.text - at, "e%d", exponent);
    }
    return n;
}

double plot_step(double span, int most)
{
    double power = pow(10, floor(log10(span / most)));
    static const double factors[] = {1, 2, 5};
    for (int i = 0; i < 3; i++)
        if (span / (power * factors[i]) <= most)
            return power * factors[i];
    return 10 * power;
}

/* Decimals that a multiple of step needs. */
static int decimals_of(double step)
{
    int n = (int)ceil(-log10(step) - 1e-9);
    return n < 0 ? 0 : n > 9 ? 9 : n;
}

static int linear_ticks(const plot_axis *axis, plot_tick *ticks)
{
    const double slack = 1e-9;
    double step = plot_step(axis->hi - axis->lo, 10);
    if (axis->is_whole)
        step = fmax(1, step);
    int n = 0;
    for (double k = ceil(axis->lo / step - slack); k * step <= axis->hi + slack * step && n < PLOT_TICKS; k++) {
        ticks[n].value = k * step;
        ticks[n++].text = plot_fixed(k * step, decimals_of(step));
    }
    return n;
}

/* 1, 2, 5 of every decade, or only every so many powers of ten. */
static int log_ticks(const plot_axis *axis, plot_tick *ticks)
{
    static const double factors[] = {1, 2, 5};
    const double slack = 1e-9;
    double decades = log10(axis->hi / axis->lo);
    int n = 0, n_factors = decades <= 3 ? 3 : 1, stride = 1 + (int)(decades / 8);
    int first = (int)floor(log10(axis->lo)), last = (int)ceil(log10(axis->hi));
    for (int e = first; e <= last; e += stride)
        for (int i = 0; i < n_factors && n < PLOT_TICKS; i++) {
            double value = factors[i] * pow(10, e);
            if (value < axis->lo * (1 - slack) || value > axis->hi * (1 + slack))
                continue;
            ticks[n].value = value;
            ticks[n++].text = plot_significant(value);
        }
    return n;
}

int plot_ticks(const plot_axis *axis, plot_tick *ticks)
{
    const double narrow = 3; /* below this ratio of the ends 1, 2, 5 are too few */
    return axis->is_log && axis->hi / axis->lo >= narrow ? log_ticks(axis, ticks) : linear_ticks(axis, ticks);
}
