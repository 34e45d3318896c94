/* SPDX-License-Identifier: Apache-2.0
 *
 * An answer as it comes: its text and its reasoning, shown and kept. */
#ifndef Q35_CLI_CHAT_SHOW_H
#define Q35_CLI_CHAT_SHOW_H

#include <stdint.h>

typedef struct chat_text {
    char *text; /* NUL-terminated once there is something; owned */
    uint64_t n, cap;
} chat_text;

/* Zeroed, then terminal and colour set. */
typedef struct chat_show {
    int terminal; /* 1: control characters are left out of what is shown */
    int colour;   /* 1: reasoning is dimmed */
    int thinking; /* 1: what comes is reasoning */
    int line_open;
    chat_text answer, think;
} chat_show;

/* Reasoning begins (1) or ends (0). 0 or an exit code. */
int chat_show_thinking(chat_show *show, int thinking);
/* Text without NUL bytes is kept, a NUL left out. */
int chat_show_text(chat_show *show, const char *text, uint64_t len);
/* Ends the line and the dimming. */
int chat_show_end(chat_show *show);
void chat_show_free(chat_show *show);

#endif
