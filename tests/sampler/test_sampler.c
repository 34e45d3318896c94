/* SPDX-License-Identifier: Apache-2.0
 *
 * Sampling on logits made by hand: each stage alone, their order, ties, NaN and infinities, the same draws for the
 * same seed, and frequencies near the probabilities. */
#include "runtime/session/sampler.h"

#include "runtime/base/alloc.h"
#include "runtime/session/rng.h"
#include "support/alloc_sweep.h"
#include "support/expect.h"
#include "support/suite.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { DRAWS = 20000 };

static q35_sampler *make(q35_sampler_options options, uint32_t n_vocab)
{
    q35_sampler *s;
    EXPECT_OK(q35_sampler_create(&options, n_vocab, &s));
    return s;
}

/* Counts of each id over DRAWS draws. */
static void count(q35_sampler_options options, const float *logits, uint32_t n, uint32_t *counts)
{
    q35_sampler *s = make(options, n);
    memset(counts, 0, n * sizeof *counts);
    for (int i = 0; i < DRAWS; i++) {
        int32_t id = q35_sampler_sample(s, logits);
        ck_assert(id >= 0 && (uint32_t)id < n);
        counts[id]++;
    }
    q35_sampler_destroy(s);
}

/* Five standard deviations of a binomial count. */
static void expect_near(uint32_t found, double p)
{
    double want = p * DRAWS;
    ck_assert_msg(fabs(found - want) <= 5 * sqrt(want * (1 - p)) + 1e-9, "%u draws, want about %g", found, want);
}

static q35_sampler_options warm(void)
{
    q35_sampler_options o = q35_sampler_options_default();
    o.temperature = 1;
    o.seed = 42;
    return o;
}

/* Logarithms of 0.5, 0.25, 0.125, 0.125, out of order. */
static const float halves[4] = {-2.0794415f, -0.6931472f, -2.0794415f, -1.3862944f};

START_TEST(greedy)
{
    static const float tie[] = {1, 3, 2, 3}, nan_first[] = {NAN, -5, NAN, -4}, all_nan[] = {NAN, NAN, NAN, NAN};
    static const float low[] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
    static const float high[] = {0, INFINITY, NAN, INFINITY};
    q35_sampler *s = make(q35_sampler_options_default(), 4);
    ck_assert_int_eq(q35_sampler_sample(s, tie), 1);
    ck_assert_int_eq(q35_sampler_sample(s, nan_first), 3);
    ck_assert_int_eq(q35_sampler_sample(s, all_nan), 0);
    ck_assert_int_eq(q35_sampler_sample(s, low), 0);
    ck_assert_int_eq(q35_sampler_sample(s, high), 1);
    q35_sampler_destroy(s);
}
END_TEST

START_TEST(temperature)
{
    uint32_t counts[4];
    q35_sampler_options o = warm();
    count(o, halves, 4, counts);
    expect_near(counts[0], 0.125);
    expect_near(counts[1], 0.5);
    expect_near(counts[2], 0.125);
    expect_near(counts[3], 0.25);
    o.temperature = 0.5f; /* squares of the probabilities: 16 : 4 : 1 : 1 */
    count(o, halves, 4, counts);
    expect_near(counts[1], 16.0 / 22);
    expect_near(counts[3], 4.0 / 22);
    o.temperature = 1e-30f;
    count(o, halves, 4, counts);
    ck_assert_uint_eq(counts[1], DRAWS);
}
END_TEST

START_TEST(top_k)
{
    uint32_t counts[4];
    q35_sampler_options o = warm();
    o.top_k = 3; /* of the two equal ones the lower id stays */
    count(o, halves, 4, counts);
    expect_near(counts[1], 0.5 / 0.875);
    expect_near(counts[3], 0.25 / 0.875);
    expect_near(counts[0], 0.125 / 0.875);
    ck_assert_uint_eq(counts[2], 0);
    o.top_k = 1;
    count(o, halves, 4, counts);
    ck_assert_uint_eq(counts[1], DRAWS);
    o.top_k = 100;
    count(o, halves, 4, counts);
    expect_near(counts[2], 0.125);
}
END_TEST

START_TEST(top_p)
{
    uint32_t counts[4];
    q35_sampler_options o = warm();
    o.top_p = 0.6f; /* 0.5 is not enough, 0.75 is */
    count(o, halves, 4, counts);
    expect_near(counts[1], 2.0 / 3);
    expect_near(counts[3], 1.0 / 3);
    o.top_p = 0.4f;
    count(o, halves, 4, counts);
    ck_assert_uint_eq(counts[1], DRAWS);
    o.top_p = 1e-30f;
    count(o, halves, 4, counts);
    ck_assert_uint_eq(counts[1], DRAWS);
    /* after top-k: of the three that stay the first two hold 0.75 / 0.875 = 0.857 */
    o.top_k = 3;
    o.top_p = 0.85f;
    count(o, halves, 4, counts);
    ck_assert_uint_eq(counts[0] + counts[2], 0);
    /* before the temperature: a flat distribution would keep all */
    o.temperature = 1000;
    count(o, halves, 4, counts);
    expect_near(counts[1], 0.5);
    ck_assert_uint_eq(counts[0] + counts[2], 0);
}
END_TEST

START_TEST(min_p)
{
    uint32_t counts[4];
    q35_sampler_options o = warm();
    o.min_p = 0.4f; /* 0.2 is the least that stays */
    count(o, halves, 4, counts);
    expect_near(counts[1], 2.0 / 3);
    expect_near(counts[3], 1.0 / 3);
    o.min_p = 1;
    count(o, halves, 4, counts);
    ck_assert_uint_eq(counts[1], DRAWS);
}
END_TEST

START_TEST(repetition_penalty)
{
    static const float logits[] = {2.0f, 1.5f, -1.0f, -1.2f};
    static const float below[] = {-9.0f, -9.0f, -1.0f, -1.2f};
    q35_sampler_options o = q35_sampler_options_default();
    o.repeat_penalty = 2;
    o.repeat_last = 2;
    q35_sampler *s = make(o, 4);
    ck_assert_int_eq(q35_sampler_sample(s, logits), 0);
    q35_sampler_accept(s, 0);
    ck_assert_int_eq(q35_sampler_sample(s, logits), 1);
    q35_sampler_accept(s, 0); /* twice counts once: 2.0 -> 1.0, still above -1 */
    q35_sampler_accept(s, 1);
    ck_assert_int_eq(q35_sampler_sample(s, logits), 0);
    q35_sampler_accept(s, 2); /* 0 has left the window; a negative logit goes further down */
    ck_assert_int_eq(q35_sampler_sample(s, logits), 0);
    ck_assert_int_eq(q35_sampler_sample(s, below), 3);
    q35_sampler_accept(s, -1);
    q35_sampler_accept(s, 4);
    ck_assert_int_eq(q35_sampler_sample(s, below), 3);
    q35_sampler_destroy(s);
    o.repeat_last = 0;
    s = make(o, 4);
    q35_sampler_accept(s, 0);
    ck_assert_int_eq(q35_sampler_sample(s, logits), 0);
    q35_sampler_destroy(s);
}
END_TEST

START_TEST(not_numbers_and_infinities)
{
    static const float some[] = {NAN, 1, -INFINITY, 1}, high[] = {INFINITY, 5, NAN, INFINITY};
    static const float low[] = {-INFINITY, NAN, -INFINITY, NAN}, none[] = {NAN, NAN, NAN, NAN};
    uint32_t counts[4];
    q35_sampler_options o = warm();
    for (int filtered = 0; filtered < 2; filtered++) {
        o.top_p = filtered ? 0.99f : 1;
        count(o, some, 4, counts);
        ck_assert_uint_eq(counts[0] + counts[2], 0);
        expect_near(counts[1], 0.5);
        count(o, high, 4, counts);
        ck_assert_uint_eq(counts[1] + counts[2], 0);
        expect_near(counts[0], 0.5);
        count(o, low, 4, counts);
        ck_assert_uint_eq(counts[1] + counts[3], 0);
        count(o, none, 4, counts);
        ck_assert_uint_eq(counts[0], DRAWS);
    }
}
END_TEST

/* ---- from candidates */

enum { WIDE = 400, CHOSEN = 64 };

/* Small numbers in quarters, so that many are equal. */
static void fill(q35i_rng *rng, float *logits, double spread)
{
    for (int i = 0; i < WIDE; i++)
        logits[i] = (float)floor(q35i_rng_unit(rng) * spread) / 4;
}

static void choose_first(const float *logits, float *values, int32_t *ids)
{
    bool taken[WIDE] = {false};
    for (int k = 0; k < CHOSEN; k++) {
        int best = -1;
        for (int i = 0; i < WIDE; i++)
            if (!taken[i] && (best < 0 || logits[i] > logits[best]))
                best = i;
        taken[best] = true;
        values[k] = logits[best];
        ids[k] = best;
    }
}

/* With the highest of all logits the sampler draws what it draws with all, or says that it cannot; how often it
 * does. */
static int draws_from_candidates(q35_sampler_options o, double spread)
{
    float logits[WIDE], values[CHOSEN];
    int32_t ids[CHOSEN];
    int decided = 0;
    q35i_rng rng = q35i_rng_seed(9);
    q35_sampler *all = make(o, WIDE), *some = make(o, WIDE);
    for (int i = 0; i < 100; i++) {
        int32_t id = -1;
        fill(&rng, logits, spread);
        choose_first(logits, values, ids);
        const int32_t want = q35_sampler_sample(all, logits);
        if (q35i_sampler_choose(some, values, ids, CHOSEN, &id))
            decided++;
        else
            id = q35_sampler_sample(some, logits); /* so that both have drawn as often */
        ck_assert_msg(id == want, "draw %d: %d, need %d", i, id, want);
        q35_sampler_accept(all, id);
        q35_sampler_accept(some, id);
    }
    q35_sampler_destroy(all);
    q35_sampler_destroy(some);
    return decided;
}

START_TEST(candidates)
{
    static const struct {
        float temperature;
        int32_t top_k;
        float top_p, min_p, penalty;
        int least, most; /* of a hundred draws that candidates decide */
    } cases[] = {
        {0, 0, 1, 0, 1, 100, 100},      {0, 300, 0.5f, 0.1f, 1, 100, 100}, {1, 40, 1, 0, 1, 100, 100},
        {1, CHOSEN, 1, 0, 1, 100, 100}, {2, 40, 0.9f, 0.02f, 1, 100, 100}, {1, 1, 0.1f, 1, 1, 100, 100},
        {1, 0, 1, 0.5f, 1, 100, 100},   {1, 200, 1, 0.5f, 1, 100, 100},    {1, 0, 1, 0.001f, 1, 0, 0},
        {1, 0, 1, 0, 1, 0, 0},          {1, CHOSEN + 1, 1, 0, 1, 0, 0},    {1, 0, 0.5f, 0.5f, 1, 0, 0},
        {0, 0, 1, 0, 1.5f, 1, 1},       {1, 40, 1, 0, 0.9f, 1, 1},         {1, WIDE, 1, 0, 1, 0, 0},
    };
    q35_sampler_options o = warm();
    o.temperature = cases[_i].temperature;
    o.top_k = cases[_i].top_k;
    o.top_p = cases[_i].top_p;
    o.min_p = cases[_i].min_p;
    o.repeat_penalty = cases[_i].penalty;
    o.repeat_last = 4;
    const int decided = draws_from_candidates(o, 40);
    ck_assert_msg(decided >= cases[_i].least && decided <= cases[_i].most, "case %d: %d draws", _i, decided);
}
END_TEST

/* A cut by min-p among the candidates in some rows and behind them in others. */
START_TEST(candidates_sometimes)
{
    q35_sampler_options o = warm();
    o.min_p = 0.18f; /* seven quarters below the highest */
    const int decided = draws_from_candidates(o, 44);
    ck_assert_msg(decided > 5 && decided < 95, "%d draws", decided);
}
END_TEST

START_TEST(seeds)
{
    enum { N = 1000, STEPS = 64 };
    float logits[N];
    q35i_rng rng = q35i_rng_seed(1);
    q35_sampler_options o = warm();
    int32_t first[STEPS];
    int differ = 0;
    for (int i = 0; i < N; i++)
        logits[i] = (float)(4 * q35i_rng_unit(&rng));
    o.top_k = 200;
    o.top_p = 0.9f;
    for (uint64_t run = 0; run < 3; run++) {
        o.seed = run < 2 ? 5 : 6;
        q35_sampler *s = make(o, N);
        for (int i = 0; i < STEPS; i++) {
            int32_t id = q35_sampler_sample(s, logits);
            if (run == 0)
                first[i] = id;
            else if (run == 1)
                ck_assert_int_eq(id, first[i]);
            else
                differ += id != first[i];
        }
        q35_sampler_destroy(s);
    }
    ck_assert_int_gt(differ, STEPS / 2);
}
END_TEST

/* First outputs of xoshiro256** from the state that splitmix64 makes of seed 0: both computed here step by step
 * from the papers' formulas by another program. */
START_TEST(generator)
{
    q35i_rng rng = q35i_rng_seed(0);
    ck_assert(rng.s[0] == 0xE220A8397B1DCDAFu && rng.s[1] == 0x6E789E6AA1B965F4u);
    ck_assert(rng.s[2] == 0x06C45D188009454Fu && rng.s[3] == 0xF88BB8A8724C81ECu);
    ck_assert(q35i_rng_next(&rng) == 0x99EC5F36CB75F2B4u);
    ck_assert(q35i_rng_next(&rng) == 0xBF6E1F784956452Au);
    for (int i = 0; i < 1000; i++) {
        double u = q35i_rng_unit(&rng);
        ck_assert(u >= 0 && u < 1);
    }
}
END_TEST

/* All of the vocabulary against the C library's exp, so that every exponent of the range is met. */
START_TEST(wide_vocabulary)
{
    enum { N = 1024 };
    float logits[N];
    uint32_t counts[N];
    q35_sampler_options o = warm();
    for (int i = 0; i < N; i++)
        logits[i] = -(float)i * 0.75f;
    count(o, logits, N, counts);
    double total = 1 / (1 - exp(-0.75));
    for (int i = 0; i < 40; i++)
        expect_near(counts[i], exp(-0.75 * i) / total);
    ck_assert_uint_eq(counts[N - 1], 0);
}
END_TEST

START_TEST(bad_options)
{
    static const struct {
        float temperature, top_p, min_p, penalty;
        int32_t top_k, last;
        const char *message;
    } cases[] = {
        {-1, 1, 0, 1, 0, 0, "temperature: -1, need"},
        {NAN, 1, 0, 1, 0, 0, "temperature: "},
        {INFINITY, 1, 0, 1, 0, 0, "temperature: inf"},
        {0, 0, 0, 1, 0, 0, "top-p: 0, need more than 0 and at most 1"},
        {0, 1.5f, 0, 1, 0, 0, "top-p: 1.5"},
        {0, NAN, 0, 1, 0, 0, "top-p: "},
        {0, 1, -0.1f, 1, 0, 0, "min-p: -0.1"},
        {0, 1, 2, 1, 0, 0, "min-p: 2, need 0 to 1"},
        {0, 1, 0, 0, 0, 0, "repeat penalty: 0, need"},
        {0, 1, 0, INFINITY, 0, 0, "repeat penalty: inf"},
        {0, 1, 0, 1, -1, 0, "top-k: -1, need 0"},
        {0, 1, 0, 1, 0, -1, "repeat last: -1, need 0 to"},
        {0, 1, 0, 1, 0, INT32_MAX, "repeat last: 2147483647, need"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        q35_sampler *s = (q35_sampler *)&s;
        q35_sampler_options o = {.temperature = cases[i].temperature,
                                 .top_k = cases[i].top_k,
                                 .top_p = cases[i].top_p,
                                 .min_p = cases[i].min_p,
                                 .repeat_penalty = cases[i].penalty,
                                 .repeat_last = cases[i].last};
        EXPECT_FAILURE(q35_sampler_create(&o, 4, &s), Q35_E_INVALID, cases[i].message);
        ck_assert_ptr_null(s);
    }
    q35_sampler *s;
    q35_sampler_options o = q35_sampler_options_default();
    ck_assert_uint_eq(q35_sampler_create(&o, 0, &s), Q35_E_INVALID);
    q35_sampler_destroy(NULL);
}
END_TEST

START_TEST(memory)
{
    q35_sampler_options o = warm();
    q35_sampler *s;
    o.repeat_last = 8;
    o.repeat_penalty = 1.1f;
    o.top_k = 2;
    o.min_p = 0.01f;
    q35t_alloc_sweep sweep = {.limit = 100};
    while (q35t_alloc_sweep_next(&sweep)) {
        q35t_alloc_sweep_end(&sweep, q35_sampler_create(&o, 4, &s));
        ck_assert(sweep.status == Q35_OK || s == NULL);
    }
    q35i_alloc_fail_at(1); /* sampling does not allocate: it could not report that it failed */
    for (int i = 0; i < 100; i++)
        q35_sampler_accept(s, q35_sampler_sample(s, halves));
    q35i_alloc_fail_at(0);
    q35_sampler_destroy(s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sampler");
    TCase *tc = tcase_create("sampler");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, greedy);
    tcase_add_test(tc, temperature);
    tcase_add_test(tc, top_k);
    tcase_add_test(tc, top_p);
    tcase_add_test(tc, min_p);
    tcase_add_test(tc, repetition_penalty);
    tcase_add_test(tc, not_numbers_and_infinities);
    tcase_add_loop_test(tc, candidates, 0, 15);
    tcase_add_test(tc, candidates_sometimes);
    tcase_add_test(tc, seeds);
    tcase_add_test(tc, generator);
    tcase_add_test(tc, wide_vocabulary);
    tcase_add_test(tc, bad_options);
    tcase_add_test(tc, memory);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
