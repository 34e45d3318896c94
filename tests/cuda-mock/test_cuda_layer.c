/* SPDX-License-Identifier: Apache-2.0
 *
 * Launches that one more layer takes, of a whole model's graph in the memory that the host gives it. */
#define _GNU_SOURCE
#include "mock.h"
#include "support/cpu_runtime.h"
#include "support/suite.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <q35rt/q35rt.h>
#include <stdio.h>

static char text[3000];
static q35_runtime *runtime;

static void setup(void)
{
    static const char *const plugins[2] = {Q35T_CPU_PLUGIN, CUDA_PLUGIN};
    q35t_temp_dir_create();
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + (i * i + i / 13) % 26);
    q35_mock_set("capability=90");
    runtime = q35t_runtime_of(plugins, 2, 2);
}

static void teardown(void)
{
    q35_runtime_destroy(runtime);
    ck_assert_int_eq(q35t_temp_dir_remove(), 0);
}

static q35_model *make_model(uint32_t layers, uint32_t dtype)
{
    char name[32], path[Q35T_PATH_BYTES];
    q35_model *model;
    q35t_tiny_options shape = q35t_tiny_options_default();
    shape.layers = layers;
    shape.dtype = shape.embed_dtype = dtype;
    snprintf(name, sizeof name, "tiny%u.gguf", layers);
    q35t_temp_path(path, name);
    EXPECT_OK(q35t_tiny_model_write(path, &shape));
    EXPECT_OK(q35_model_open(path, &model));
    return model;
}

/* Launches of a graph of the model that takes so many tokens. */
static uint64_t launches(const q35_model *model, int32_t n_tokens)
{
    static const int32_t ids[16] = {40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55};
    q35_session_options options = q35_session_options_default();
    q35_session *session;
    q35_mock_counts before, after;
    const float *logits;
    options.devices = "cuda";
    EXPECT_OK(q35_session_create(runtime, model, &options, &session));
    EXPECT_OK(q35_session_eval(session, ids, (uint32_t)n_tokens, &logits));
    EXPECT_OK(q35_session_rewind(session, 0));
    q35_mock_get(&before);
    EXPECT_OK(q35_session_eval(session, ids, (uint32_t)n_tokens, &logits));
    q35_mock_get(&after);
    ck_assert_uint_eq(after.launches, before.launches); /* the graph again */
    q35_session_destroy(session);
    return after.kernels - before.kernels;
}

static uint64_t of_a_layer(const q35_model *two, const q35_model *three, int32_t n_tokens)
{
    return launches(three, n_tokens) - launches(two, n_tokens);
}

START_TEST(launches_of_a_layer)
{
    q35_model *two = make_model(2, Q35_DT_Q8_0), *three = make_model(3, Q35_DT_Q8_0);
    ck_assert_uint_eq(of_a_layer(two, three, 1), 12);
    ck_assert_uint_eq(of_a_layer(two, three, 8), 12);
    ck_assert_uint_eq(of_a_layer(two, three, 16), 11); /* attention is one launch */
    q35_model_close(two);
    q35_model_close(three);
}
END_TEST

static q35_model *convert(uint32_t layers)
{
    char name[32], path[Q35T_PATH_BYTES];
    q35_model *in = make_model(layers, Q35_DT_F32), *out = NULL;
    q35_convert_options options = q35_convert_options_default();
    options.calibration_text = text;
    options.calibration_len = sizeof text;
    snprintf(name, sizeof name, "row%u.gguf", layers);
    q35t_temp_path(path, name);
    const q35_status status = q35_convert(runtime, in, path, &options, NULL);
    ck_assert(status == Q35_OK || status == Q35_E_UNAVAILABLE);
    q35_model_close(in);
    if (status == Q35_OK)
        EXPECT_OK(q35_model_open(path, &out));
    return out; /* NULL: there is no OpenBLAS */
}

/* SWIGLU goes with the linears that have a scale per row. */
START_TEST(launches_of_a_converted_layer)
{
    q35_model *two = convert(2), *three = two ? convert(3) : NULL;
    if (!two || !three)
        return;
    ck_assert_uint_eq(of_a_layer(two, three, 1), 11);
    ck_assert_uint_eq(of_a_layer(two, three, 8), 11);
    ck_assert_uint_eq(of_a_layer(two, three, 16), 11);
    q35_model_close(two);
    q35_model_close(three);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cuda_layer");
    TCase *tc = tcase_create("layer");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, launches_of_a_layer);
    tcase_add_test(tc, launches_of_a_converted_layer);
    suite_add_tcase(s, tc);
    return q35t_run(s);
}
