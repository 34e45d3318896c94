/* SPDX-License-Identifier: Apache-2.0
 *
 * Logits of the prompt in a file, through a temporary name that a second signal removes too. */
#define _GNU_SOURCE
#include "logits_file.h"

#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct logits_file {
    char *path, *temporary;
    FILE *out;
};

static int fail(const logits_file *file, const char *what, int error)
{
    return cli_fail(CLI_EXIT_FAILED, "logits file %s: cannot %s: %s", file->path, what, strerror(error));
}

static FILE *open_temporary(char *name)
{
    int fd = mkstemp(name);
    if (fd < 0)
        return NULL;
    mode_t mask = umask(0);
    umask(mask);
    FILE *out = fchmod(fd, 0666 & ~mask) == 0 ? fdopen(fd, "wb") : NULL;
    if (!out) {
        int error = errno;
        close(fd);
        unlink(name);
        errno = error;
    }
    return out;
}

int logits_file_create(const char *path, logits_file **out)
{
    logits_file *file = calloc(1, sizeof *file);
    if (!file || asprintf(&file->path, "%s", path) < 0 || asprintf(&file->temporary, "%s.XXXXXX", path) < 0) {
        logits_file_discard(file);
        return cli_fail(CLI_EXIT_NOFIT, "logits file %s: out of memory", path);
    }
    file->out = open_temporary(file->temporary);
    if (!file->out) {
        int rc = fail(file, "create", errno);
        logits_file_discard(file);
        return rc;
    }
    cli_signals_temporary(file->temporary);
    *out = file;
    return 0;
}

int logits_file_append(logits_file *file, const float *rows, uint64_t n_rows, uint32_t vocab)
{
    size_t n = (size_t)(n_rows * vocab);
    return fwrite(rows, sizeof *rows, n, file->out) == n ? 0 : fail(file, "write", errno);
}

int logits_file_commit(logits_file *file)
{
    int rc = 0;
    if (fflush(file->out) != 0 || fsync(fileno(file->out)) != 0)
        rc = fail(file, "write", errno);
    if (rc == 0 && rename(file->temporary, file->path) != 0)
        rc = fail(file, "rename", errno);
    logits_file_discard(file);
    return rc;
}

void logits_file_discard(logits_file *file)
{
    if (!file)
        return;
    cli_signals_temporary(NULL);
    if (file->out) {
        fclose(file->out);
        unlink(file->temporary); /* after a rename there is nothing by that name */
    }
    free(file->temporary);
    free(file->path);
    free(file);
}
