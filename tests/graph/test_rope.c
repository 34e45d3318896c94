/* SPDX-License-Identifier: Apache-2.0
 *
 * Frequencies of rotary positions against values worked out from the published formulas in double. */
#include "graph/rope.h"
#include "support/suite.h"

#include <math.h>

typedef struct expected {
    uint32_t i;
    double value;
} expected;

static void expect_frequencies(const q35_model_config *c, const void *divisors, const expected *e, size_t n)
{
    float out[64];
    q35i_rope_frequencies(c, divisors, out);
    for (size_t k = 0; k < n; k++)
        ck_assert_msg(fabs((double)out[e[k].i] - e[k].value) <= 3e-7 * e[k].value, "pair %u: %.9g, need %.9g",
                      e[k].i, (double)out[e[k].i], e[k].value);
}

static q35_model_config yarn(float base, float factor)
{
    return (q35_model_config){.n_rot = 128,
                              .head_dim = 128,
                              .rope_base = base,
                              .rope_scaling = Q35_ROPE_YARN,
                              .rope_factor = factor,
                              .rope_original_context = 16384,
                              .rope_beta_fast = 32,
                              .rope_beta_slow = 1};
}

START_TEST(test_ministral_3_8b)
{
    static const expected e[] = {{0, 1},
                                 {1, 0.805842188},
                                 {15, 0.0392418976},
                                 {20, 0.0133352143},
                                 {23, 0.00582380672},
                                 {24, 0.00438295445},
                                 {30, 6.90702339e-4},
                                 {36, 4.96113533e-5},
                                 {40, 1.11142463e-5},
                                 {44, 4.68683881e-6},
                                 {50, 1.28345314e-6},
                                 {63, 7.755861e-8}};
    const q35_model_config c = yarn(1e6f, 16);
    expect_frequencies(&c, NULL, e, sizeof e / sizeof *e);
}
END_TEST

START_TEST(test_ministral_14b)
{
    static const expected e[] = {{0, 1},
                                 {1, 0.723394163},
                                 {15, 0.00655901744},
                                 {20, 6.97779207e-4},
                                 {23, 1.27518461e-4},
                                 {24, 5.93010708e-5},
                                 {30, 3.77685244e-6},
                                 {36, 5.41227702e-7},
                                 {63, 8.63982642e-11}};
    const q35_model_config c = yarn(1e9f, 16);
    expect_frequencies(&c, NULL, e, sizeof e / sizeof *e);
}
END_TEST

START_TEST(test_llama_3_divisors)
{
    static const expected e[] = {
        {28, 0.00321144599}, {29, 0.00216657076}, {32, 5.24846161e-4}, {63, 3.06892599e-7}};
    float divisors[64];
    for (int i = 0; i < 64; i++)
        divisors[i] = i < 29 ? 1 : 8;
    divisors[29] = 1.207484f;
    divisors[32] = 2.694530f;
    const q35_model_config c = {.n_rot = 128, .head_dim = 128, .rope_base = 5e5f, .rope_factor = 1};
    expect_frequencies(&c, divisors, e, sizeof e / sizeof *e);
}
END_TEST

START_TEST(test_linear)
{
    static const expected e[] = {{0, 0.25}, {1, 0.25 * 0.86596432336}, {63, 0.25 * 1.1547819847e-4}};
    const q35_model_config c = {
        .n_rot = 128, .head_dim = 128, .rope_base = 1e4f, .rope_scaling = Q35_ROPE_LINEAR, .rope_factor = 4};
    expect_frequencies(&c, NULL, e, sizeof e / sizeof *e);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rope");
    TCase *tc = tcase_create("frequencies");
    tcase_add_test(tc, test_ministral_3_8b);
    tcase_add_test(tc, test_ministral_14b);
    tcase_add_test(tc, test_llama_3_divisors);
    tcase_add_test(tc, test_linear);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
