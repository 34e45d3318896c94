/* SPDX-License-Identifier: Apache-2.0
 *
 * Statistics of predictions against values worked out by hand. */
#include "runtime/apps/cli/score.h"
#include "support/suite.h"

#include <math.h>
#include <stdlib.h>

static void near(double found, double wanted)
{
    ck_assert_msg(fabs(found - wanted) <= 1e-12 * (1 + fabs(wanted)), "%.17g found, %.17g wanted", found, wanted);
}

START_TEST(log_sum_exp)
{
    float flat[8] = {0};
    near(score_log_sum_exp(flat, 8), log(8));
    float far[3] = {1000, 1000, -1000}; /* no overflow */
    near(score_log_sum_exp(far, 3), 1000 + log(2));
    near(score_log_sum_exp(far, 1), 1000);
}
END_TEST

static double kl(const float *base, const float *model, uint32_t n)
{
    return score_divergence(base, score_log_sum_exp(base, n), model, score_log_sum_exp(model, n), n);
}

START_TEST(divergence)
{
    /* p = (3/4, 1/4), q = (1/4, 3/4): KL = 1/2 log 3. A common shift of the logits changes nothing. */
    float p[2] = {(float)log(3.0), 0}, q[2] = {5, 5 + (float)log(3.0)};
    ck_assert(fabs(kl(p, q, 2) - 0.5 * log(3)) < 1e-6);
    ck_assert(kl(p, p, 2) == 0);
    ck_assert(kl(q, p, 2) > 0);
}
END_TEST

START_TEST(top)
{
    float x[5] = {1, 3, 2, 3, -1};
    ck_assert_uint_eq(score_top(x, 5), 1);
    ck_assert_uint_eq(score_top(x, 1), 0);
}
END_TEST

/* n .. 0 */
static score_samples counting(int n)
{
    score_samples s = {0};
    for (int i = n + 1; i-- > 0;)
        ck_assert_int_eq(score_add(&s, i), 0);
    return s;
}

START_TEST(means)
{
    score_samples s = counting(100), none = {0};
    ck_assert(score_mean(&none).value == 0 && score_mean(&none).error == 0);
    near(score_mean(&s).value, 50);
    near(score_mean(&s).error, sqrt(101.0 * 102 / 12 / 101)); /* sample variance of 0..n-1 is n (n + 1) / 12 */
    score_samples pair = {(double[]){3, -4}, 2, 2};
    near(score_rms(&pair).value, sqrt(12.5));
    /* Squares 9 and 16: standard error 3.5, through the root 3.5 / (2 sqrt 12.5). */
    near(score_rms(&pair).error, 3.5 / (2 * sqrt(12.5)));
    score_value e = score_exp((score_value){2, 0.5});
    near(e.value, exp(2));
    near(e.error, exp(2) / 2);
    free(s.value);
}
END_TEST

START_TEST(paired_difference)
{
    /* The pairs differ by 1, whatever the spread of either: no error left. */
    score_samples a = {(double[]){1, 50, 7}, 3, 3}, b = {(double[]){0, 49, 6}, 3, 3};
    near(score_mean_difference(&a, &b).value, 1);
    near(score_mean_difference(&a, &b).error, 0);
    score_samples c = {(double[]){1, 2, 3}, 3, 3}, d = {(double[]){0, 0, 0}, 3, 3};
    near(score_mean_difference(&c, &d).error, sqrt(1.0 / 3));
}
END_TEST

START_TEST(shares)
{
    near(score_share(1, 4).value, 0.25);
    near(score_share(1, 4).error, sqrt(0.25 * 0.75 / 4));
    near(score_share(0, 0).value, 0);
}
END_TEST

START_TEST(quantiles)
{
    score_samples s = counting(100), one = {(double[]){5}, 1, 1}, none = {0};
    score_sort(&s);
    near(score_quantile(&s, 0.5).value, 50);
    near(score_quantile(&s, 0.5).error, sqrt(101.0) / 2); /* values are their own indices */
    near(score_quantile(&s, 0.99).value, 99);
    near(score_quantile(&s, 0.99).error, sqrt(101 * 0.99 * 0.01));
    near(score_quantile(&s, 0.999).error, (100 - (99.9 - sqrt(101 * 0.999 * 0.001))) / 2); /* ends at the last */
    near(score_quantile(&s, 1).value, 100);
    near(score_quantile(&s, 1).error, 0);
    near(score_quantile(&one, 0.9).value, 5);
    ck_assert(score_quantile(&none, 0.9).value == 0);
    free(s.value);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("score");
    TCase *all = tcase_create("all");
    tcase_add_test(all, log_sum_exp);
    tcase_add_test(all, divergence);
    tcase_add_test(all, top);
    tcase_add_test(all, means);
    tcase_add_test(all, paired_difference);
    tcase_add_test(all, shares);
    tcase_add_test(all, quantiles);
    suite_add_tcase(suite, all);
    return q35t_run(suite);
}
