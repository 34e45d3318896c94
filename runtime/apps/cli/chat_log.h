/* SPDX-License-Identifier: Apache-2.0
 *
 * The messages of a chat, and their token ids in the model's chat format. A turn is a user's message and what
 * follows it; the system message, if any, is the first message and belongs to no turn. */
#ifndef Q35_CLI_CHAT_LOG_H
#define Q35_CLI_CHAT_LOG_H

#include <q35rt/tokenizer.h>

typedef enum chat_role { CHAT_SYSTEM, CHAT_USER, CHAT_ASSISTANT } chat_role;

typedef struct chat_message {
    chat_role role;
    char *text;  /* "" at least; owned */
    char *think; /* reasoning that came before it, NULL: none; owned */
} chat_message;

/* Zeroed: empty. */
typedef struct chat_log {
    chat_message *messages; /* [n], owned */
    uint32_t n, cap;
} chat_log;

const char *chat_role_name(chat_role role);

/* Appends copies. think may be NULL. 0 or an exit code. */
int chat_log_add(chat_log *log, chat_role role, const char *text, const char *think);
/* Sets the system message; NULL or "": none. */
int chat_log_set_system(chat_log *log, const char *text);
const char *chat_log_system(const chat_log *log); /* NULL: none */

void chat_log_cut(chat_log *log, uint32_t first, uint32_t n);
void chat_log_free(chat_log *log); /* leaves it empty */

uint32_t chat_log_turns(const chat_log *log);
/* Number of messages that the first n turns take, without the system message. */
uint32_t chat_log_messages_of_turns(const chat_log *log, uint32_t n);

/* Token ids of all but the first skip messages behind the system message; ids: q35_tokens_free. with_think: keeps
 * the reasoning. A status of the library, its message in q35_error_message. */
q35_status chat_log_render(const chat_log *log, uint32_t skip, const q35_tokenizer *tokenizer, int with_think,
                           int32_t **out_ids, uint64_t *out_n);

#endif
