/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of line_edit that needs libedit: editing and history on a terminal. */
#ifndef Q35_CLI_LINE_TERM_H
#define Q35_CLI_LINE_TERM_H

#include "line_edit.h"

typedef struct line_term line_term;

/* NULL: no editing here (built without libedit, or a terminal that cannot move its cursor). */
line_term *line_term_open(void);
void line_term_close(line_term *term);

/* As line_edit_read. */
line_result line_term_read(line_term *term, const char *prompt, char **out_line, uint64_t *out_len);

/* Waits for standard input: 1 there is some (or its end), 0 a signal came. */
int line_wait(void);

#endif
