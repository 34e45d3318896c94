/* SPDX-License-Identifier: Apache-2.0
 *
 * q35rt eval --multiple-choice: how likely a model finds each choice. What a context has in common with the one
 * before it stays in the KV cache, and all choices start from the same position of it. */
#include "eval_choices.h"
#include "eval.h"
#include "term.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK 128u

/* A session and what it holds: the context of the last question. */
typedef struct scorer {
    q35_session *session;
    const int32_t *held; /* borrowed from a question */
    uint64_t n_held;
    float *last; /* logits [vocab] behind the context */
    uint32_t vocab, chunk;
} scorer;

static double log_probability(const scorer *s, const float *logits, int32_t id)
{
    return (double)logits[id] - score_log_sum_exp(logits, s->vocab);
}

/* Puts ids [n] into the session from position `from` on. With sum: ids[i + 1] scored by the logits of ids[i], as
 * far as there is one of n_all. Without: the last logits are kept. */
static int feed(scorer *s, const int32_t *ids, uint64_t from, uint64_t n, double *sum)
{
    q35_status status = q35_session_rewind(s->session, (uint32_t)from);
    for (uint64_t at = from; at < n && status == Q35_OK; at += s->chunk) {
        uint32_t step = n - at < s->chunk ? (uint32_t)(n - at) : s->chunk;
        const float *logits = NULL;
        status = q35_session_eval(s->session, ids + at, step, &logits);
        if (status != Q35_OK)
            break;
        for (uint32_t i = 0; i < step && sum; i++)
            *sum += log_probability(s, logits + (uint64_t)i * s->vocab, ids[at + i + 1]);
        if (!sum)
            memcpy(s->last, logits + (uint64_t)(step - 1) * s->vocab, s->vocab * sizeof *s->last);
    }
    return status == Q35_OK ? 0 : cli_fail_status(status, CLI_WHILE_RUNNING);
}

static int score_question(scorer *s, const choice_question *q, int is_base)
{
    const int32_t *ids = q->choices[0].ids;
    uint64_t same = 0;
    while (same < s->n_held && same + 1 < q->start && s->held[same] == ids[same])
        same++;
    s->n_held = 0;
    int rc = feed(s, ids, same, q->start, NULL);
    for (uint32_t i = 0; i < q->n_choices && rc == 0; i++) {
        choice *c = &q->choices[i];
        double sum = log_probability(s, s->last, c->ids[q->start]);
        rc = feed(s, c->ids, q->start, c->n_ids - 1, &sum);
        *(is_base ? &c->base : &c->model) = sum;
    }
    s->held = ids;
    s->n_held = q->start;
    return rc;
}

static int open_scorer(const choice_run *run, const cli_engine *engine, scorer *s)
{
    uint32_t most = run->options->chunk ? run->options->chunk : CHUNK;
    *s = (scorer){.session = engine->session,
                  .vocab = engine->config.vocab,
                  .chunk = most < run->longest ? most : (uint32_t)run->longest,
                  .last = malloc((size_t)engine->config.vocab * sizeof *s->last)};
    return s->last ? 0 : cli_fail(CLI_EXIT_NOFIT, "logits: out of memory");
}

int choices_score(choice_run *run)
{
    scorer model = {0}, base = {0};
    int rc = open_scorer(run, &run->model, &model);
    if (rc == 0 && run->base.model)
        rc = open_scorer(run, &run->base, &base);
    for (uint64_t i = 0; i < run->n_questions && rc == 0; i++) {
        term_progress(run->options->quiet, "eval", i, run->n_questions);
        if (cli_interrupted())
            rc = cli_fail(CLI_EXIT_SIGNAL + cli_interrupted(), "eval: interrupted, no result");
        if (rc == 0)
            rc = score_question(&model, &run->questions[i], 0);
        if (rc == 0 && base.session)
            rc = score_question(&base, &run->questions[i], 1);
    }
    term_progress_clear();
    free(model.last);
    free(base.last);
    return rc;
}

static int check_options(const cli_options *o)
{
    if (o->file)
        return cli_fail(CLI_EXIT_USAGE, "--multiple-choice and -f: both found, one needed");
    if (o->save_base)
        return cli_fail(CLI_EXIT_USAGE, "--save-base: stores predictions of a text, -f FILE needed");
    if (!o->base && (o->base_act != CLI_UNSET || o->base_kv != CLI_UNSET))
        return cli_fail(CLI_EXIT_USAGE, "--base-act or --base-kv-type found without a base, --base FILE needed");
    if (o->base && eval_base_is(o->base))
        return cli_fail(CLI_EXIT_USAGE, "base %s: predictions of a text found, a model needed", o->base);
    return 0;
}

static int open_sessions(choice_run *run, q35_runtime *runtime)
{
    const cli_options *o = run->options;
    uint32_t most = o->chunk ? o->chunk : CHUNK, longest = (uint32_t)run->longest;
    cli_session_request request = {o->act, o->kv, longest, most < longest ? most : longest, 1, 1};
    int rc = cli_open_session(runtime, o, &request, &run->model);
    if (rc || !o->base)
        return rc;
    if (run->base.config.vocab != run->model.config.vocab || run->base.config.context_length < longest)
        return cli_fail(CLI_EXIT_MODEL, "base %s: another vocabulary, or too short a context", o->base);
    request.act = run->base_act = o->base_act == CLI_UNSET ? o->act : o->base_act;
    request.kv = run->base_kv = o->base_kv == CLI_UNSET ? o->kv : o->base_kv;
    return cli_open_session(runtime, o, &request, &run->base);
}

static void close_run(choice_run *run)
{
    for (uint64_t i = 0; i < run->n_questions; i++) {
        for (uint32_t k = 0; k < run->questions[i].n_choices; k++)
            q35_tokens_free(run->questions[i].choices[k].ids);
        free(run->questions[i].choices);
    }
    free(run->questions);
    cli_engine_close(&run->model);
    cli_engine_close(&run->base);
}

int eval_choices(const cli_options *options, const char *model_path, q35_runtime *runtime)
{
    choice_run run = {.options = options};
    int rc = check_options(options);
    if (rc == 0)
        rc = cli_open_model(model_path, &run.model);
    if (rc == 0)
        rc = cli_open_tokenizer(&run.model);
    if (rc == 0 && options->base)
        rc = cli_open_model(options->base, &run.base);
    if (rc == 0)
        rc = choices_read(&run);
    if (rc == 0)
        rc = open_sessions(&run, runtime);
    if (rc == 0)
        rc = choices_score(&run);
    if (rc == 0)
        rc = choices_report(&run);
    close_run(&run);
    return rc;
}
