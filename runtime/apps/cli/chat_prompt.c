/* SPDX-License-Identifier: Apache-2.0
 *
 * The conversation as token ids, in as many turns as the context has room for. */
#include "chat.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int render(const chat *c, uint32_t skip, int32_t **ids, uint64_t *n)
{
    q35_status status = chat_log_render(&c->log, skip, c->engine->tokenizer, c->with_think, ids, n);
    return status == Q35_OK ? 0 : cli_fail_status(status, CLI_WHILE_RUNNING);
}

static int tokens_without(const chat *c, uint32_t turns, uint64_t *out_n)
{
    int32_t *ids = NULL;
    int rc = render(c, chat_log_messages_of_turns(&c->log, turns), &ids, out_n);
    q35_tokens_free(ids);
    return rc;
}

static int too_long(const chat *c, uint64_t n)
{
    return cli_fail(CLI_EXIT_NOFIT, "message: %" PRIu64 " tokens found%s, at most %" PRIu32 " fit (-c)", n,
                    chat_log_system(&c->log) ? " with the system message" : "",
                    q35_session_n_ctx(c->engine->session));
}

/* Tokens that are left for an answer: an eighth of the context, or -n. */
static uint64_t answer_room(const chat *c)
{
    uint64_t room = q35_session_n_ctx(c->engine->session) / 8;
    return c->options->predict >= 0 && (uint64_t)c->options->predict < room ? (uint64_t)c->options->predict : room;
}

/* The conversation with its answers as generated, unless that leaves less than `room` and the rendering is
 * shorter. */
static int ids_of(chat *c, uint64_t room, int32_t **ids, uint64_t *n)
{
    const q35_tokenizer *tokenizer = c->engine->tokenizer;
    int32_t *rendered = NULL;
    uint64_t n_rendered = 0;
    int rc = render(c, 0, &rendered, &n_rendered);
    if (rc == 0)
        rc = chat_reuse_apply(&c->reuse, tokenizer, rendered, n_rendered, ids, n);
    if (rc == 0 && *n > n_rendered && *n + room > q35_session_n_ctx(c->engine->session)) {
        free(*ids);
        *ids = NULL;
        chat_reuse_free(&c->reuse);
        rc = chat_reuse_apply(&c->reuse, tokenizer, rendered, n_rendered, ids, n);
    }
    q35_tokens_free(rendered);
    return rc;
}

/* Drops the oldest turns until a quarter of the context is free behind the rest and what was generated: with less,
 * every turn would drop one and evaluate all again. All but the newest go if need be. The fewest are searched for
 * by halving: each step renders. *ids: as of n tokens, replaced by what is left. */
static int drop_turns(chat *c, uint64_t room, int32_t **ids, uint64_t *n)
{
    const uint64_t before = *n, generated = c->last.generated;
    uint32_t n_ctx = q35_session_n_ctx(c->engine->session), few = 0, enough = chat_log_turns(&c->log) - 1;
    int rc = 0;
    while (rc == 0 && few + 1 < enough) {
        uint32_t middle = few + (enough - few) / 2;
        uint64_t left;
        rc = tokens_without(c, middle, &left);
        if (rc == 0 && left + generated <= n_ctx - n_ctx / 4)
            enough = middle;
        else
            few = middle;
    }
    if (rc || enough == 0)
        return rc;
    chat_log_cut(&c->log, chat_log_system(&c->log) != NULL, chat_log_messages_of_turns(&c->log, enough));
    free(*ids);
    *ids = NULL;
    rc = ids_of(c, room, ids, n);
    c->last.dropped_turns += enough;
    c->last.dropped_tokens += rc == 0 && before > *n ? before - *n : 0;
    return rc;
}

void chat_tell_dropped(chat *c)
{
    if (c->last.dropped_turns && !c->options->quiet)
        fprintf(stderr, "context full: dropped the first %" PRIu32 " turn%s (%" PRIu64 " tokens)\n",
                c->last.dropped_turns, c->last.dropped_turns == 1 ? "" : "s", c->last.dropped_tokens);
    c->last.dropped_turns = 0;
    c->last.dropped_tokens = 0;
}

int chat_prompt(chat *c, int32_t **ids, uint64_t *n)
{
    const uint32_t n_ctx = q35_session_n_ctx(c->engine->session);
    const uint64_t room = answer_room(c);
    uint64_t newest;
    int rc = ids_of(c, room, ids, n);
    if (rc || *n + room <= n_ctx)
        return rc;
    rc = tokens_without(c, chat_log_turns(&c->log) - 1, &newest);
    if (rc == 0 && newest > n_ctx)
        rc = too_long(c, newest);
    if (rc == 0)
        rc = drop_turns(c, room, ids, n);
    chat_tell_dropped(c);
    return rc;
}

int chat_prompt_again(chat *c, int32_t **ids, uint64_t *n)
{
    const uint32_t n_ctx = q35_session_n_ctx(c->engine->session), turns = chat_log_turns(&c->log);
    const uint64_t generated = c->last.generated;
    uint64_t newest;
    int rc = turns < 2 ? 0 : tokens_without(c, turns - 1, &newest);
    if (rc || turns < 2 || newest + generated + n_ctx / 8 > n_ctx)
        return rc;
    *n = q35_session_pos(c->engine->session) - (generated - 1); /* all generated but the last are evaluated */
    rc = drop_turns(c, generated, ids, n);
    if (rc)
        return rc;
    int32_t *all = realloc(*ids, (size_t)(*n + generated) * sizeof *all);
    if (!all)
        return cli_fail(CLI_EXIT_NOFIT, "conversation: out of memory");
    memcpy(all + *n, c->generated, (size_t)generated * sizeof *all);
    *ids = all;
    *n += generated;
    return 0;
}

uint64_t chat_count_tokens(chat *c)
{
    int32_t *ids = NULL;
    uint64_t n = 0;
    if (chat_log_turns(&c->log) && ids_of(c, 0, &ids, &n))
        n = 0;
    free(ids);
    return n;
}
