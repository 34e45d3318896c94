/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokenizer files cut at every length, changed at random, out of memory, and large ones made to hurt: always a
 * sentence or a result, in time linear in the input. */
#include "model/tok_samples.h"
#include "support/alloc_sweep.h"
#include "support/expect.h"
#include "support/rng.h"
#include "support/suite.h"
#include "support/temp_dir.h"

#include "runtime/model/json_tape.h"

#include <stdlib.h>
#include <string.h>

typedef struct kind {
    const char *name;
    tok_reader read;
} kind;

static const kind kinds[] = {{"tekken.json", q35i_tok_read_tekken},
                             {"tokenizer.json", q35i_tok_read_json},
                             {"tokenizer.json", q35i_tok_read_json},
                             {"tokenizer.model", q35i_tok_read_model},
                             {"tokenizer.model", q35i_tok_read_model}};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static tok_text sample(int i)
{
    tekken_spec tekken = tekken_spec_default();
    json_spec pieces = json_spec_pieces(), bytes = json_spec_byte_level();
    model_spec model = model_spec_default();
    switch (i) {
    case 0: return tekken_file(&tekken);
    case 1: return json_file(&bytes);
    case 2: return json_file(&pieces);
    case 3: return model_file(&model);
    default: return ranks_file(700);
    }
}

/* In a block of exactly this size, so that a sanitizer sees a read past the end. */
static q35_status read_copy(int i, const char *text, size_t len)
{
    tok_text copy = {malloc(len ? len : 1), len};
    q35i_meta_list keys = {0};
    ck_assert_ptr_nonnull(copy.text);
    memcpy(copy.text, text, len);
    q35_status status = tok_translate(kinds[i].read, kinds[i].name, copy, 0, &keys);
    ck_assert_msg(status == Q35_OK ||
                      ((status == Q35_E_FORMAT || status == Q35_E_UNSUPPORTED || status == Q35_E_NOMEM) &&
                       q35t_error_is_sentence()),
                  "%s: %s: %s", kinds[i].name, q35_status_name(status), q35_error_message());
    q35i_meta_list_free(&keys);
    return status;
}

START_TEST(truncated)
{
    tok_text file = sample(_i);
    for (size_t len = 0; len < file.len; len++) {
        q35_status status = read_copy(_i, file.text, len);
        ck_assert_msg(status != Q35_OK || _i == 3, "%s cut to %zu of %zu bytes was read", kinds[_i].name, len,
                      file.len);
    }
    free(file.text);
}
END_TEST

START_TEST(changed)
{
    tok_text file = sample(_i);
    char *copy = malloc(file.len);
    q35t_rng rng = q35t_rng_seed((uint64_t)_i);
    ck_assert_ptr_nonnull(copy);
    for (int round = 0; round < 4000; round++) {
        memcpy(copy, file.text, file.len);
        for (uint64_t n = 1 + q35t_rng_below(&rng, 3); n > 0; n--)
            copy[q35t_rng_below(&rng, file.len)] = (char)q35t_rng_u64(&rng);
        read_copy(_i, copy, file.len);
    }
    free(copy);
    free(file.text);
}
END_TEST

START_TEST(out_of_memory)
{
    q35t_alloc_sweep sweep = {.limit = 400};
    while (q35t_alloc_sweep_next(&sweep)) {
        q35i_meta_list keys = {0};
        q35_status status = tok_translate(kinds[_i].read, kinds[_i].name, sample(_i), 300, &keys);
        q35i_meta_list_free(&keys);
        q35t_alloc_sweep_end(&sweep, status);
    }
}
END_TEST

START_TEST(directory_out_of_memory)
{
    q35t_alloc_sweep sweep = {.limit = 400};
    write_sample("tokenizer.json", sample(2));
    write_text("tokenizer_config.json", "{\"eos_token\": \"\\u003cs>\", \"chat_template\": \"C\"}");
    write_text("generation_config.json", "{\"eos_token_id\": [1, 2]}");
    while (q35t_alloc_sweep_next(&sweep)) {
        q35i_meta_list keys = {0};
        q35_status status = q35i_hf_tokenizer(q35t_temp_dir(), 70000, &keys);
        q35i_meta_list_free(&keys);
        q35t_alloc_sweep_end(&sweep, status);
    }
}
END_TEST

/* 100 MB of a pattern over and over, after a beginning. */
static tok_text repeated(const char *first, const char *pattern)
{
    size_t head = strlen(first), n = strlen(pattern), len = 100000000;
    tok_text out = {malloc(len), len};
    ck_assert_ptr_nonnull(out.text);
    memcpy(out.text, first, head);
    for (size_t i = head; i < len; i++)
        out.text[i] = pattern[(i - head) % n];
    return out;
}

START_TEST(large)
{
    static const struct {
        const char *first, *pattern, *text;
    } cases[] = {
        {"", "[", "more than 64 levels at byte 64"},
        {"", "{\"a\":", "more than 64 levels"},
        {"", " ", "ends at byte 100000000, need a value"},
        {"[", "[],", "more than 8388608 values"},
        {"\"", "a", "ends at byte 100000000, need the quote"},
        {"\"", "\\u0061", "ends at byte"},
        {"", "7", "a number at byte 0, need an object"},
        {"{\"model\": {\"vocab\": {\"", "\xE6\x97\xA5", "need"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        q35i_meta_list keys = {0};
        expect_failure(tok_translate(q35i_tok_read_json, "tokenizer.json",
                                     repeated(cases[i].first, cases[i].pattern), 0, &keys),
                       Q35_E_FORMAT, cases[i].text, cases[i].text);
    }
}
END_TEST

START_TEST(large_model)
{
    static const char *const patterns[] = {"\n", "\n\n", "A", "AAAA 0\n", "\x80"};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        q35i_meta_list keys = {0};
        tok_text file = repeated("", patterns[i]);
        q35_status status = tok_translate(q35i_tok_read_model, "tokenizer.model", file, 0, &keys);
        ck_assert_msg(status == Q35_E_FORMAT && q35t_error_is_sentence(), "%s", q35_error_message());
    }
}
END_TEST

START_TEST(numbers)
{
    static const struct {
        const char *text;
        int good;
        uint64_t value;
    } cases[] = {
        {"0", 1, 0},
        {"16384.0", 1, 16384},
        {"1e3", 1, 1000},
        {"1.5E+1", 1, 15},
        {"1500e-2", 1, 15},
        {"18446744073709551615", 1, UINT64_MAX},
        {"18446744073709551616", 0, 0},
        {"-1", 0, 0},
        {"0.5", 0, 0},
        {"1e-1", 0, 0},
        {"0e99999999999999999999", 1, 0},
        {"1e99", 0, 0},
        {"0.0000000000", 1, 0},
        {"10.10", 0, 0},
        {"1e19", 1, UINT64_C(10000000000000000000)},
        {"1e20", 0, 0},
        {"true", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        q35i_json json = {0};
        uint64_t value = 0;
        EXPECT_OK(q35i_json_parse(&json, "number", cases[i].text, strlen(cases[i].text)));
        bool good = q35i_json_int(&json, 0, UINT64_MAX, &value);
        ck_assert_msg(good == (cases[i].good != 0) && (!good || value == cases[i].value), "%s: %d, %llu",
                      cases[i].text, good, (unsigned long long)value);
        q35i_json_free(&json);
    }
}
END_TEST

START_TEST(grammar)
{
    static const char *const wrong[] = {"",
                                        "01",
                                        "1.",
                                        "-",
                                        ".5",
                                        "1e",
                                        "+1",
                                        "nul",
                                        "True",
                                        "[1,]",
                                        "{,}",
                                        "{\"a\"}",
                                        "{\"a\":}",
                                        "{a:1}",
                                        "[1 2]",
                                        "\"\t\"",
                                        "\"\\x\"",
                                        "\"\\u12",
                                        "1 1",
                                        "[1}",
                                        "{\"a\":1]",
                                        "\xEF\xBB\xBF{}",
                                        "\"\\ud800\\u0041\"",
                                        "\"\xC0\x80\"",
                                        "]",
                                        "'a'",
                                        "[1,,2]"};
    static const char *const right[] = {" null ",
                                        "[]",
                                        "{}",
                                        "[[],{}]",
                                        "-0.5e-7",
                                        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
                                        "{\"a\":[1,{\"b\":\"\\ud83d\\ude00\"}]}",
                                        "\t[\r\n1 , 2 ]"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        q35i_json json = {0};
        expect_failure(q35i_json_parse(&json, "text", wrong[i], strlen(wrong[i])), Q35_E_FORMAT,
                       "text: ", wrong[i]);
        q35i_json_free(&json);
    }
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        q35i_json json = {0};
        expect_ok(q35i_json_parse(&json, "text", right[i], strlen(right[i])), right[i]);
        ck_assert_uint_eq(json.nodes[0].next, json.n);
        q35i_json_free(&json);
    }
}
END_TEST

int main(void)
{
    q35t_temp_dir_create();
    Suite *suite = suite_create("hf_tokenizer_robust");
    TCase *tc = tcase_create("hf_tokenizer_robust");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, truncated, 0, N_KINDS);
    tcase_add_loop_test(tc, changed, 0, N_KINDS);
    tcase_add_loop_test(tc, out_of_memory, 0, N_KINDS - 1);
    tcase_add_test(tc, directory_out_of_memory);
    tcase_add_test(tc, large);
    tcase_add_test(tc, large_model);
    tcase_add_test(tc, numbers);
    tcase_add_test(tc, grammar);
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
