/* SPDX-License-Identifier: Apache-2.0
 *
 * Mistral's chat formats against its own library: tests/golden/chat_mistral.json (made by make_mistral_golden.py).
 * The vocabularies come from Q35RT_TEST_PACKAGES (mistral-common, unpacked); without it the program counts as
 * skipped. */
#define _GNU_SOURCE
#include "runtime/apps/cli/messages_file.h"
#include "runtime/base/file_map.h"
#include "runtime/model/gguf_write.h"
#include "runtime/model/hf_tokenizer.h"
#include "support/expect.h"
#include "support/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The vocabularies of the last file, as keys; tests run one after the other. */
static q35i_meta_list keys;
static char keys_of[128];

/* A tekken.json of the golden's versions lists its special tokens: put in front of the rest. */
static char *with_special(const q35i_file_map *map, const json_t *special, size_t *out_n)
{
    char *list = json_dumps(special, 0), *text = malloc(map->bytes + strlen(list) + 32);
    ck_assert(list && text && map->bytes > 1);
    int head = sprintf(text, "{\"special_tokens\": %s,", list);
    memcpy(text + head, (const char *)map->data + 1, map->bytes - 1);
    *out_n = (size_t)head + map->bytes - 1;
    free(list);
    return text;
}

static void read_keys(const char *name, const json_t *special)
{
    char path[4096];
    q35i_file_map map;
    q35i_tok tok = {0};
    if (strcmp(keys_of, name) == 0)
        return;
    q35i_meta_list_free(&keys);
    snprintf(keys_of, sizeof keys_of, "%s", name);
    snprintf(path, sizeof path, "%s/mistral_common/data/%s", getenv("Q35RT_TEST_PACKAGES"), name);
    EXPECT_OK(q35i_file_map_open(path, &map));
    if (strstr(name, ".json")) {
        size_t n;
        char *text = with_special(&map, special, &n);
        EXPECT_OK(q35i_tok_read_tekken(&tok, name, text, n));
        free(text);
    } else {
        EXPECT_OK(q35i_tok_read_model(&tok, name, map.data, map.bytes));
    }
    EXPECT_OK(q35i_tok_write(&tok, 0, &keys));
    q35i_tok_free(&tok);
    q35i_file_map_close(&map);
}

/* The vocabulary as a model that says it is of another version. */
static q35_tokenizer *make_with(const char *name, const char *version, const json_t *special, const char *jinja)
{
    char path[] = "mistral-XXXXXX";
    q35i_gguf_writer *w;
    q35_model *model;
    q35_tokenizer *t;
    read_keys(name, special);
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    EXPECT_OK(q35i_gguf_writer_create(path, true, &w));
    EXPECT_OK(q35i_gguf_writer_string(w, "general.architecture", "llama"));
    EXPECT_OK(q35i_gguf_writer_string(w, "tokenizer.mistral.version", version));
    if (jinja)
        EXPECT_OK(q35i_gguf_writer_string(w, "tokenizer.chat_template", jinja));
    for (uint64_t i = 0; i < keys.n; i++) {
        if (strncmp(keys.entries[i].key.data, "tokenizer.mistral.version", keys.entries[i].key.len) != 0)
            EXPECT_OK(q35i_gguf_writer_copy(w, &keys.entries[i]));
    }
    EXPECT_OK(q35i_gguf_writer_begin(w));
    EXPECT_OK(q35i_gguf_writer_commit(w));
    q35_status status = q35_model_open(path, &model);
    unlink(path);
    EXPECT_OK(status);
    EXPECT_OK(q35_tokenizer_create(model, &t));
    q35_model_close(model);
    return t;
}

static q35_tokenizer *make(const char *name, const char *version, const json_t *special)
{
    return make_with(name, version, special, NULL);
}

static void expect_case(const q35_tokenizer *t, json_t *conversation, const char *want, size_t number)
{
    messages_file file = {0};
    int32_t *ids;
    uint64_t n;
    char *end;
    ck_assert_msg(messages_of_json(&file, json_incref(conversation)) == 0, "case %zu: %s", number, file.error);
    q35_status status = q35_tokenizer_chat(t, &file.conversation, &ids, &n);
    ck_assert_msg(status == Q35_OK, "case %zu: %s", number, q35_error_message());
    for (uint64_t i = 0; i < n; i++, want = end) {
        long id = strtol(want, &end, 10);
        ck_assert_msg(end != want && ids[i] == id, "case %zu: id %d at %d, need %ld", number, (int)ids[i], (int)i,
                      id);
    }
    ck_assert_msg(*want == '\0', "case %zu: ends early, need %s", number, want);
    q35_tokens_free(ids);
    messages_free(&file);
}

START_TEST(same_ids_as_the_library)
{
    json_t *golden = json_load_file(Q35RT_GOLDEN "/chat_mistral.json", 0, NULL), *one;
    json_t *special = json_object_get(golden, "special"), *tools = json_object_get(golden, "tools");
    char made[160] = "", name[64];
    q35_tokenizer *t = NULL;
    size_t i;
    ck_assert_uint_ge(json_array_size(json_object_get(golden, "cases")), 200);
    json_array_foreach(json_object_get(golden, "cases"), i, one)
    {
        const char *file = json_string_value(json_object_get(one, "file"));
        const char *version = json_string_value(json_object_get(one, "version"));
        json_t *conversation = json_object_get(one, "conversation"),
               *n_tools = json_object_get(conversation, "tools");
        char wanted[160];
        snprintf(wanted, sizeof wanted, "%s %s", file, version);
        if (strcmp(made, wanted) != 0) {
            q35_tokenizer_destroy(t);
            t = make(file, version, special);
            memcpy(made, wanted, sizeof made);
            snprintf(name, sizeof name, "mistral-%s", version);
            ck_assert_str_eq(q35_tokenizer_chat_format(t), name);
        }
        if (n_tools) {
            json_t *some = json_array();
            for (json_int_t k = 0; k < json_integer_value(n_tools); k++)
                json_array_append(some, json_array_get(tools, (size_t)k));
            json_object_set_new(conversation, "tools", some);
        }
        expect_case(t, conversation, json_string_value(json_object_get(one, "ids")), i);
    }
    q35_tokenizer_destroy(t);
    json_decref(golden);
}
END_TEST

/* Ids that were published for this format. */
START_TEST(published_ids)
{
    json_t *golden = json_load_file(Q35RT_GOLDEN "/chat_mistral.json", 0, NULL);
    q35_tokenizer *t = make("tekken_240718.json", "v13", json_object_get(golden, "special"));
    json_t *one =
        json_loads("{\"messages\": [{\"role\": \"system\", \"content\": \"Answer briefly.\"}, {\"role\": "
                   "\"user\", \"content\": \"What is 2+2?\"}]}",
                   0, NULL);
    json_t *two =
        json_loads("{\"messages\": [{\"role\": \"system\", \"content\": \"Answer briefly.\"}, {\"role\": "
                   "\"user\", \"content\": \"Say A.\"}, {\"role\": \"assistant\", \"content\": \"A.\"}, "
                   "{\"role\": \"user\", \"content\": \"Now B.\"}]}",
                   0, NULL);
    expect_case(t, one, "1 17 31106 27457 1046 18 3 7493 1395 1032 1050 1043 1050 1063 4", 0);
    expect_case(t, two, "1 17 31106 27457 1046 18 3 67935 1349 1046 4 1065 1046 2 3 12082 1398 1046 4", 1);
    json_decref(one);
    json_decref(two);
    q35_tokenizer_destroy(t);
    json_decref(golden);
}
END_TEST

/* Everything that v13 has, in the form with its control tokens spelled. */
START_TEST(all_of_v13)
{
    static const char tool[] = "{\"type\": \"function\", \"function\": {\"name\": \"F1\", \"description\": "
                               "\"D\", \"parameters\": {}}}";
    static const char form[] =
        "<s>[SYSTEM_PROMPT]S1[THINK]TS[/THINK]S2[/SYSTEM_PROMPT][AVAILABLE_TOOLS][%s][/AVAILABLE_TOOLS][INST]U1"
        "[/INST]A1[TOOL_CALLS]F1[ARGS]{}[TOOL_CALLS]F2[ARGS]{}</s>[TOOL_RESULTS]R1[/TOOL_RESULTS][TOOL_RESULTS]R2"
        "[/TOOL_RESULTS][THINK]T1[/THINK]A2</s>[INST]U2[/INST]";
    static const q35_part system[] = {{Q35_PART_TEXT, "S1"}, {Q35_PART_THINK, "TS"}, {Q35_PART_TEXT, "S2"}};
    static const q35_part u1 = {Q35_PART_TEXT, "U1"}, a1 = {Q35_PART_TEXT, "A1"}, r1 = {Q35_PART_TEXT, "R1"},
                          r2 = {Q35_PART_TEXT, "R2"}, u2 = {Q35_PART_TEXT, "U2"};
    static const q35_part a2[] = {{Q35_PART_THINK, "T1"}, {Q35_PART_TEXT, "A2"}};
    static const q35_tool_call calls[] = {{"one", "F1", ""}, {"two", "F2", "{}"}};
    static const q35_message messages[] = {
        {.role = "system", .parts = system, .n_parts = 3},
        {.role = "user", .parts = &u1, .n_parts = 1},
        {.role = "assistant", .parts = &a1, .n_parts = 1, .calls = calls, .n_calls = 2},
        {.role = "tool", .parts = &r2, .n_parts = 1, .call_id = "two"}, /* results come in the calls' order */
        {.role = "tool", .parts = &r1, .n_parts = 1, .call_id = "one"},
        {.role = "assistant", .parts = a2, .n_parts = 2},
        {.role = "user", .parts = &u2, .n_parts = 1}};
    char text[1024], tools[256];
    json_t *golden = json_load_file(Q35RT_GOLDEN "/chat_mistral.json", 0, NULL);
    q35_tokenizer *t = make("tekken_240718.json", "v13", json_object_get(golden, "special"));
    int32_t *ids, *want;
    uint64_t n, n_want;
    snprintf(text, sizeof text, form, tool);
    snprintf(tools, sizeof tools, "[%s]", tool);
    const q35_conversation conversation = {.messages = messages, .n_messages = 7, .tools = tools};
    EXPECT_OK(q35_tokenizer_chat(t, &conversation, &ids, &n));
    EXPECT_OK(q35_tokenizer_encode(t, text, strlen(text), Q35_ENCODE_SPECIAL, &want, &n_want));
    ck_assert_uint_eq(n, n_want);
    ck_assert_mem_eq(ids, want, n * sizeof *ids);
    q35_tokens_free(ids);
    q35_tokens_free(want);
    q35_tokenizer_destroy(t);
    json_decref(golden);
}
END_TEST

/* A template with a space behind [INST] gives SentencePiece one space, not two. */
START_TEST(template_with_a_space)
{
    static const char jinja[] =
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }}[/INST]"
        "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}";
    static const char file[] = "mistral_instruct_tokenizer_240323.model.v3";
    static const q35_part parts[] = {{Q35_PART_TEXT, "Hello, we can use"}, {Q35_PART_TEXT, "Yes."}};
    static const q35_message messages[] = {{.role = "user", .parts = parts, .n_parts = 1},
                                           {.role = "assistant", .parts = parts + 1, .n_parts = 1},
                                           {.role = "user", .parts = parts, .n_parts = 1}};
    static const q35_conversation conversation = {.messages = messages, .n_messages = 3};
    q35_tokenizer *with = make_with(file, "v3", NULL, jinja), *without = make(file, "v3", NULL);
    int32_t *ids, *want;
    uint64_t n, n_want;
    ck_assert_str_eq(q35_tokenizer_chat_format(with), "mistral-v1"); /* it knows no tools */
    EXPECT_OK(q35_tokenizer_chat(with, &conversation, &ids, &n));
    EXPECT_OK(q35_tokenizer_chat(without, &conversation, &want, &n_want));
    ck_assert_uint_eq(n, n_want);
    ck_assert_mem_eq(ids, want, n * sizeof *ids);
    q35_tokens_free(ids);
    q35_tokens_free(want);
    q35_tokenizer_destroy(with);
    q35_tokenizer_destroy(without);
}
END_TEST

static const struct {
    const char *file, *version, *conversation, *want;
} refused[] = {
    {"tokenizer.model.v1", "v1",
     "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"tools\": [{\"function\": "
     "{\"name\": \"f\"}}]}",
     "tools, which mistral-v1 has no form for"},
    {"tokenizer.model.v1", "v1", "{\"messages\": [{\"role\": \"tool\", \"content\": \"a\"}]}",
     "message 0: tools, which mistral-v1 has no form for"},
    {"tokenizer.model.v1", "v3",
     "{\"messages\": [{\"role\": \"tool\", \"tool_call_id\": \"a\", \"content\": \"a\"}]}",
     "message 0: id of a tool call, need 9 letters and digits"},
    {"tokenizer.model.v1", "v3",
     "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"tool\", \"tool_call_id\": "
     "\"abcdefghi\", \"content\": \"a\"}]}",
     "message 1: tool after user, which is out of order"},
    {"tokenizer.model.v1", "v7",
     "{\"messages\": [{\"role\": \"assistant\", \"content\": \"a\"}, {\"role\": \"system\", \"content\": "
     "\"a\"}]}",
     "message 1: system after assistant, which is out of order"},
    {"tokenizer.model.v1", "v3",
     "{\"messages\": [{\"role\": \"assistant\", \"reasoning_content\": \"r\", \"content\": \"a\"}]}",
     "message 0: reasoning of assistant, which mistral-v3 has no form for"},
    {"tokenizer.model.v1", "v3", "{\"messages\": [{\"role\": \"assistant\", \"content\": \"\"}]}",
     "message 0: an empty answer"},
    {"tokenizer.model.v1", "v2", "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}",
     "control token '[INST]' is not in the vocabulary"},
};

START_TEST(refusals)
{
    q35_tokenizer *t = make(refused[_i].file, refused[_i].version, NULL);
    messages_file file = {0};
    int32_t *ids;
    uint64_t n;
    ck_assert(messages_of_text(&file, refused[_i].conversation, strlen(refused[_i].conversation)) == 0);
    ck_assert_uint_ne(q35_tokenizer_chat(t, &file.conversation, &ids, &n), Q35_OK);
    ck_assert(ids == NULL && n == 0);
    EXPECT_ERROR(refused[_i].want);
    messages_free(&file);
    q35_tokenizer_destroy(t);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chat_mistral");
    TCase *tc = tcase_create("chat_mistral");
    if (!getenv("Q35RT_TEST_PACKAGES")) {
        printf("skipped: Mistral's chat formats, Q35RT_TEST_PACKAGES is not set (folder with mistral-common)\n");
        return 77;
    }
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, same_ids_as_the_library);
    tcase_add_test(tc, published_ids);
    tcase_add_test(tc, all_of_v13);
    tcase_add_test(tc, template_with_a_space);
    tcase_add_loop_test(tc, refusals, 0, (int)(sizeof refused / sizeof *refused));
    suite_add_tcase(suite, tc);
    return q35t_run(suite);
}
