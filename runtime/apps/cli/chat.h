/* SPDX-License-Identifier: Apache-2.0
 *
 * A chat: the conversation, what the session holds of it, and the numbers of the last turn. Everything that is not
 * the model's text goes to standard error. */
#ifndef Q35_CLI_CHAT_H
#define Q35_CLI_CHAT_H

#include "chat_log.h"
#include "chat_reuse.h"
#include "engine.h"
#include "generate.h"

typedef struct chat_numbers {
    uint64_t reused, evaluated, generated, steps;    /* tokens; steps: decoded one at a time */
    double began, prompt_s, first_token_s, decode_s; /* began: a time, the others durations */
    uint32_t dropped_turns;                          /* to be told */
    uint64_t dropped_tokens;
} chat_numbers;

typedef struct chat {
    const cli_options *options;
    const cli_engine *engine;
    int terminal;   /* 1: someone types */
    int colour;     /* 1: reasoning is dimmed */
    int with_think; /* 1: the chat format has a place for reasoning */
    int over;       /* 1: the chat ends */
    chat_log log;
    int32_t *ids; /* [n_ctx]: the tokens of the session, as many as its position */
    chat_reuse reuse;
    int32_t *generated; /* [n_ctx]: the tokens of the last answer, last.generated of them */
    chat_numbers last;
    int turns_done; /* 1: last holds something */
} chat;

/* Answers the newest message, a user's: renders the conversation, makes room, evaluates what the session does not
 * hold yet, generates, shows and keeps the answer. When nothing comes of it the message is taken back. 0, or an
 * exit code after a message; the chat can go on unless over is set. */
int chat_answer(chat *c);

/* Ids of the conversation for an answer to its newest message, the oldest turns dropped if need be; free(). */
int chat_prompt(chat *c, int32_t **ids, uint64_t *n);
/* The same within the answer, when the context is full: what was generated stands behind. *ids stays NULL when
 * dropping turns would not help. */
int chat_prompt_again(chat *c, int32_t **ids, uint64_t *n);
/* Tokens that the conversation takes; 0 while nothing was said. */
uint64_t chat_count_tokens(chat *c);
/* Says what was dropped, once. */
void chat_tell_dropped(chat *c);

/* Does "/name argument". 0, or an exit code after a message. */
int chat_command(chat *c, char *text);

/* Replaces the conversation by a file's, if the chat format can go on from there. */
int chat_load(chat *c, const char *path);

#endif
