/* SPDX-License-Identifier: Apache-2.0
 *
 * q35rt eval --multiple-choice: questions as tokens, the log-probabilities of their choices, what comes of them.
 */
#ifndef Q35_CLI_EVAL_CHOICES_H
#define Q35_CLI_EVAL_CHOICES_H

#include "engine.h"

typedef struct choice {
    int32_t *ids; /* context and choice; q35_tokens_free() */
    uint64_t n_ids, bytes;
    double model, base; /* sum of the log-probabilities of ids[start..] */
} choice;

typedef struct choice_question {
    uint64_t line;  /* of the file, from 1 */
    uint64_t start; /* tokens that all choices and the context have in common; > 0 */
    uint32_t n_choices, answer;
    choice *choices;
} choice_question;

typedef struct choice_run {
    const cli_options *options;
    cli_engine model, base; /* base.model NULL: none */
    uint32_t base_act, base_kv;
    choice_question *questions;
    uint64_t n_questions, longest; /* longest: tokens of a choice with its context */
} choice_run;

/* 0, or an exit code after a message. */
int choices_read(choice_run *run);  /* the file into questions; needs the model's tokenizer */
int choices_score(choice_run *run); /* fills model and base */
int choices_report(const choice_run *run);

#endif
