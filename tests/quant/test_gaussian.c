/* SPDX-License-Identifier: Apache-2.0
 *
 * The fixed codebooks: order, signs, error on the normal density by integration over a grid, and that neither a
 * point nor the unit can be improved. */
#include "runtime/quant/gaussian.h"
#include "support/suite.h"

#include <q35rt/blocks.h>

#include <math.h>
#include <stdlib.h>

#define STEP   0.02 /* of the grid, in standard deviations */
#define RADIUS 6

typedef struct cells {
    double mass[Q35_BOOK_MAX], x[Q35_BOOK_MAX], y[Q35_BOOK_MAX]; /* x, y: sums in units of the book */
    double error, along, norm;                                   /* error: per number, in variances */
} cells;

static const struct {
    uint32_t dtype;
    double least_db, most_db;
} books[] = {{Q35_DT_Q35_ROW, 18.09, 18.19}, {Q35_DT_Q40_ROW, 21.05, 21.15}};

static int nearest(const int8_t (*book)[2], int n, double x, double y)
{
    int best = 0;
    double least = HUGE_VAL;
    for (int c = 0; c < n; c++) {
        double dx = x - book[c][0], dy = y - book[c][1], d = dx * dx + dy * dy;
        if (d < least) {
            least = d;
            best = c;
        }
    }
    return best;
}

static void integrate(const int8_t (*book)[2], int n, double unit, cells *s)
{
    double total = 0;
    memset(s, 0, sizeof *s);
    for (double x = -RADIUS + STEP / 2; x < RADIUS; x += STEP)
        for (double y = -RADIUS + STEP / 2; y < RADIUS; y += STEP) {
            double m = exp(-(x * x + y * y) / 2), u = x / unit, v = y / unit;
            if (x * x + y * y > RADIUS * RADIUS)
                continue;
            int c = nearest(book, n, u, v);
            double p = book[c][0], q = book[c][1];
            total += m;
            s->mass[c] += m;
            s->x[c] += m * u;
            s->y[c] += m * v;
            s->error += m * ((u - p) * (u - p) + (v - q) * (v - q)) / 2;
            s->along += m * (u * p + v * q);
            s->norm += m * (p * p + q * q);
        }
    s->error *= unit * unit / total;
}

START_TEST(order)
{
    const int8_t(*book)[2] = q35i_gaussian_book(books[_i].dtype);
    int n = (int)q35_book_entries(books[_i].dtype), top = 0;
    for (int c = 0; c < n; c++) {
        top = abs(book[c][0]) > top ? abs(book[c][0]) : top;
        top = abs(book[c][1]) > top ? abs(book[c][1]) : top;
        ck_assert(c == 0 || c >= n / 4 || book[c - 1][0] < book[c][0] ||
                  (book[c - 1][0] == book[c][0] && book[c - 1][1] < book[c][1]));
    }
    ck_assert_int_eq(q35_book_unsigned_entry(book, (uint32_t)n), n);
    ck_assert_int_ge(top, 120); /* the range of int8 is used, and -128 is not */
    ck_assert_int_le(top, 127);
}
END_TEST

/* Each point is its cell's mean, rounded; the unit is the one of least squares. */
START_TEST(optimum)
{
    static cells s;
    const int8_t(*book)[2] = q35i_gaussian_book(books[_i].dtype);
    int n = (int)q35_book_entries(books[_i].dtype);
    integrate(book, n, (double)q35i_gaussian_unit(books[_i].dtype), &s);
    double db = -10 * log10(s.error);
    ck_assert_msg(db > books[_i].least_db && db < books[_i].most_db, "%d points: %.3f dB", n, db);
    ck_assert_double_eq_tol(s.along / s.norm, 1, 1e-3);
    for (int c = 0; c < n; c++) {
        ck_assert_double_gt(s.mass[c], 0);
        ck_assert_double_le(fabs(s.x[c] / s.mass[c] - book[c][0]), 0.6);
        ck_assert_double_le(fabs(s.y[c] / s.mass[c] - book[c][1]), 0.6);
    }
}
END_TEST

static double even_levels_error(double unit)
{
    double sum = 0, total = 0;
    for (double x = -8 + 5e-5; x < 8; x += 1e-4) {
        double i = rint(fmin(fmax((x / unit + 63) / 2, 0), 63)), e = x - unit * (2 * i - 63), m = exp(-x * x / 2);
        sum += m * e * e;
        total += m;
    }
    return sum / total;
}

START_TEST(even_levels)
{
    double unit = (double)q35i_gaussian_unit(Q35_DT_Q60_ROW), error = even_levels_error(unit);
    ck_assert_double_eq_tol(-10 * log10(error), 29.83, 0.01);
    ck_assert_double_lt(error, even_levels_error(unit * 1.003));
    ck_assert_double_lt(error, even_levels_error(unit / 1.003));
}
END_TEST

START_TEST(other_types)
{
    ck_assert_ptr_null(q35i_gaussian_book(Q35_DT_Q60_ROW));
    ck_assert_ptr_null(q35i_gaussian_book(Q35_DT_Q35_PAIR));
    ck_assert(q35i_gaussian_unit(Q35_DT_Q35_PAIR) == 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("gaussian");
    TCase *t = tcase_create("gaussian");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, order, 0, 2);
    tcase_add_loop_test(t, optimum, 0, 2);
    tcase_add_test(t, even_levels);
    tcase_add_test(t, other_types);
    suite_add_tcase(s, t);
    return q35t_run(s);
}
