/* SPDX-License-Identifier: Apache-2.0
 *
 * What the commands share: exit codes, messages, signals, files. One thread; messages go to standard error,
 * products to standard output. Functions that return int return 0 or an exit code, after printing what went wrong.
 */
#ifndef Q35_CLI_H
#define Q35_CLI_H

#include "opts.h"

#include <q35rt/q35rt.h>

#include <stdio.h>

enum {
    CLI_EXIT_OK = 0,
    CLI_EXIT_FAILED = 1, /* or differs */
    CLI_EXIT_USAGE = 2,
    CLI_EXIT_MODEL = 3,
    CLI_EXIT_DEVICE = 4,
    CLI_EXIT_NOFIT = 5,
    CLI_EXIT_POWER = 8,   /* a power budget that was not held */
    CLI_EXIT_SIGNAL = 128 /* + signal number */
};

/* What was being done when a library call failed; with the status it decides the exit code. */
typedef enum cli_phase {
    CLI_WHILE_OPENING_MODEL,
    CLI_WHILE_OPENING_DEVICES,
    CLI_WHILE_LOADING, /* session: model onto devices */
    CLI_WHILE_RUNNING,
    CLI_WHILE_WRITING
} cli_phase;

int cli_exit_code(q35_status status, cli_phase phase);

/* Text from outside with control characters escaped, so that it cannot steer a terminal. */
void cli_print_safe(FILE *out, const char *text, uint64_t len);

/* Prints "q35rt: message" and returns code. */
Q35_PRINTF(2, 3) int cli_fail(int code, const char *fmt, ...);
/* As cli_fail with the library's message and the exit code of status and phase. Cancelled by a signal: no message.
 */
int cli_fail_status(q35_status status, cli_phase phase);

/* ---- signals ---- */

/* SIGINT, SIGTERM and SIGHUP are remembered. With at_once, a second one removes the file set below and ends the
 * process; without, the caller's loop has to see the first. SIGPIPE and SIGXFSZ become write errors. */
void cli_signals_init(int at_once);
int cli_interrupted(void); /* signal number, 0: none */
/* A crash while a plugin's code runs names the plugin. */
void cli_crash_init(void);
/* Signals end the process at once again: for commands that leave nothing behind. */
void cli_signals_default(void);
/* Forgets a SIGINT, so that the program can go on; other signals stay. */
void cli_signals_forget_interrupt(void);
/* A descriptor that poll finds readable after a signal, -1: none could be made. Whatever thread took the signal.
 */
int cli_signals_wake_fd(void);
/* Makes it readable (from any signal handler), and unreadable again. */
void cli_signals_wake(void);
void cli_signals_wake_clear(void);
/* File to unlink when a second signal ends the process; NULL: none. Borrowed until replaced. */
void cli_signals_temporary(const char *path);

/* ---- files ---- */

/* Whole file ("-": standard input), NUL-terminated behind len bytes; free(). what: "prompt file". */
int cli_read_file(const char *path, const char *what, char **out_text, uint64_t *out_len);

/* Occupies closed standard streams, so that no file the program opens becomes one and takes its text. Using one is
 * an error as before. */
void cli_streams_init(void);

/* Standard output: bytes, then flush. An exit code when it cannot be written: CLI_EXIT_FAILED (message printed
 * once), or that of SIGPIPE, silently, when the reader went away. */
int cli_write_out(const char *text, uint64_t len);
/* Flushes and closes standard output; rc, or the exit code as of cli_write_out when the output did not get out. */
int cli_close_out(int rc);

/* Path of an installed or build-tree data file, relative to the program: ../share/q35rt/name. free(). */
char *cli_share_path(const char *name);

#endif
