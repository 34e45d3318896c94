/* SPDX-License-Identifier: Apache-2.0
 *
 * q35rt eval --multiple-choice: lines of JSON to tokens. All of them are looked at before anything is computed. */
#include "eval_choices.h"
#include "eval_question.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int wrong(const choice_run *run, uint64_t line, const char *text)
{
    return cli_fail(CLI_EXIT_USAGE, "%s:%" PRIu64 ": %s", run->options->multiple_choice, line, text);
}

static int no_memory(void)
{
    return cli_fail(CLI_EXIT_NOFIT, "questions: out of memory");
}

static int encode(const choice_run *run, const char *text, int32_t **out_ids, uint64_t *out_n)
{
    q35_status status =
        q35_tokenizer_encode(run->model.tokenizer, text, strlen(text), Q35_ENCODE_BOS, out_ids, out_n);
    return status == Q35_OK ? 0 : cli_fail_status(status, CLI_WHILE_RUNNING);
}

static uint64_t common(const int32_t *a, uint64_t n_a, const int32_t *b, uint64_t n_b)
{
    uint64_t n = 0;
    while (n < n_a && n < n_b && a[n] == b[n])
        n++;
    return n;
}

static int encode_choice(const choice_run *run, const eval_question *from, uint32_t i, choice *c)
{
    char *text = question_text(from, i);
    if (!text)
        return no_memory();
    c->bytes = strlen(from->choice[i]);
    int rc = encode(run, text, &c->ids, &c->n_ids);
    free(text);
    return rc;
}

/* A token may span the end of the context in one choice and not in another: the scores of all begin at the first
 * place where any of them leaves the context's tokens. */
static int encode_question(choice_run *run, const eval_question *from, choice_question *q)
{
    int32_t *context = NULL;
    uint64_t n = 0;
    int rc = encode(run, from->context, &context, &n);
    q->start = n;
    q->answer = from->answer;
    q->choices = calloc(from->n_choices, sizeof *q->choices);
    if (rc == 0 && !q->choices)
        rc = no_memory();
    for (uint32_t i = 0; i < from->n_choices && rc == 0; i++) {
        choice *c = &q->choices[i];
        q->n_choices = i + 1;
        rc = encode_choice(run, from, i, c);
        uint64_t same = common(context, q->start, c->ids, c->n_ids);
        q->start = same < q->start ? same : q->start;
        run->longest = c->n_ids > run->longest ? c->n_ids : run->longest;
        if (rc == 0 && c->n_ids > run->model.config.context_length)
            rc = cli_fail(CLI_EXIT_NOFIT,
                          "%s:%" PRIu64 ": %" PRIu64 " tokens found, at most %" PRIu32 " fit the model's context",
                          run->options->multiple_choice, q->line, c->n_ids, run->model.config.context_length);
    }
    q35_tokens_free(context);
    for (uint32_t i = 0; i < q->n_choices && rc == 0; i++)
        if (q->start == 0 || q->choices[i].n_ids <= q->start)
            rc = wrong(run, q->line, "no token of the context is in front of all choices");
    return rc;
}

static int read_line(choice_run *run, uint64_t line, const char *text, uint64_t len, uint64_t *cap)
{
    if (run->n_questions == *cap) {
        *cap = *cap ? 2 * *cap : 256;
        choice_question *grown = realloc(run->questions, (size_t)*cap * sizeof *grown);
        if (!grown)
            return no_memory();
        run->questions = grown;
    }
    choice_question *q = &run->questions[run->n_questions++];
    *q = (choice_question){.line = line};
    eval_question parsed;
    int rc =
        question_parse(&parsed, text, len) ? wrong(run, line, parsed.error) : encode_question(run, &parsed, q);
    question_free(&parsed);
    return rc;
}

int choices_read(choice_run *run)
{
    char *text;
    uint64_t len, cap = 0, line = 0;
    int rc = cli_read_file(run->options->multiple_choice, "questions", &text, &len);
    if (rc)
        return rc;
    for (uint64_t at = 0; at < len && rc == 0;) {
        const char *start = text + at, *end = memchr(start, '\n', (size_t)(len - at));
        uint64_t n = end ? (uint64_t)(end - start) : len - at, blank = 0;
        while (blank < n && strchr(" \t\r", start[blank]) && start[blank])
            blank++;
        line++;
        at += n + 1;
        if (blank < n)
            rc = read_line(run, line, start, n, &cap);
        if (cli_interrupted())
            rc = cli_fail(CLI_EXIT_SIGNAL + cli_interrupted(), "eval: interrupted, no result");
    }
    free(text);
    if (rc == 0 && run->n_questions == 0)
        rc = cli_fail(CLI_EXIT_USAGE, "questions %s: none found, one needed", run->options->multiple_choice);
    return rc;
}
