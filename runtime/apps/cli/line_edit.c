/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines as they come: a buffer in front of standard input. */
#define _GNU_SOURCE
#include "line_edit.h"

#include "cli.h"
#include "line_term.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_STEP  (64u << 10)
#define LINE_LIMIT (1ull << 30)

struct line_edit {
    int interactive;
    line_term *term;        /* NULL: none */
    char *text;             /* [cap]: read, of which start bytes are done */
    uint64_t cap, start, n; /* n: bytes in text */
    int ended, failed;
};

int line_wait(void)
{
    struct pollfd in[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = cli_signals_wake_fd(), .events = POLLIN}};
    cli_signals_wake_clear();
    if (cli_interrupted())
        return 0;
    int n = poll(in, 2, -1);
    return n > 0 && in[0].revents != 0 && in[1].revents == 0;
}

/* Room for READ_STEP more bytes and a NUL. */
static int make_room(line_edit *edit)
{
    if (edit->start) {
        memmove(edit->text, edit->text + edit->start, (size_t)(edit->n - edit->start));
        edit->n -= edit->start;
        edit->start = 0;
    }
    if (edit->cap - edit->n > READ_STEP)
        return 0;
    uint64_t cap = 2 * edit->cap + READ_STEP + 1;
    char *grown = cap <= LINE_LIMIT ? realloc(edit->text, (size_t)cap) : NULL;
    if (!grown)
        return cli_fail(CLI_EXIT_NOFIT, "standard input: line of more than %llu bytes found, shorter ones needed",
                        (unsigned long long)edit->n);
    edit->text = grown;
    edit->cap = cap;
    return 0;
}

int line_edit_open(int interactive, line_edit **out)
{
    line_edit *edit = calloc(1, sizeof *edit);
    if (!edit || make_room(edit)) {
        free(edit);
        return cli_fail(CLI_EXIT_NOFIT, "line editing: out of memory");
    }
    (void)cli_signals_wake_fd();
    edit->interactive = interactive;
    edit->term = interactive ? line_term_open() : NULL;
    *out = edit;
    return 0;
}

void line_edit_close(line_edit *edit)
{
    if (!edit)
        return;
    if (edit->term)
        line_term_close(edit->term);
    free(edit->text);
    free(edit);
}

static line_result read_more(line_edit *edit)
{
    if (make_room(edit))
        return LINE_FAILED;
    while (!line_wait())
        if (cli_interrupted())
            return LINE_SIGNAL;
    ssize_t n = read(STDIN_FILENO, edit->text + edit->n, READ_STEP);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return LINE_READ;
    if (n < 0) {
        cli_fail(CLI_EXIT_FAILED, "standard input: cannot read: %s", strerror(errno));
        return LINE_FAILED;
    }
    edit->ended = n == 0;
    edit->n += (uint64_t)n;
    return LINE_READ;
}

static line_result read_line(line_edit *edit, char **out_line, uint64_t *out_len)
{
    uint64_t searched = edit->start;
    if (edit->failed)
        return LINE_END;
    for (;;) {
        char *line = edit->text + edit->start;
        char *end = edit->n > searched ? memchr(edit->text + searched, '\n', (size_t)(edit->n - searched)) : NULL;
        if (end || (edit->ended && edit->n > edit->start)) {
            uint64_t len = end ? (uint64_t)(end - line) : edit->n - edit->start;
            line[len] = '\0';
            edit->start += len + (end != NULL);
            *out_line = line;
            *out_len = len;
            return LINE_READ;
        }
        if (edit->ended && !edit->interactive)
            return LINE_END;
        searched = edit->n - edit->start;
        line_result result = read_more(edit);
        edit->failed = result == LINE_FAILED;
        if (result == LINE_SIGNAL)
            edit->start = edit->n;
        if (result != LINE_READ || (edit->ended && edit->n == 0)) {
            edit->ended = 0;
            return result == LINE_READ ? LINE_END : result;
        }
    }
}

line_result line_edit_read(line_edit *edit, const char *prompt, char **out_line, uint64_t *out_len)
{
    *out_len = 0;
    if (edit->term)
        return line_term_read(edit->term, prompt, out_line, out_len);
    FILE *out = isatty(STDOUT_FILENO) ? stdout : stderr;
    if (edit->interactive) {
        fputs(prompt, out);
        fflush(out);
    }
    line_result result = read_line(edit, out_line, out_len);
    if (edit->interactive && result != LINE_READ) {
        fputc('\n', out);
        fflush(out);
    }
    return result;
}
