/* SPDX-License-Identifier: Apache-2.0
 *
 * q35rt eval: what is compared with what on which tokens. A base is a model or a file of stored predictions; of a
 * file, the windows and, without a text, the tokens come from it. */
#define _GNU_SOURCE
#include "eval.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_WINDOW 512u
#define DEFAULT_CHUNK  128u /* rows of logits held at once, per model */

static int check_options(const cli_options *o, int stored)
{
    int base_path = o->base_act != CLI_UNSET || o->base_kv != CLI_UNSET;
    if (!o->file && !stored)
        return cli_fail(CLI_EXIT_USAGE, "no text: -f FILE needed");
    if (o->window && o->window < EVAL_WINDOW_MIN)
        return cli_fail(CLI_EXIT_USAGE, "option --ctx: %" PRIu32 " found, 0 or %u and more needed", o->window,
                        EVAL_WINDOW_MIN);
    if (!o->base && base_path)
        return cli_fail(CLI_EXIT_USAGE, "--base-act or --base-kv-type found without a base, --base FILE needed");
    if (stored && base_path)
        return cli_fail(CLI_EXIT_USAGE, "--base-act or --base-kv-type: base %s is stored, a model needed",
                        o->base);
    if (o->save_base && access(o->save_base, F_OK) == 0 && !eval_base_is(o->save_base))
        return cli_fail(CLI_EXIT_USAGE, "--save-base %s: a file that is no base file found, a new name needed",
                        o->save_base);
    if (stored && o->save_base)
        return cli_fail(CLI_EXIT_USAGE, "--save-base: base %s is stored already, a model needed", o->base);
    return 0;
}

static int fail_stored(const evaluation *e)
{
    return cli_fail(CLI_EXIT_MODEL, "base %s: %s", e->options->base, e->stored.error);
}

/* Other weights are what a base is for, another network or vocabulary is not. */
static int check_stored(const evaluation *e)
{
    const eval_base_head *h = &e->stored.head;
    const q35_model_config *c = &e->model.config;
    const char *base = e->options->base;
    if (h->vocab != c->vocab)
        return cli_fail(CLI_EXIT_MODEL,
                        "base %s: vocabulary of %" PRIu32 " found, %" PRIu32 " as the model's needed", base,
                        h->vocab, c->vocab);
    if (h->vocab_hash != eval_vocab_hash(e->model.tokenizer))
        return cli_fail(CLI_EXIT_MODEL, "base %s: made with another vocabulary, the model's needed", base);
    if (h->layers != c->n_layers || h->hidden != c->hidden || h->ffn != c->ffn || h->heads != c->n_heads ||
        h->kv_heads != c->n_kv_heads || h->head_dim != c->head_dim)
        return cli_fail(CLI_EXIT_MODEL,
                        "base %s: made by another model (%s, %" PRIu32 " layers of %" PRIu32 "), one of %" PRIu32
                        " layers of %" PRIu32 " and the same heads needed",
                        base, h->name, h->layers, h->hidden, c->n_layers, c->hidden);
    return 0;
}

static int encode_text(evaluation *e, uint64_t *out_n)
{
    char *text;
    uint64_t len;
    int rc = cli_read_file(e->options->file, "text", &text, &len);
    if (rc)
        return rc;
    q35_status status = q35_tokenizer_encode(e->model.tokenizer, text, len, Q35_ENCODE_BOS, &e->text_ids, out_n);
    free(text);
    return status == Q35_OK ? 0 : cli_fail_status(status, CLI_WHILE_RUNNING);
}

static int check_same_text(const evaluation *e)
{
    for (uint64_t i = 0; i < e->n_windows * e->window; i++)
        if (e->stored.ids[i] != e->text_ids[i])
            return cli_fail(CLI_EXIT_MODEL,
                            "base %s: made of another text: token %" PRIu64 " is %" PRId32 ", %" PRId32
                            " as in %s needed",
                            e->options->base, i, e->stored.ids[i], e->text_ids[i], e->options->file);
    return 0;
}

static int read_tokens(evaluation *e)
{
    const cli_options *o = e->options;
    const eval_base_head *h = e->stored.ids ? &e->stored.head : NULL;
    uint64_t n = 0, there = h ? h->n_windows : UINT64_MAX;
    e->window = o->window ? o->window : h ? h->window : DEFAULT_WINDOW;
    if (h && e->window != h->window)
        return cli_fail(CLI_EXIT_MODEL, "base %s: windows of %" PRIu32 " tokens found, %" PRIu32 " (--ctx) needed",
                        o->base, h->window, e->window);
    if (h && o->windows > there)
        return cli_fail(CLI_EXIT_MODEL, "base %s: %" PRIu64 " windows found, %" PRIu32 " (--windows) needed",
                        o->base, there, o->windows);
    int rc = o->file ? encode_text(e, &n) : 0;
    if (rc)
        return rc;
    if (o->file && n / e->window == 0)
        return cli_fail(CLI_EXIT_USAGE, "text %s: %" PRIu64 " tokens found, one window of %" PRIu32 " needed",
                        o->file, n, e->window);
    e->n_windows = o->file && n / e->window < there ? n / e->window : there;
    if (o->windows && o->windows < e->n_windows)
        e->n_windows = o->windows;
    e->ids = o->file ? e->text_ids : e->stored.ids;
    return h && o->file ? check_same_text(e) : 0;
}

static int open_session(const evaluation *e, q35_runtime *runtime, uint32_t act, uint32_t kv, cli_engine *engine)
{
    cli_session_request request = {act, kv, e->window, e->chunk, 1, 1};
    return cli_open_session(runtime, e->options, &request, engine);
}

static int open_base(evaluation *e, q35_runtime *runtime)
{
    const cli_options *o = e->options;
    int rc = cli_open_model(o->base, &e->base);
    if (rc)
        return rc;
    if (e->base.config.vocab != e->model.config.vocab)
        return cli_fail(CLI_EXIT_MODEL,
                        "base %s: vocabulary of %" PRIu32 " found, %" PRIu32 " as the model's needed", o->base,
                        e->base.config.vocab, e->model.config.vocab);
    e->base_act = o->base_act == CLI_UNSET ? o->act : o->base_act;
    e->base_kv = o->base_kv == CLI_UNSET ? o->kv : o->base_kv;
    rc = open_session(e, runtime, e->base_act, e->base_kv, &e->base);
    if (rc || (e->base_act == o->act && e->base_kv == o->kv))
        return rc;
    rc = cli_open_model(o->base, &e->again);
    return rc ? rc : open_session(e, runtime, o->act, o->kv, &e->again);
}

/* The predictions saved are the base's, without one the model's. */
static int open_save(evaluation *e)
{
    const cli_options *o = e->options;
    const cli_engine *from = e->base.model ? &e->base : &e->model;
    const q35_model_config *c = &from->config;
    eval_base_head h = {.vocab = c->vocab,
                        .window = e->window,
                        .act = e->base.model ? e->base_act : o->act,
                        .kv = e->base.model ? e->base_kv : o->kv,
                        .layers = c->n_layers,
                        .hidden = c->hidden,
                        .ffn = c->ffn,
                        .heads = c->n_heads,
                        .kv_heads = c->n_kv_heads,
                        .head_dim = c->head_dim,
                        .n_windows = e->n_windows,
                        .model_hash = eval_model_hash(from->model),
                        .vocab_hash = eval_vocab_hash(e->model.tokenizer)};
    const char *path = q35_model_path(from->model);
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    size_t start = len;
    while (start && path[start - 1] != '/')
        start--;
    snprintf(h.name, sizeof h.name, "%.*s", (int)(len - start), path + start);
    return eval_base_create(&e->save, o->save_base, &h, e->ids);
}

int eval_open(evaluation *e, const char *model_path, q35_runtime *runtime)
{
    const cli_options *o = e->options;
    int stored = o->base && eval_base_is(o->base);
    int rc = o->base && !stored && !o->file ? cli_open_model(o->base, &e->base) : 0; /* neither: says so */
    if (rc == 0)
        rc = check_options(o, stored);
    if (rc)
        return rc;
    if (stored && eval_base_open(&e->stored, o->base))
        return fail_stored(e);
    rc = cli_open_model(model_path, &e->model);
    if (rc == 0)
        rc = cli_open_tokenizer(&e->model);
    if (rc == 0 && stored)
        rc = check_stored(e);
    if (rc == 0)
        rc = read_tokens(e);
    if (rc)
        return rc;
    e->chunk = o->chunk ? o->chunk : DEFAULT_CHUNK;
    e->chunk = e->chunk > e->window ? e->window : e->chunk;
    rc = open_session(e, runtime, o->act, o->kv, &e->model);
    if (rc == 0 && o->base && !stored)
        rc = open_base(e, runtime);
    if (rc == 0 && o->save_base)
        rc = open_save(e);
    return rc;
}

static void free_scores(eval_scores *s)
{
    free(s->loss.value);
    free(s->base_loss.value);
    free(s->divergence.value);
    free(s->gain.value);
}

void eval_close(evaluation *e)
{
    eval_base_discard(&e->save);
    eval_base_close(&e->stored);
    q35_tokens_free(e->text_ids);
    free_scores(&e->scores);
    free_scores(&e->itself);
    cli_engine_close(&e->model);
    cli_engine_close(&e->base);
    cli_engine_close(&e->again);
}
