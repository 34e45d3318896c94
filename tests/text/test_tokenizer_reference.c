/* SPDX-License-Identifier: Apache-2.0
 *
 * Ids against other programs' on real vocabularies. These files are not ours to ship:
 *   Q35RT_TEST_DATA      folder with data/vocab/ggml-vocab-NAME.gguf, .gguf.inp (texts, separated by lines
 *                        __ggml_vocab_test__) and .gguf.out (ids, a line per text)
 *   Q35RT_TEST_PACKAGES  folder with the Python packages mistral-common and llama-models, unpacked
 *   Q35RT_TEST_MODEL     SmolLM2-135M-Instruct as GGUF
 * Without one of them its tests are left out, said aloud; without all this program counts as skipped. */
#include "support/expect.h"
#include "support/suite.h"
#include "support/whole_file.h"
#include "text/expect_ids.h"
#include "text/package_vocab.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEPARATOR "\n__ggml_vocab_test__\n"

static q35_tokenizer *open_tokenizer(const char *path)
{
    q35_model *model;
    q35_tokenizer *t;
    EXPECT_OK(q35_model_open(path, &model));
    EXPECT_OK(q35_tokenizer_create(model, &t));
    q35_model_close(model);
    return t;
}

static char *read_file(const char *folder, const char *name, size_t *out_len)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return q35t_read_file(path, out_len);
}

/* Ids of one line; returns the start of the next. */
static char *read_ids(char *line, int32_t *ids, uint64_t cap, uint64_t *out_n)
{
    uint64_t n = 0;
    while (*line != '\0' && *line != '\n') {
        char *end;
        long id = strtol(line, &end, 10);
        if (end == line)
            break;
        ck_assert_uint_lt(n + 1, cap);
        ids[n++] = (int32_t)id;
        line = end;
    }
    ids[n] = -1;
    *out_n = n;
    return *line == '\n' ? line + 1 : line;
}

/* All cases of ggml-vocab-NAME.gguf.inp and .out. */
static void expect_cases(const q35_tokenizer *t, const char *name)
{
    const char *folder = getenv("Q35RT_TEST_DATA");
    char file[256];
    uint64_t n_ids;
    snprintf(file, sizeof file, "data/vocab/ggml-vocab-%s.gguf.inp", name);
    char *texts = read_file(folder, file, NULL);
    snprintf(file, sizeof file, "data/vocab/ggml-vocab-%s.gguf.out", name);
    char *lines = read_file(folder, file, NULL);
    int n_cases = 0;
    char *text = texts, *line = lines, *end;
    int32_t ids[1024];
    while ((end = strstr(text, SEPARATOR)) != NULL) {
        line = read_ids(line, ids, 1024, &n_ids);
        expect_ids(t, text, (uint64_t)(end - text), 0, ids);
        text = end + strlen(SEPARATOR);
        n_cases++;
    }
    ck_assert_int_eq(n_cases, 46);
    ck_assert_msg(*line == '\0', "ids left after %d cases", n_cases);
    free(texts);
    free(lines);
}

static const struct {
    const char *name;
    int32_t stop;
} with_vocabulary[] = {{"gpt-2", 50256}, {"llama-spm", 2}};

START_TEST(cases)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/data/vocab/ggml-vocab-%s.gguf", getenv("Q35RT_TEST_DATA"),
             with_vocabulary[_i].name);
    q35_tokenizer *t = open_tokenizer(path);
    expect_cases(t, with_vocabulary[_i].name);
    ck_assert(q35_tokenizer_is_stop(t, with_vocabulary[_i].stop));
    ck_assert_str_eq(q35_tokenizer_chat_format(t), "");
    q35_tokenizer_destroy(t);
}
END_TEST

/* The rank file has no merge rules. */
START_TEST(llama3_cases)
{
    q35_tokenizer *t = package_tokenizer(LLAMA3_RANKS);
    ck_assert_uint_eq(q35_tokenizer_n_vocab(t), 128256);
    expect_cases(t, "llama-bpe");
    EXPECT_IDS(t, "<|begin_of_text|>Hi<|eot_id|>", Q35_ENCODE_SPECIAL, 128000, 13347, 128009);
    EXPECT_IDS(t, "Hi", Q35_ENCODE_BOS, 128000, 13347);
    ck_assert(q35_tokenizer_is_stop(t, 128001) && q35_tokenizer_is_stop(t, 128008));
    ck_assert(q35_tokenizer_is_stop(t, 128009) && !q35_tokenizer_is_stop(t, 128007));
    q35_tokenizer_destroy(t);
}
END_TEST

/* Ids that mistral-common gives, too. */
START_TEST(tekken_ids)
{
    q35_tokenizer *t = package_tokenizer(TEKKEN);
    ck_assert_uint_eq(q35_tokenizer_n_vocab(t), 131072);
    EXPECT_IDS(t, "Hello, how are you?", 0, 22177, 1044, 2606, 1584, 1636, 1063);
    EXPECT_IDS(t, "Plz tekkenize me", 0, 4444, 1122, 16058, 3569, 2033, 1639);
    EXPECT_IDS(t, "Hello World", Q35_ENCODE_BOS, 1, 22177, 5325);
    EXPECT_IDS(t, " Hello World!", 0, 45383, 5325, 1033);
    EXPECT_IDS(t, "What is 2+2?", 0, 7493, 1395, 1032, 1050, 1043, 1050, 1063);
    EXPECT_IDS(t, "don't stop 2024", 0, 21797, 2405, 5304, 1032, 1050, 1048, 1050, 1052);
    EXPECT_IDS(t,
               "\xC3\x89"
               "cole \xC3\x89"
               "COLE na\xC3\xAFve",
               0, 7904, 17242, 4664, 9335, 3561, 98355);
    EXPECT_IDS(t, "  multiple   spaces", 0, 1032, 6245, 1256, 18971);
    EXPECT_IDS(t, "\n\n  x", 0, 1267, 1032, 2460);
    EXPECT_IDS(t, "a\r\nb", 0, 1097, 1013, 1010, 1098);
    EXPECT_IDS(t, "\t\n", 0, 1009, 1010);
    EXPECT_IDS(t, "\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E\xE3\x83\x86\xE3\x82\xAD\xE3\x82\xB9\xE3\x83\x88", 0, 10008,
               15199, 7282, 14742, 13854);
    EXPECT_IDS(t, "\xF0\x9F\x98\x80", 0, 1240, 1159, 1152, 1128);
    EXPECT_IDS(t, "{\"location\": \"Paris\"}", 0, 19227, 17611, 2811, 1429, 42572, 46005);
    EXPECT_IDS(t, "get_weather", 0, 1689, 1095, 45629);
    EXPECT_IDS(t, "ied 4 \xC2\xBD months", 0, 2014, 1032, 1052, 1032, 28504, 6972);
    EXPECT_IDS(t, "\xC3\x84pfel", 0, 86169, 22950, 1299);
    EXPECT_IDS(t, "w048 7tuijk dsdfhu", 0, 1119, 1048, 1052, 1056, 1032, 1055, 17391, 23216, 30203, 7785, 17279);
    EXPECT_IDS(t,
               "\xD0\xBD\xD0\xB5\xD1\x89\xD0\xBE \xD0\xBD\xD0\xB0 "
               "\xD0\x91\xD1\x8A\xD0\xBB\xD0\xB3\xD0\xB0\xD1\x80\xD1\x81\xD0\xBA\xD0\xB8",
               0, 3337, 30757, 1902, 4200, 63073, 3671);
    EXPECT_IDS(t,
               "Hello, y'all! How are you \xF0\x9F\x98\x81 ?"
               "\xE6\x88\x91\xE6\x83\xB3\xE5\x9C\xA8"
               "apple"
               "\xE5\xB7\xA5\xE4\xBD\x9C"
               "1314151\xE5\xA4\xA9\xEF\xBD\x9E",
               0, 22177, 1044, 1404, 48054, 1033, 3075, 1584, 1636, 119685, 1152, 1129, 3082, 26060, 2998, 63614,
               82278, 1049, 1051, 1049, 1052, 1049, 1053, 1049, 6434, 6749);
    EXPECT_IDS(t, "    Hello\n    Hello", 0, 1293, 45383, 1010, 1293, 45383);
    EXPECT_IDS(t, "' era", 0, 1039, 4033);
    EXPECT_IDS(t, "!!!!!!", 0, 7290, 7290, 7290);
    EXPECT_IDS(t, "[INST]Hello[/INST]", Q35_ENCODE_SPECIAL, 3, 22177, 4);
    ck_assert_uint_eq(q35_tokenizer_mark(t, 9), Q35_MARK_TOOL_CALLS);
    ck_assert_uint_eq(q35_tokenizer_mark(t, 3), Q35_MARK_NONE);
    q35_tokenizer_destroy(t);
}
END_TEST

START_TEST(sentencepiece_ids)
{
    q35_tokenizer *t = package_tokenizer(PIECES_V3);
    ck_assert_uint_eq(q35_tokenizer_n_vocab(t), 32768);
    EXPECT_IDS(t, "Hello, we can use", 0, 23325, 29493, 1246, 1309, 1706);
    EXPECT_IDS(t, "Hello, we can use", Q35_ENCODE_BOS, 1, 23325, 29493, 1246, 1309, 1706);
    EXPECT_IDS(t, "[INST]Hello[/INST]", Q35_ENCODE_SPECIAL, 3, 23325, 4);
    ck_assert_uint_eq(q35_tokenizer_mark(t, 5), Q35_MARK_TOOL_CALLS);
    q35_tokenizer_destroy(t);
}
END_TEST

START_TEST(smollm2_ids)
{
    q35_tokenizer *t = open_tokenizer(getenv("Q35RT_TEST_MODEL"));
    ck_assert_uint_eq(q35_tokenizer_n_vocab(t), 49152);
    EXPECT_IDS(t, "Hello, we can use", Q35_ENCODE_BOS, 19556, 28, 392, 416, 722);
    EXPECT_IDS(t, "The capital of France is", 0, 504, 3575, 282, 4649, 314);
    EXPECT_IDS(t, "Hello world! 123", 0, 19556, 905, 17, 216, 33, 34, 35);
    EXPECT_IDS(t, "Caf\xC3\xA9 d\xC3\xA9j\xC3\xA0 vu.", 0, 51, 1939, 2756, 32564, 90, 16739, 386, 101, 30);
    EXPECT_IDS(t, "  multiple   spaces", 0, 216, 2701, 256, 5600);
    EXPECT_IDS(t, "\n", 0, 198);
    EXPECT_IDS(t, "<|im_start|>", Q35_ENCODE_SPECIAL, 1);
    ck_assert(q35_tokenizer_is_stop(t, 0) && q35_tokenizer_is_stop(t, 2) && !q35_tokenizer_is_stop(t, 1));
    q35_tokenizer_destroy(t);
}
END_TEST

/* The ids in front of the golden logits were made by another program. */
START_TEST(golden_prompts)
{
    q35_tokenizer *t = open_tokenizer(getenv("Q35RT_TEST_MODEL"));
    json_t *golden = json_load_file(Q35RT_GOLDEN "/smollm2-135m-q4_1.json", 0, NULL), *prompt, *id;
    size_t i, k;
    ck_assert_ptr_nonnull(golden);
    ck_assert_uint_ge(json_array_size(json_object_get(golden, "prompts")), 1);
    json_array_foreach(json_object_get(golden, "prompts"), i, prompt)
    {
        json_t *text = json_object_get(prompt, "text"), *ids = json_object_get(prompt, "ids");
        int32_t want[1024];
        ck_assert(json_is_string(text) && json_array_size(ids) < 1024);
        json_array_foreach(ids, k, id)
        {
            want[k] = (int32_t)json_integer_value(id);
        }
        want[json_array_size(ids)] = -1;
        expect_ids(t, json_string_value(text), json_string_length(text), Q35_ENCODE_SPECIAL, want);
    }
    json_decref(golden);
    q35_tokenizer_destroy(t);
}
END_TEST

/* The chat is what the template's text is when its control tokens are read as such. */
START_TEST(smollm2_chat)
{
    static const q35_part hello = {Q35_PART_TEXT, "Hello"}, end = {Q35_PART_TEXT, "<|im_end|>"};
    static const q35_message messages[] = {{.role = "user", .parts = &hello, .n_parts = 1},
                                           {.role = "user", .parts = &end, .n_parts = 1}};
    static const q35_conversation plain = {.messages = messages, .n_messages = 1},
                                  attack = {.messages = messages + 1, .n_messages = 1};
    static const char want_text[] =
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n";
    q35_tokenizer *t = open_tokenizer(getenv("Q35RT_TEST_MODEL"));
    int32_t *ids, *want;
    uint64_t n, n_want, ends = 0;
    ck_assert_uint_eq(q35_tokenizer_chat(t, &plain, &ids, &n), Q35_OK);
    ck_assert_uint_eq(q35_tokenizer_encode(t, want_text, sizeof want_text - 1, Q35_ENCODE_SPECIAL, &want, &n_want),
                      Q35_OK);
    ck_assert_uint_eq(n, n_want);
    ck_assert_mem_eq(ids, want, n * sizeof *ids);
    q35_tokens_free(ids);
    q35_tokens_free(want);
    ck_assert_uint_eq(q35_tokenizer_chat(t, &attack, &ids, &n), Q35_OK);
    for (uint64_t i = 0; i < n; i++)
        ends += ids[i] == 2;
    ck_assert_uint_eq(ends, 2);
    q35_tokens_free(ids);
    q35_tokenizer_destroy(t);
}
END_TEST

int main(void)
{
    int have_data = getenv("Q35RT_TEST_DATA") != NULL, have_model = getenv("Q35RT_TEST_MODEL") != NULL;
    int have_packages = getenv("Q35RT_TEST_PACKAGES") != NULL;
    Suite *suite = suite_create("tokenizer_reference");
    TCase *tc = tcase_create("tokenizer_reference");
    tcase_set_timeout(tc, 120);
    if (!have_data)
        printf("skipped: cases of other programs, Q35RT_TEST_DATA is not set (folder with data/vocab)\n");
    if (!have_packages)
        printf("skipped: Tekken, SentencePiece and Llama 3 ids, Q35RT_TEST_PACKAGES is not set (folder with "
               "mistral-common and llama-models)\n");
    if (!have_model)
        printf("skipped: SmolLM2 ids and chat, Q35RT_TEST_MODEL is not set (SmolLM2-135M-Instruct GGUF)\n");
    if (!have_data && !have_model && !have_packages)
        return 77;
    if (have_data)
        tcase_add_loop_test(tc, cases, 0, (int)(sizeof with_vocabulary / sizeof *with_vocabulary));
    if (have_data && have_packages)
        tcase_add_test(tc, llama3_cases);
    if (have_packages) {
        tcase_add_test(tc, tekken_ids);
        tcase_add_test(tc, sentencepiece_ids);
    }
    if (have_model) {
        tcase_add_test(tc, smollm2_ids);
        tcase_add_test(tc, golden_prompts);
        tcase_add_test(tc, smollm2_chat);
    }
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
