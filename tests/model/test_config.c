/* SPDX-License-Identifier: Apache-2.0
 *
 * Hyper-parameters: a tiny model is read right, and every change that must be refused is, with its sentence. */
#include "support/expect.h"
#include "support/rewrite.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

#include "runtime/model/gguf.h"
#include "support/suite.h"

#include <q35rt/blocks.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct config_case {
    q35_status code;
    const char *text; /* of the sentence */
    q35t_change change;
} config_case;

#define ATTN "llama.attention."
#define ROPE "llama.rope."
#define DROP(k)                                                                                                   \
    {                                                                                                             \
        .drop_key = k                                                                                             \
    }
#define NUM(k, t, v)                                                                                              \
    {                                                                                                             \
        .set_key = k, .type = Q35_META_##t, .number = v                                                           \
    }
#define TEXT(k, v)                                                                                                \
    {                                                                                                             \
        .set_key = k, .type = Q35_META_STRING, .text = v                                                          \
    }
#define TENSOR(n, t, r, a, b)                                                                                     \
    {                                                                                                             \
        .add_tensor = n, .dtype = t, .rank = r, .dim = { a, b }                                                   \
    }
#define NO_TENSOR(n)                                                                                              \
    {                                                                                                             \
        .drop_tensor = n                                                                                          \
    }

static const config_case cases[] = {
    /* architecture */
    {Q35_E_UNSUPPORTED, "architecture: 'mamba', need a known one: llama, mistral3",
     TEXT("general.architecture", "mamba")},
    {Q35_E_FORMAT, "general.architecture: absent", DROP("general.architecture")},
    {Q35_E_FORMAT, "general.architecture: u32, need a string", NUM("general.architecture", U32, 1)},
    /* numbers */
    {Q35_E_FORMAT, "llama.block_count: absent", DROP("llama.block_count")},
    {Q35_E_FORMAT, "llama.block_count: 0, need 1 to 1024", NUM("llama.block_count", U32, 0)},
    {Q35_E_FORMAT, "llama.block_count: 1025, need 1 to 1024", NUM("llama.block_count", U32, 1025)},
    {Q35_E_FORMAT, "llama.block_count: i32 that is not a whole number", NUM("llama.block_count", I32, -2)},
    {Q35_E_FORMAT, "llama.block_count: f32 that is not", NUM("llama.block_count", F32, 1.5)},
    {Q35_E_FORMAT, "tensor blk.2.attn_norm.weight: absent", NUM("llama.block_count", U32, 3)},
    {Q35_E_UNSUPPORTED, "tensor blk.1.attn_norm.weight: not part of a llama model of 1 layers",
     NUM("llama.block_count", U32, 1)},
    {Q35_E_FORMAT, "llama.context_length: absent", DROP("llama.context_length")},
    {Q35_E_FORMAT, "llama.context_length: 0", NUM("llama.context_length", U32, 0)},
    {Q35_E_FORMAT, "llama.embedding_length: absent", DROP("llama.embedding_length")},
    {Q35_E_FORMAT, "tensor token_embd.weight: [64, 281] of rank 2, need [96, vocabulary",
     NUM("llama.embedding_length", U32, 96)},
    {Q35_E_FORMAT, "llama.feed_forward_length: absent", DROP("llama.feed_forward_length")},
    {Q35_E_UNSUPPORTED, "feed_forward_length: array of 2, need one number",
     NUM("llama.feed_forward_length", ARRAY, 0)},
    {Q35_E_FORMAT, "tensor blk.0.ffn_gate.weight: [64, 160] of rank 2, need [64, 128]",
     NUM("llama.feed_forward_length", U32, 128)},
    {Q35_E_FORMAT, "llama.vocab_size: 300, need 281, the rows of", NUM("llama.vocab_size", U32, 300)},
    {Q35_E_FORMAT, "layer_norm_rms_epsilon: absent", DROP(ATTN "layer_norm_rms_epsilon")},
    {Q35_E_FORMAT, "layer_norm_rms_epsilon: 0, need", NUM(ATTN "layer_norm_rms_epsilon", F32, 0)},
    {Q35_E_FORMAT, "layer_norm_rms_epsilon: nan", NUM(ATTN "layer_norm_rms_epsilon", F32, (double)NAN)},
    {Q35_E_FORMAT, "layer_norm_rms_epsilon: type string", TEXT(ATTN "layer_norm_rms_epsilon", "x")},
    /* heads */
    {Q35_E_FORMAT, "head_count: absent", DROP(ATTN "head_count")},
    {Q35_E_FORMAT, "head_count: 0", NUM(ATTN "head_count", U32, 0)},
    {Q35_E_FORMAT, "head_count_kv: 3, need a divisor of head_count 4", NUM(ATTN "head_count_kv", U32, 3)},
    {Q35_E_UNSUPPORTED, "head_count_kv: array of 2", NUM(ATTN "head_count_kv", ARRAY, 2)},
    {Q35_E_FORMAT, "tensor blk.0.attn_k.weight: [64, 32] of rank 2, need [64, 64]", DROP(ATTN "head_count_kv")},
    {Q35_E_UNSUPPORTED, "head width: keys 8 and values 16", NUM(ATTN "key_length", U32, 8)},
    {Q35_E_FORMAT,
     "tensor blk.0.attn_q.weight: [64, 64] of rank 2, need [64, 96]",
     {.drop_key = ATTN "head_count_kv", .set_key = ATTN "head_count", .type = Q35_META_U32, .number = 6}},
    {Q35_E_FORMAT, "attention width: ", NUM(ATTN "head_count", U32, 16777216)},
    /* rope */
    {Q35_E_FORMAT, "rope.dimension_count: 15, need an even", NUM(ROPE "dimension_count", U32, 15)},
    {Q35_E_FORMAT, "rope.dimension_count: 18, need 2 to 16", NUM(ROPE "dimension_count", U32, 18)},
    {Q35_E_FORMAT, "rope.freq_base: -1, need", NUM(ROPE "freq_base", F32, -1)},
    {Q35_E_FORMAT, "rope.freq_base: inf, need", NUM(ROPE "freq_base", F32, (double)INFINITY)},
    {Q35_E_FORMAT, "rope.scaling.factor: absent, need", TEXT(ROPE "scaling.type", "yarn")},
    {Q35_E_UNSUPPORTED, "rope scaling: 'longrope', need none, linear or yarn",
     TEXT(ROPE "scaling.type", "longrope")},
    {Q35_OK, "", NUM(ROPE "scaling.factor", F32, 4)},
    {Q35_E_FORMAT, "rope.scaling.factor: -4 (f32), need", NUM(ROPE "scaling.factor", F32, -4)},
    {Q35_OK, "", NUM(ROPE "scale_linear", F32, 2)},
    {Q35_E_UNSUPPORTED, "rope.scaling.attn_factor: 2", NUM(ROPE "scaling.attn_factor", F32, 2)},
    {Q35_E_FORMAT, "attention.temperature_length: absent, need", NUM(ATTN "temperature_scale", F32, 0.1)},
    {Q35_E_FORMAT, "scaling.type: type u32, need a string", NUM(ROPE "scaling.type", U32, 1)},
    {Q35_OK, "", TEXT(ROPE "scaling.type", "none")},
    {Q35_OK, "", NUM(ROPE "scaling.factor", F32, 1)},
    /* keys that change results */
    {Q35_E_UNSUPPORTED, "sliding_window: 512 (u32), need 0", NUM(ATTN "sliding_window", U32, 512)},
    {Q35_OK, "", NUM(ATTN "sliding_window", U32, 0)},
    {Q35_OK, "", NUM(ATTN "sliding_window", U32, 1024)},
    {Q35_E_UNSUPPORTED, "llama.expert_count: 8 (u32), need 0", NUM("llama.expert_count", U32, 8)},
    {Q35_E_UNSUPPORTED, "llama.logit_scale: 0.5 (f32), need 1", NUM("llama.logit_scale", F32, 0.5)},
    {Q35_E_UNSUPPORTED, "llama.logit_scale: nan (f32)", NUM("llama.logit_scale", F32, (double)NAN)},
    {Q35_OK, "", NUM("llama.logit_scale", F32, 1)},
    {Q35_E_UNSUPPORTED, "attention.scale: 0.5 (f32), need 0.25", NUM(ATTN "scale", F32, 0.5)},
    {Q35_OK, "", NUM(ATTN "scale", F32, 0.25)},
    {Q35_E_UNSUPPORTED, "attention.clamp_kqv: 8 (f32)", NUM(ATTN "clamp_kqv", F32, 8)},
    {Q35_E_UNSUPPORTED, "llama.some_other_key: not known here", NUM("llama.some_other_key", U32, 8)},
    {Q35_OK, "", NUM("other.some_other_key", U32, 8)},
    /* tensors */
    {Q35_E_FORMAT, "tensor token_embd.weight: absent", NO_TENSOR("token_embd.weight")},
    {Q35_E_FORMAT, "tensor output_norm.weight: absent", NO_TENSOR("output_norm.weight")},
    {Q35_E_FORMAT, "tensor blk.1.ffn_down.weight: absent", NO_TENSOR("blk.1.ffn_down.weight")},
    {Q35_E_FORMAT, "tensor blk.0.attn_norm.weight: F16 [64, 1] of rank 1, need F32 [64]",
     TENSOR("blk.0.attn_norm.weight", Q35_DT_F16, 1, 64, 1)},
    {Q35_E_FORMAT, "tensor blk.0.ffn_norm.weight: F32 [32, 1] of rank 1, need F32 [64]",
     TENSOR("blk.0.ffn_norm.weight", Q35_DT_F32, 1, 32, 1)},
    {Q35_E_FORMAT, "tensor blk.1.attn_v.weight: [64, 64] of rank 2, need [64, 32]",
     TENSOR("blk.1.attn_v.weight", Q35_DT_F16, 2, 64, 64)},
    {Q35_E_FORMAT, "tensor blk.1.attn_v.weight: type I8, need a type of weights",
     TENSOR("blk.1.attn_v.weight", Q35_DT_I8, 2, 64, 32)},
    {Q35_E_FORMAT, "tensor output.weight: [64, 280]", TENSOR("output.weight", Q35_DT_Q8_0, 2, 64, 280)},
    {Q35_OK, "", TENSOR("output.weight", Q35_DT_Q8_0, 2, 64, 281)},
    {Q35_E_FORMAT, "tensor rope_freqs.weight: F32 [7, 1] of rank 1, need F32 [8]",
     TENSOR("rope_freqs.weight", Q35_DT_F32, 1, 7, 1)},
    {Q35_E_UNSUPPORTED, "tensor blk.0.attn_q.bias: not part of",
     TENSOR("blk.0.attn_q.bias", Q35_DT_F32, 1, 64, 1)},
    {Q35_E_UNSUPPORTED, "tensor output.bias: not part of", TENSOR("output.bias", Q35_DT_F32, 1, 281, 1)},
    {Q35_E_UNSUPPORTED, "tensor blk.00.attn_q.weight: not", TENSOR("blk.00.attn_q.weight", Q35_DT_F32, 1, 64, 1)},
    {Q35_OK, "", TENSOR("extra.bytes", Q35_DT_I8, 2, 7, 3)},
};

static q35_model *tiny(const char *name, const q35t_tiny_options *o)
{
    char path[Q35T_PATH_BYTES];
    q35_model *model;
    q35t_temp_path(path, name);
    expect_ok(q35t_tiny_model_write(path, o), "tiny model");
    expect_ok(q35_model_open(path, &model), "open");
    return model;
}

START_TEST(test_change)
{
    const config_case *c = &cases[_i];
    char path[Q35T_PATH_BYTES], what[32];
    q35t_tiny_options o = q35t_tiny_options_default();
    q35_model *model, *from = tiny("from.gguf", &o);
    q35_model_config config;
    snprintf(what, sizeof what, "case %d", _i);
    q35t_temp_path(path, "changed.gguf");
    expect_ok(q35t_rewrite(from, path, &c->change), what);
    expect_ok(q35_model_open(path, &model), what);
    q35_status status = q35_model_read_config(model, &config);
    if (c->code == Q35_OK)
        expect_ok(status, what);
    else
        expect_failure(status, c->code, c->text, what);
    ck_assert_uint_eq(config.n_layers, c->code == Q35_OK ? 2 : 0);
    q35_model_close(model);
    q35_model_close(from);
}
END_TEST

START_TEST(test_values)
{
    q35t_tiny_options o = q35t_tiny_options_default();
    q35_model_config c;
    o.layers = 3;
    o.heads = 6;
    o.kv_heads = 3;
    o.head_dim = 32; /* 6 x 32 is not the hidden width */
    o.tied = 0;
    o.rope_freqs = 1;
    o.rope_base = 500000;
    o.vocab = 300;
    q35_model *model = tiny("values.gguf", &o);
    expect_ok(q35_model_read_config(model, &c), "config");
    ck_assert_str_eq(c.architecture, "llama");
    ck_assert_uint_eq(c.n_layers, 3);
    ck_assert_uint_eq(c.n_heads, 6);
    ck_assert_uint_eq(c.n_kv_heads, 3);
    ck_assert_uint_eq(c.head_dim, 32);
    ck_assert_uint_eq(c.hidden, 64);
    ck_assert_uint_eq(c.ffn, 160);
    ck_assert_uint_eq(c.vocab, 300);
    ck_assert_uint_eq(c.context_length, 1024);
    ck_assert_uint_eq(c.n_rot, 32);
    ck_assert_int_eq(c.tied_head, 0);
    ck_assert(c.norm_eps == 1e-5f && c.rope_base == 500000.0f);
    q35_model_close(model);
}
END_TEST

/* Absent keys take their defaults: kv heads = heads, head width = hidden / heads, full rotation, base 10000. */
START_TEST(test_defaults)
{
    static const char *const keys[] = {ATTN "head_count_kv",   ATTN "key_length", ATTN "value_length",
                                       ROPE "dimension_count", ROPE "freq_base",  "llama.vocab_size"};
    q35t_tiny_options o = q35t_tiny_options_default();
    q35_model_config c;
    o.kv_heads = o.heads;
    o.rope_base = 77;
    q35_model *model = tiny("0", &o);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char path[Q35T_PATH_BYTES];
        q35_model *next;
        q35t_temp_path(path, i % 2 ? "0" : "1");
        expect_ok(q35t_rewrite(model, path, &(q35t_change){.drop_key = keys[i]}), keys[i]);
        expect_ok(q35_model_open(path, &next), keys[i]);
        q35_model_close(model);
        model = next;
    }
    expect_ok(q35_model_read_config(model, &c), "config");
    ck_assert_uint_eq(c.n_kv_heads, 4);
    ck_assert_uint_eq(c.head_dim, 16);
    ck_assert_uint_eq(c.n_rot, 16);
    ck_assert(c.rope_base == 10000.0f);
    ck_assert_uint_eq(c.vocab, 281);
    q35_model_close(model);
}
END_TEST

/* A value in a vector that must be finite (rope_freqs: above 0). */
static void expect_bad_element(const char *tensor, float value, const char *text)
{
    q35t_tiny_options o = q35t_tiny_options_default();
    o.rope_freqs = 1;
    q35_model *image, *model = tiny("bad.gguf", &o);
    q35_model_config c;
    uint8_t *copy = malloc(model->bytes);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, model->data, model->bytes);
    const uint8_t *at = q35_model_tensor(model, tensor)->data;
    memcpy(copy + (at - model->data) + 3 * sizeof value, &value, sizeof value);
    expect_ok(q35i_model_open_image("bad.gguf", copy, model->bytes, &image), tensor);
    expect_failure(q35_model_read_config(image, &c), Q35_E_FORMAT, text, tensor);
    q35_model_close(image);
    q35_model_close(model);
    free(copy);
}

START_TEST(test_bad_elements)
{
    expect_bad_element("output_norm.weight", NAN, "tensor output_norm.weight: element 3 is nan, need finite");
    expect_bad_element("blk.1.ffn_norm.weight", INFINITY, "tensor blk.1.ffn_norm.weight: element 3 is inf");
    expect_bad_element("rope_freqs.weight", 0,
                       "tensor rope_freqs.weight: element 3 is 0, need finite values above 0");
}
END_TEST

/* The real model where there is one. */
START_TEST(test_real_model)
{
    const char *path = getenv("Q35RT_TEST_MODEL");
    q35_model *model;
    q35_model_config c;
    if (!path || !path[0]) {
        fprintf(stderr, "test_real_model: left out, Q35RT_TEST_MODEL names no SmolLM2-135M-Instruct.Q4_1.gguf\n");
        return;
    }
    expect_ok(q35_model_open(path, &model), path);
    expect_ok(q35_model_read_config(model, &c), path);
    ck_assert_uint_eq(q35_model_n_tensors(model), 272);
    ck_assert_uint_eq(c.n_layers, 30);
    ck_assert_uint_eq(c.n_heads, 9);
    ck_assert_uint_eq(c.n_kv_heads, 3);
    ck_assert_uint_eq(c.head_dim, 64);
    ck_assert_uint_eq(c.hidden, 576);
    ck_assert_uint_eq(c.ffn, 1536);
    ck_assert_uint_eq(c.vocab, 49152);
    ck_assert_int_eq(c.tied_head, 1);
    ck_assert(c.rope_base == 100000.0f);
    q35_model_close(model);
}
END_TEST

int main(void)
{
    q35t_temp_dir_create();
    Suite *suite = suite_create("config");
    TCase *tc = tcase_create("config");
    tcase_add_loop_test(tc, test_change, 0, (int)(sizeof cases / sizeof cases[0]));
    tcase_add_test(tc, test_values);
    tcase_add_test(tc, test_defaults);
    tcase_add_test(tc, test_bad_elements);
    tcase_add_test(tc, test_real_model);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
