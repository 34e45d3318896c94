/* SPDX-License-Identifier: Apache-2.0
 *
 * Reasoning in a chat: shown dimmed, kept apart from the answer, written and read again; and turns of a log. What
 * the program prints and the chat format are replaced by ones that keep what they are given. */
#include "cli/fail_recorder.h"
#include "runtime/apps/cli/chat_file.h"
#include "runtime/apps/cli/chat_show.h"
#include "support/suite.h"
#include "support/temp_dir.h"

#include <stdlib.h>
#include <string.h>

static char shown[512];
static size_t n_shown;

int cli_write_out(const char *text, uint64_t len)
{
    ck_assert_uint_lt(n_shown + len, sizeof shown);
    memcpy(shown + n_shown, text, (size_t)len);
    n_shown += (size_t)len;
    shown[n_shown] = '\0';
    return 0;
}

int cli_read_file(const char *path, const char *what, char **out_text, uint64_t *out_len)
{
    FILE *in = fopen(path, "rb");
    if (!in)
        return cli_fail(CLI_EXIT_USAGE, "%s %s: cannot open", what, path);
    *out_text = malloc(4096);
    *out_len = fread(*out_text, 1, 4096, in);
    fclose(in);
    return 0;
}

static char rendered[512];

/* What a conversation says, in place of its tokens. */
q35_status q35_tokenizer_chat(const q35_tokenizer *tokenizer, const q35_conversation *conversation,
                              int32_t **out_ids, uint64_t *out_n)
{
    size_t n = 0;
    (void)tokenizer;
    rendered[0] = '\0';
    for (uint32_t i = 0; i < conversation->n_messages; i++) {
        const q35_message *m = &conversation->messages[i];
        n += (size_t)snprintf(rendered + n, sizeof rendered - n, "%c:", m->role[0]);
        for (uint32_t k = 0; k < m->n_parts; k++)
            n += (size_t)snprintf(rendered + n, sizeof rendered - n,
                                  m->parts[k].kind == Q35_PART_THINK ? "(%s)" : "%s;", m->parts[k].text);
    }
    *out_ids = NULL;
    *out_n = 0;
    return Q35_OK;
}

static void show_all(chat_show *show, const char *think, const char *answer)
{
    n_shown = 0;
    ck_assert_int_eq(chat_show_thinking(show, 1), 0);
    ck_assert_int_eq(chat_show_text(show, think, strlen(think)), 0);
    ck_assert_int_eq(chat_show_thinking(show, 0), 0);
    ck_assert_int_eq(chat_show_text(show, answer, strlen(answer)), 0);
    ck_assert_int_eq(chat_show_end(show), 0);
    ck_assert_str_eq(show->think.text, think);
    ck_assert_str_eq(show->answer.text, answer);
}

START_TEST(reasoning_is_dimmed)
{
    chat_show colour = {.terminal = 1, .colour = 1}, plain = {.terminal = 1};
    show_all(&colour, "hm", "yes");
    ck_assert_str_eq(shown, "\033[2mhm\n\033[0myes\n");
    show_all(&plain, "hm\n", "yes\n");
    ck_assert_str_eq(shown, "hm\nyes\n");
    chat_show_free(&colour);
    chat_show_free(&plain);
}
END_TEST

START_TEST(cut_short_in_reasoning)
{
    chat_show show = {.colour = 1};
    n_shown = 0;
    ck_assert_int_eq(chat_show_thinking(&show, 1), 0);
    ck_assert_int_eq(chat_show_text(&show, "hm", 2), 0);
    ck_assert_int_eq(chat_show_end(&show), 0);
    ck_assert_str_eq(shown, "\033[2mhm\n\033[0m");
    ck_assert_ptr_null(show.answer.text);
    chat_show_free(&show);
}
END_TEST

START_TEST(control_characters_do_not_reach_a_terminal)
{
    static const char text[] = "a\033[31mb\tc\nd\x7f\b\xc2\x9b"
                               "e\xc3\xa9\xc2\xa0";
    chat_show terminal = {.terminal = 1}, file = {0};
    n_shown = 0;
    ck_assert_int_eq(chat_show_text(&terminal, text, strlen(text)), 0);
    ck_assert_str_eq(shown, "a[31mb\tc\nde\xc3\xa9\xc2\xa0");
    ck_assert_str_eq(terminal.answer.text, text);
    n_shown = 0;
    ck_assert_int_eq(chat_show_text(&file, text, strlen(text)), 0);
    ck_assert_str_eq(shown, text);
    chat_show_free(&terminal);
    chat_show_free(&file);
}
END_TEST

START_TEST(nul_bytes_are_left_out_of_the_message)
{
    chat_show show = {0};
    ck_assert_int_eq(chat_show_text(&show, "a\0b", 3), 0);
    ck_assert_str_eq(show.answer.text, "ab");
    chat_show_free(&show);
}
END_TEST

static void fill(chat_log *log)
{
    ck_assert_int_eq(chat_log_set_system(log, "be brief"), 0);
    ck_assert_int_eq(chat_log_add(log, CHAT_USER, "one \"1\"\n", NULL), 0);
    ck_assert_int_eq(chat_log_add(log, CHAT_ASSISTANT, "", "only thought"), 0);
    ck_assert_int_eq(chat_log_add(log, CHAT_USER, "zw\xc3\xb6lf", NULL), 0);
    ck_assert_int_eq(chat_log_add(log, CHAT_ASSISTANT, "yes", "thought"), 0);
    ck_assert_int_eq(chat_log_add(log, CHAT_USER, "three", NULL), 0);
}

START_TEST(written_and_read_again)
{
    chat_log log = {0}, again = {0};
    char path[Q35T_PATH_BYTES];
    fill(&log);
    q35t_temp_path(path, "talk.json");
    ck_assert_int_eq(chat_file_save(&log, "model.gguf", path), 0);
    ck_assert_int_eq(chat_file_load(path, &again), 0);
    ck_assert_uint_eq(again.n, log.n);
    for (uint32_t i = 0; i < log.n; i++) {
        ck_assert_int_eq(again.messages[i].role, log.messages[i].role);
        ck_assert_str_eq(again.messages[i].text, log.messages[i].text);
        ck_assert_pstr_eq(again.messages[i].think, log.messages[i].think);
    }
    chat_log_free(&log);
    chat_log_free(&again);
}
END_TEST

START_TEST(what_the_format_is_given)
{
    chat_log log = {0};
    int32_t *ids;
    uint64_t n;
    fill(&log);
    ck_assert_int_eq(chat_log_render(&log, 0, NULL, 1, &ids, &n), Q35_OK);
    ck_assert_str_eq(rendered, "s:be brief;u:one \"1\"\n;a:(only thought)u:zw\xc3\xb6lf;a:(thought)yes;u:three;");
    ck_assert_int_eq(chat_log_render(&log, 0, NULL, 0, &ids, &n), Q35_OK);
    ck_assert_str_eq(rendered, "s:be brief;u:one \"1\"\n;a:;u:zw\xc3\xb6lf;a:yes;u:three;");
    ck_assert_int_eq(chat_log_render(&log, 2, NULL, 1, &ids, &n), Q35_OK);
    ck_assert_str_eq(rendered, "s:be brief;u:zw\xc3\xb6lf;a:(thought)yes;u:three;");
    chat_log_free(&log);
}
END_TEST

START_TEST(turns_are_counted_and_cut)
{
    chat_log log = {0};
    fill(&log);
    ck_assert_uint_eq(chat_log_turns(&log), 3);
    ck_assert_uint_eq(chat_log_messages_of_turns(&log, 0), 0);
    ck_assert_uint_eq(chat_log_messages_of_turns(&log, 1), 2);
    ck_assert_uint_eq(chat_log_messages_of_turns(&log, 2), 4);
    ck_assert_uint_eq(chat_log_messages_of_turns(&log, 3), 5);
    chat_log_cut(&log, 1, chat_log_messages_of_turns(&log, 2));
    ck_assert_uint_eq(log.n, 2);
    ck_assert_str_eq(log.messages[1].text, "three");
    ck_assert_int_eq(chat_log_set_system(&log, "other"), 0);
    ck_assert_str_eq(chat_log_system(&log), "other");
    ck_assert_int_eq(chat_log_set_system(&log, NULL), 0);
    ck_assert_ptr_null(chat_log_system(&log));
    ck_assert_uint_eq(log.n, 1);
    chat_log_free(&log);
}
END_TEST

int main(void)
{
    q35t_temp_dir_create();
    Suite *suite = suite_create("chat_log");
    TCase *all = tcase_create("all");
    tcase_add_test(all, reasoning_is_dimmed);
    tcase_add_test(all, cut_short_in_reasoning);
    tcase_add_test(all, control_characters_do_not_reach_a_terminal);
    tcase_add_test(all, nul_bytes_are_left_out_of_the_message);
    tcase_add_test(all, written_and_read_again);
    tcase_add_test(all, what_the_format_is_given);
    tcase_add_test(all, turns_are_counted_and_cut);
    suite_add_tcase(suite, all);
    return q35t_run(suite);
}
