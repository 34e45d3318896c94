/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines from standard input: edited, with history, on a terminal (where the build found libedit), else as they
 * come. A signal ends the wait, whichever thread it hit; the terminal is as before between two lines. */
#ifndef Q35_CLI_LINE_EDIT_H
#define Q35_CLI_LINE_EDIT_H

#include <stdint.h>

typedef struct line_edit line_edit;

typedef enum line_result {
    LINE_READ,
    LINE_END,    /* of the input, or Ctrl-D */
    LINE_SIGNAL, /* cli_interrupted() says which */
    LINE_FAILED  /* message printed; from then on LINE_END */
} line_result;

/* interactive: prompts, edits and keeps a history; it is read from and, at close, written to the user's history
 * file. Returns 0 or an exit code. */
int line_edit_open(int interactive, line_edit **out);
void line_edit_close(line_edit *edit); /* NULL ok */

/* One line without its line end, NUL-terminated behind *out_len bytes; borrowed until the next call. A last line
 * needs no line end; a pasted text is one line, with line ends in it. The prompt is shown on a terminal only.
 * LINE_SIGNAL: *out_len is 0 when nothing was typed. */
line_result line_edit_read(line_edit *edit, const char *prompt, char **out_line, uint64_t *out_len);

#endif
