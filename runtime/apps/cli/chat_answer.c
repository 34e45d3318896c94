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

#define FIRST_STEP 64u  /* tokens */
#define QUICK_S    0.25 /* a step of less time may be followed by one of twice the tokens */

/* Appends n tokens, of which the last is to be sampled from, to session and list; to neither on an error. */
static int append(chat *c, const int32_t *ids, uint32_t n)
{
    const q35_session_entry entry = {.ids = ids, .n = n, .logits = 1};
    uint32_t pos = q35_session_pos(c->engine->session);
    q35_status status = q35_session_step(c->engine->session, &entry, 1, NULL);
    if (status != Q35_OK)
        return cli_fail_status(status, CLI_WHILE_RUNNING);
    memcpy(c->ids + pos, ids, n * sizeof *ids);
    return 0;
}

/* *out_done: 0 when a signal came first. Steps grow while they are quick, so that a signal is soon seen; the
 * results are the same. Counted and shown is the prompt, not what is evaluated again within an answer. */
static int prefill(chat *c, const int32_t *ids, uint32_t n, int *out_done)
{
    q35_session *session = c->engine->session;
    uint32_t most = c->options->chunk ? c->options->chunk : GENERATION_CHUNK, same = 0;
    uint32_t quick = most < FIRST_STEP ? most : FIRST_STEP, pos = q35_session_pos(session);
    int is_prompt = c->last.generated == 0;
    *out_done = 0;
    while (same < pos && same + 1 < n && c->ids[same] == ids[same])
        same++;
    q35_status status = q35_session_rewind(session, same);
    if (status != Q35_OK)
        return cli_fail_status(status, CLI_WHILE_RUNNING);
    c->last.reused = is_prompt ? same : c->last.reused;
    for (uint32_t done = same; done < n;) {
        if (cli_interrupted()) {
            term_progress_clear();
            return 0;
        }
        uint32_t step = n - done < quick ? n - done : quick;
        double start = term_now();
        int rc = append(c, ids + done, step);
        if (rc)
            return rc;
        if (term_now() - start < QUICK_S)
            quick = most / 2 < quick ? most : 2 * quick;
        done += step;
        c->last.evaluated += is_prompt ? step : 0;
        if (n - same > most && is_prompt)
            term_progress(c->options->quiet || !c->terminal, "prompt", done - same, n - same);
    }
    term_progress_clear();
    *out_done = 1;
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

/* 1: the chat format begins the answer within reasoning. */
static int begins_thinking(const chat *c, const int32_t *ids, uint64_t n)
{
    const q35_tokenizer *tokenizer = c->engine->tokenizer;
    while (n-- && !q35_tokenizer_is_stop(tokenizer, ids[n])) {
        uint32_t mark = q35_tokenizer_mark(tokenizer, ids[n]);
        if (mark == Q35_MARK_THINK || mark == Q35_MARK_THINK_END)
            return mark == Q35_MARK_THINK;
    }
    return 0;
}

/* The context is full within an answer: goes on with fewer turns in front of it. *out_done: 0 when there is
 * nothing to drop, or a signal came. */
static int go_on(chat *c, int *out_done)
{
    int32_t *ids = NULL;
    uint64_t n = 0;
    int rc = chat_prompt_again(c, &ids, &n);
    *out_done = 0;
    if (rc == 0 && ids)
        rc = prefill(c, ids, (uint32_t)n, out_done);
    free(ids);
    return rc;
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

static int decode(chat *c, q35_sampler *sampler, q35_detokenizer *detokenizer, chat_show *show, stop_reason *stop)
{
    q35_session *session = c->engine->session;
    int rc = 0;
    while (rc == 0 && !is_over(c, stop)) {
        int32_t id;
        int done = 1;
        q35_status status = q35_session_sample(session, 0, sampler, &id);
        if (status != Q35_OK)
            return cli_fail_status(status, CLI_WHILE_RUNNING);
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
        if (q35_session_pos(session) < q35_session_n_ctx(session))
            rc = append(c, &id, 1);
        else
            rc = go_on(c, &done);
        if (rc == 0 && !done) {
            *stop = cli_interrupted() ? STOP_INTERRUPT : STOP_CONTEXT;
            break;
        }
        if (rc == 0)
            c->last.steps++;
    }
    return rc;
}

static int generate(chat *c, const int32_t *ids, uint64_t n, chat_show *show, stop_reason *stop)
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
    rc = chat_show_thinking(show, begins_thinking(c, ids, n));
    if (rc == 0)
        rc = decode(c, sampler, &detokenizer, show, stop);
    c->last.decode_s = term_now() - start;
    if (rc == 0 && q35_detokenizer_finish(&detokenizer, &text, &len) == Q35_OK)
        rc = chat_show_text(show, text, len);
    int end = chat_show_end(show);
    q35_detokenizer_free(&detokenizer);
    q35_sampler_destroy(sampler);
    return rc ? rc : end;
}

static void tell_stop(chat *c, stop_reason stop)
{
    chat_tell_dropped(c);
    if (c->options->quiet || stop == STOP_TOKEN)
        return;
    if (stop == STOP_LENGTH)
        fprintf(stderr, "stopped: %" PRIu64 " token%s generated (-n)\n", c->last.generated,
                c->last.generated == 1 ? "" : "s");
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
    int done = 0;
    stop_reason stop = STOP_INTERRUPT;
    chat_show show = {.terminal = c->terminal, .colour = c->colour};
    c->last = (chat_numbers){.began = term_now()};
    int rc = chat_prompt(c, &ids, &n);
    if (rc == 0)
        rc = prefill(c, ids, (uint32_t)n, &done);
    c->last.prompt_s = term_now() - c->last.began;
    if (rc == 0 && done)
        rc = generate(c, ids, n, &show, &stop);
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
