/* SPDX-License-Identifier: Apache-2.0
 *
 * q35rt chat: messages in, answers out, until the input ends. Someone at a terminal can stop an answer with Ctrl-C
 * and go on; from a file or pipe every message is a turn, the first signal ends, and a failed line decides the
 * exit code. */
#include "chat.h"
#include "chat_input.h"
#include "commands.h"
#include "term.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* A format without a place for reasoning refuses it; then the history goes without. */
static int takes_reasoning(const q35_tokenizer *tokenizer)
{
    const q35_part user = {Q35_PART_TEXT, "?"}, answer[] = {{Q35_PART_THINK, "?"}, {Q35_PART_TEXT, "?"}};
    const q35_message messages[] = {{.role = "user", .parts = &user, .n_parts = 1},
                                    {.role = "assistant", .parts = answer, .n_parts = 2},
                                    {.role = "user", .parts = &user, .n_parts = 1}};
    const q35_conversation conversation = {.messages = messages, .n_messages = 3};
    int32_t *ids = NULL;
    uint64_t n;
    q35_status status = q35_tokenizer_chat(tokenizer, &conversation, &ids, &n);
    q35_tokens_free(ids);
    return status == Q35_OK;
}

static int check_format(const q35_tokenizer *tokenizer)
{
    const q35_part part = {Q35_PART_TEXT, "?"};
    const q35_message message = {.role = "user", .parts = &part, .n_parts = 1};
    const q35_conversation conversation = {.messages = &message, .n_messages = 1};
    int32_t *ids = NULL;
    uint64_t n;
    q35_status status = q35_tokenizer_chat(tokenizer, &conversation, &ids, &n);
    q35_tokens_free(ids);
    if (status == Q35_OK)
        return 0;
    return cli_fail(cli_exit_code(status, CLI_WHILE_OPENING_MODEL), "%s ('q35rt run --raw' continues a text)",
                    q35_error_message());
}

/* Answers or obeys. 0 or an exit code; a stopped answer of a terminal's chat is none. */
static int take_turn(chat *c, chat_input *input)
{
    int rc;
    if (input->is_command) {
        rc = chat_command(c, input->text);
    } else {
        rc = chat_log_add(&c->log, CHAT_USER, input->text, NULL);
        if (rc == 0)
            rc = chat_answer(c);
    }
    int out = cli_write_out("", 0);
    if (out)
        c->over = 1;
    return out ? out : rc;
}

/* 0, or the exit code of a signal that ends the chat. */
static int check_signal(chat *c)
{
    if (c->terminal && cli_interrupted() == SIGINT)
        cli_signals_forget_interrupt();
    if (!cli_interrupted())
        return 0;
    c->over = 1;
    return CLI_EXIT_SIGNAL + cli_interrupted();
}

/* Ctrl-C while a line is typed: the second one in a row with nothing typed ends the chat. */
static void count_interrupts(chat *c, const chat_input *input, int *times)
{
    if (!c->terminal || cli_interrupted() != SIGINT)
        return;
    *times = input->dropped ? 0 : *times + 1;
    if (*times > 1)
        c->over = 1;
    else if (*times && !c->options->quiet)
        fputs("Ctrl-C again ends the chat, as Ctrl-D does\n", stderr);
}

static int talk(chat *c)
{
    chat_input input = {0};
    int first = 0, interrupts = 0, rc = line_edit_open(c->terminal, &input.lines);
    if (rc)
        return rc;
    while (!c->over && (rc = check_signal(c)) == 0) {
        line_result result = chat_input_read(&input);
        if (result == LINE_END)
            break;
        if (result == LINE_SIGNAL)
            count_interrupts(c, &input, &interrupts);
        else
            interrupts = 0;
        if (result == LINE_READ)
            rc = take_turn(c, &input);
        else if (result == LINE_FAILED)
            rc = CLI_EXIT_USAGE;
        first = first ? first : rc;
    }
    int ended = rc >= CLI_EXIT_SIGNAL ? rc : 0;
    chat_input_free(&input);
    line_edit_close(input.lines);
    return ended ? ended : c->terminal ? 0 : first;
}

static void greet(const chat *c)
{
    if (c->terminal && !c->options->quiet)
        fprintf(stderr, "%s, %s, context of %" PRIu32 " tokens; /help lists the commands, Ctrl-D ends\n",
                q35_model_path(c->engine->model), q35_tokenizer_chat_format(c->engine->tokenizer),
                q35_session_n_ctx(c->engine->session));
}

static int chat_with(const cli_options *options, const cli_engine *engine)
{
    chat c = {.options = options, .engine = engine};
    c.terminal = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
    c.colour = term_colour_out();
    c.with_think = takes_reasoning(engine->tokenizer);
    c.ids = malloc(q35_session_n_ctx(engine->session) * sizeof *c.ids);
    c.generated = malloc(q35_session_n_ctx(engine->session) * sizeof *c.generated);
    int rc = c.ids && c.generated ? 0 : cli_fail(CLI_EXIT_NOFIT, "chat: out of memory");
    if (rc == 0 && options->load)
        rc = chat_load(&c, options->load);
    if (rc == 0 && options->system)
        rc = chat_log_set_system(&c.log, options->system);
    if (rc == 0) {
        cli_signals_init(0);
        greet(&c);
        rc = talk(&c);
    }
    chat_log_free(&c.log);
    chat_reuse_free(&c.reuse);
    free(c.generated);
    free(c.ids);
    return rc;
}

int cmd_chat(const cli_options *options)
{
    q35_runtime *runtime = NULL;
    cli_engine engine = {0};
    const char *path;
    int rc = cli_model_path(options, &path);
    if (rc == 0)
        rc = cli_open_model(path, &engine);
    if (rc == 0)
        rc = cli_open_tokenizer(&engine);
    if (rc == 0)
        rc = check_format(engine.tokenizer);
    if (rc == 0)
        rc = cli_open_runtime(options, &runtime);
    if (rc == 0) {
        cli_session_request request = {options->act, options->kv, options->ctx, options->chunk, 0, 1};
        rc = cli_open_session(runtime, options, &request, &engine);
    }
    if (rc == 0 && cli_interrupted())
        rc = CLI_EXIT_SIGNAL + cli_interrupted();
    if (rc == 0)
        rc = chat_with(options, &engine);
    cli_engine_close(&engine);
    q35_runtime_destroy(runtime);
    return rc;
}
