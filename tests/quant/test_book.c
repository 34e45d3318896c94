/* SPDX-License-Identifier: Apache-2.0
 *
 * Nearest points against exhaustive search in double, codebook training: determinism, threads, degenerate samples.
 */
#include "noise.h"
#include "runtime/base/pool.h"
#include "runtime/quant/book.h"
#include "runtime/quant/random.h"
#include "support/rng.h"
#include "support/suite.h"

#include <math.h>
#include <stdlib.h>

#define N 20000

static float pairs[2 * N], weights[2 * N];

static void fill(uint64_t seed)
{
    uint64_t state = seed;
    q35t_normal(seed, pairs, 2 * N);
    for (int i = 0; i < 2 * N; i++)
        weights[i] = (float)q35i_random_unit(&state);
}

static void train(uint64_t seed, q35_pool *pool, q35i_book *book)
{
    memset(book, 0, sizeof *book);
    ck_assert_int_eq(q35i_book_train(pairs, weights, N, seed, pool, book), Q35_OK);
}

static double distance(const q35i_book *book, int c, uint64_t i)
{
    double d0 = (double)pairs[2 * i] - book->points[c][0], d1 = (double)pairs[2 * i + 1] - book->points[c][1];
    return (double)weights[2 * i] * d0 * d0 + (double)weights[2 * i + 1] * d1 * d1;
}

/* The code found is as near as any, to the resolution of the comparison; the sum is the sum of its distances. */
START_TEST(nearest_is_nearest)
{
    static uint8_t codes[N];
    q35i_book book;
    q35i_points points;
    double sum = 0;
    fill(3);
    train(0, NULL, &book);
    q35i_points_set(&points, (const int8_t(*)[2])book.points, Q35_BOOK_POINTS);
    for (int i = 0; i < 2 * N; i++)
        pairs[i] /= book.unit;
    double found = q35i_nearest(&points, pairs, weights, N, codes);
    for (uint64_t i = 0; i < N; i++) {
        double best = HUGE_VAL, d = distance(&book, codes[i], i);
        for (int c = 0; c < Q35_BOOK_POINTS; c++)
            best = fmin(best, distance(&book, c, i));
        ck_assert_double_le(d, best * (1 + 0x1p-15) + 1e-12);
        sum += d;
    }
    ck_assert_double_le(fabs(found - sum), sum * 0x1p-15);
}
END_TEST

/* The codes of the integer search have the least score, and the sum is that of their scores, to the resolution of
 * its factors; far weights are pulled in and what that takes away is told. */
START_TEST(integer_search_is_exhaustive)
{
    q35i_code_points points;
    q35i_code_group g;
    int8_t book[Q35_BOOK_POINTS][2];
    float excess[Q35_GROUP];
    uint8_t codes[Q35_GROUP_CODES];
    int32_t far;
    q35t_rng rng = q35t_rng_seed(5);
    for (int round = 0; round < 50; round++) {
        double sum = 0, spread = round == 49 ? 400 : 120;
        for (int c = 0; c < Q35_BOOK_POINTS; c++)
            for (int k = 0; k < 2; k++)
                book[c][k] = (int8_t)(round == 0 ? -128 : (int)q35t_rng_below(&rng, 256) - 128);
        q35i_code_points_set(&points, (const int8_t(*)[2])book);
        for (int i = 0; i < Q35_GROUP; i++) {
            float cost = i % 2 ? 1 : 1 / (float)(1 + q35t_rng_below(&rng, 50));
            g.square[i / 2][i % 2] = (int16_t)lrintf(8192 * cost);
            g.factor[i] = -128 * cost * q35t_rng_signed(&rng) * (float)spread;
            g.bound[i] = 128 * cost * Q35I_FARTHEST;
            g.top[i / 2] = 3;
        }
        double found = q35i_search_codes(&points, &g, 1, codes, excess, &far);
        ck_assert_int_eq(far != 0, round == 49);
        for (int i = 0; i < Q35_GROUP_CODES; i++) {
            double least = HUGE_VAL, own = 0;
            for (int c = 0; c < Q35_BOOK_POINTS; c++) {
                double score = 0;
                for (int k = 0; k < 2; k++) {
                    double f = (double)g.factor[2 * i + k] - (double)excess[2 * i + k];
                    score += f * book[c][k] / 64 + g.square[i][k] / 8192.0 * book[c][k] * book[c][k];
                }
                least = fmin(least, score);
                own = c == codes[i] ? score : own;
            }
            ck_assert_double_le(own, least + 4.1); /* half a unit of each factor times 128, both ways */
            sum += 3 * own;
        }
        ck_assert_double_le(fabs(found / 64 - sum), 3 * Q35_GROUP_CODES * 0.5);
    }
}
END_TEST

START_TEST(equal_points_take_the_smallest_code)
{
    static const int8_t points[Q35_BOOK_POINTS][2] = {[9] = {5, 5}, [70] = {5, 5}};
    q35i_points p;
    const float x[2] = {5, 5}, w[2] = {1, 1}, zero[2] = {0, 0};
    uint8_t code;
    q35i_points_set(&p, points, Q35_BOOK_POINTS);
    ck_assert(q35i_nearest(&p, x, w, 1, &code) == 0);
    ck_assert_uint_eq(code, 9);
    (void)q35i_nearest(&p, zero, w, 1, &code);
    ck_assert_uint_eq(code, 0);
    (void)q35i_nearest(&p, x, zero, 1, &code);
    ck_assert_uint_eq(code, 0);
}
END_TEST

START_TEST(same_seed_same_book)
{
    q35i_book a, b, c;
    fill(4);
    train(11, NULL, &a);
    train(11, NULL, &b);
    train(12, NULL, &c);
    ck_assert_mem_eq(a.points, b.points, sizeof a.points);
    ck_assert(a.unit == b.unit);
    ck_assert_msg(memcmp(a.points, c.points, sizeof a.points) != 0, "the seed has no effect");
}
END_TEST

START_TEST(any_thread_count_same_book)
{
    q35i_book alone, b;
    fill(5);
    train(1, NULL, &alone);
    for (uint32_t threads = 1; threads <= 5; threads++) {
        q35_pool *pool;
        ck_assert_int_eq(q35i_pool_create(threads, NULL, &pool), Q35_OK);
        train(1, pool, &b);
        q35i_pool_destroy(pool);
        ck_assert_mem_eq(alone.points, b.points, sizeof b.points);
    }
}
END_TEST

START_TEST(book_uses_the_int8_range)
{
    q35i_book book;
    int top = 0;
    fill(6);
    train(0, NULL, &book);
    for (int c = 0; c < Q35_BOOK_POINTS; c++)
        for (int k = 0; k < 2; k++) {
            int a = abs(book.points[c][k]);
            top = a > top ? a : top;
        }
    ck_assert_int_eq(top, 127);
    ck_assert(book.unit > 0.01f && book.unit < 0.1f);
    ck_assert_int_le(abs(book.points[book.zero][0]) + abs(book.points[book.zero][1]), 20);
}
END_TEST

/* No pairs, one pair, fewer distinct pairs than points, weights of zero: a valid book every time. */
START_TEST(degenerate_samples)
{
    q35i_book book;
    ck_assert_int_eq(q35i_book_train(NULL, NULL, 0, 0, NULL, &book), Q35_OK);
    for (int c = 0; c < Q35_BOOK_POINTS; c++)
        ck_assert(book.points[c][0] == 0 && book.points[c][1] == 0);
    for (int i = 0; i < 2 * N; i++) {
        pairs[i] = (float)(i / 2 % 3);
        weights[i] = 1;
    }
    train(0, NULL, &book);
    int seen = 0;
    for (int c = 0; c < Q35_BOOK_POINTS; c++)
        seen |= 1 << (book.points[c][0] == 0 ? 0 : book.points[c][0] == 127 ? 2 : 1);
    ck_assert_int_eq(seen, 7);
    memset(weights, 0, sizeof weights);
    train(0, NULL, &book);
    ck_assert_int_eq(q35i_book_train(pairs, weights, 1, 0, NULL, &book), Q35_OK);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("book");
    TCase *t = tcase_create("book");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, nearest_is_nearest);
    tcase_add_test(t, integer_search_is_exhaustive);
    tcase_add_test(t, equal_points_take_the_smallest_code);
    tcase_add_test(t, same_seed_same_book);
    tcase_add_test(t, any_thread_count_same_book);
    tcase_add_test(t, book_uses_the_int8_range);
    tcase_add_test(t, degenerate_samples);
    suite_add_tcase(s, t);
    return q35t_run(s);
}
