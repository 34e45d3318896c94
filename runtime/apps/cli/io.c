/* SPDX-License-Identifier: Apache-2.0
 *
 * Files and standard output of the program. */
#define _GNU_SOURCE
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_LIMIT (1ull << 30)

/* Grows text geometrically and reads to the end. */
static int read_all(FILE *f, char **text, uint64_t *len)
{
    uint64_t cap = 1 << 16;
    *text = malloc(cap);
    *len = 0;
    while (*text) {
        size_t n = fread(*text + *len, 1, (size_t)(cap - *len - 1), f);
        *len += n;
        if (n == 0)
            return ferror(f) ? errno : 0;
        if (*len + 1 == cap) {
            if (cap > READ_LIMIT)
                return EFBIG;
            cap *= 2;
            char *grown = realloc(*text, cap);
            if (!grown)
                return ENOMEM;
            *text = grown;
        }
    }
    return ENOMEM;
}

int cli_read_file(const char *path, const char *what, char **out_text, uint64_t *out_len)
{
    *out_text = NULL;
    *out_len = 0;
    int use_stdin = strcmp(path, "-") == 0;
    FILE *f = use_stdin ? stdin : fopen(path, "rb");
    if (!f && errno == EINTR && cli_interrupted())
        return CLI_EXIT_SIGNAL + cli_interrupted();
    if (!f)
        return cli_fail(CLI_EXIT_USAGE, "%s %s: cannot open: %s", what, path, strerror(errno));
    char *text = NULL;
    uint64_t len = 0;
    int error = read_all(f, &text, &len);
    if (!use_stdin)
        fclose(f);
    if (error) {
        free(text);
        if (error == EINTR && cli_interrupted())
            return CLI_EXIT_SIGNAL + cli_interrupted();
        return cli_fail(CLI_EXIT_USAGE, "%s %s: cannot read: %s", what, path, strerror(error));
    }
    text[len] = '\0';
    *out_text = text;
    *out_len = len;
    return 0;
}

void cli_streams_init(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

static int out_failed; /* exit code, 0: nothing went wrong */

/* Standard output cannot be written. A reader that went away (head, a pager) has what it wanted: no message. */
static int fail_out(int error)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    if (error == EPIPE || (poll(&out, 1, 0) == 1 && (out.revents & POLLERR)))
        out_failed = CLI_EXIT_SIGNAL + SIGPIPE;
    else
        out_failed = cli_fail(CLI_EXIT_FAILED, "standard output: cannot write: %s", strerror(error));
    return out_failed;
}

/* Not through stdio: what a signal interrupts would be lost. */
int cli_write_out(const char *text, uint64_t len)
{
    if (!out_failed && fflush(stdout) != 0)
        fail_out(errno);
    while (len && !out_failed) {
        ssize_t n = write(STDOUT_FILENO, text, (size_t)len);
        if (n < 0 && errno != EINTR)
            fail_out(errno);
        text += n < 0 ? 0 : n;
        len -= n < 0 ? 0 : (uint64_t)n;
    }
    return out_failed;
}

int cli_close_out(int rc)
{
    if (!out_failed && (ferror(stdout) || fclose(stdout) != 0))
        fail_out(errno);
    return rc ? rc : out_failed;
}

char *cli_share_path(const char *name)
{
    char exe[PATH_MAX], *path = NULL;
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0)
        return NULL;
    exe[n] = '\0';
    for (int up = 0; up < 2; up++) { /* PREFIX/bin/q35rt -> PREFIX */
        char *slash = strrchr(exe, '/');
        if (!slash)
            return NULL;
        *slash = '\0';
    }
    return asprintf(&path, "%s/share/q35rt/%s", exe, name) < 0 ? NULL : path;
}
