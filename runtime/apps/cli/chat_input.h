/* SPDX-License-Identifier: Apache-2.0
 *
 * What someone says to a chat, put together from lines: one line, lines that end in "\", or lines between """. */
#ifndef Q35_CLI_CHAT_INPUT_H
#define Q35_CLI_CHAT_INPUT_H

#include "line_edit.h"

typedef struct chat_input {
    line_edit *lines;
    char *text; /* of the last message, owned */
    uint64_t n, cap;
    int is_command; /* 1: text begins with the "/" of a command */
    int dropped;    /* after LINE_SIGNAL, 1: something was typed */
} chat_input;

/* Reads the next message or command into text, never an empty one. LINE_SIGNAL: what was begun is forgotten.
 * LINE_FAILED: message printed; what was read is done with. */
line_result chat_input_read(chat_input *input);
void chat_input_free(chat_input *input);

#endif
