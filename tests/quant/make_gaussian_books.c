/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes runtime/quant/gaussian_books.def: the codebooks of 128 and 256 pairs with the least mean squared error on
 * pairs of independent standard normal numbers, rounded to int8 with one unit, among those that are alike in all
 * four quadrants: 32 or 64 pairs of magnitudes, and a sign for each number.
 *
 * Lloyd's iteration (Lloyd, "Least squares quantization in PCM", 1982) on a grid over one quadrant that carries
 * the density, so that no sampling noise is left: a coarse grid from many seeds, then the best on a fine one. Of
 * all units the one is taken where rounding costs least; then Lloyd's iteration goes on among int8 points. Usage:
 * make_gaussian_books [SEEDS] > gaussian_books.def */
#include "runtime/quant/random.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST      64 /* points of a quadrant */
#define RADIUS    6.2
#define COARSE    0.03
#define FINE      0.01
#define LANES     64
#define ANNEALING 1500
#define NOISE     0.2 /* standard deviations of the source, at first */
#define UNITS     200 /* tried, from the least one on that keeps all points inside int8 */
#define PI        3.14159265358979323846

typedef struct grid {
    size_t n; /* a multiple of LANES */
    float *x, *y, *mass;
} grid;

typedef struct book {
    int n;
    double error; /* mean squared error per number */
    float x[MOST], y[MOST];
} book;

/* Sums over the cell of each point. */
typedef struct cells {
    double mass[MOST], x[MOST], y[MOST], error;
} cells;

static float *floats(size_t n)
{
    float *p = calloc(n, sizeof *p);
    if (!p) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    return p;
}

static grid make_grid(double step)
{
    size_t side = (size_t)(RADIUS / step) + 1, room = side * side + LANES;
    grid g = {0, floats(room), floats(room), floats(room)};
    double total = 0;
    for (size_t i = 0; i < side; i++)
        for (size_t j = 0; j < side; j++) {
            double x = ((double)i + 0.5) * step, y = ((double)j + 0.5) * step;
            if (x * x + y * y > RADIUS * RADIUS)
                continue;
            g.x[g.n] = (float)x;
            g.y[g.n] = (float)y;
            g.mass[g.n] = (float)exp(-(x * x + y * y) / 2);
            total += (double)g.mass[g.n++];
        }
    for (size_t i = 0; i < g.n; i++)
        g.mass[i] = (float)((double)g.mass[i] / total);
    g.n = (g.n + LANES - 1) / LANES * LANES; /* the last lanes have no mass */
    return g;
}

/* Nearest points of LANES grid points, a lane each. */
static void nearest(const book *b, const float *x, const float *y, float best[LANES], int32_t code[LANES])
{
    for (int l = 0; l < LANES; l++) {
        best[l] = HUGE_VALF;
        code[l] = 0;
    }
    for (int c = 0; c < b->n; c++)
        for (int l = 0; l < LANES; l++) {
            float dx = x[l] - b->x[c], dy = y[l] - b->y[c], d = dx * dx + dy * dy;
            code[l] = d < best[l] ? c : code[l];
            best[l] = d < best[l] ? d : best[l];
        }
}

static void measure(const grid *g, book *b, cells *s)
{
    float best[LANES];
    int32_t code[LANES];
    memset(s, 0, sizeof *s);
    for (size_t i = 0; i < g->n; i += LANES) {
        nearest(b, g->x + i, g->y + i, best, code);
        for (size_t l = 0; l < LANES; l++) {
            double m = (double)g->mass[i + l];
            s->mass[code[l]] += m;
            s->x[code[l]] += m * (double)g->x[i + l];
            s->y[code[l]] += m * (double)g->y[i + l];
            s->error += m * (double)best[l] / 2;
        }
    }
    b->error = s->error;
}

static void move(book *b, const cells *s)
{
    for (int c = 0; c < b->n; c++)
        if (s->mass[c] > 0) {
            b->x[c] = (float)(s->x[c] / s->mass[c]);
            b->y[c] = (float)(s->y[c] / s->mass[c]);
        }
}

/* Lloyd's iteration until one lowers the error by less than `least` of it. */
static void lloyd(const grid *g, book *b, double least)
{
    cells s;
    double before;
    measure(g, b, &s);
    do {
        before = b->error;
        move(b, &s);
        measure(g, b, &s);
    } while (before - b->error > least * before);
}

/* Lloyd's iteration with noise that fades, which finds better cells than plain restarts (Zeger, Vaisey, Gersho,
 * "Globally optimal vector quantizer design by stochastic relaxation", 1992). */
static void anneal(const grid *g, book *b, uint64_t *state)
{
    cells s;
    for (int i = 0; i < ANNEALING; i++) {
        double part = 1 - (double)i / ANNEALING, noise = NOISE * part * part * part;
        measure(g, b, &s);
        move(b, &s);
        for (int c = 0; c < b->n; c++) {
            b->x[c] = fabsf(b->x[c] + (float)(noise * (2 * q35i_random_unit(state) - 1)));
            b->y[c] = fabsf(b->y[c] + (float)(noise * (2 * q35i_random_unit(state) - 1)));
        }
    }
}

/* Normal numbers, wider than those to code: the best density of points is the cell mass to the power 1/2. */
static void scatter(book *b, uint64_t *state)
{
    for (int c = 0; c < b->n; c++) {
        double r = sqrt(-4 * log(1 - q35i_random_unit(state))), a = PI / 2 * q35i_random_unit(state);
        b->x[c] = (float)(r * cos(a));
        b->y[c] = (float)(r * sin(a));
    }
}

static double largest(const book *b)
{
    double top = 0;
    for (int c = 0; c < b->n; c++)
        top = fmax(top, fmax((double)b->x[c], (double)b->y[c]));
    return top;
}

static float snap(float v, double unit)
{
    return (float)(unit * rint(fmin((double)v / unit, 127)));
}

/* What rounding to multiples of the unit adds to the error, while the cells stay. */
static double rounding_cost(const book *b, const cells *s, double unit)
{
    double cost = 0;
    for (int c = 0; c < b->n; c++) {
        double dx = (double)(b->x[c] - snap(b->x[c], unit)), dy = (double)(b->y[c] - snap(b->y[c], unit));
        cost += s->mass[c] * (dx * dx + dy * dy) / 2;
    }
    return cost;
}

/* The cheapest unit; the book comes out rounded. */
static double choose_unit(const grid *g, book *b)
{
    cells s;
    double best = HUGE_VAL, best_unit = 0;
    measure(g, b, &s);
    for (int i = 0; i < UNITS; i++) {
        double unit = largest(b) / 127 * (1 + 0.002 * i), cost = rounding_cost(b, &s, unit);
        if (cost < best) {
            best = cost;
            best_unit = unit;
        }
    }
    for (int c = 0; c < b->n; c++) {
        b->x[c] = snap(b->x[c], best_unit);
        b->y[c] = snap(b->y[c], best_unit);
    }
    return best_unit;
}

/* Lloyd's iteration on multiples of the unit, as long as it helps; then the unit by least squares. */
static double polish(const grid *g, book *b, double unit)
{
    cells s;
    book next = *b;
    measure(g, b, &s);
    for (;;) {
        next = *b;
        move(&next, &s);
        for (int c = 0; c < b->n; c++) {
            next.x[c] = snap(next.x[c], unit);
            next.y[c] = snap(next.y[c], unit);
        }
        measure(g, &next, &s);
        if (!(next.error < b->error))
            break;
        *b = next;
    }
    double along = 0, norm = 0;
    measure(g, b, &s);
    for (int c = 0; c < b->n; c++) {
        double x = (double)b->x[c], y = (double)b->y[c];
        along += x * s.x[c] + y * s.y[c];
        norm += s.mass[c] * (x * x + y * y);
    }
    return unit * along / norm;
}

static int by_coordinates(const void *a, const void *b)
{
    const int *p = a, *q = b;
    return p[0] != q[0] ? p[0] - q[0] : p[1] - q[1];
}

static void print_book(const book *b, double grid_unit, double unit, double decibels)
{
    int points[MOST][2];
    for (int c = 0; c < b->n; c++) {
        points[c][0] = (int)lrint((double)b->x[c] / grid_unit);
        points[c][1] = (int)lrint((double)b->y[c] / grid_unit);
    }
    qsort(points, (size_t)b->n, sizeof points[0], by_coordinates);
    const int n = 4 * b->n;
    printf("/* %d points: %.3f dB on Gaussian pairs. */\nQ35I_GAUSSIAN_BOOK(%d, %.8ff,", n, decibels, n, unit);
    for (int c = 0; c < n; c++) {
        const int *p = points[c % b->n], quadrant = c / b->n;
        printf("%s{%d, %d}%s", c % 8 ? " " : "\n    ", quadrant % 2 ? -p[0] : p[0], quadrant / 2 ? -p[1] : p[1],
               c + 1 < n ? "," : ")\n");
    }
}

static void make(const grid *coarse, const grid *fine, int n, int seeds)
{
    book best = {.error = HUGE_VAL};
    for (int seed = 0; seed < seeds; seed++) {
        uint64_t state = (uint64_t)seed;
        book b = {.n = n};
        scatter(&b, &state);
        anneal(coarse, &b, &state);
        lloyd(coarse, &b, 1e-7);
        fprintf(stderr, "%d points a quadrant, seed %d: %.4f dB\n", n, seed, -10 * log10(b.error));
        if (b.error < best.error)
            best = b;
    }
    lloyd(fine, &best, 1e-8);
    fprintf(stderr, "%d points: %.4f dB\n", n, -10 * log10(best.error));
    double grid_unit = choose_unit(fine, &best), unit = polish(fine, &best, grid_unit);
    cells s;
    for (int c = 0; c < n; c++) {
        best.x[c] = (float)((double)best.x[c] / grid_unit * unit);
        best.y[c] = (float)((double)best.y[c] / grid_unit * unit);
    }
    measure(fine, &best, &s);
    fprintf(stderr, "%d int8 points: %.4f dB, unit %.8f\n", n, -10 * log10(best.error), unit);
    print_book(&best, unit, unit, -10 * log10(best.error));
}

int main(int argc, char **argv)
{
    int seeds = argc > 1 ? atoi(argv[1]) : 24;
    if (seeds < 1) {
        fprintf(stderr, "seeds: '%s', need a number of at least 1\n", argv[1]);
        return 2;
    }
    grid coarse = make_grid(COARSE), fine = make_grid(FINE);
    printf("/* SPDX-License-Identifier: Apache-2.0\n *\n * Codebooks for Gaussian weights: "
           "Q35I_GAUSSIAN_BOOK(points, "
           "unit, pairs).\n * Made by tests/quant/make_gaussian_books.c. */\n");
    make(&coarse, &fine, 32, seeds);
    make(&coarse, &fine, 64, seeds);
    return 0;
}
