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

START_TEST(summary)
{
    score_samples s = {0};
    ck_assert(score_summarise(&s).mean == 0);
    for (int i = 101; i-- > 0;)
        ck_assert_int_eq(score_add(&s, i), 0);
    score_summary r = score_summarise(&s);
    near(r.mean, 50);
    near(r.median, 50);
    near(r.p99, 99);
    near(r.error, sqrt(101.0 * 102 / 12 / 101)); /* sample variance of 0..n-1 is n (n + 1) / 12 */
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
    tcase_add_test(all, summary);
    suite_add_tcase(suite, all);
    return q35t_run(suite);
}
