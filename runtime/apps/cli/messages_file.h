/* SPDX-License-Identifier: Apache-2.0
 *
 * Conversations in OpenAI's form: {"messages": [{"role", "content", "reasoning_content", "tool_calls",
 * "tool_call_id", "name"} ...], "tools": [...]}; content is a string, null or a list of {"type": "text", "text"}
 * and
 * {"type": "thinking", "thinking"}. */
#ifndef Q35_CLI_MESSAGES_FILE_H
#define Q35_CLI_MESSAGES_FILE_H

#include <q35rt/tokenizer.h>

#include <jansson.h>

typedef struct messages_file {
    q35_conversation conversation; /* borrows from the rest */
    json_t *json;
    q35_message *messages;
    char **made; /* JSON texts written for it */
    size_t n_made;
    char error[256]; /* what is wrong, after a failure */
} messages_file;

/* 0, or -1 with error. Takes json over, also after a failure. file: zeroed; messages_free() in any case. */
int messages_of_json(messages_file *file, json_t *json);
/* The same from a text; error says line and column of what is no JSON. */
int messages_of_text(messages_file *file, const char *text, size_t len);
void messages_free(messages_file *file);

#endif
