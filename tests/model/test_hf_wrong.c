/* SPDX-License-Identifier: Apache-2.0
 *
 * Model directories that are wrong: tensors, configurations that contradict them, indices, missing files, files
 * that end early. Each is refused with a sentence that names what is wrong. */
#define _GNU_SOURCE
#include "support/expect.h"
#include "support/hf_dir.h"
#include "support/rng.h"
#include "support/suite.h"
#include "support/temp_dir.h"
#include "support/walk_model.h"
#include "support/whole_file.h"

#include <q35rt/model.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MUTATIONS 3000

static char dir[Q35T_PATH_BYTES];

static void setup(void)
{
    q35t_temp_dir_create();
    q35t_temp_path(dir, "the-model");
}

static void teardown(void)
{
    ck_assert_int_eq(q35t_temp_dir_remove(), 0);
}

#define Q "model.layers.0.self_attn.q_proj."

/* One thing wrong with the tensors. */
static const struct {
    const char *dtype, *config, *drop, *add, *add_dtype;
    float value;
    uint32_t rank;
    uint64_t shape[4];
    q35_status status;
    const char *text;
} wrong[] = {
    {.add = "model.layers.0.self_attn.q_proj.bias",
     .add_dtype = "F32",
     .rank = 1,
     .shape = {64},
     .status = Q35_E_UNSUPPORTED,
     .text = "q_proj.bias: not part of a model"},
    {.add = "model.layers.0.self_attn.q_norm.weight",
     .add_dtype = "F32",
     .rank = 1,
     .shape = {64},
     .status = Q35_E_UNSUPPORTED,
     .text = "q_norm.weight: not part of a model"},
    {.add = "model.layers.00.mlp.up_proj.weight",
     .add_dtype = "F32",
     .rank = 1,
     .shape = {64},
     .status = Q35_E_UNSUPPORTED,
     .text = "not part of a model"},
    {.add = "model.layers.-1.mlp.up_proj.weight",
     .add_dtype = "F32",
     .rank = 1,
     .shape = {64},
     .status = Q35_E_UNSUPPORTED,
     .text = "not part of a model"},
    {.add = "layers.0.mlp.up_proj.weight",
     .add_dtype = "F32",
     .rank = 2,
     .shape = {64, 32},
     .status = Q35_E_FORMAT,
     .text = "blk.0.ffn_up.weight: name occurs twice"},
    {.drop = Q "weight",
     .add = Q "weight",
     .add_dtype = "I16",
     .rank = 2,
     .shape = {64, 32},
     .status = Q35_E_FORMAT,
     .text = "q_proj.weight: matrix of type I16, need BF16"},
    {.drop = Q "weight",
     .add = Q "weight",
     .add_dtype = "F64",
     .rank = 2,
     .shape = {64, 32},
     .status = Q35_E_FORMAT,
     .text = "matrix of type F64"},
    {.drop = Q "weight",
     .add = Q "weight",
     .add_dtype = "F32",
     .rank = 2,
     .shape = {63, 32},
     .status = Q35_E_FORMAT,
     .text = "63 rows, need a multiple of the head's 16"},
    {.drop = Q "weight",
     .add = Q "weight",
     .add_dtype = "F32",
     .rank = 3,
     .shape = {4, 16, 32},
     .status = Q35_E_FORMAT,
     .text = "3 dimensions with 2048 elements"},
    {.drop = Q "weight",
     .add = Q "weight",
     .add_dtype = "F32",
     .rank = 2,
     .shape = {0, 32},
     .status = Q35_E_FORMAT,
     .text = "2 dimensions with 0 elements"},
    {.drop = "model.norm.weight",
     .add = "model.norm.weight",
     .add_dtype = "I32",
     .rank = 1,
     .shape = {32},
     .status = Q35_E_FORMAT,
     .text = "model.norm.weight: vector of type I32"},
    {.drop = "lm_head.weight", .status = Q35_E_FORMAT, .text = "output matrix: not there"},
    /* FP8 */
    {.drop = Q "weight",
     .add = Q "weight",
     .add_dtype = "F8_E4M3",
     .rank = 2,
     .shape = {64, 32},
     .status = Q35_E_FORMAT,
     .text = "blk.0.attn_q.weight: F8_E4M3 without a scale"},
    {.dtype = "F8_E4M3", .drop = Q "weight_scale_inv", .status = Q35_E_FORMAT, .text = "F8_E4M3 without a scale"},
    {.drop = Q "weight",
     .add = Q "weight",
     .add_dtype = "F8_E4M3",
     .rank = 2,
     .shape = {64, 16},
     .status = Q35_E_UNSUPPORTED,
     .text = "F8_E4M3 rows of 16, need a multiple of 32"},
    {.drop = Q "weight",
     .add = Q "weight",
     .add_dtype = "F8_E5M2",
     .rank = 2,
     .shape = {64, 32},
     .status = Q35_E_FORMAT,
     .text = "matrix of type F8_E5M2"},
    {.add = Q "weight_scale_inv",
     .add_dtype = "F32",
     .value = 1,
     .status = Q35_E_FORMAT,
     .text = "scale of a weight that is BF16"},
    {.add = "model.layers.7.self_attn.q_proj.weight_scale_inv",
     .add_dtype = "F32",
     .value = 1,
     .status = Q35_E_FORMAT,
     .text = "scale of a weight that is not there"},
    {.dtype = "F8_E4M3",
     .add = "layers.0.self_attn.q_proj.weight_scale_inv",
     .add_dtype = "F32",
     .value = 1,
     .status = Q35_E_FORMAT,
     .text = "second scale"},
    {.dtype = "F8_E4M3",
     .drop = Q "weight_scale_inv",
     .add = Q "weight_scale_inv",
     .add_dtype = "F32",
     .value = (float)NAN,
     .status = Q35_E_FORMAT,
     .text = "scale nan"},
    {.dtype = "F8_E4M3",
     .drop = Q "weight_scale_inv",
     .add = Q "weight_scale_inv",
     .add_dtype = "F32",
     .value = (float)INFINITY,
     .status = Q35_E_FORMAT,
     .text = "scale inf"},
    {.dtype = "F8_E4M3",
     .drop = Q "weight_scale_inv",
     .add = Q "weight_scale_inv",
     .add_dtype = "BF16",
     .value = -1,
     .status = Q35_E_FORMAT,
     .text = "scale -1, need a finite one above 0"},
    {.dtype = "F8_E4M3",
     .drop = Q "weight_scale_inv",
     .add = Q "weight_scale_inv",
     .add_dtype = "F32",
     .value = 0,
     .status = Q35_E_FORMAT,
     .text = "scale 0"},
    {.dtype = "F8_E4M3",
     .drop = Q "weight_scale_inv",
     .add = Q "weight_scale_inv",
     .add_dtype = "I32",
     .status = Q35_E_FORMAT,
     .text = "1 scales of type I32"},
    {.dtype = "F8_E4M3",
     .drop = Q "weight_scale_inv",
     .add = Q "weight_scale_inv",
     .add_dtype = "F32",
     .value = 1,
     .rank = 1,
     .shape = {2},
     .status = Q35_E_FORMAT,
     .text = "2 scales of type F32"},
    {.dtype = "F8_E4M3",
     .drop = Q "weight_scale_inv",
     .add = Q "weight_scale_inv",
     .add_dtype = "F32",
     .value = 1,
     .rank = 2,
     .shape = {1, 1},
     .status = Q35_E_UNSUPPORTED,
     .text = "scales of blocks are not known here"},
    {.config = "\"vocab_size\":\"x\"", .status = Q35_E_FORMAT, .text = "vocab_size: x"},
};

START_TEST(test_wrong_tensors)
{
    q35t_hf_options o = q35t_hf_options_default();
    q35_model *model;
    if (wrong[_i].dtype)
        o.dtype = wrong[_i].dtype;
    o.config = wrong[_i].config;
    o.drop = wrong[_i].drop;
    o.add = wrong[_i].add;
    o.add_dtype = wrong[_i].add_dtype;
    o.add_value = wrong[_i].value;
    o.add_rank = wrong[_i].rank;
    memcpy(o.add_shape, wrong[_i].shape, sizeof o.add_shape);
    q35t_hf_write(dir, &o);
    expect_failure(q35_model_open(dir, &model), wrong[_i].status, wrong[_i].text, wrong[_i].text);
    ck_assert_ptr_null(model);
}
END_TEST

/* What opens, but contradicts its configuration, is told when that is read. */
START_TEST(test_contradictions)
{
    static const struct {
        const char *config, *drop, *text;
    } cases[] = {{"\"num_hidden_layers\":3", NULL, "blk.2.attn_norm.weight: absent"},
                 {"\"num_hidden_layers\":1", NULL, "blk.1."},
                 {"\"hidden_size\":64", NULL, "token_embd.weight: [32, 48]"},
                 {"\"intermediate_size\":65", NULL, "blk.0.ffn_gate.weight: [32, 64] of rank 2, need [32, 65]"},
                 {"\"vocab_size\":49", NULL, "vocab_size: 49, need 48"},
                 {"\"num_key_value_heads\":4", NULL, "blk.0.attn_k.weight: [32, 32] of rank 2, need [32, 64]"},
                 {NULL, "model.layers.1.mlp.down_proj.weight", "blk.1.ffn_down.weight: absent"},
                 {NULL, "model.embed_tokens.weight", "token_embd.weight: absent"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        q35t_hf_options o = q35t_hf_options_default();
        q35_model_config config;
        q35_model *model;
        o.config = cases[i].config;
        o.drop = cases[i].drop;
        q35t_hf_write(dir, &o);
        expect_ok(q35_model_open(dir, &model), cases[i].text);
        q35_status status = q35_model_read_config(model, &config);
        ck_assert_msg(status == Q35_E_FORMAT || status == Q35_E_UNSUPPORTED, "%s", cases[i].text);
        expect_error(cases[i].text, cases[i].text);
        q35_model_close(model);
    }
}
END_TEST

/* Writes a model in three files with another index and expects to hear this of it. */
static void expect_index(const char *index, const char *text)
{
    q35_model *model;
    q35t_hf_put_file(dir, "model.safetensors.index.json", index, strlen(index));
    expect_failure(q35_model_open(dir, &model), Q35_E_FORMAT, text, index);
}

START_TEST(test_wrong_index)
{
    static const char *const cases[][2] = {
        {"", "empty, need JSON"},
        {"[]", "an array"},
        {"{}", "weight_map: missing"},
        {"{\"weight_map\":[]}", "weight_map: an array, need an object"},
        {"{\"weight_map\":{}}", "weight_map: empty"},
        {"{\"metadata\":3,\"weight_map\":{\"a\":\"b\"}}", "metadata: a number"},
        {"{\"metadata\":{\"total_size\":\"x\"},\"weight_map\":{\"a\":\"b\"}}", "total_size: x"},
        {"{\"weight_map\":{\"a\":1}}", "weight_map: a: a number"},
        {"{\"weight_map\":{\"\":\"b\"}}", "tensor name '' of 0 bytes"},
        {"{\"weight_map\":{\"a\\u0000b\":\"b\"}}", "without NUL"},
        {"{\"weight_map\":{\"a\":\"b\",\"a\":\"c\"}}", "tensor a occurs twice"},
        {"{\"weight_map\":{\"a\":\"\"}}", "file '', need a plain name"},
        {"{\"weight_map\":{\"a\":\"../m\"}}", "file '../m', need a plain name"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "need a plain name"},
        {"{\"weight_map\":{\"a\":\"x/y\"}}", "need a plain name"},
        {"{\"weight_map\":{\"a\":\"x\\\\y\"}}", "need a plain name"},
        {"{\"weight_map\":{\"a\":\"x..y\"}}", "need a plain name"},
        {"{\"weight_map\":{\"a\":\".hidden\"}}", "need a plain name"},
        {"{\"weight_map\":{\"a\":\"x\\u0000y\"}}", "need a plain name"},
        {"{\"weight_map\":{\"a\":\"model-00004-of-00003.safetensors\"}}",
         "model-00004-of-00003.safetensors: is not there, need all 1 files"},
        {"{\"weight_map\":{\"a\":\"model-00001-of-00003.safetensors\"}}", "which the index does not have"},
        {"{\"weight_map\":{\"a\":\"config.json\"}}", "config.json: header"},
    };
    q35t_hf_options o = q35t_hf_options_default();
    o.shards = 3;
    q35t_hf_write(dir, &o);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_index(cases[i][0], cases[i][1]);
}
END_TEST

/* Copies the index with the first `from` replaced. */
static void expect_edit(const char *from, const char *to, const char *text)
{
    char path[Q35T_PATH_BYTES + 64];
    q35t_hf_options o = q35t_hf_options_default();
    o.shards = 3;
    q35t_hf_write(dir, &o);
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", dir);
    char *index = q35t_read_file(path, NULL), *at = strstr(index, from);
    ck_assert_msg(at != NULL, "%s: not in the index", from);
    q35t_image edited = {0};
    q35t_put(&edited, index, (uint64_t)(at - index));
    q35t_put(&edited, to, strlen(to));
    q35t_put(&edited, at + strlen(from), strlen(at + strlen(from)) + 1);
    expect_index((const char *)edited.data, text);
    free(edited.data);
    free(index);
}

START_TEST(test_index_against_files)
{
    expect_edit("\"model.norm.weight\":\"model-00002-of", "\"model.norm.weight\":\"model-00003-of",
                "model-00002-of-00003.safetensors: holds tensor model.norm.weight, need it in "
                "model-00003-of-00003.safetensors");
    expect_edit("\"model.norm.weight\"", "\"model.norm.other\"",
                "model-00002-of-00003.safetensors: holds tensor model.norm.weight, which the index does not have");
    expect_edit("\"model.norm.weight\"", "\"zzz\":\"model-00001-of-00003.safetensors\",\"model.norm.weight\"",
                "model-00001-of-00003.safetensors: lacks tensor zzz");
}
END_TEST

START_TEST(test_missing_shard)
{
    q35_model *model;
    q35t_hf_options o = q35t_hf_options_default();
    o.shards = 3;
    q35t_hf_write(dir, &o);
    q35t_hf_remove_file(dir, "model-00002-of-00003.safetensors");
    EXPECT_FAILURE(q35_model_open(dir, &model), Q35_E_FORMAT,
                   "model-00002-of-00003.safetensors: is not there, need all 3 files");
}
END_TEST

START_TEST(test_extra_shard)
{
    q35_model *model;
    q35t_hf_options o = q35t_hf_options_default();
    o.shards = 3;
    q35t_hf_write(dir, &o);
    q35t_hf_put_file(dir, "model-00001-of-00002.safetensors", "x", 1);
    EXPECT_OK(q35_model_open(dir, &model)); /* of another set */
    q35_model_close(model);
    q35t_hf_put_file(dir, "model-00004-of-00003.safetensors", "x", 1);
    EXPECT_FAILURE(q35_model_open(dir, &model), Q35_E_FORMAT,
                   "model-00004-of-00003.safetensors: is no file of the index");
}
END_TEST

static void expect_refused(q35_status status, const char *text)
{
    q35_model *model;
    expect_failure(q35_model_open(dir, &model), status, text, text);
}

START_TEST(test_directories)
{
    q35t_hf_options o = q35t_hf_options_default();
    ck_assert_int_eq(mkdir(dir, 0700), 0);
    expect_refused(Q35_E_FORMAT, "no config.json and no params.json, need config.json with");
    q35t_hf_put_file(dir, "pytorch_model.bin", "x", 1);
    expect_refused(Q35_E_UNSUPPORTED, "weights in pytorch_model.bin, need them as safetensors");
    q35t_hf_remove_file(dir, "pytorch_model.bin");
    q35t_hf_put_file(dir, "consolidated.00.pth", "x", 1);
    expect_refused(Q35_E_UNSUPPORTED, "weights in consolidated.00.pth");
    q35t_hf_put_file(dir, "small.gguf", "x", 1);
    expect_refused(Q35_E_INVALID, "need one of them as the model, such as small.gguf");
    q35t_hf_remove_file(dir, "small.gguf");
    q35t_hf_remove_file(dir, "consolidated.00.pth");
    q35t_hf_write(dir, &o);
    q35t_hf_remove_file(dir, "model.safetensors");
    expect_refused(Q35_E_FORMAT, "a configuration without weights");
    q35t_hf_write(dir, &o);
    q35t_hf_remove_file(dir, "config.json");
    expect_refused(Q35_E_FORMAT, "weights without config.json");
    q35t_hf_remove_file(dir, "model.safetensors");
    o.mistral = 1;
    q35t_hf_write(dir, &o);
    q35t_hf_remove_file(dir, "params.json");
    expect_refused(Q35_E_FORMAT, "weights without params.json");
    q35t_hf_put_file(dir, "params.json", "", 0);
    expect_refused(Q35_E_FORMAT, "params.json: empty");
}
END_TEST

/* A file that ends early, at every length. */
START_TEST(test_truncation)
{
    char path[Q35T_PATH_BYTES + 64];
    size_t bytes;
    q35t_hf_options o = q35t_hf_options_default();
    o.layers = 1;
    q35t_hf_write(dir, &o);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    uint8_t *file = q35t_read_file(path, &bytes);
    uint64_t header;
    memcpy(&header, file, sizeof header);
    for (size_t n = bytes; n-- > 0;) {
        q35_model *model;
        if (n > header + 64 && n < bytes - 64)
            continue; /* one is as good as another inside the data */
        q35t_hf_put_file(dir, "model.safetensors", file, n);
        expect_failure(q35_model_open(dir, &model), Q35_E_FORMAT, "model.safetensors: ", "truncated");
    }
    free(file);
}
END_TEST

/* Headers changed at random, within a directory: what opens is used to the full. */
START_TEST(test_mutations)
{
    static const char alphabet[] = "{}[]\",:0123456789-.eE_ BFIUmodelayrswighttsc";
    char path[Q35T_PATH_BYTES + 64];
    size_t bytes;
    uint64_t header, opened = 0;
    q35t_hf_options o = q35t_hf_options_default();
    q35t_rng rng = q35t_rng_seed(5);
    o.layers = 1;
    o.dtype = "F8_E4M3";
    o.vision = 1;
    q35t_hf_write(dir, &o);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    uint8_t *file = q35t_read_file(path, &bytes), *copy = malloc(bytes);
    ck_assert_ptr_nonnull(copy);
    memcpy(&header, file, sizeof header);
    for (int i = 0; i < MUTATIONS; i++) {
        q35_model *model;
        memcpy(copy, file, bytes);
        for (uint64_t n = 1 + q35t_rng_below(&rng, 2); n > 0; n--)
            copy[8 + q35t_rng_below(&rng, header)] = (uint8_t)alphabet[q35t_rng_below(&rng, sizeof alphabet - 1)];
        q35t_hf_put_file(dir, "model.safetensors", copy, bytes);
        if (q35_model_open(dir, &model) == Q35_OK) {
            q35t_walk_model(model);
            q35_model_close(model);
            opened++;
        } else {
            ck_assert_msg(q35t_error_is_sentence(), "\"%s\"", q35_error_message());
        }
    }
    ck_assert_uint_gt(opened, 0);
    free(copy);
    free(file);
}
END_TEST

#define LOOP(tc, test, n) tcase_add_loop_test(tc, test, 0, (int)(n))

int main(void)
{
    Suite *suite = suite_create("hf_wrong");
    TCase *tc = tcase_create("directories");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 120);
    LOOP(tc, test_wrong_tensors, sizeof wrong / sizeof *wrong);
    tcase_add_test(tc, test_contradictions);
    tcase_add_test(tc, test_wrong_index);
    tcase_add_test(tc, test_index_against_files);
    tcase_add_test(tc, test_missing_shard);
    tcase_add_test(tc, test_extra_shard);
    tcase_add_test(tc, test_mutations);
    tcase_add_test(tc, test_directories);
    tcase_add_test(tc, test_truncation);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
