/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokenizers of directories: which file is taken, what the small files beside it add, and that the same vocabulary
 * gives the same ids whatever form it comes in. */
#include "model/tok_samples.h"
#include "support/expect.h"
#include "support/suite.h"
#include "support/temp_dir.h"

#include "runtime/base/alloc.h"
#include "runtime/model/model_file.h"

#include <q35rt/tokenizer.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static q35_status read_dir(q35i_meta_list *keys)
{
    *keys = (q35i_meta_list){0};
    return q35i_hf_tokenizer(q35t_temp_dir(), 0, keys);
}

static void dir_refused(q35_status code, const char *text)
{
    q35i_meta_list keys;
    expect_failure(read_dir(&keys), code, text, text);
    q35i_meta_list_free(&keys);
}

static void write_tekken(void)
{
    tekken_spec spec = tekken_spec_default();
    write_sample("tekken.json", tekken_file(&spec));
}

static void write_json(void)
{
    json_spec spec = json_spec_byte_level();
    spec.added = "[{\"id\": 4, \"content\": \"<s>\", \"special\": true}, "
                 "{\"id\": 5, \"content\": \"</s>\", \"special\": true}, "
                 "{\"id\": 6, \"content\": \"<end>\", \"special\": true}, "
                 "{\"id\": 7, \"content\": \"<stop>\", \"special\": true}]";
    write_sample("tokenizer.json", json_file(&spec));
}

static void write_model(const char *name)
{
    model_spec spec = model_spec_default();
    write_sample(name, model_file(&spec));
}

START_TEST(nothing)
{
    q35i_meta_list keys;
    write_text("tokenizer_config.json", "not even JSON");
    EXPECT_OK(read_dir(&keys));
    ck_assert_uint_eq(keys.n, 0);
}
END_TEST

static void expect_taken(const char *model, const char *version)
{
    q35i_meta_list keys;
    EXPECT_OK(read_dir(&keys));
    expect_string(&keys, "tokenizer.ggml.model", model);
    if (version)
        expect_string(&keys, "tokenizer.mistral.version", version);
    else
        expect_absent(&keys, "tokenizer.mistral.version");
    q35i_meta_list_free(&keys);
}

START_TEST(order)
{
    write_model("tokenizer.model");
    expect_taken("llama", NULL);
    write_model("tokenizer.model.v1");
    write_model("tokenizer.model.v3");
    expect_taken("llama", "v3");
    write_tekken();
    expect_taken("gpt2", "v3");
    write_json();
    expect_taken("gpt2", NULL);
    write_text("params.json", "{}");
    expect_taken("gpt2", "v3");
}
END_TEST

START_TEST(order_of_weights)
{
    write_tekken();
    write_json();
    write_text(_i == 0 ? "consolidated.safetensors" : "consolidated.safetensors.index.json", "");
    expect_taken("gpt2", "v3");
}
END_TEST

START_TEST(roles)
{
    q35i_meta_list keys;
    write_json();
    write_text(
        "tokenizer_config.json",
        "{\"bos_token\": \"<s>\", \"eos_token\": {\"content\": \"<end>\", \"lstrip\": false}, \"pad_token\": "
        "\"[none]\", \"add_bos_token\": true, \"added_tokens_decoder\": {\"5\": {\"content\": \"</s>\", "
        "\"special\": true}, \"9\": {\"content\": \"<extra>\", \"special\": false}}, \"chat_template\": "
        "[{\"name\": \"tools\", \"template\": \"T\"}, {\"name\": \"default\", \"template\": \"D\\n\"}]}");
    write_text("special_tokens_map.json", "{\"eos_token\": \"</s>\", \"unk_token\": \"<stop>\"}");
    write_text("generation_config.json",
               "{\"bos_token_id\": 7, \"pad_token_id\": 5, \"eos_token_id\": [5, 6, 7.0]}");
    EXPECT_OK(read_dir(&keys));
    expect_int(&keys, "tokenizer.ggml.bos_token_id", 4);
    expect_int(&keys, "tokenizer.ggml.eos_token_id", 6);
    expect_int(&keys, "tokenizer.ggml.unknown_token_id", 7);
    expect_int(&keys, "tokenizer.ggml.padding_token_id", 5);
    expect_int(&keys, "tokenizer.ggml.eot_token_id", 5);
    expect_int(&keys, "tokenizer.ggml.eom_token_id", 7);
    expect_int(&keys, "tokenizer.ggml.add_bos_token", 1);
    expect_string(&keys, "tokenizer.chat_template", "D\n");
    expect_token(&keys, 8, "[PAD8]", 5);
    expect_token(&keys, 9, "<extra>", 4);
    q35i_meta_list_free(&keys);
    write_text("chat_template.jinja", "J");
    EXPECT_OK(read_dir(&keys));
    expect_string(&keys, "tokenizer.chat_template", "J");
    q35i_meta_list_free(&keys);
}
END_TEST

START_TEST(template_of_tekken)
{
    q35i_meta_list keys;
    write_tekken();
    write_text("tokenizer_config.json", "{\"eos_token\": \"[INST]\", \"chat_template\": \"C\"}");
    EXPECT_OK(read_dir(&keys));
    expect_string(&keys, "tokenizer.chat_template", "C");
    expect_int(&keys, "tokenizer.ggml.eos_token_id", 2);
    q35i_meta_list_free(&keys);
}
END_TEST

START_TEST(wrong_beside)
{
    static const struct {
        const char *name, *text, *error;
    } cases[] = {
        {"tokenizer_config.json", "[]", "tokenizer_config.json: an array at byte 0, need an object"},
        {"tokenizer_config.json", "{\"bos_token\": 5}", "need an object with content"},
        {"tokenizer_config.json", "{\"eos_token\": \"<x>\"}", "eos_token: '<x>', need a token of the vocabulary"},
        {"tokenizer_config.json", "{\"add_bos_token\": \"yes\"}", "add_bos_token: a string, need true or false"},
        {"tokenizer_config.json", "{\"add_bos_token\": true}", "adds a token at the begin and names none"},
        {"tokenizer_config.json", "{\"chat_template\": 1}", "chat_template: a number, need a string"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\": {\"x\": {}}}",
         "added_tokens_decoder: 'x', need an id"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\": {\"1\": {\"content\": \"<n>\"}}}",
         "id 1 is another token"},
        {"tokenizer_config.json", "{\"added_tokens_decoder\": {\"99999999\": {\"content\": \"<n>\"}}}",
         "id 99999999 with 8 tokens, need at most 65536 ids without one"},
        {"tokenizer_config.json", "{\"eos_token\": \"<s>\", \"eos_token\": \"<s>\"}", "eos_token: again at byte"},
        {"generation_config.json", "{\"eos_token_id\": 8}", "eos_token_id: 8, need an id below 8"},
        {"generation_config.json", "{\"eos_token_id\": [\"a\"]}", "eos_token_id: a string, need an id"},
        {"generation_config.json", "{\"eos_token_id\": -1}", "eos_token_id: -1, need an id"},
        {"special_tokens_map.json", "", "special_tokens_map.json: empty, need JSON"},
        {"special_tokens_map.json", "{} x", "0x78 at byte 3, need nothing after the value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[Q35T_PATH_BYTES];
        write_json();
        write_text(cases[i].name, cases[i].text);
        dir_refused(Q35_E_FORMAT, cases[i].error);
        q35t_temp_path(path, cases[i].name);
        ck_assert_int_eq(remove(path), 0);
    }
}
END_TEST

START_TEST(not_a_file)
{
    char path[Q35T_PATH_BYTES];
    q35t_temp_path(path, "tokenizer.json");
    ck_assert_int_eq(mkdir(path, 0700), 0);
    dir_refused(Q35_E_FORMAT, "tokenizer.json: is a directory, need a regular file");
}
END_TEST

static q35_tokenizer *create(const q35i_meta_list *keys)
{
    q35_model model = {.meta = keys->entries, .n_meta = keys->n};
    q35_tokenizer *t;
    EXPECT_OK(q35i_model_index_meta(&model));
    EXPECT_OK(q35_tokenizer_create(&model, &t));
    q35i_free(model.meta_index);
    return t;
}

/* tokenizer.json with the tokens of the keys, all after the special ones in vocab. */
static void write_json_of(const q35i_meta_list *keys)
{
    static const char *const merges = "[\"a b\", [\"\xC4\xA0\", \"a\"], \"\xC3\x83 \xC2\xA9\"]";
    static char vocab[20000], added[4000];
    size_t n = 1, m = 1;
    tekken_spec names = tekken_spec_default();
    tok_text file = tekken_file(&names);
    vocab[0] = '{';
    added[0] = '[';
    for (uint64_t id = 0; id < 279; id++) {
        q35_string s = key_string_at(keys, "tokenizer.ggml.tokens", id);
        const char *slash = s.data[0] == '"' || s.data[0] == '\\' ? "\\" : "";
        const char *comma = id == 0 || id == 20 ? "" : ",";
        if (id < 20)
            m += (size_t)snprintf(added + m, sizeof added - m,
                                  "%s{\"id\": %d, \"content\": \"%.*s\", \"special\": true}", comma, (int)id,
                                  (int)s.len, s.data);
        else
            n += (size_t)snprintf(vocab + n, sizeof vocab - n, "%s\"%s%.*s\": %d", comma, slash, (int)s.len,
                                  s.data, (int)id);
    }
    strcpy(vocab + n, "}");
    strcpy(added + m, "]");
    /* the pattern as JSON, out of the other file */
    char *pattern = strstr(file.text, "\"pattern\": ") + strlen("\"pattern\": "),
         *end = strstr(pattern, ", \"default");
    static char stage[1000];
    snprintf(
        stage, sizeof stage,
        "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": %.*s}, "
        "\"behavior\": \"Isolated\", \"invert\": false}, {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
        "\"use_regex\": false}]}",
        (int)(end - pattern), pattern);
    free(file.text);
    json_spec spec = {.added = added,
                      .pre_tokenizer = stage,
                      .post_processor = "{\"type\": \"ByteLevel\"}",
                      .model = "\"ignore_merges\": true, ",
                      .vocab = vocab,
                      .merges = merges};
    write_sample("tokenizer.json", json_file(&spec));
}

START_TEST(same_ids)
{
    static const char text[] = "ab  a ab\xC3\xA9\xC3\xA9 b a\xF0\x9F\x98\x80\r\n</s>[INST]123 abab";
    q35i_meta_list tekken, json;
    int32_t *ids[2];
    uint64_t n[2];
    write_tekken();
    EXPECT_OK(read_dir(&tekken));
    write_json_of(&tekken);
    write_text("tokenizer_config.json", "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}");
    EXPECT_OK(read_dir(&json));
    ck_assert_ptr_nonnull(q35i_meta_list_find(&json, "tokenizer.ggml.merges"));
    ck_assert_ptr_null(q35i_meta_list_find(&tekken, "tokenizer.ggml.merges"));
    q35_tokenizer *t[2] = {create(&tekken), create(&json)};
    for (uint32_t flags = 0; flags < 4; flags++) {
        for (int i = 0; i < 2; i++)
            EXPECT_OK(q35_tokenizer_encode(
                t[i], text, sizeof text - 1,
                (flags & 1 ? Q35_ENCODE_SPECIAL : 0u) | (flags & 2 ? Q35_ENCODE_BOS : 0u), &ids[i], &n[i]));
        ck_assert_uint_eq(n[0], n[1]);
        ck_assert_int_eq(memcmp(ids[0], ids[1], n[0] * sizeof **ids), 0);
        ck_assert_int_eq(ids[0][0], flags & 2 ? 1 : 20 + 256);
        q35_tokens_free(ids[0]);
        q35_tokens_free(ids[1]);
    }
    q35_tokenizer_destroy(t[0]);
    q35_tokenizer_destroy(t[1]);
    q35i_meta_list_free(&tekken);
    q35i_meta_list_free(&json);
}
END_TEST

static void remove_dir(void)
{
    ck_assert_int_eq(q35t_temp_dir_remove(), 0);
}

int main(void)
{
    Suite *suite = suite_create("hf_tokenizer_dir");
    TCase *tc = tcase_create("hf_tokenizer_dir");
    tcase_add_checked_fixture(tc, q35t_temp_dir_create, remove_dir);
    tcase_add_test(tc, nothing);
    tcase_add_test(tc, order);
    tcase_add_loop_test(tc, order_of_weights, 0, 2);
    tcase_add_test(tc, roles);
    tcase_add_test(tc, template_of_tekken);
    tcase_add_test(tc, wrong_beside);
    tcase_add_test(tc, not_a_file);
    tcase_add_test(tc, same_ids);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
