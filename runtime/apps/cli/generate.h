/* SPDX-License-Identifier: Apache-2.0
 *
 * One prompt in, one answer out: the loop of q35rt run, and its numbers. */
#ifndef Q35_CLI_GENERATE_H
#define Q35_CLI_GENERATE_H

#include "engine.h"
#include "out_file.h"

#define GENERATION_CHUNK 512u /* prompt tokens per step, unless --chunk says otherwise */

typedef enum stop_reason { STOP_LENGTH, STOP_TOKEN, STOP_CONTEXT, STOP_INTERRUPT } stop_reason;

typedef struct generation {
    /* in */
    const cli_options *options;
    q35_session *session;
    const q35_tokenizer *tokenizer; /* NULL: ids are the text */
    uint32_t vocab;
    int stream; /* 1: text to standard output as it comes */
    /* out */
    int32_t *ids; /* generated; owned, free() */
    uint64_t n_ids;
    uint64_t n_prompt; /* prompt tokens done; all, unless interrupted */
    char *text;        /* generated, n_text bytes; owned, free() */
    uint64_t n_text;
    int line_open; /* 1: what was streamed does not end with a line end */
    stop_reason stop;
    uint64_t steps;                  /* tokens decoded one at a time */
    uint64_t weight_bytes, kv_bytes; /* read per step, KV: mean over the steps */
    double prompt_s, first_token_s, decode_s;
} generation;

/* Runs the prompt (the session is empty) and generates. dump: prompt logits go there, needs an all_logits session.
 */
int generation_run(generation *g, const int32_t *prompt, uint64_t n_prompt, out_file *dump);
void generation_free(generation *g);

/* The options' sampler, told of the n tokens before; q35_sampler_destroy. */
int generation_sampler(const cli_options *options, uint32_t vocab, const int32_t *context, uint64_t n,
                       q35_sampler **out);

const char *stop_reason_name(stop_reason reason);

#endif
