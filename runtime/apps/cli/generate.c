/* SPDX-License-Identifier: Apache-2.0
 *
 * Prefill in chunks, then one token at a time: sample, show, decode. A signal ends either loop between two steps.
 */
#include "generate.h"

#include "term.h"

#include <stdlib.h>
#include <string.h>

const char *stop_reason_name(stop_reason reason)
{
    static const char *const names[] = {"length", "stop_token", "context", "interrupted"};
    return names[reason];
}

/* *out_row: of the prompt's last token among those of the last step. With *out_done 0: interrupted. */
static int prefill(generation *g, const int32_t *ids, uint64_t n, out_file *dump, uint32_t *out_row, int *out_done)
{
    uint32_t most = g->options->chunk ? g->options->chunk : GENERATION_CHUNK;
    int rc = 0;
    *out_done = 0;
    for (uint64_t done = 0; done < n && rc == 0;) {
        if (cli_interrupted())
            return 0;
        uint32_t step = n - done < most ? (uint32_t)(n - done) : most;
        const float *logits;
        const q35_session_entry entry = {.ids = ids + done, .n = step, .logits = dump || done + step == n};
        q35_status status = q35_session_step(g->session, &entry, 1, dump ? &logits : NULL);
        if (status != Q35_OK)
            return cli_fail_status(status, CLI_WHILE_RUNNING);
        if (dump)
            rc = out_file_write(dump, logits, (uint64_t)step * g->vocab * sizeof *logits);
        *out_row = dump ? step - 1 : 0;
        done += step;
        g->n_prompt = done;
        if (n > most)
            term_progress(g->options->quiet, "prompt", done, n);
    }
    term_progress_clear();
    *out_done = 1;
    return rc;
}

static int keep_text(generation *g, const char *text, uint64_t len)
{
    if (len == 0)
        return 0;
    if (g->stream) {
        g->line_open = text[len - 1] != '\n';
        return cli_write_out(text, len);
    }
    char *grown = realloc(g->text, (size_t)(g->n_text + len));
    if (!grown)
        return cli_fail(CLI_EXIT_NOFIT, "generated text: out of memory");
    g->text = grown;
    memcpy(g->text + g->n_text, text, (size_t)len);
    g->n_text += len;
    return 0;
}

/* The text of a token; of a model without a tokenizer: its id. */
static int keep_token(generation *g, q35_detokenizer *detokenizer, int32_t id)
{
    char number[16];
    const char *text = number;
    uint64_t len;
    if (!g->tokenizer) {
        len = (uint64_t)snprintf(number, sizeof number, "%s%d", g->n_ids > 1 ? " " : "", id);
        return keep_text(g, number, len);
    }
    q35_status status = q35_detokenizer_push(detokenizer, id, &text, &len);
    return status == Q35_OK ? keep_text(g, text, len) : cli_fail_status(status, CLI_WHILE_RUNNING);
}

static int keep_id(generation *g, int32_t id, uint64_t *cap)
{
    if (g->n_ids == *cap) {
        *cap = *cap ? 2 * *cap : 1024;
        int32_t *grown = realloc(g->ids, (size_t)*cap * sizeof *grown);
        if (!grown)
            return cli_fail(CLI_EXIT_NOFIT, "generated ids: out of memory");
        g->ids = grown;
    }
    g->ids[g->n_ids++] = id;
    return 0;
}

/* 1: generation is over before another token, reason in g->stop. */
static int is_over(generation *g)
{
    if (cli_interrupted())
        g->stop = STOP_INTERRUPT;
    else if (g->options->predict >= 0 && g->n_ids >= (uint64_t)g->options->predict)
        g->stop = STOP_LENGTH;
    else
        return 0;
    return 1;
}

/* row: that of the last step which the first token comes from. */
static int decode(generation *g, q35_sampler *sampler, q35_detokenizer *detokenizer, uint32_t row)
{
    uint64_t cap = 0;
    double start = term_now();
    int rc = 0;
    while (rc == 0 && !is_over(g)) {
        int32_t id;
        q35_status status = q35_session_sample(g->session, row, sampler, &id);
        if (status != Q35_OK)
            return cli_fail_status(status, CLI_WHILE_RUNNING);
        if (g->n_ids == 0)
            g->first_token_s = g->prompt_s + term_now() - start;
        if (!g->options->ignore_eos && g->tokenizer && q35_tokenizer_is_stop(g->tokenizer, id)) {
            g->stop = STOP_TOKEN;
            break;
        }
        q35_sampler_accept(sampler, id);
        rc = keep_id(g, id, &cap);
        if (rc == 0)
            rc = keep_token(g, detokenizer, id);
        if (rc || is_over(g))
            break;
        if (q35_session_pos(g->session) == q35_session_n_ctx(g->session)) {
            g->stop = STOP_CONTEXT;
            break;
        }
        const q35_session_entry entry = {.ids = &id, .n = 1, .logits = 1};
        status = q35_session_step(g->session, &entry, 1, NULL);
        row = 0;
        if (status != Q35_OK)
            rc = cli_fail_status(status, CLI_WHILE_RUNNING);
        else
            g->steps++;
    }
    g->decode_s = term_now() - start;
    return rc;
}

int generation_sampler(const cli_options *o, uint32_t vocab, const int32_t *context, uint64_t n, q35_sampler **out)
{
    q35_sampler_options wanted = q35_sampler_options_default();
    wanted.temperature = o->temp;
    wanted.top_k = o->top_k;
    wanted.top_p = o->top_p;
    wanted.min_p = o->min_p;
    wanted.repeat_penalty = o->repeat_penalty;
    wanted.repeat_last = o->repeat_last;
    wanted.seed = o->seed;
    q35_status status = q35_sampler_create(&wanted, vocab, out);
    if (status != Q35_OK)
        return cli_fail_status(status, CLI_WHILE_RUNNING);
    for (uint64_t i = 0; i < n; i++)
        q35_sampler_accept(*out, context[i]);
    return 0;
}

static int answer(generation *g, q35_sampler *sampler, uint32_t row)
{
    q35_detokenizer detokenizer;
    q35_detokenizer_init(&detokenizer, g->tokenizer);
    if (g->options->raw || g->options->ids)
        detokenizer.flags = Q35_DETOKENIZE_CONTINUE;
    uint64_t kv_before, kv_after;
    q35_session_bytes_per_token(g->session, &g->weight_bytes, &kv_before);
    int rc = decode(g, sampler, &detokenizer, row);
    q35_session_bytes_per_token(g->session, &g->weight_bytes, &kv_after);
    g->kv_bytes = kv_before / 2 + kv_after / 2;
    const char *text;
    uint64_t len;
    if (rc == 0 && q35_detokenizer_finish(&detokenizer, &text, &len) == Q35_OK)
        rc = keep_text(g, text, len);
    q35_detokenizer_free(&detokenizer);
    return rc;
}

int generation_run(generation *g, const int32_t *prompt, uint64_t n_prompt, out_file *dump)
{
    q35_sampler *sampler = NULL;
    uint32_t row = 0;
    int done = 0;
    int rc = generation_sampler(g->options, g->vocab, prompt, n_prompt, &sampler);
    double start = term_now();
    if (rc == 0)
        rc = prefill(g, prompt, n_prompt, dump, &row, &done);
    g->prompt_s = g->first_token_s = term_now() - start;
    if (rc == 0 && done)
        rc = answer(g, sampler, row);
    else if (rc == 0)
        g->stop = STOP_INTERRUPT;
    if (g->line_open && rc != CLI_EXIT_FAILED) {
        int end = cli_write_out("\n", 1);
        rc = rc ? rc : end;
    }
    q35_sampler_destroy(sampler);
    return rc;
}

void generation_free(generation *g)
{
    free(g->ids);
    free(g->text);
}
