/* SPDX-License-Identifier: Apache-2.0
 *
 * Errors of the formats on independent Gaussian, Laplace and Student's t (5 degrees of freedom) weights of
 * variance 1, against figures of independent experiments: 4096 groups of 128 per source, codebooks trained on
 * other samples of the source. Their samples and ours spread by about 0.2 % of the error. */
#include "noise.h"
#include "runtime/base/alloc.h"
#include "runtime/base/pool.h"
#include "runtime/quant/gaussian.h"
#include "runtime/quant/quantise.h"
#include "runtime/quant/rotation.h"
#include "runtime/quant/row.h"
#include "runtime/quant/tensor.h"
#include "support/suite.h"

#include <math.h>
#include <stdlib.h>

#define GROUPS      4096
#define N           (GROUPS * Q35_GROUP)
#define TRAINING    400000 /* pairs, as for a model */
#define K           4096
#define WIDTH       128
#define N_ROWS      (N / K)
#define N_SOURCES   3
#define SPLIT_LIMIT 0.005
#define LIMIT       0.01

typedef struct source {
    const char *name;
    void (*fill)(uint64_t seed, float *out, uint64_t n);
    double split, split_db, pair; /* root mean squared errors, and the first in decibels */
} source;

/* split: scale and offset from least and greatest weight. pair: a book trained on the source. */
static const source sources[N_SOURCES] = {
    {"Gauss", q35t_normal, 0.1667, 15.56, 0.1167},
    {"Laplace", q35t_laplace, 0.2181, 13.23, 0.1271},
    {"t(5)", q35t_student5, 0.2215, 13.09, 0.1289},
};

/* Error of the book of 128 on Gaussian weights, 18.18 dB, which long rows with one scale reach. */
#define GAUSSIAN_ROW 0.1233

static float x[N], y[N];

static double rmse(void)
{
    double squares = 0;
    for (uint64_t i = 0; i < N; i++)
        squares += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
    return sqrt(squares / N);
}

static void expect_rmse(const source *s, const char *format, double want, double below, double above)
{
    double found = rmse();
    ck_assert_msg(found >= want * (1 - below) && found <= want * (1 + above), "%s, %s: error %.4f, need %.4f",
                  s->name, format, found, want);
}

START_TEST(split_min_max)
{
    const source *s = &sources[_i];
    s->fill(1u << 30, x, N);
    for (uint64_t i = 0; i < N; i += Q35_GROUP) {
        q35i_group group = {.n = Q35_GROUP};
        q35_split_block block;
        memcpy(group.w, x + i, sizeof group.w);
        for (int j = 0; j < Q35_GROUP; j++)
            group.cost[j] = 1;
        q35i_quantise_split_min_max(&group, &block);
        q35_block_decode(Q35_DT_Q35_SPLIT, &block, NULL, y + i);
    }
    expect_rmse(s, "split", s->split, SPLIT_LIMIT, SPLIT_LIMIT);
    ck_assert_double_eq_tol(q35t_sqnr_db(x, y, N), s->split_db, 0.04);
}
END_TEST

/* A book for the source, as `convert` would train it. */
static void train(const source *s, q35_pool *pool, q35i_book *book)
{
    enum { ROWS = 2 * TRAINING / Q35_GROUP };
    float *weights = q35i_calloc(ROWS, Q35_GROUP * sizeof *weights), *pairs, *costs;
    q35_tensor_info info = {.name = "training", .dtype = Q35_DT_F32, .rank = 2, .dim = {Q35_GROUP, ROWS, 1, 1}};
    q35i_linear linear = {.info = &info};
    uint64_t n;
    ck_assert_ptr_nonnull(weights);
    s->fill(1u << 20, weights, (uint64_t)ROWS * Q35_GROUP);
    info.data = weights;
    info.bytes = (uint64_t)ROWS * Q35_GROUP * sizeof *weights;
    ck_assert_int_eq(q35i_sample_pairs(&linear, 1, TRAINING, pool, &pairs, &costs, &n), Q35_OK);
    ck_assert_int_eq(q35i_book_train(pairs, costs, n, 0, pool, book), Q35_OK);
    q35i_free(weights);
    q35i_free(pairs);
    q35i_free(costs);
}

/* Our training sample is larger than the experiments', so heavy tails may come out better. */
START_TEST(pair)
{
    const source *s = &sources[_i];
    q35_pool *pool;
    q35i_book book;
    ck_assert_int_eq(q35i_pool_create(2, NULL, &pool), Q35_OK);
    train(s, pool, &book);
    q35i_pool_destroy(pool);
    s->fill(1u << 30, x, N);
    for (uint64_t i = 0; i < N; i += Q35_GROUP) {
        q35_pair_block block;
        q35i_quantise_row(Q35_DT_Q35_PAIR, &book, x + i, Q35_GROUP, NULL, &block);
        q35_block_decode(Q35_DT_Q35_PAIR, &block, (const int8_t(*)[2])book.points, y + i);
    }
    expect_rmse(s, "pair", s->pair, 2 * LIMIT, LIMIT);
}
END_TEST

static void decode_row(uint32_t dtype, const uint8_t *row, float *out)
{
    uint32_t len = q35_dtype_describe(dtype).block_len;
    for (uint64_t i = 0; i < K; i += len)
        q35_row_block_decode(dtype, row, i / len, q35i_gaussian_book(dtype), out + i);
}

static void rows(uint32_t dtype)
{
    uint8_t bytes[4 + K];
    for (uint64_t r = 0; r < N_ROWS; r++) {
        (void)q35i_quantise_plain_row(dtype, q35i_gaussian_book(dtype), x + r * K, K, NULL, bytes);
        decode_row(dtype, bytes, y + r * K);
    }
}

/* Rows of other than Gaussian weights do worse with the Gaussian book. */
START_TEST(plain_row)
{
    const source *s = &sources[_i];
    s->fill(1u << 30, x, N);
    rows(Q35_DT_Q35_ROW);
    if (_i == 0)
        expect_rmse(s, "row", GAUSSIAN_ROW, LIMIT, LIMIT);
    else
        ck_assert_double_gt(rmse(), 1.15 * GAUSSIAN_ROW);
}
END_TEST

/* The rotated rows lose what Gaussian ones do, and their error, relative to the weights, is that of the rows
 * turned back. */
START_TEST(rotated_row)
{
    const source *s = &sources[_i];
    static int8_t signs[K];
    static double row[K];
    s->fill(1u << 30, x, N);
    q35i_rotation_signs(7, K, signs);
    for (uint64_t r = 0; r < N_ROWS; r++) {
        for (uint64_t i = 0; i < K; i++)
            row[i] = (double)x[r * K + i];
        q35i_rotate_row(signs, WIDTH, row, K);
        for (uint64_t i = 0; i < K; i++)
            x[r * K + i] = (float)row[i];
    }
    rows(Q35_DT_Q35_ROW);
    expect_rmse(s, "rotated row", GAUSSIAN_ROW, LIMIT, 2 * LIMIT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sources");
    TCase *t = tcase_create("sources");
    tcase_set_timeout(t, 240);
    tcase_add_loop_test(t, split_min_max, 0, N_SOURCES);
    tcase_add_loop_test(t, pair, 0, N_SOURCES);
    tcase_add_loop_test(t, plain_row, 0, N_SOURCES);
    tcase_add_loop_test(t, rotated_row, 0, N_SOURCES);
    suite_add_tcase(suite, t);
    return q35t_run(suite);
}
