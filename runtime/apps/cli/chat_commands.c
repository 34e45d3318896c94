/* SPDX-License-Identifier: Apache-2.0
 *
 * What begins with "/". */
#include "chat.h"

#include "chat_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

static int do_help(chat *c, const char *argument)
{
    (void)c;
    (void)argument;
    fputs("/system [TEXT]  show or set the system message; \"\": none\n"
          "/reset          forget the conversation, not the system message\n"
          "/save FILE      write the conversation\n"
          "/load FILE      replace it by a written one\n"
          "/stats          tokens, speed, memory\n"
          "/quit           end, as Ctrl-D does\n"
          "//text          a message that begins with /\n"
          "line\\           goes on in the next line; so does everything between \"\"\" and \"\"\"\n"
          "                and a pasted text, where the terminal marks it\n"
          "Ctrl-C          stops an answer, clears a line; twice at an empty one: ends\n",
          stderr);
    return 0;
}

static int do_system(chat *c, const char *argument)
{
    const char *now = chat_log_system(&c->log);
    if (*argument)
        return chat_log_set_system(&c->log, strcmp(argument, "\"\"") == 0 ? NULL : argument);
    fprintf(stderr, "%s\n", now ? now : "no system message");
    return 0;
}

static int do_reset(chat *c, const char *argument)
{
    (void)argument;
    uint32_t first = chat_log_system(&c->log) != NULL;
    chat_log_cut(&c->log, first, c->log.n - first);
    return 0;
}

static int do_save(chat *c, const char *argument)
{
    uint32_t turns = chat_log_turns(&c->log);
    int rc = chat_file_save(&c->log, q35_model_path(c->engine->model), argument);
    if (rc == 0 && !c->options->quiet)
        fprintf(stderr, "saved %" PRIu32 " turn%s\n", turns, plural(turns));
    return rc;
}

/* The chat goes on with a message of the user: a format that has no place for one refuses here. */
static int check_goes_on(const chat *c, chat_log *log)
{
    int32_t *ids = NULL;
    uint64_t n;
    int rc = chat_log_add(log, CHAT_USER, "?", NULL);
    if (rc)
        return rc;
    q35_status status = chat_log_render(log, 0, c->engine->tokenizer, c->with_think, &ids, &n);
    q35_tokens_free(ids);
    chat_log_cut(log, log->n - 1, 1);
    return status == Q35_OK ? 0 : cli_fail_status(status, CLI_WHILE_RUNNING);
}

int chat_load(chat *c, const char *path)
{
    chat_log log = {0};
    int rc = chat_file_load(path, &log);
    if (rc == 0)
        rc = check_goes_on(c, &log);
    if (rc) {
        chat_log_free(&log);
        return rc;
    }
    chat_log_free(&c->log);
    c->log = log;
    uint32_t turns = chat_log_turns(&log);
    if (!c->options->quiet)
        fprintf(stderr, "loaded %" PRIu32 " turn%s\n", turns, plural(turns));
    return 0;
}

static void print_bytes(const char *name, uint64_t bytes)
{
    if (bytes < 1u << 20)
        fprintf(stderr, "%s %.1f KiB", name, (double)bytes / (1 << 10));
    else
        fprintf(stderr, "%s %.1f MiB", name, (double)bytes / (1 << 20));
}

static void print_last(const chat_numbers *last)
{
    fprintf(stderr, "last turn: %" PRIu64 " tokens reused, %" PRIu64 " evaluated", last->reused, last->evaluated);
    if (last->evaluated && last->prompt_s > 0)
        fprintf(stderr, " (%.1f tok/s)", (double)last->evaluated / last->prompt_s);
    fprintf(stderr, ", %" PRIu64 " generated", last->generated);
    if (last->steps && last->decode_s > 0)
        fprintf(stderr, " (%.1f tok/s)", (double)last->steps / last->decode_s);
    if (last->generated)
        fprintf(stderr, ", first after %.0f ms", 1e3 * last->first_token_s);
    fputc('\n', stderr);
}

static int do_stats(chat *c, const char *argument)
{
    (void)argument;
    uint32_t turns = chat_log_turns(&c->log), n_ctx = q35_session_n_ctx(c->engine->session);
    uint64_t per_token = cli_kv_bytes(c->options, &c->engine->config);
    fprintf(stderr, "%" PRIu32 " turn%s\n", turns, plural(turns));
    fprintf(stderr, "conversation: %" PRIu64 " tokens of a context of %" PRIu32 ", ", chat_count_tokens(c), n_ctx);
    print_bytes("KV cache", per_token * n_ctx);
    fprintf(stderr, " (%" PRIu64 " bytes per token, %s)\n", per_token, cli_kv_name(c->options->kv));
    if (c->turns_done)
        print_last(&c->last);
    return 0;
}

static int do_quit(chat *c, const char *argument)
{
    (void)argument;
    c->over = 1;
    return 0;
}

enum { NO_ARGUMENT, MAY_HAVE, NEEDS_ARGUMENT };

static const struct chat_word {
    const char *name;
    int argument;
    int (*run)(chat *c, const char *argument);
} words[] = {
    {"/help", NO_ARGUMENT, do_help},    {"/system", MAY_HAVE, do_system},     {"/reset", NO_ARGUMENT, do_reset},
    {"/save", NEEDS_ARGUMENT, do_save}, {"/load", NEEDS_ARGUMENT, chat_load}, {"/stats", NO_ARGUMENT, do_stats},
    {"/quit", NO_ARGUMENT, do_quit},
};
enum { N_WORDS = sizeof words / sizeof *words };

static const char *word_at(const void *user, uint32_t i)
{
    (void)user;
    return words[i].name;
}

static int unknown(const char *name)
{
    const char *near = opts_nearest(name, N_WORDS, word_at, NULL);
    if (near)
        return cli_fail(CLI_EXIT_USAGE, "unknown command %s: did you mean %s? (a message that begins with /: //)",
                        name, near);
    return cli_fail(CLI_EXIT_USAGE, "unknown command %s: /help lists the known ones, a message begins with //",
                    name);
}

int chat_command(chat *c, char *text)
{
    char *argument = text + strcspn(text, " \t\n"), *end = text + strlen(text);
    if (*argument)
        *argument++ = '\0';
    argument += strspn(argument, " \t\n");
    while (end > argument && strchr(" \t\n", end[-1]))
        *--end = '\0';
    for (uint32_t i = 0; i < N_WORDS; i++) {
        if (strcmp(text, words[i].name) != 0)
            continue;
        if (words[i].argument == NEEDS_ARGUMENT && !*argument)
            return cli_fail(CLI_EXIT_USAGE, "%s: no file found, one needed", text);
        if (words[i].argument == NO_ARGUMENT && *argument)
            return cli_fail(CLI_EXIT_USAGE, "%s: '%s' found, nothing needed", text, argument);
        return words[i].run(c, argument);
    }
    return unknown(text);
}
