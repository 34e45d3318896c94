/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of q35rt eval share. Functions return 0 or an exit code after a message. */
#ifndef Q35_CLI_EVAL_H
#define Q35_CLI_EVAL_H

#include "engine.h"
#include "eval_base.h"
#include "score.h"

/* Samples of one comparison, one per scored token; those with a base only where there is one. */
typedef struct eval_scores {
    score_samples loss, base_loss;
    score_samples divergence; /* KL(base || model) */
    score_samples gain;       /* probability of the token that follows, model's less base's */
    uint64_t same_top;
} eval_scores;

typedef struct evaluation {
    const cli_options *options;
    cli_engine model;
    cli_engine base;  /* model NULL: none, or stored */
    cli_engine again; /* the base on the model's numeric path, when the base's own is another */
    uint32_t base_act, base_kv;
    eval_base stored; /* ids NULL: none */
    eval_base_writer save;
    int32_t *text_ids; /* q35_tokens_free() */
    const int32_t *ids;
    uint64_t n_windows;
    uint32_t window, chunk;
    eval_scores scores, itself; /* itself: again against base, over the first window */
    uint64_t saved_bytes;
} evaluation;

static inline int eval_has_base(const evaluation *e)
{
    return e->base.model || e->stored.ids;
}

/* Text or base file, sessions, output: everything before the first window. */
int eval_open(evaluation *e, const char *model_path, q35_runtime *runtime);
/* All windows into scores, itself and the base file. */
int eval_windows(evaluation *e);
int eval_report(evaluation *e);
void eval_close(evaluation *e);

/* Identifies a model: names, types, shapes and samples of the bytes of all tensors. */
uint64_t eval_model_hash(const q35_model *model);
/* The texts of all ids but those of control tokens. */
uint64_t eval_vocab_hash(const q35_tokenizer *tokenizer);

/* --multiple-choice. */
int eval_choices(const cli_options *options, const char *model_path, q35_runtime *runtime);

#endif
