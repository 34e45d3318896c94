/* SPDX-License-Identifier: Apache-2.0
 *
 * Statistics of q35rt compare on rows whose answers are known. */
#include "runtime/apps/cli/compare.h"
#include "support/suite.h"

#include <float.h>
#include <math.h>
#include <string.h>

START_TEST(equal_rows)
{
    const float row[4] = {1, -2, 0, 5};
    compare_values v;
    compare_values_init(&v);
    compare_values_row(&v, row, row, 4, 0, 0);
    ck_assert_uint_eq(v.n, 4);
    ck_assert_uint_eq(v.n_differ, 0);
    ck_assert_uint_eq(v.ulp, 0);
    ck_assert_uint_eq(v.differs_at, COMPARE_NONE);
    ck_assert_uint_eq(v.beyond_at, COMPARE_NONE);
    ck_assert(compare_relative(&v) == 0);
}
END_TEST

/* RMS of (3, 4, 0, 0) is 2.5: 0.25 is a tenth of it, within a tolerance of exactly 0.1 and not of 0.099. */
START_TEST(tolerance_is_relative_to_the_row)
{
    const float a[4] = {3, 4, 0, 0}, b[4] = {3, 4.25f, 0, 0}, large[4] = {300, 400, 0, 0};
    compare_values v;
    compare_values_init(&v);
    compare_values_row(&v, a, b, 4, 3, 0.1);
    ck_assert_uint_eq(v.differs_at, 3);
    ck_assert_uint_eq(v.beyond_at, COMPARE_NONE);
    compare_values_row(&v, large, large, 4, 4, 0.099); /* a large row before does not hide the next */
    compare_values_row(&v, a, b, 4, 5, 0.099);
    compare_values_row(&v, a, b, 4, 6, 0.099);
    ck_assert_uint_eq(v.beyond_at, 5);
    ck_assert_uint_eq(v.n_differ, 3);
    ck_assert(v.most == 0.25);
    ck_assert(fabs(compare_relative(&v) - sqrt(3 * 0.0625 / (3 * 25 + 250000))) < 1e-15);
}
END_TEST

static const struct {
    float a, b;
    uint64_t ulp;
} distances[] = {
    {1.0f, 1.0f + FLT_EPSILON, 1},   {1.0f, 1.0f - FLT_EPSILON, 2},
    {-1.0f, -1.0f - FLT_EPSILON, 1}, {0.0f, -0.0f, 0},
    {-0.0f, FLT_TRUE_MIN, 1},        {-FLT_TRUE_MIN, FLT_TRUE_MIN, 2},
    {1.0f, 2.0f, 1u << 23},          {-FLT_MAX, FLT_MAX, 2 * UINT64_C(0x7f7fffff)},
};

START_TEST(ulp)
{
    compare_values v;
    compare_values_init(&v);
    compare_values_row(&v, &distances[_i].a, &distances[_i].b, 1, 0, 0);
    ck_assert_uint_eq(v.ulp, distances[_i].ulp);
    ck_assert_uint_eq(v.n_differ, 1); /* bits, also those of a zero's sign */
    ck_assert_uint_eq(v.beyond_at, distances[_i].ulp ? 0 : COMPARE_NONE);
}
END_TEST

START_TEST(no_number_is_beyond_every_tolerance)
{
    const float a[2] = {1, 1}, b[2] = {1, NAN}, zero[2] = {0, 0};
    compare_values v;
    compare_values_init(&v);
    compare_values_row(&v, a, b, 2, 7, 1e9);
    ck_assert_uint_eq(v.beyond_at, 7);
    compare_values_init(&v);
    compare_values_row(&v, zero, a, 2, 0, 1e9); /* as is anything where A is zero */
    ck_assert_uint_eq(v.beyond_at, 0);
    ck_assert(isinf(compare_relative(&v)));
}
END_TEST

START_TEST(tokens_and_divergence)
{
    const float a[3] = {2, 1, 0}, near[3] = {2, 1.5f, 0}, other[3] = {1, 4, 0};
    compare_logits l;
    compare_logits_init(&l);
    compare_logits_row(&l, a, a, 3, 0, 0.01);
    ck_assert_uint_eq(l.beyond.position, COMPARE_NONE);
    ck_assert(l.kl_sum == 0 && l.kl_most_at == 0);
    compare_logits_row(&l, a, near, 3, 1, 0.01);
    ck_assert_uint_eq(l.beyond.position, 1);
    ck_assert(l.beyond.margin[0] == 1 && l.beyond.margin[1] == 0.5);
    ck_assert_uint_eq(l.other_top.position, COMPARE_NONE);
    compare_logits_row(&l, a, other, 3, 2, 0.01);
    ck_assert_uint_eq(l.beyond.position, 1);
    ck_assert_uint_eq(l.other_top.position, 2);
    ck_assert_uint_eq(l.other_top.top[0], 0);
    ck_assert_uint_eq(l.other_top.top[1], 1);
    ck_assert(l.other_top.margin[0] == 1 && l.other_top.margin[1] == 3);
    ck_assert_uint_eq(l.same_top, 2);
    ck_assert_uint_eq(l.n_rows, 3);
    ck_assert_uint_eq(l.kl_most_at, 2);
    double e = exp(1), p[3] = {e * e, e, 1}, q[3] = {e, exp(4), 1}, kl = 0; /* over their sums */
    for (int i = 0; i < 3; i++) {
        double x = p[i] / (p[0] + p[1] + p[2]), y = q[i] / (q[0] + q[1] + q[2]);
        kl += x * log(x / y);
    }
    ck_assert(fabs(l.kl_most - kl) < 1e-12);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("compare");
    TCase *all = tcase_create("all");
    tcase_add_test(all, equal_rows);
    tcase_add_test(all, tolerance_is_relative_to_the_row);
    tcase_add_loop_test(all, ulp, 0, sizeof distances / sizeof *distances);
    tcase_add_test(all, no_number_is_beyond_every_tolerance);
    tcase_add_test(all, tokens_and_divergence);
    suite_add_tcase(suite, all);
    return q35t_run(suite);
}
