/* SPDX-License-Identifier: Apache-2.0
 *
 * A question with choices, from one line of JSON. */
#define _GNU_SOURCE
#include "eval_question.h"

#include <ctype.h>
#include <math.h>
#include <q35rt/status.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Q35_PRINTF(2, 3) static int wrong(eval_question *q, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(q->error, sizeof q->error, fmt, args);
    va_end(args);
    return -1;
}

/* First of the keys (NULL ends) that is there. */
static const json_t *member(const json_t *object, const char *const *keys)
{
    const json_t *value = NULL;
    for (; *keys && !value; keys++)
        value = json_object_get(object, *keys);
    return value;
}

static int read_context(eval_question *q)
{
    static const char *const verbatim[] = {"ctx", "context", "prompt", NULL};
    const json_t *value = member(q->json, verbatim);
    const json_t *question = value ? NULL : json_object_get(q->json, "question");
    const char *text = json_string_value(question ? question : value);
    if (!text || !*text)
        return wrong(q, "no text in question, ctx, context or prompt");
    if (asprintf(&q->context, question ? "Question: %s\nAnswer:" : "%s", text) < 0) {
        q->context = NULL;
        return wrong(q, "out of memory");
    }
    return 0;
}

/* *out_labels: ARC's names of the choices, NULL: none. */
static int read_choices(eval_question *q, const json_t **out_labels)
{
    static const char *const keys[] = {"choices", "endings", "options", NULL};
    const json_t *value = member(q->json, keys);
    *out_labels = json_object_get(value, "label");
    if (json_is_object(value))
        value = json_object_get(value, "text");
    size_t n = json_array_size(value);
    if (!json_is_array(value))
        return wrong(q, "no list in choices, endings or options");
    if (n < 2 || n > QUESTION_CHOICES_MAX)
        return wrong(q, "%zu choices found, 2 to %d needed", n, QUESTION_CHOICES_MAX);
    for (size_t i = 0; i < n; i++) {
        q->choice[i] = json_string_value(json_array_get(value, i));
        if (!q->choice[i] || !*q->choice[i])
            return wrong(q, "choice %zu: no text", i);
    }
    q->n_choices = (uint32_t)n;
    return 0;
}

/* Index that a text names: a label, a number, a letter. -1: none. */
static double index_of(const char *text, const json_t *labels)
{
    for (size_t i = 0; i < json_array_size(labels); i++) {
        const char *label = json_string_value(json_array_get(labels, i));
        if (label && strcmp(label, text) == 0)
            return (double)i;
    }
    if (isdigit((unsigned char)text[0])) {
        char *end;
        double number = strtod(text, &end);
        return *end ? -1 : number;
    }
    return isupper((unsigned char)text[0]) && !text[1] ? text[0] - 'A' : -1;
}

static int read_answer(eval_question *q, const json_t *labels)
{
    static const char *const keys[] = {"answer", "label", "answerKey", "gold", NULL};
    const json_t *value = member(q->json, keys);
    double index = json_is_number(value)   ? json_number_value(value)
                   : json_is_string(value) ? index_of(json_string_value(value), labels)
                                           : -1;
    if (!value)
        return wrong(q, "no answer, label, answerKey or gold");
    if (!(index >= 0 && index < (double)q->n_choices) || floor(index) != index)
        return wrong(q, "answer: not the index, label or letter of one of %u choices", q->n_choices);
    q->answer = (uint32_t)index;
    return 0;
}

int question_parse(eval_question *q, const char *text, uint64_t len)
{
    json_error_t error;
    const json_t *labels;
    *q = (eval_question){.json = json_loadb(text, (size_t)len, JSON_REJECT_DUPLICATES, &error)};
    if (!q->json)
        return wrong(q, "column %d: %s", error.column, error.text);
    if (!json_is_object(q->json))
        return wrong(q, "no JSON object");
    if (read_context(q) || read_choices(q, &labels))
        return -1;
    return read_answer(q, labels);
}

char *question_text(const eval_question *q, uint32_t choice)
{
    const char *text = q->choice[choice];
    char last = q->context[strlen(q->context) - 1], *whole;
    int blank = isspace((unsigned char)last) || isspace((unsigned char)text[0]);
    return asprintf(&whole, "%s%s%s", q->context, blank ? "" : " ", text) < 0 ? NULL : whole;
}

void question_free(eval_question *q)
{
    free(q->context);
    json_decref(q->json);
    *q = (eval_question){0};
}
