/* SPDX-License-Identifier: Apache-2.0
 *
 * A conversation in the turns that Mistral's formats have: neighbouring messages of a role are one, with a blank
 * line between their texts. One thread at a time. */
#ifndef Q35I_CHAT_MISTRAL_H
#define Q35I_CHAT_MISTRAL_H

#include "runtime/text/chat_render.h"
#include "runtime/text/jinja_json.h"

typedef enum q35i_mistral_role {
    Q35I_MISTRAL_SYSTEM,
    Q35I_MISTRAL_USER,
    Q35I_MISTRAL_ASSISTANT,
    Q35I_MISTRAL_TOOL
} q35i_mistral_role;

typedef struct q35i_mistral_chunk {
    struct q35i_mistral_chunk *next;
    const char *bytes;
    uint64_t n;
    bool think;
} q35i_mistral_chunk;

typedef struct q35i_mistral_turn {
    struct q35i_mistral_turn *next;
    q35i_mistral_role role;
    uint32_t from, to;          /* messages [from, to) of the conversation */
    q35i_mistral_chunk *chunks; /* NULL: no text */
    uint32_t n_calls;
    uint32_t order; /* of tool results: place of the call that they answer */
    bool first_user, last_user, before_last_user;
} q35i_mistral_turn;

typedef struct q35i_mistral {
    q35i_encoder *encoder;
    uint32_t version;
    const q35_conversation *conversation;
    q35i_heap heap;
    q35i_mistral_turn *turns;
    q35i_jout system;  /* before v7: all system texts */
    q35i_jout scratch; /* text under construction */
} q35i_mistral;

/* Fills turns and system. INVALID names the message that is out of order, UNSUPPORTED what the version has no form
 * for. */
q35_status q35i_mistral_turns(q35i_mistral *m);

#endif
