/* SPDX-License-Identifier: Apache-2.0
 *
 * q35rt eval: windows of a text that do not overlap, the second half of each scored. */
#include "eval.h"
#include "term.h"

#include <math.h>

/* What predicts, against what. */
typedef struct pass {
    const char *what; /* of the progress */
    q35_session *model, *base;
    eval_base *stored;      /* NULL: none; with it base is NULL */
    eval_base_writer *save; /* NULL: none */
    eval_scores *scores;
    uint64_t n_windows;
} pass;

static int no_memory(void)
{
    return cli_fail(CLI_EXIT_NOFIT, "scores: out of memory");
}

static int compare_row(const evaluation *e, eval_scores *s, const float *model, double norm, double loss,
                       const float *base, double base_norm, double base_loss)
{
    uint32_t vocab = e->model.config.vocab;
    s->same_top += score_top(model, vocab) == score_top(base, vocab);
    if (score_add(&s->base_loss, base_loss) || score_add(&s->gain, exp(-loss) - exp(-base_loss)) ||
        score_add(&s->divergence, score_divergence(base, base_norm, model, norm, vocab)))
        return no_memory();
    return 0;
}

/* base: live logits, or NULL. */
static int score_row(const evaluation *e, const pass *p, const float *model, const float *base, int32_t next)
{
    uint32_t vocab = e->model.config.vocab;
    double norm = score_log_sum_exp(model, vocab), loss = norm - (double)model[next];
    double base_norm = 0, base_loss = 0;
    if (score_add(&p->scores->loss, loss))
        return no_memory();
    if (base) {
        base_norm = score_log_sum_exp(base, vocab);
        base_loss = base_norm - (double)base[next];
    }
    if (p->save) {
        int rc =
            base ? eval_base_put(p->save, base, base_norm, base_loss) : eval_base_put(p->save, model, norm, loss);
        if (rc)
            return rc;
    }
    if (p->stored) {
        if (eval_base_next(p->stored))
            return cli_fail(CLI_EXIT_MODEL, "base %s: %s", e->options->base, p->stored->error);
        base = p->stored->logits;
        base_norm = score_log_sum_exp(base, vocab);
        base_loss = p->stored->loss;
    }
    return base ? compare_row(e, p->scores, model, norm, loss, base, base_norm, base_loss) : 0;
}

/* Tokens at .. at + n of a window: logits at window/2 - 1 .. window - 2 predict tokens window/2 .. window - 1. */
static int score_chunk(const evaluation *e, const pass *p, const int32_t *ids, uint32_t at, uint32_t n)
{
    const float *model = NULL, *base = NULL;
    q35_status status = q35_session_eval(p->model, ids + at, n, &model);
    if (status == Q35_OK && p->base)
        status = q35_session_eval(p->base, ids + at, n, &base);
    if (status != Q35_OK)
        return cli_fail_status(status, CLI_WHILE_RUNNING);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t pos = at + i;
        if (pos + 1 < e->window / 2 || pos + 1 == e->window)
            continue;
        uint64_t row = (uint64_t)i * e->model.config.vocab;
        int rc = score_row(e, p, model + row, base ? base + row : NULL, ids[pos + 1]);
        if (rc)
            return rc;
    }
    return 0;
}

static int score_window(const evaluation *e, const pass *p, uint64_t w)
{
    const int32_t *ids = e->ids + w * e->window;
    q35_status status = q35_session_rewind(p->model, 0);
    if (status == Q35_OK && p->base)
        status = q35_session_rewind(p->base, 0);
    int rc = status == Q35_OK ? 0 : cli_fail_status(status, CLI_WHILE_RUNNING);
    for (uint32_t at = 0; at < e->window && rc == 0; at += e->chunk) {
        term_progress(e->options->quiet, p->what, w * e->window + at, p->n_windows * e->window);
        if (cli_interrupted())
            return cli_fail(CLI_EXIT_SIGNAL + cli_interrupted(), "eval: interrupted, no result");
        rc = score_chunk(e, p, ids, at, e->window - at < e->chunk ? e->window - at : e->chunk);
    }
    return rc;
}

static int run_pass(const evaluation *e, const pass *p)
{
    int rc = 0;
    for (uint64_t w = 0; w < p->n_windows && rc == 0; w++)
        rc = score_window(e, p, w);
    term_progress_clear();
    return rc;
}

int eval_windows(evaluation *e)
{
    int rc = 0;
    if (e->again.session) {
        pass itself = {"base", e->again.session, e->base.session, NULL, NULL, &e->itself, 1};
        rc = run_pass(e, &itself);
    }
    pass all = {"eval",
                e->model.session,
                e->base.session,
                e->stored.ids ? &e->stored : NULL,
                e->save.file ? &e->save : NULL,
                &e->scores,
                e->n_windows};
    if (rc == 0)
        rc = run_pass(e, &all);
    if (rc == 0 && e->save.file)
        rc = eval_base_finish(&e->save, &e->saved_bytes);
    return rc;
}
