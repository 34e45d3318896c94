/* SPDX-License-Identifier: Apache-2.0
 *
 * Rope and query temperature of a Ministral 3 file: as written by the usual converters, as written by Ollama, and
 * with something missing or contradictory. */
#include "support/expect.h"
#include "support/rewrite.h"
#include "support/suite.h"
#include "support/temp_dir.h"

#include <stdio.h>
#include <string.h>

#define MODEL Q35T_FAMILY_DIR "/ministral3-tied/model.gguf"
#define ROPE  "mistral3.rope."
#define F32(drop, set, value)                                                                                     \
    {                                                                                                             \
        .drop_key = drop, .set_key = set, .type = Q35_META_F32, .number = value                                   \
    }

/* Configuration of the model after changes, one after the other. */
static q35_status config_of(const q35t_change *changes, size_t n, q35_model_config *out)
{
    char path[2][Q35T_PATH_BYTES];
    q35_model *model;
    EXPECT_OK(q35_model_open(MODEL, &model));
    for (size_t i = 0; i < n; i++) {
        q35t_temp_path(path[i % 2], i % 2 ? "odd.gguf" : "even.gguf");
        EXPECT_OK(q35t_rewrite(model, path[i % 2], &changes[i]));
        q35_model_close(model);
        EXPECT_OK(q35_model_open(path[i % 2], &model));
    }
    q35_status status = q35_model_read_config(model, out);
    q35_model_close(model);
    return status;
}

START_TEST(values)
{
    q35_model_config c;
    EXPECT_OK(config_of(NULL, 0, &c));
    ck_assert_str_eq(c.architecture, "mistral3");
    ck_assert_uint_eq(c.rope_scaling, Q35_ROPE_YARN);
    ck_assert(c.rope_factor == 16.0f && c.rope_base == 1e6f);
    ck_assert_uint_eq(c.rope_original_context, 16384);
    ck_assert(c.rope_beta_fast == 32.0f && c.rope_beta_slow == 1.0f);
    ck_assert(c.rope_attention_factor == 1.0f);
    ck_assert(c.temperature_beta == 0.1f);
    ck_assert_uint_eq(c.temperature_length, 16384);
    ck_assert_uint_eq(c.context_length, 262144);
}
END_TEST

START_TEST(spelled_as_ollama_does)
{
    static const q35t_change changes[] = {
        F32(ROPE "scaling.yarn_beta_fast", ROPE "scaling.beta_fast", 32),
        F32(ROPE "scaling.yarn_beta_slow", ROPE "scaling.beta_slow", 1),
        F32(ROPE "scaling.yarn_log_multiplier", ROPE "scaling.mscale_all_dim", 1),
        F32(NULL, ROPE "scaling.mscale", 1),
        F32("mistral3.attention.temperature_scale", ROPE "scaling_beta", 0.1),
    };
    q35_model_config usual, other;
    EXPECT_OK(config_of(NULL, 0, &usual));
    EXPECT_OK(config_of(changes, sizeof changes / sizeof *changes, &other));
    ck_assert_int_eq(memcmp(&usual, &other, sizeof usual), 0);
}
END_TEST

/* Without a word on its magnitude, YaRN's own 1 + 0.1 ln 16 holds. */
START_TEST(magnitudes)
{
    static const q35t_change plain = {.drop_key = ROPE "scaling.yarn_log_multiplier"},
                             given = F32(NULL, ROPE "scaling.attn_factor", 0.5),
                             other = F32(NULL, "mistral3.attention.temperature_length", 8192);
    q35_model_config c;
    EXPECT_OK(config_of(&plain, 1, &c));
    ck_assert_double_eq_tol((double)c.rope_attention_factor, 1.2772589, 1e-6);
    EXPECT_OK(config_of(&given, 1, &c));
    ck_assert(c.rope_attention_factor == 0.5f);
    EXPECT_OK(config_of(&other, 1, &c));
    ck_assert_uint_eq(c.temperature_length, 8192);
}
END_TEST

START_TEST(refusals)
{
    static const struct {
        q35_status code;
        const char *text;
        q35t_change change;
    } cases[] = {
        {Q35_E_FORMAT, "rope.scaling.factor: absent", {.drop_key = ROPE "scaling.factor"}},
        {Q35_E_FORMAT, "original_context_length: absent", {.drop_key = ROPE "scaling.original_context_length"}},
        {Q35_E_FORMAT, "original_context_length: 0, need", F32(NULL, ROPE "scaling.original_context_length", 0)},
        {Q35_E_UNSUPPORTED, "yarn_ext_factor: 0.5", F32(NULL, ROPE "scaling.yarn_ext_factor", 0.5)},
        {Q35_E_FORMAT, "temperature_scale: -1", F32(NULL, "mistral3.attention.temperature_scale", -1)},
        {Q35_E_FORMAT, "freq_base: 1, need more than 1", F32(NULL, ROPE "freq_base", 1)},
        {Q35_E_UNSUPPORTED, "mistral3.rope.scaling.something: not known", F32(NULL, ROPE "scaling.something", 1)},
        {Q35_E_UNSUPPORTED,
         "components rotated",
         {.drop_key = ROPE "scaling.yarn_log_multiplier",
          .set_key = ROPE "dimension_count",
          .type = Q35_META_U32,
          .number = 8}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        q35_model_config c;
        expect_failure(config_of(&cases[i].change, 1, &c), cases[i].code, cases[i].text, cases[i].text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config_rope");
    TCase *tc = tcase_create("rope");
    q35t_temp_dir_create();
    tcase_add_test(tc, values);
    tcase_add_test(tc, spelled_as_ollama_does);
    tcase_add_test(tc, magnitudes);
    tcase_add_test(tc, refusals);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
