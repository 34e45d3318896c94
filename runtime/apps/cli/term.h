/* SPDX-License-Identifier: Apache-2.0
 *
 * Standard error as a terminal: colour and progress. */
#ifndef Q35_CLI_TERM_H
#define Q35_CLI_TERM_H

#include <stdint.h>

int term_colour(void);     /* 1: standard error takes colour (terminal, NO_COLOR unset, TERM not dumb) */
int term_colour_out(void); /* the same of standard output */

double term_now(void); /* seconds, monotonic */

/* Progress of a step: one line redrawn at most ten times a second on a terminal, else a line per 5 %. Text of the
 * line: "what: 35 %, 12 s left". A new `what` starts a new step. quiet: nothing. */
void term_progress(int quiet, const char *what, uint64_t done, uint64_t total);
/* Removes the line from a terminal; nothing elsewhere. */
void term_progress_clear(void);

#endif
