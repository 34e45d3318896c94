/* SPDX-License-Identifier: Apache-2.0
 *
 * Error feedback and coordinate descent against their definitions: e H e^T in doubles over all columns, for
 * random, singular and tiny H, for every row type. */
#include "noise.h"
#include "runtime/base/pool.h"
#include "runtime/quant/gaussian.h"
#include "runtime/quant/ldlq.h"
#include "runtime/quant/ldlq_search.h"
#include "runtime/quant/linalg.h"
#include "runtime/quant/row.h"
#include "support/expect.h"
#include "support/suite.h"

#include <math.h>
#include <stdlib.h>

#define MOST_K   320u
#define MOST_N   150u
#define DAMPING  0.01
#define ROW_MOST (4 + MOST_K)

static const uint32_t types[] = {Q35_DT_Q35_ROW, Q35_DT_Q40_ROW, Q35_DT_Q60_ROW};

/* A problem and its H in doubles, damped, in the order of the columns. */
typedef struct problem {
    uint64_t k, n; /* of the weights; H has one input more where k is odd */
    float w[MOST_N * MOST_K];
    double h[MOST_K * MOST_K];
    q35i_feedback feedback;
} problem;

static problem p;

static void setup(void)
{
    EXPECT_OK(q35i_linalg_open());
}

/* Inputs of `tokens` correlated tokens, some much larger than others; less tokens than k: a singular H. */
static void set_problem(uint64_t seed, uint64_t n, uint64_t k, uint64_t tokens)
{
    uint64_t even = k + k % 2;
    float *x = calloc((tokens + 1) * even, sizeof *x);
    q35i_hessian h;
    double mean = 0;
    ck_assert(x != NULL);
    q35i_feedback_free(&p.feedback);
    p.k = k;
    p.n = n;
    q35t_normal(seed, p.w, n * k);
    q35t_normal(seed + 1, x, tokens * even);
    for (uint64_t t = 0; t < tokens; t++)
        for (uint64_t i = 0; i < even; i++) {
            float *v = &x[t * even + i];
            *v = i >= k ? 0 : 0.6f * *v + (i > 0 ? 0.8f * v[-1] : 0) + (i % 17 == 3 ? 5 * *v : 0);
        }
    EXPECT_OK(q35i_hessian_create(even, &h));
    q35i_hessian_add(&h, x, tokens, NULL);
    for (uint64_t i = 0; i < even; i++)
        mean += (double)h.sum[i * (even + 1)] / (double)even;
    for (uint64_t i = 0; i < even; i++)
        for (uint64_t j = 0; j <= i; j++) {
            double damp = i != j ? 0 : mean > 0 ? DAMPING * mean : 1;
            p.h[i * MOST_K + j] = p.h[j * MOST_K + i] = (double)h.sum[i * even + j] + damp;
        }
    EXPECT_OK(q35i_feedback_create(&h, DAMPING, &p.feedback));
    ck_assert(p.feedback.damping == DAMPING);
    free(x);
}

static void teardown(void)
{
    q35i_feedback_free(&p.feedback);
}

/* a H b^T. */
static double product(const double *a, const double *b)
{
    double sum = 0;
    for (uint64_t i = 0; i < p.feedback.k; i++)
        for (uint64_t j = 0; j < p.feedback.k; j++)
            sum += a[i] * p.h[i * MOST_K + j] * b[j];
    return sum;
}

/* Weights of a row, and a zero where k is odd. */
static void weights_of(uint64_t row, double *w)
{
    w[p.feedback.k - 1] = 0;
    for (uint64_t i = 0; i < p.k; i++)
        w[i] = (double)p.w[row * p.k + i];
}

/* Levels of a packed row, of a weight that is not stored the least; returns its scale. */
static float levels_of(uint32_t dtype, const uint8_t *row, double *levels)
{
    uint8_t codes[MOST_K];
    float scale = q35i_row_unpack(dtype, row, p.k, codes);
    uint32_t weights = q35i_row_code_weights(dtype);
    for (uint64_t i = 0; i < p.feedback.k; i++) {
        int8_t both[2] = {1};
        if (weights == 2 || i < p.k)
            q35i_row_levels_of(dtype, q35i_gaussian_book(dtype), codes[i / weights], both);
        levels[i] = (double)both[i % weights];
    }
    return scale;
}

static double error_of(uint64_t row, double scale, const double *levels)
{
    double e[MOST_K];
    weights_of(row, e);
    for (uint64_t i = 0; i < p.feedback.k; i++)
        e[i] -= scale * levels[i];
    return product(e, e);
}

static double encode(uint32_t dtype, q35_pool *pool, uint8_t *out)
{
    const q35i_ldlq how = {.dtype = dtype,
                           .book = q35i_gaussian_book(dtype),
                           .unit = q35i_gaussian_unit(dtype),
                           .feedback = &p.feedback,
                           .pool = pool};
    double loss;
    EXPECT_OK(q35i_ldlq_encode(&how, p.w, p.n, p.k, out, &loss));
    return loss;
}

/* U D U^T is the damped H. */
START_TEST(feedback_is_the_moments)
{
    set_problem(1, 1, 60, 100);
    const q35i_feedback *f = &p.feedback;
    for (uint64_t a = 0; a < f->k; a++)
        for (uint64_t b = 0; b <= a; b++) {
            double sum = 0, expect = p.h[f->order[a] * MOST_K + f->order[b]], scale;
            for (uint64_t c = a - a % 2; c < f->k; c++) /* U D of row a, then U of row b */
                for (uint64_t d = c - c % 2; d < c - c % 2 + 2; d++) {
                    double ua = a / 2 < d / 2 ? (double)f->u[a * f->k + d] : a == d,
                           ub = b / 2 < c / 2 ? (double)f->u[b * f->k + c] : b == c;
                    sum += ua * (double)f->metric[c / 2][c % 2 + d % 2] * ub;
                }
            scale = sqrt(p.h[f->order[a] * (MOST_K + 1)] * p.h[f->order[b] * (MOST_K + 1)]);
            ck_assert_double_eq_tol(sum, expect, 1e-5 * scale);
        }
}
END_TEST

static const struct {
    uint64_t n, k, tokens;
} shapes[] = {{3, 1, 9}, {3, 2, 9}, {17, 33, 90}, {65, 128, 400}, {70, 301, 50}, {5, 64, 0}, {2, 190, 1}};

#define N_SHAPES ((int)(sizeof shapes / sizeof shapes[0]))

/* The loss is the errors' by definition, and less than that of rounding without feedback. */
START_TEST(loss_is_the_error)
{
    static uint8_t out[MOST_N * ROW_MOST], plain[ROW_MOST];
    const uint32_t dtype = types[_i % 3];
    set_problem(10 + (uint64_t)_i, shapes[_i / 3].n, shapes[_i / 3].k, shapes[_i / 3].tokens);
    double loss = encode(dtype, NULL, out), sum = 0, rounded = 0, levels[MOST_K];
    for (uint64_t r = 0; r < p.n; r++) {
        double scale = (double)levels_of(dtype, out + r * q35_row_bytes(dtype, p.k), levels);
        sum += error_of(r, scale, levels);
        (void)q35i_quantise_plain_row(dtype, q35i_gaussian_book(dtype), p.w + r * p.k, p.k, NULL, plain);
        scale = (double)levels_of(dtype, plain, levels);
        rounded += error_of(r, scale, levels);
    }
    ck_assert_double_eq_tol(loss, sum, 1e-4 * sum + 1e-6 * rounded);
    ck_assert(p.k <= 2 || shapes[_i / 3].tokens == 0 || sum < 0.9 * rounded);
}
END_TEST

/* Zeros, and weights at the ends of f32 whose errors vanish or overflow: the same bytes whatever came before. */
START_TEST(extremes)
{
    static uint8_t out[MOST_N * ROW_MOST], alone[ROW_MOST];
    static const float sizes[] = {0, 1e-42f, 1e-30f, 1, 1e14f, 1e30f};
    for (int t = 0; t < 3; t++) {
        const uint64_t bytes = q35_row_bytes(types[t], 130);
        set_problem(80, 6 * Q35I_LANES, 130, 200);
        for (uint64_t i = 0; i < p.n * p.k; i++)
            p.w[i] *= sizes[i / p.k % 6];
        (void)encode(types[t], NULL, out);
        for (uint64_t r = 0; r < p.n; r++) {
            double levels[MOST_K];
            float scale = levels_of(types[t], out + r * bytes, levels);
            ck_assert(isfinite(scale) && scale >= 0);
            ck_assert(r % 6 > 0 || scale == 0);
        }
        p.n = 1;
        memmove(p.w, p.w + 17 * p.k, p.k * sizeof *p.w);
        (void)encode(types[t], NULL, alone);
        ck_assert_mem_eq(alone, out + 17 * bytes, bytes);
    }
}
END_TEST

START_TEST(threads)
{
    static uint8_t first[MOST_N * ROW_MOST], out[MOST_N * ROW_MOST];
    set_problem(90, MOST_N, MOST_K - 1, 500);
    for (int t = 0; t < 3; t++) {
        double loss = encode(types[t], NULL, first);
        for (uint32_t n = 1; n <= 3; n += 2) {
            q35_pool *pool;
            EXPECT_OK(q35i_pool_create(n, NULL, &pool));
            memset(out, 0xa5, sizeof out);
            ck_assert(encode(types[t], pool, out) == loss);
            ck_assert_mem_eq(out, first, p.n * q35_row_bytes(types[t], p.k));
            q35i_pool_destroy(pool);
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ldlq");
    TCase *tcase = tcase_create("all");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 0);
    tcase_add_test(tcase, feedback_is_the_moments);
    tcase_add_loop_test(tcase, loss_is_the_error, 0, 3 * N_SHAPES);
    tcase_add_test(tcase, extremes);
    tcase_add_test(tcase, threads);
    suite_add_tcase(suite, tcase);
    return q35t_run(suite);
}
