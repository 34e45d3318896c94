/* SPDX-License-Identifier: Apache-2.0
 *
 * Standard error as a terminal: colour and progress. State is the program's one progress line. */
#define _GNU_SOURCE
#include "term.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BAR_CELLS = 30 };

static struct {
    const char *what;
    double start, drawn;
    int step, visible; /* step: last 5 % printed */
} line;

static int takes_colour(int fd)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fd) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

int term_colour(void)
{
    return takes_colour(STDERR_FILENO);
}

int term_colour_out(void)
{
    return takes_colour(STDOUT_FILENO);
}

double term_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void term_progress_clear(void)
{
    if (line.visible)
        fputs("\r\033[K", stderr);
    line.visible = 0;
}

static void format_left(char *out, size_t cap, double elapsed, double fraction)
{
    double left = fraction > 0 ? elapsed * (1 - fraction) / fraction : 0;
    if (fraction >= 1)
        snprintf(out, cap, "%.1f s", elapsed);
    else if (elapsed < 0.5 || fraction <= 0)
        out[0] = '\0';
    else if (left < 90)
        snprintf(out, cap, "%.0f s left", left);
    else
        snprintf(out, cap, "%.0f min left", left / 60);
}

static void format_bar(char out[BAR_CELLS + 1], double fraction)
{
    size_t full = (size_t)(fraction * BAR_CELLS);
    memset(out, '#', full);
    memset(out + full, '.', BAR_CELLS - full);
    out[BAR_CELLS] = '\0';
}

void term_progress(int quiet, const char *what, uint64_t done, uint64_t total)
{
    if (quiet || total == 0)
        return;
    double now = term_now(), fraction = done >= total ? 1 : (double)done / (double)total;
    if (!line.what || strcmp(line.what, what) != 0) {
        term_progress_clear();
        line.what = what;
        line.start = now;
        line.drawn = 0;
        line.step = -1;
    }
    char left[48];
    format_left(left, sizeof left, now - line.start, fraction);
    if (isatty(STDERR_FILENO)) {
        if (now - line.drawn < 0.1 && fraction < 1)
            return;
        line.drawn = now;
        char bar[BAR_CELLS + 1];
        format_bar(bar, fraction);
        fprintf(stderr, "\r\033[K%-9s [%s] %3.0f %%%s%s", what, bar, 100 * fraction, *left ? ", " : "", left);
        line.visible = 1;
        return;
    }
    int step = (int)(fraction * 20);
    if (step == line.step)
        return;
    line.step = step;
    fprintf(stderr, "%s: %3.0f %%%s%s\n", what, 100 * fraction, *left ? ", " : "", left);
}
