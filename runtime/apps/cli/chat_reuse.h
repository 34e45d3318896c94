/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers as they were generated. A rendered conversation has the tokens of an answer's text, and the same text
 * can have others than those that were generated: then the session, which holds the generated ones, could not be
 * gone on from. This keeps them and puts them where the rendering has the answer. */
#ifndef Q35_CLI_CHAT_REUSE_H
#define Q35_CLI_CHAT_REUSE_H

#include <q35rt/tokenizer.h>

typedef struct chat_answer_ids {
    uint64_t at, n_rendered; /* where the rendering has it, in tokens; n_rendered: 0 until it was rendered */
    int32_t *ids;            /* [n] as generated, owned */
    uint64_t n;
} chat_answer_ids;

/* Zeroed: nothing known. */
typedef struct chat_reuse {
    int32_t *rendered; /* [n_rendered]: the last conversation rendered, up to where its answer begins; owned */
    uint64_t n_rendered;
    chat_answer_ids *answers; /* [n], in order of place; the last may not be rendered yet; owned */
    uint32_t n, cap;
} chat_reuse;

/* A rendered conversation with the known answers as generated; *out_ids: free(). An answer counts as long as all
 * that the rendering has before and in it stays the same and its text is the generated one's, control tokens
 * included. 0 or an exit code. */
int chat_reuse_apply(chat_reuse *reuse, const q35_tokenizer *tokenizer, const int32_t *rendered, uint64_t n,
                     int32_t **out_ids, uint64_t *out_n);

/* What was generated behind the conversation last given to chat_reuse_apply, without the stop token. Copies. */
int chat_reuse_answer(chat_reuse *reuse, const int32_t *ids, uint64_t n);

void chat_reuse_free(chat_reuse *reuse);

#endif
