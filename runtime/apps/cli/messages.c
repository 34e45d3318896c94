/* SPDX-License-Identifier: Apache-2.0
 *
 * Error messages, exit codes and signals of the program. */
#define _GNU_SOURCE
#include "cli.h"

#include "term.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

void cli_print_safe(FILE *out, const char *text, uint64_t len)
{
    for (uint64_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '\n')
            fputs("\\n", out);
        else if (c < 32 || c == 127)
            fprintf(out, "\\x%02x", c);
        else
            putc(c, out);
    }
}

int cli_fail(int code, const char *fmt, ...)
{
    char message[1024];
    va_list ap;
    term_progress_clear();
    fprintf(stderr, term_colour() ? "\033[1;31mq35rt:\033[0m " : "q35rt: ");
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    cli_print_safe(stderr, message, strlen(message));
    fputc('\n', stderr);
    return code;
}

int cli_exit_code(q35_status status, cli_phase phase)
{
    int device_phase = phase == CLI_WHILE_OPENING_DEVICES || phase == CLI_WHILE_LOADING;
    switch (status) {
    case Q35_E_OK: return CLI_EXIT_OK;
    case Q35_E_NOMEM:
    case Q35_E_NOFIT: return CLI_EXIT_NOFIT;
    case Q35_E_UNAVAILABLE:
    case Q35_E_DEVICE:
    case Q35_E_DEVICE_LOST: return CLI_EXIT_DEVICE;
    case Q35_E_FORMAT: return phase == CLI_WHILE_OPENING_DEVICES ? CLI_EXIT_DEVICE : CLI_EXIT_MODEL;
    case Q35_E_VERSION:
    case Q35_E_UNSUPPORTED: return device_phase ? CLI_EXIT_DEVICE : CLI_EXIT_MODEL;
    case Q35_E_IO:
        if (phase == CLI_WHILE_OPENING_MODEL)
            return CLI_EXIT_MODEL;
        return phase == CLI_WHILE_OPENING_DEVICES ? CLI_EXIT_DEVICE : CLI_EXIT_FAILED;
    case Q35_E_INVALID:
    case Q35_E_RANGE:
        if (phase == CLI_WHILE_OPENING_MODEL)
            return CLI_EXIT_MODEL;
        return phase == CLI_WHILE_OPENING_DEVICES ? CLI_EXIT_DEVICE : CLI_EXIT_USAGE;
    case Q35_E_CANCELLED: return cli_interrupted() ? CLI_EXIT_SIGNAL + cli_interrupted() : CLI_EXIT_FAILED;
    default: return CLI_EXIT_FAILED;
    }
}

int cli_fail_status(q35_status status, cli_phase phase)
{
    int code = cli_exit_code(status, phase);
    const char *message = q35_error_message();
    return cli_fail(code, "%s", *message ? message : q35_status_name(status));
}

static volatile sig_atomic_t caught;
static volatile sig_atomic_t end_at_once;
static const char *volatile temporary;
static int wake_pipe[2] = {-1, -1};

void cli_signals_wake(void)
{
    int error = errno;
    if (wake_pipe[1] >= 0)
        (void)!write(wake_pipe[1], "", 1);
    errno = error;
}

static void on_signal(int number)
{
    if (caught && end_at_once) {
        if (temporary)
            unlink(temporary);
        _exit(CLI_EXIT_SIGNAL + number);
    }
    if (!caught || caught == SIGINT)
        caught = number;
    cli_signals_wake();
}

static const int remembered[] = {SIGINT, SIGTERM, SIGHUP};

void cli_signals_init(int at_once)
{
    end_at_once = at_once;
    struct sigaction action = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};
    sigemptyset(&action.sa_mask);
    sigemptyset(&ignore.sa_mask);
    for (size_t i = 0; i < sizeof remembered / sizeof *remembered; i++) {
        struct sigaction old;
        if (sigaction(remembered[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(remembered[i], &action, NULL);
    }
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL);
}

void cli_signals_default(void)
{
    struct sigaction plain = {.sa_handler = SIG_DFL}, old;
    sigemptyset(&plain.sa_mask);
    for (size_t i = 0; i < sizeof remembered / sizeof *remembered; i++)
        if (sigaction(remembered[i], NULL, &old) == 0 && old.sa_handler == on_signal)
            sigaction(remembered[i], &plain, NULL);
    if (caught)
        raise(caught);
}

int cli_interrupted(void)
{
    return caught;
}

void cli_signals_forget_interrupt(void)
{
    sigset_t all, old;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &old);
    if (caught == SIGINT)
        caught = 0;
    sigprocmask(SIG_SETMASK, &old, NULL);
}

int cli_signals_wake_fd(void)
{
    if (wake_pipe[0] < 0 && pipe2(wake_pipe, O_NONBLOCK | O_CLOEXEC) != 0)
        wake_pipe[0] = wake_pipe[1] = -1;
    return wake_pipe[0];
}

void cli_signals_wake_clear(void)
{
    char bytes[64];
    while (wake_pipe[0] >= 0 && read(wake_pipe[0], bytes, sizeof bytes) > 0)
        ;
}

void cli_signals_temporary(const char *path)
{
    temporary = path;
}
