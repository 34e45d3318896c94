/* SPDX-License-Identifier: Apache-2.0
 *
 * Corrected weights against their definition, and what they are for: outputs nearer to the source's. */
#include "runtime/base/pool.h"
#include "runtime/quant/correction.h"
#include "runtime/quant/linalg.h"
#include "support/expect.h"
#include "support/suite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 512, K = 250, ROWS = 130 }; /* tiles and panels that are not full */

static float x[TOKENS * K], y[TOKENS * K], dx[TOKENS * K], w[ROWS * K], dh[TOKENS * ROWS], d[TOKENS * ROWS];
static float corrected[ROWS * K];
static uint32_t state;

static float uniform(void)
{
    return (float)((state = state * 1664525u + 1013904223u) >> 8) * 0x1p-23f - 1;
}

/* Inputs of few large channels, which the quantised model has weaker and with noise. */
static void setup(void)
{
    state = 7;
    EXPECT_OK(q35i_linalg_open());
    for (int i = 0; i < TOKENS * K; i++) {
        x[i] = uniform() * (i % K < 9 ? 4.0f : 1.0f);
        y[i] = 0.8f * x[i] + 0.1f * uniform();
        dx[i] = x[i] - y[i];
    }
    for (int i = 0; i < ROWS * K; i++)
        w[i] = uniform();
    for (int i = 0; i < TOKENS * ROWS; i++)
        dh[i] = 3 * y[i / ROWS * K + i % ROWS] + uniform();
}

/* The rows of w, corrected. shared: several linears have the input, else the one ends in the residual stream. */
static void correct(int shared, q35i_hessian *h, q35_pool *pool)
{
    q35i_correction c;
    EXPECT_OK(q35i_hessian_create(K, h));
    EXPECT_OK(q35i_correction_create(K, shared ? 0 : ROWS, &c));
    q35i_hessian_add(h, y, TOKENS, pool);
    if (!shared)
        q35i_correction_difference(&c, w, K, dx, dh, TOKENS, d, pool);
    q35i_correction_add(&c, y, shared ? dx : d, TOKENS, pool);
    EXPECT_OK(q35i_correction_solve(&c, h, pool));
    q35i_correction_apply(&c, w, 0, 100, K, corrected);
    q35i_correction_apply(&c, w + 100 * K, 100, ROWS - 100, K, corrected + 100 * K);
    q35i_correction_free(&c);
}

static double output(const float *weights, const float *inputs, int row, int token)
{
    double sum = 0;
    for (int i = 0; i < K; i++)
        sum += (double)weights[row * K + i] * (double)inputs[token * K + i];
    return sum;
}

/* (W' - W) (H + 0.1 mean diag H) is what the outputs are to gain times y. */
START_TEST(definition)
{
    q35i_hessian h;
    double mean = 0, worst = 0, largest = 0;
    correct(_i, &h, NULL);
    for (int i = 0; i < K; i++)
        mean += (double)h.sum[i * (K + 1)] / K;
    for (int r = 0; r < ROWS; r += 7) {
        double gain[TOKENS];
        for (int t = 0; t < TOKENS; t++)
            gain[t] = 0.5 * output(w, dx, r, t) + (_i ? 0 : 0.5 * (double)dh[t * ROWS + r]);
        for (int j = 0; j < K; j++) {
            double have = 0.1 * mean * (double)(corrected[r * K + j] - w[r * K + j]), want = 0;
            for (int i = 0; i < K; i++)
                have += (double)(corrected[r * K + i] - w[r * K + i]) *
                        (double)(i >= j ? h.sum[i * K + j] : h.sum[j * K + i]);
            for (int t = 0; t < TOKENS; t++)
                want += gain[t] * (double)y[t * K + j];
            worst = fmax(worst, fabs(have - want));
            largest = fmax(largest, fabs(want));
        }
    }
    ck_assert_msg(worst < 1e-4 * largest, "off by %g where the largest is %g", worst, largest);
    q35i_hessian_free(&h);
}
END_TEST

/* A quarter of the squared error is left where half of the way is gone. */
START_TEST(outputs_come_nearer)
{
    q35i_hessian h;
    double before = 0, after = 0;
    correct(1, &h, NULL);
    for (int r = 0; r < ROWS; r += 7)
        for (int t = 0; t < TOKENS; t++) {
            double aim = output(w, x, r, t);
            before += pow(output(w, y, r, t) - aim, 2);
            after += pow(output(corrected, y, r, t) - aim, 2);
        }
    ck_assert_msg(after < 0.4 * before, "squared error %g, before %g", after, before);
    q35i_hessian_free(&h);
}
END_TEST

START_TEST(same_bits_for_any_pool)
{
    static float alone[ROWS * K];
    q35i_hessian h;
    q35_pool *pool;
    EXPECT_OK(q35i_pool_create(3, NULL, &pool));
    correct(_i, &h, NULL);
    q35i_hessian_free(&h);
    memcpy(alone, corrected, sizeof alone);
    correct(_i, &h, pool);
    q35i_hessian_free(&h);
    ck_assert_mem_eq(alone, corrected, sizeof alone);
    q35i_pool_destroy(pool);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("correction");
    TCase *tc = tcase_create("correction");
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_loop_test(tc, definition, 0, 2);
    tcase_add_test(tc, outputs_come_nearer);
    tcase_add_loop_test(tc, same_bits_for_any_pool, 0, 2);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
