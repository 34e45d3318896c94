/* SPDX-License-Identifier: Apache-2.0
 *
 * The activation type that a conversion chooses for each linear: int8 with one scale per token, except for inputs
 * with a channel so large that this scale rounds the others to zero. */
#include "support/cpu_runtime.h"
#include "support/expect.h"
#include "support/suite.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include <q35rt/blocks.h>
#include <q35rt/q35rt.h>
#include <stdio.h>
#include <string.h>

#define INPUTS 640u /* more than a block of the rotation, which spreads a channel no further */

static char text[600];

static void setup(void)
{
    q35t_temp_dir_create();
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + (i * i + i / 13) % 26);
}

static void teardown(void)
{
    ck_assert_int_eq(q35t_temp_dir_remove(), 0);
}

/* A converted model with `massive` as q35t_tiny_options has it. */
static q35_model *convert(const char *massive)
{
    char from[Q35T_PATH_BYTES], to[Q35T_PATH_BYTES];
    q35t_tiny_options shape = q35t_tiny_options_default();
    q35_convert_options options = q35_convert_options_default();
    q35_runtime *runtime = q35t_cpu_runtime(2);
    q35_model *source, *model;
    shape.hidden = INPUTS;
    shape.heads = shape.kv_heads = 5;
    shape.head_dim = INPUTS / 5;
    shape.ffn = INPUTS;
    shape.massive = massive;
    options.calibration_text = text;
    options.calibration_len = sizeof text;
    q35t_temp_path(from, "source.gguf");
    q35t_temp_path(to, "out.gguf");
    EXPECT_OK(q35t_tiny_model_write(from, &shape));
    EXPECT_OK(q35_model_open(from, &source));
    EXPECT_OK(q35_convert(runtime, source, to, &options, NULL));
    EXPECT_OK(q35_model_open(to, &model));
    q35_model_close(source);
    q35_runtime_destroy(runtime);
    return model;
}

/* The linears of two layers that take activations with a scale per 128 inputs, as "0.attn_q 1.ffn_up ". */
static void list_grouped(const q35_model *model, char *out, size_t size)
{
    static const char *const linears[] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
                                          "ffn_gate", "ffn_up", "ffn_down"};
    char name[64];
    size_t at = 0;
    out[0] = '\0';
    for (uint32_t layer = 0; layer < 2; layer++)
        for (size_t i = 0; i < sizeof linears / sizeof *linears; i++) {
            snprintf(name, sizeof name, "blk.%u.%s.weight", layer, linears[i]);
            const q35_tensor_info *info = q35_model_tensor(model, name);
            ck_assert_msg(info && info->dtype == Q35_DT_Q35_ROW, "%s: not of the default type", name);
            ck_assert_msg(info->activation == Q35_DT_A8_ROW || info->activation == Q35_DT_A8_128,
                          "%s: activation type %u", name, info->activation);
            if (info->activation == Q35_DT_A8_128)
                at += (size_t)snprintf(out + at, size - at, "%u.%s ", layer, linears[i]);
        }
}

START_TEST(massive_channels_get_a_scale_per_128_inputs)
{
    static const struct {
        const char *massive, *grouped;
    } cases[] = {
        {NULL, ""},
        {"blk.0.attn_norm.weight", "0.attn_q 0.attn_k 0.attn_v "},
        {"blk.1.attn_norm.weight", "1.attn_q 1.attn_k 1.attn_v "},
        {"blk.0.attn_v.weight", "0.attn_output "},
        {"blk.1.ffn_norm.weight", "1.ffn_gate 1.ffn_up "},
        {"blk.1.ffn_up.weight", "1.ffn_down "},
    };
    char grouped[256];
    q35_model *model = convert(cases[_i].massive);
    list_grouped(model, grouped, sizeof grouped);
    ck_assert_msg(strcmp(grouped, cases[_i].grouped) == 0, "%s: scales per 128 inputs for \"%s\", need \"%s\"",
                  cases[_i].massive ? cases[_i].massive : "none massive", grouped, cases[_i].grouped);
    q35_model_close(model);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("activation");
    TCase *t = tcase_create("activation");
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, massive_channels_get_a_scale_per_128_inputs, 0, 6);
    suite_add_tcase(s, t);
    return q35t_run(s);
}
