/* SPDX-License-Identifier: Apache-2.0
 *
 * q35rt eval: perplexity of a text in windows that do not overlap, the second half of each scored, and how far the
 * predictions are from another model's (or the same file's on another path). */
#include "commands.h"
#include "engine.h"
#include "json_out.h"
#include "score.h"
#include "term.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#define DEFAULT_CHUNK 128u /* rows of logits held at once, per model */

typedef struct evaluation {
    const cli_options *options;
    cli_engine model, base; /* base.model NULL: no comparison */
    int32_t *ids;           /* borrowed from the tokenizer's result */
    uint64_t n_ids, n_windows;
    uint32_t chunk;
    score_samples loss, base_loss, divergence;
    uint64_t same_top;
} evaluation;

static int check_options(const cli_options *options)
{
    if (!options->file)
        return cli_fail(CLI_EXIT_USAGE, "no text: -f FILE needed");
    if (!options->base && (options->base_act != CLI_UNSET || options->base_kv != CLI_UNSET))
        return cli_fail(CLI_EXIT_USAGE, "--base-act or --base-kv-type found without a base, --base FILE needed");
    return 0;
}

static int read_tokens(evaluation *e)
{
    const cli_options *o = e->options;
    char *text;
    uint64_t len;
    int rc = cli_read_file(o->file, "text", &text, &len);
    if (rc)
        return rc;
    q35_status status = q35_tokenizer_encode(e->model.tokenizer, text, len, Q35_ENCODE_BOS, &e->ids, &e->n_ids);
    free(text);
    if (status != Q35_OK)
        return cli_fail_status(status, CLI_WHILE_RUNNING);
    e->n_windows = e->n_ids / o->window;
    if (e->n_windows == 0)
        return cli_fail(CLI_EXIT_USAGE, "text %s: %" PRIu64 " tokens found, one window of %" PRIu32 " needed",
                        o->file, e->n_ids, o->window);
    if (o->windows && o->windows < e->n_windows)
        e->n_windows = o->windows;
    return 0;
}

static int open_all(evaluation *e, q35_runtime *runtime)
{
    const cli_options *o = e->options;
    e->chunk = o->chunk ? o->chunk : DEFAULT_CHUNK;
    if (e->chunk > o->window)
        e->chunk = o->window;
    cli_session_request request = {o->act, o->kv, o->window, e->chunk, 1};
    int rc = cli_open_session(runtime, o, &request, &e->model);
    if (rc || !o->base)
        return rc;
    rc = cli_open_model(o->base, &e->base);
    if (rc)
        return rc;
    if (e->base.config.vocab != e->model.config.vocab)
        return cli_fail(CLI_EXIT_MODEL,
                        "base %s: vocabulary of %" PRIu32 " found, %" PRIu32 " as the model's needed", o->base,
                        e->base.config.vocab, e->model.config.vocab);
    request.act = o->base_act == CLI_UNSET ? o->act : o->base_act;
    request.kv = o->base_kv == CLI_UNSET ? o->kv : o->base_kv;
    return cli_open_session(runtime, o, &request, &e->base);
}

static int score_row(evaluation *e, const float *model, const float *base, int32_t next)
{
    uint32_t vocab = e->model.config.vocab;
    double norm = score_log_sum_exp(model, vocab);
    int rc = score_add(&e->loss, norm - (double)model[next]);
    if (base && rc == 0) {
        double base_norm = score_log_sum_exp(base, vocab);
        rc = score_add(&e->base_loss, base_norm - (double)base[next]);
        if (rc == 0)
            rc = score_add(&e->divergence, score_divergence(base, base_norm, model, norm, vocab));
        e->same_top += score_top(model, vocab) == score_top(base, vocab);
    }
    return rc ? cli_fail(CLI_EXIT_NOFIT, "scores: out of memory") : 0;
}

/* Logits at window/2 - 1 .. window - 2 predict tokens window/2 .. window - 1. */
static int score_window(evaluation *e, const int32_t *ids)
{
    uint32_t window = e->options->window, vocab = e->model.config.vocab;
    q35_status status = q35_session_rewind(e->model.session, 0);
    if (status == Q35_OK && e->base.session)
        status = q35_session_rewind(e->base.session, 0);
    for (uint32_t at = 0; at < window && status == Q35_OK; at += e->chunk) {
        uint32_t n = window - at < e->chunk ? window - at : e->chunk;
        const float *model = NULL, *base = NULL;
        if (cli_interrupted())
            return cli_fail(CLI_EXIT_SIGNAL + cli_interrupted(), "eval: interrupted, no result");
        status = q35_session_eval(e->model.session, ids + at, n, &model);
        if (status == Q35_OK && e->base.session)
            status = q35_session_eval(e->base.session, ids + at, n, &base);
        for (uint32_t i = 0; i < n && status == Q35_OK; i++) {
            uint32_t pos = at + i;
            if (pos + 1 < window / 2 || pos + 1 == window)
                continue;
            uint64_t row = (uint64_t)i * vocab;
            int rc = score_row(e, model + row, base ? base + row : NULL, ids[pos + 1]);
            if (rc)
                return rc;
        }
    }
    return status == Q35_OK ? 0 : cli_fail_status(status, CLI_WHILE_RUNNING);
}

typedef struct eval_numbers {
    double ppl, ppl_error, base_ppl, base_ppl_error, ratio, same_top, same_top_error;
    score_summary loss, divergence;
} eval_numbers;

static eval_numbers summarise(evaluation *e)
{
    eval_numbers n = {.loss = score_summarise(&e->loss)};
    n.ppl = exp(n.loss.mean);
    n.ppl_error = n.ppl * n.loss.error;
    if (!e->base.model)
        return n;
    score_summary base = score_summarise(&e->base_loss);
    n.divergence = score_summarise(&e->divergence);
    n.base_ppl = exp(base.mean);
    n.base_ppl_error = n.base_ppl * base.error;
    n.ratio = exp(n.loss.mean - base.mean);
    double count = (double)e->divergence.n, share = (double)e->same_top / count;
    n.same_top = share;
    n.same_top_error = sqrt(share * (1 - share) / count);
    return n;
}

static void print_text(const evaluation *e, const eval_numbers *n)
{
    printf("tokens scored   %" PRIu64 " in %" PRIu64 " windows of %" PRIu32 "\n", e->loss.n, e->n_windows,
           e->options->window);
    printf("perplexity      %.4f +- %.4f\n", n->ppl, n->ppl_error);
    if (!e->base.model)
        return;
    printf("base perplexity %.4f +- %.4f, ratio %.4f\n", n->base_ppl, n->base_ppl_error, n->ratio);
    printf("KL to the base  %.6f +- %.6f, median %.6f, 99 %% %.6f\n", n->divergence.mean, n->divergence.error,
           n->divergence.median, n->divergence.p99);
    printf("same top token  %.2f %% +- %.2f %%\n", 100 * n->same_top, 100 * n->same_top_error);
}

static int print_json(const evaluation *e, const eval_numbers *n)
{
    json_t *out =
        json_pack("{s:o, s:I, s:I, s:I, s:o, s:o, s:o}", "model", json_text(q35_model_path(e->model.model)),
                  "tokens_scored", (json_int_t)e->loss.n, "windows", (json_int_t)e->n_windows, "window",
                  (json_int_t)e->options->window, "perplexity", json_number(n->ppl), "perplexity_error",
                  json_number(n->ppl_error), "loss", json_number(n->loss.mean));
    if (e->base.model)
        json_object_set_new(
            out, "base",
            json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "model",
                      json_text(q35_model_path(e->base.model)), "perplexity", json_number(n->base_ppl),
                      "perplexity_error", json_number(n->base_ppl_error), "perplexity_ratio",
                      json_number(n->ratio), "kl_mean", json_number(n->divergence.mean), "kl_error",
                      json_number(n->divergence.error), "kl_median", json_number(n->divergence.median), "kl_p99",
                      json_number(n->divergence.p99), "same_top", json_number(n->same_top), "same_top_error",
                      json_number(n->same_top_error)));
    return json_out(out);
}

static int run_windows(evaluation *e)
{
    int rc = 0;
    for (uint64_t w = 0; w < e->n_windows && rc == 0; w++) {
        term_progress(e->options->quiet, "eval", w, e->n_windows);
        rc = score_window(e, e->ids + w * e->options->window);
    }
    term_progress_clear();
    if (rc)
        return rc;
    eval_numbers numbers = summarise(e);
    if (e->options->json)
        return print_json(e, &numbers);
    print_text(e, &numbers);
    return 0;
}

int cmd_eval(const cli_options *options)
{
    evaluation e = {.options = options};
    q35_runtime *runtime = NULL;
    const char *path;
    int rc = cli_model_path(options, &path);
    if (rc == 0)
        rc = check_options(options);
    if (rc == 0)
        rc = cli_open_model(path, &e.model);
    if (rc == 0)
        rc = cli_open_tokenizer(&e.model);
    if (rc == 0)
        rc = read_tokens(&e);
    if (rc == 0)
        rc = cli_open_runtime(options, &runtime);
    if (rc == 0)
        rc = open_all(&e, runtime);
    if (rc == 0)
        rc = run_windows(&e);
    q35_tokens_free(e.ids);
    free(e.loss.value);
    free(e.base_loss.value);
    free(e.divergence.value);
    cli_engine_close(&e.model);
    cli_engine_close(&e.base);
    q35_runtime_destroy(runtime);
    return rc;
}
