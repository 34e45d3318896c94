/* SPDX-License-Identifier: Apache-2.0
 *
 * Mean and deviation of measurements, and of rates, against values worked out by hand. */
#include "runtime/apps/cli/bench_stats.h"
#include "support/suite.h"

#include <math.h>

static void near(double found, double wanted)
{
    ck_assert_msg(fabs(found - wanted) <= 1e-12 * (1 + fabs(wanted)), "%.17g found, %.17g wanted", found, wanted);
}

START_TEST(spread)
{
    static const double values[] = {2, 4, 4, 4, 5, 5, 7, 9};
    bench_samples s = {0};
    near(bench_spread_of(&s).mean, 0);
    near(bench_spread_of(&s).deviation, 0);
    for (int i = 0; i < 8; i++) {
        ck_assert_int_eq(bench_samples_add(&s, values[i]), 0);
        if (i == 0)
            near(bench_spread_of(&s).deviation, 0);
    }
    near(bench_spread_of(&s).mean, 5);
    near(bench_spread_of(&s).deviation, sqrt(32.0 / 7));
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(bench_samples_add(&s, 5), 0);
    ck_assert_uint_eq(s.n, 108);
    near(bench_spread_of(&s).mean, 5);
    bench_samples_free(&s);
    ck_assert_uint_eq(s.n, 0);
}
END_TEST

/* The mean of the rates, not the rate of the mean. */
START_TEST(rates)
{
    bench_samples s = {0};
    ck_assert_int_eq(bench_samples_add(&s, 0.5), 0);
    ck_assert_int_eq(bench_samples_add(&s, 2), 0);
    near(bench_spread_of_rates(&s, 10).mean, 12.5);
    near(bench_spread_of_rates(&s, 10).deviation, sqrt(2 * 7.5 * 7.5));
    bench_samples_free(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bench statistics");
    TCase *plain = tcase_create("values");
    tcase_add_test(plain, spread);
    tcase_add_test(plain, rates);
    suite_add_tcase(suite, plain);
    return q35t_run(suite);
}
