/* SPDX-License-Identifier: Apache-2.0
 *
 * A question with choices, from one line of JSON: MMLU's, HellaSwag's and ARC's keys. */
#ifndef Q35_CLI_EVAL_QUESTION_H
#define Q35_CLI_EVAL_QUESTION_H

#include <jansson.h>
#include <stdint.h>

#define QUESTION_CHOICES_MAX 64

typedef struct eval_question {
    json_t *json;  /* owns the choices */
    char *context; /* what the choices continue; free() */
    uint32_t n_choices, answer;
    const char *choice[QUESTION_CHOICES_MAX];
    char error[160];
} eval_question;

/* text [len]: an object. 0, or -1 with a message in error. Release in both cases. */
int question_parse(eval_question *question, const char *text, uint64_t len);
/* Context and choice with one blank between, unless there is one already. free(); NULL: out of memory. */
char *question_text(const eval_question *question, uint32_t choice);
void question_free(eval_question *question);

#endif
