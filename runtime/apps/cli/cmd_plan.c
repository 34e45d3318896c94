/* SPDX-License-Identifier: Apache-2.0
 *
 * q35rt plan: the graph of a step and the plan made of it, as text or JSON. */
#include "commands.h"
#include "engine.h"

#include <inttypes.h>

static void write_piece(void *user, const char *text, uint64_t len)
{
    int *rc = user;
    if (*rc == 0)
        *rc = cli_write_out(text, len);
}

static int dump(q35_session *session, uint32_t what, uint32_t n_tokens)
{
    int rc = 0;
    q35_status status = q35_session_dump(session, what, n_tokens, write_piece, &rc);
    return status == Q35_OK ? rc : cli_fail_status(status, CLI_WHILE_LOADING);
}

static int dump_text(q35_session *session, uint32_t n_tokens)
{
    int rc = dump(session, Q35_DUMP_GRAPH, n_tokens);
    if (rc == 0)
        rc = cli_write_out("\n", 1);
    return rc == 0 ? dump(session, Q35_DUMP_PLAN, n_tokens) : rc;
}

int cmd_plan(const cli_options *options)
{
    q35_runtime *runtime = NULL;
    cli_engine engine = {0};
    const char *path;
    int rc = cli_model_path(options, &path);
    if (rc == 0)
        rc = cli_open_model(path, &engine);
    if (rc == 0)
        rc = cli_open_runtime(options, &runtime);
    if (rc == 0) {
        cli_session_request request = {options->act, options->kv, options->ctx, options->tokens, 0, 1};
        rc = cli_open_session(runtime, options, &request, &engine);
    }
    if (rc == 0 && options->tokens > q35_session_n_ctx(engine.session))
        rc = cli_fail(CLI_EXIT_USAGE,
                      "option --tokens: %" PRIu32 " found, at most the context of %" PRIu32 " (-c) needed",
                      options->tokens, q35_session_n_ctx(engine.session));
    if (rc == 0)
        rc = options->json ? dump(engine.session, Q35_DUMP_PLAN_JSON, options->tokens)
                           : dump_text(engine.session, options->tokens);
    cli_engine_close(&engine);
    q35_runtime_destroy(runtime);
    return rc;
}
