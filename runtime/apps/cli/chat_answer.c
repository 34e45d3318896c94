/* SPDX-License-Identifier: Apache-2.0
 *
 * A turn. The whole conversation is rendered each time and compared with the tokens in the session: the session
 * goes back to the first difference and evaluates the rest, so whatever changed (a turn dropped, another system
 * message, a conversation loaded) takes the same way. Answers stand in it as they were generated (chat_reuse.h).
 */
#include "chat.h"

#include "chat_show.h"
#include "term.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

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

/* Drops the oldest turns when the conversation leaves no room for an answer. Then a quarter of the context is made
 * free, so that not every turn drops one and evaluates all again. The fewest turns are searched for by halving:
 * each step renders. */
static int make_room(chat *c, uint64_t n)
{
    uint32_t n_ctx = q35_session_n_ctx(c->engine->session), turns = chat_log_turns(&c->log);
    uint64_t left = n, last;
    if (n + answer_room(c) <= n_ctx)
        return 0;
    int rc = tokens_without(c, turns - 1, &last);
    if (rc == 0 && last > n_ctx)
        rc = too_long(c, last);
    uint32_t few = 0, enough = turns - 1;
    while (rc == 0 && few + 1 < enough) {
        uint32_t middle = few + (enough - few) / 2;
        rc = tokens_without(c, middle, &left);
        if (left <= n_ctx - n_ctx / 4)
            enough = middle;
        else
            few = middle;
    }
    if (rc == 0 && enough > 0)
        rc = tokens_without(c, enough, &left);
    if (rc || enough == 0)
        return rc;
    chat_log_cut(&c->log, chat_log_system(&c->log) != NULL, chat_log_messages_of_turns(&c->log, enough));
    if (!c->options->quiet)
        fprintf(stderr, "context full: dropped the first %" PRIu32 " turn%s (%" PRIu64 " tokens)\n", enough,
                plural(enough), n - left);
    return 0;
}

/* *ids: free(). */
static int prompt(chat *c, int32_t **ids, uint64_t *n)
{
    const q35_tokenizer *tokenizer = c->engine->tokenizer;
    uint32_t before = c->log.n;
    int32_t *rendered = NULL;
    uint64_t n_rendered = 0;
    int rc = render(c, 0, &rendered, &n_rendered);
    if (rc == 0)
        rc = make_room(c, n_rendered);
    if (rc == 0 && c->log.n != before) {
        q35_tokens_free(rendered);
        rendered = NULL;
        rc = render(c, 0, &rendered, &n_rendered);
    }
    if (rc == 0)
        rc = chat_reuse_apply(&c->reuse, tokenizer, rendered, n_rendered, ids, n);
    if (rc == 0 && *n > n_rendered && *n + answer_room(c) > q35_session_n_ctx(c->engine->session)) {
        free(*ids); /* the generated tokens are too many */
        *ids = NULL;
        chat_reuse_free(&c->reuse);
        rc = chat_reuse_apply(&c->reuse, tokenizer, rendered, n_rendered, ids, n);
    }
    q35_tokens_free(rendered);
    return rc;
}

/* Appends n tokens to session and list. On an error the list is cut to what the session holds. */
static int append(chat *c, const int32_t *ids, uint32_t n, const float **logits)
{
    q35_session *session = c->engine->session;
    uint32_t pos = q35_session_pos(session);
    q35_status status = q35_session_eval(session, ids, n, logits);
    if (status == Q35_OK) {
        memcpy(c->ids + pos, ids, n * sizeof *ids);
        return 0;
    }
    int rc = cli_fail_status(status, CLI_WHILE_RUNNING);
    if (q35_session_pos(session) > pos)
        (void)q35_session_rewind(session, pos);
    return rc;
}

/* *out_logits: NULL when a signal came first. */
static int prefill(chat *c, const int32_t *ids, uint32_t n, const float **out_logits)
{
    q35_session *session = c->engine->session;
    uint32_t most = c->options->chunk ? c->options->chunk : GENERATION_CHUNK, same = 0;
    uint32_t pos = q35_session_pos(session);
    while (same < pos && same + 1 < n && c->ids[same] == ids[same])
        same++;
    q35_status status = q35_session_rewind(session, same);
    if (status != Q35_OK)
        return cli_fail_status(status, CLI_WHILE_RUNNING);
    c->last.reused = same;
    for (uint32_t done = same; done < n;) {
        if (cli_interrupted()) {
            term_progress_clear();
            *out_logits = NULL;
            return 0;
        }
        uint32_t step = n - done < most ? n - done : most;
        int rc = append(c, ids + done, step, out_logits);
        if (rc)
            return rc;
        done += step;
        c->last.evaluated += step;
        if (n - same > most)
            term_progress(c->options->quiet || !c->terminal, "prompt", done - same, n - same);
    }
    term_progress_clear();
    return 0;
}

static int show_token(chat *c, chat_show *show, q35_detokenizer *detokenizer, int32_t id)
{
    const char *text;
    uint64_t len;
    uint32_t mark = q35_tokenizer_mark(c->engine->tokenizer, id);
    if (mark == Q35_MARK_THINK || mark == Q35_MARK_THINK_END)
        return chat_show_thinking(show, mark == Q35_MARK_THINK);
    q35_status status = q35_detokenizer_push(detokenizer, id, &text, &len);
    return status == Q35_OK ? chat_show_text(show, text, len) : cli_fail_status(status, CLI_WHILE_RUNNING);
}

/* 1: the answer is over before another token. */
static int is_over(const chat *c, stop_reason *stop)
{
    if (cli_interrupted())
        *stop = STOP_INTERRUPT;
    else if (c->options->predict >= 0 && c->last.generated >= (uint64_t)c->options->predict)
        *stop = STOP_LENGTH;
    else
        return 0;
    return 1;
}

static int decode(chat *c, q35_sampler *sampler, q35_detokenizer *detokenizer, const float *logits,
                  chat_show *show, stop_reason *stop)
{
    q35_session *session = c->engine->session;
    int rc = 0;
    while (rc == 0 && !is_over(c, stop)) {
        int32_t id = q35_sampler_sample(sampler, logits);
        if (!c->options->ignore_eos && q35_tokenizer_is_stop(c->engine->tokenizer, id)) {
            *stop = STOP_TOKEN;
            break;
        }
        q35_sampler_accept(sampler, id);
        c->generated[c->last.generated] = id;
        if (c->last.generated++ == 0)
            c->last.first_token_s = term_now() - c->last.began;
        rc = show_token(c, show, detokenizer, id);
        if (rc || is_over(c, stop))
            break;
        if (q35_session_pos(session) == q35_session_n_ctx(session)) {
            *stop = STOP_CONTEXT;
            break;
        }
        rc = append(c, &id, 1, &logits);
        if (rc == 0)
            c->last.steps++;
    }
    return rc;
}

static int generate(chat *c, const int32_t *ids, uint64_t n, const float *logits, chat_show *show,
                    stop_reason *stop)
{
    q35_sampler *sampler = NULL;
    q35_detokenizer detokenizer;
    const char *text;
    uint64_t len;
    int rc = generation_sampler(c->options, c->engine->config.vocab, ids, n, &sampler);
    if (rc)
        return rc;
    q35_detokenizer_init(&detokenizer, c->engine->tokenizer);
    double start = term_now();
    rc = decode(c, sampler, &detokenizer, logits, show, stop);
    c->last.decode_s = term_now() - start;
    if (rc == 0 && q35_detokenizer_finish(&detokenizer, &text, &len) == Q35_OK)
        rc = chat_show_text(show, text, len);
    int end = chat_show_end(show);
    q35_detokenizer_free(&detokenizer);
    q35_sampler_destroy(sampler);
    return rc ? rc : end;
}

static void tell_stop(const chat *c, stop_reason stop)
{
    if (c->options->quiet || stop == STOP_TOKEN)
        return;
    if (stop == STOP_LENGTH)
        fprintf(stderr, "stopped: %" PRIu64 " token%s generated (-n)\n", c->last.generated,
                plural(c->last.generated));
    else if (stop == STOP_CONTEXT)
        fprintf(stderr, "stopped: context of %" PRIu32 " tokens full (-c)\n",
                q35_session_n_ctx(c->engine->session));
    else
        fprintf(stderr, "stopped: interrupted\n");
}

/* What was generated becomes the assistant's message, also when it was cut short. */
static int keep_answer(chat *c, const chat_show *show)
{
    if (show->answer.n == 0 && show->think.n == 0) {
        if (!c->options->quiet)
            fprintf(stderr, "no answer: the message is taken back\n");
        chat_log_cut(&c->log, c->log.n - 1, 1);
        return 0;
    }
    int rc = chat_reuse_answer(&c->reuse, c->generated, c->last.generated);
    if (rc)
        return rc;
    return chat_log_add(&c->log, CHAT_ASSISTANT, show->answer.n ? show->answer.text : "",
                        show->think.n ? show->think.text : NULL);
}

int chat_answer(chat *c)
{
    int32_t *ids = NULL;
    uint64_t n = 0;
    const float *logits = NULL;
    stop_reason stop = STOP_INTERRUPT;
    chat_show show = {.terminal = c->terminal, .colour = c->colour};
    c->last = (chat_numbers){.began = term_now()};
    int rc = prompt(c, &ids, &n);
    if (rc == 0)
        rc = prefill(c, ids, (uint32_t)n, &logits);
    c->last.prompt_s = term_now() - c->last.began;
    if (rc == 0 && logits)
        rc = generate(c, ids, n, logits, &show, &stop);
    free(ids);
    c->turns_done = 1;
    if (rc == 0)
        tell_stop(c, stop);
    if (rc == 0)
        rc = keep_answer(c, &show);
    if (rc)
        chat_log_cut(&c->log, c->log.n - 1, 1); /* no answer was added */
    chat_show_free(&show);
    return rc;
}
