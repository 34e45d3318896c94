/* SPDX-License-Identifier: Apache-2.0
 *
 * Allocations against all combinations on small problems, against the bound on large ones; budgets, ties,
 * frontier, bad input. */
#include "runtime/base/alloc.h"
#include "runtime/quant/knapsack.h"
#include "support/alloc_sweep.h"
#include "support/expect.h"
#include "support/rng.h"
#include "support/suite.h"

#include <math.h>
#include <string.h>

enum { MOST_ITEMS = 2000, MOST_CHOICES = 8 };

static q35i_choice choices[MOST_ITEMS][MOST_CHOICES];
static q35i_item items[MOST_ITEMS];
static uint32_t picked[MOST_ITEMS], again[MOST_ITEMS];

static double unit(q35t_rng *rng)
{
    return 0.5 + 0.5 * (double)q35t_rng_signed(rng);
}

/* Any bytes up to 2^bits, any costs; few different ones with coarse. */
static void make_random(q35t_rng *rng, uint32_t n, uint32_t m, int bits, int coarse)
{
    for (uint32_t i = 0; i < n; i++) {
        items[i] = (q35i_item){choices[i], 1 + (uint32_t)q35t_rng_below(rng, m)};
        for (uint32_t j = 0; j < items[i].n_choices; j++) {
            uint64_t bytes = q35t_rng_below(rng, UINT64_C(1) << bits);
            double cost = unit(rng);
            choices[i][j] = (q35i_choice){bytes, coarse ? floor(4 * cost) / 4 : cost};
        }
    }
}

/* As tensors have it: seven sizes, five types, the cost falling with the square of the step, some noise. */
static void make_tensors(q35t_rng *rng, uint32_t n)
{
    static const uint64_t weights[] = {589824, 110592, 110592, 331776, 884736, 884736, 884736};
    static const double bits[] = {3.5, 4.125, 6.5625, 8.5, 16};
    for (uint32_t i = 0; i < n; i++) {
        double sensitivity = exp(3 * (double)q35t_rng_signed(rng)) * 1e-3;
        items[i] = (q35i_item){choices[i], 5};
        for (int j = 0; j < 5; j++) {
            choices[i][j].bytes =
                (uint64_t)((double)weights[i % 7] * bits[j] / 8) + (j == 0 ? 4 * weights[i % 7] / 576 : 0);
            choices[i][j].cost = sensitivity * exp2(2 * (3.5 - bits[j])) * (0.9 + 0.2 * unit(rng));
        }
    }
}

static q35i_allocation solve(uint32_t n, uint64_t budget)
{
    q35i_allocation a;
    EXPECT_OK(q35i_knapsack(items, n, budget, picked, &a));
    uint64_t bytes = 0;
    double cost = 0;
    for (uint32_t i = 0; i < n; i++) {
        ck_assert_uint_lt(picked[i], items[i].n_choices);
        bytes += choices[i][picked[i]].bytes;
        cost += choices[i][picked[i]].cost;
    }
    ck_assert_uint_eq(bytes, a.bytes);
    ck_assert_uint_le(bytes, budget);
    ck_assert_double_eq(cost, a.cost);
    ck_assert_double_le(a.bound, a.cost);
    return a;
}

/* Least cost of all combinations; HUGE_VAL: none fits. */
static double least_cost(uint32_t n, uint64_t budget)
{
    uint32_t at[MOST_CHOICES] = {0};
    double best = HUGE_VAL;
    for (;;) {
        uint64_t bytes = 0;
        double cost = 0;
        for (uint32_t i = 0; i < n; i++) {
            bytes += choices[i][at[i]].bytes;
            cost += choices[i][at[i]].cost;
        }
        if (bytes <= budget)
            best = fmin(best, cost);
        uint32_t i = 0;
        while (i < n && ++at[i] == items[i].n_choices)
            at[i++] = 0;
        if (i == n)
            return best;
    }
}

START_TEST(small_problems_are_solved)
{
    q35t_rng rng = q35t_rng_seed(1);
    for (int round = 0; round < 2000; round++) {
        uint32_t n = 1 + (uint32_t)q35t_rng_below(&rng, 6);
        int bits = round % 3 == 0 ? 3 : round % 3 == 1 ? 10 : 40;
        make_random(&rng, n, 5, bits, round % 2);
        q35i_budgets budgets;
        EXPECT_OK(q35i_knapsack_budgets(items, n, &budgets));
        for (int k = 0; k < 5; k++) {
            uint64_t budget = q35t_rng_below(&rng, n * (UINT64_C(1) << bits));
            double want = least_cost(n, budget);
            ck_assert_int_eq(want < HUGE_VAL, budget >= budgets.least);
            if (budget < budgets.least)
                continue;
            q35i_allocation a = solve(n, budget);
            ck_assert_int_eq(a.exact, 1);
            ck_assert_double_eq_tol(a.cost, want, 1e-11);
        }
        ck_assert_double_le(solve(n, budgets.most).cost, least_cost(n, UINT64_MAX));
        if (budgets.most > budgets.least)
            ck_assert_double_gt(solve(n, budgets.most - 1).cost, least_cost(n, UINT64_MAX));
    }
}
END_TEST

/* The bound on its own: no cheaper solution is known, and the gap is less than the smallest cost of a tensor's
 * step.
 */
START_TEST(large_problems_meet_their_bound)
{
    q35t_rng rng = q35t_rng_seed(2);
    for (uint32_t n = 100; n <= MOST_ITEMS; n += 380) {
        make_tensors(&rng, n);
        q35i_budgets b;
        EXPECT_OK(q35i_knapsack_budgets(items, n, &b));
        for (uint64_t k = 0; k <= 20; k++) {
            q35i_allocation a = solve(n, b.least + (b.most - b.least) / 20 * k);
            ck_assert_double_ge(a.bound, a.cost * (1 - 1e-4));
        }
        make_random(&rng, n, MOST_CHOICES, 40, 0);
        EXPECT_OK(q35i_knapsack_budgets(items, n, &b));
        q35i_allocation a = solve(n, b.least + (b.most - b.least) / 3);
        ck_assert_double_ge(a.bound, a.cost * (1 - 1e-4));
    }
}
END_TEST

START_TEST(more_bytes_never_cost_more)
{
    q35t_rng rng = q35t_rng_seed(3);
    make_tensors(&rng, 210);
    q35i_budgets b;
    EXPECT_OK(q35i_knapsack_budgets(items, 210, &b));
    double before = HUGE_VAL;
    int exact = 0;
    for (uint64_t k = 0; k <= 400; k++) {
        q35i_allocation a = solve(210, b.least + (uint64_t)((double)(b.most - b.least) * (double)k / 400));
        ck_assert_double_le(a.bound, before);
        if (a.exact)
            ck_assert_double_le(a.cost, before * (1 + 1e-11));
        before = fmin(before, a.cost);
        exact += a.exact;
    }
    ck_assert_int_ge(exact, 390);
}
END_TEST

START_TEST(same_input_same_answer)
{
    q35t_rng rng = q35t_rng_seed(4);
    make_tensors(&rng, 500);
    q35i_budgets b;
    EXPECT_OK(q35i_knapsack_budgets(items, 500, &b));
    solve(500, b.least + (b.most - b.least) / 7);
    memcpy(again, picked, sizeof again);
    solve(500, b.least + (b.most - b.least) / 7);
    ck_assert_mem_eq(again, picked, sizeof again);
}
END_TEST

/* Two thousand items that are all alike; what is left over is less than a step. */
START_TEST(equal_items)
{
    for (int i = 0; i < MOST_ITEMS; i++) {
        items[i] = (q35i_item){choices[i], 3};
        choices[i][0] = (q35i_choice){350, 0.3};
        choices[i][1] = (q35i_choice){410, 0.1};
        choices[i][2] = (q35i_choice){850, 0.01};
    }
    q35i_allocation a = solve(MOST_ITEMS, 350 * MOST_ITEMS + 60 * 777 + 59);
    ck_assert_int_eq(a.exact, 1);
    ck_assert_double_eq_tol(a.cost, 0.3 * MOST_ITEMS - 0.2 * 777, 1e-9);
    for (int i = 0; i < MOST_ITEMS; i++) /* the first ones */
        ck_assert_uint_eq(picked[i], i < 777);
}
END_TEST

START_TEST(degenerate_problems)
{
    q35i_allocation a = solve(0, 0);
    ck_assert_int_eq(a.exact, 1);
    ck_assert_double_eq(a.cost, 0);
    items[0] = (q35i_item){choices[0], 1};
    choices[0][0] = (q35i_choice){UINT64_C(1) << 40, 5};
    a = solve(1, UINT64_C(1) << 40);
    ck_assert_double_eq(a.cost, 5);
    ck_assert_uint_eq(a.budgets.most, UINT64_C(1) << 40);
    /* Nothing to gain: the smallest, the first of the smallest. */
    for (int i = 0; i < 9; i++) {
        items[i] = (q35i_item){choices[i], 4};
        for (int j = 0; j < 4; j++)
            choices[i][j] = (q35i_choice){j == 0 ? 20 : 10, 0};
    }
    a = solve(9, 1000);
    ck_assert_uint_eq(a.bytes, 90);
    for (int i = 0; i < 9; i++)
        ck_assert_uint_eq(picked[i], 1);
    /* All choices the same. */
    for (int j = 0; j < 4; j++)
        choices[0][j] = (q35i_choice){7, 2};
    solve(1, 7);
    ck_assert_uint_eq(picked[0], 0);
    /* Of no bytes. */
    choices[0][3] = (q35i_choice){0, 2};
    ck_assert_uint_eq(solve(1, 0).bytes, 0);
    ck_assert_uint_eq(picked[0], 3);
}
END_TEST

START_TEST(impossible_budget_tells_the_range)
{
    q35i_allocation a;
    items[0] = items[1] = (q35i_item){choices[0], 3};
    choices[0][0] = (q35i_choice){100, 3};
    choices[0][1] = (q35i_choice){300, 1};
    choices[0][2] = (q35i_choice){500, 2};
    EXPECT_FAILURE(q35i_knapsack(items, 2, 199, picked, &a), Q35_E_INVALID, "199");
    ck_assert_uint_eq(a.budgets.least, 200);
    ck_assert_uint_eq(a.budgets.most, 600); /* the largest choice is not the best */
}
END_TEST

START_TEST(bad_choices_are_refused)
{
    static const double bad[] = {-1e-9, NAN, HUGE_VAL, -HUGE_VAL, 1e31};
    q35i_allocation a;
    items[0] = items[1] = (q35i_item){choices[0], 2};
    choices[0][0] = (q35i_choice){100, 3};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        choices[0][1] = (q35i_choice){200, bad[i]};
        EXPECT_FAILURE(q35i_knapsack(items, 2, 1000, picked, &a), Q35_E_INVALID, "item 0");
        ck_assert_uint_eq(a.budgets.most, 0);
    }
    choices[0][1] = (q35i_choice){UINT64_C(1) << 62, 1};
    EXPECT_FAILURE(q35i_knapsack(items, 2, 1000, picked, &a), Q35_E_INVALID, "2^63");
    choices[0][1] = (q35i_choice){UINT64_MAX, 1};
    EXPECT_FAILURE(q35i_knapsack(items, 2, 1000, picked, &a), Q35_E_INVALID, "2^63");
    items[1].n_choices = 0;
    choices[0][1] = (q35i_choice){200, 1};
    EXPECT_FAILURE(q35i_knapsack(items, 2, 1000, picked, &a), Q35_E_INVALID, "0 choices");
    items[1].n_choices = Q35I_KNAPSACK_CHOICES + 1;
    EXPECT_FAILURE(q35i_knapsack(items, 2, 1000, picked, &a), Q35_E_INVALID, "33 choices");
}
END_TEST

/* Convex, from end to end, and each point the optimum at its bytes. */
START_TEST(frontier_is_the_optimum)
{
    static q35i_frontier_point points[5000];
    q35t_rng rng = q35t_rng_seed(6);
    uint64_t n;
    make_tensors(&rng, 210);
    q35i_budgets b;
    EXPECT_OK(q35i_knapsack_budgets(items, 210, &b));
    for (uint64_t most = 2; most <= 5000; most = most * 3 + 1) {
        EXPECT_OK(q35i_knapsack_frontier(items, 210, most, points, &n));
        ck_assert_uint_le(n, most);
        ck_assert_uint_ge(n, most < 200 ? most / 2 + 1 : 100);
        ck_assert_uint_eq(points[0].bytes, b.least);
        ck_assert_uint_eq(points[n - 1].bytes, b.most);
        double slope = -HUGE_VAL;
        for (uint64_t i = 1; i < n; i++) {
            ck_assert_uint_gt(points[i].bytes, points[i - 1].bytes);
            double s = (points[i].cost - points[i - 1].cost) / (double)(points[i].bytes - points[i - 1].bytes);
            ck_assert_double_ge(s, slope * (1 + 1e-6));
            slope = s;
        }
        for (uint64_t i = 0; i < n; i += 1 + n / 10)
            ck_assert_double_eq_tol(solve(210, points[i].bytes).cost, points[i].cost, 1e-12);
    }
    EXPECT_FAILURE(q35i_knapsack_frontier(items, 210, 1, points, &n), Q35_E_INVALID, "2");
    items[0].n_choices = 1;
    EXPECT_OK(q35i_knapsack_frontier(items, 1, 2, points, &n));
    ck_assert_uint_eq(n, 1);
}
END_TEST

START_TEST(out_of_memory)
{
    q35t_rng rng = q35t_rng_seed(7);
    make_tensors(&rng, 50);
    q35i_budgets b;
    EXPECT_OK(q35i_knapsack_budgets(items, 50, &b));
    q35t_alloc_sweep sweep = {.limit = 100};
    while (q35t_alloc_sweep_next(&sweep)) {
        q35i_allocation a;
        q35t_alloc_sweep_end(&sweep, q35i_knapsack(items, 50, b.least + (b.most - b.least) / 3, picked, &a));
    }
    ck_assert_uint_gt(sweep.n, 5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("knapsack");
    TCase *tcase = tcase_create("knapsack");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, small_problems_are_solved);
    tcase_add_test(tcase, large_problems_meet_their_bound);
    tcase_add_test(tcase, more_bytes_never_cost_more);
    tcase_add_test(tcase, same_input_same_answer);
    tcase_add_test(tcase, equal_items);
    tcase_add_test(tcase, degenerate_problems);
    tcase_add_test(tcase, impossible_budget_tells_the_range);
    tcase_add_test(tcase, bad_choices_are_refused);
    tcase_add_test(tcase, frontier_is_the_optimum);
    tcase_add_test(tcase, out_of_memory);
    suite_add_tcase(suite, tcase);
    return q35t_run(suite);
}
