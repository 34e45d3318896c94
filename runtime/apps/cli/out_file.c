/* SPDX-License-Identifier: Apache-2.0
 *
 * Output through a temporary name that a second signal removes too. */
#define _GNU_SOURCE
#include "out_file.h"

#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct out_file {
    const char *what;
    char *path, *temporary;
    FILE *out;
    uint64_t bytes;
};

static int fail(const out_file *file, const char *verb, int error)
{
    return cli_fail(CLI_EXIT_FAILED, "%s %s: cannot %s: %s", file->what, file->path, verb, strerror(error));
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

int out_file_create(const char *what, const char *path, out_file **out)
{
    out_file *file = calloc(1, sizeof *file);
    if (!file || asprintf(&file->path, "%s", path) < 0 || asprintf(&file->temporary, "%s.XXXXXX", path) < 0) {
        out_file_discard(file);
        return cli_fail(CLI_EXIT_NOFIT, "%s %s: out of memory", what, path);
    }
    file->what = what;
    file->out = open_temporary(file->temporary);
    if (!file->out) {
        int rc = fail(file, "create", errno);
        out_file_discard(file);
        return rc;
    }
    cli_signals_temporary(file->temporary);
    *out = file;
    return 0;
}

int out_file_write(out_file *file, const void *data, uint64_t bytes)
{
    file->bytes += bytes;
    return fwrite(data, 1, (size_t)bytes, file->out) == bytes ? 0 : fail(file, "write", errno);
}

uint64_t out_file_bytes(const out_file *file)
{
    return file->bytes;
}

int out_file_commit(out_file *file)
{
    int rc = 0;
    if (fflush(file->out) != 0 || fsync(fileno(file->out)) != 0)
        rc = fail(file, "write", errno);
    if (rc == 0 && rename(file->temporary, file->path) != 0)
        rc = fail(file, "rename", errno);
    out_file_discard(file);
    return rc;
}

void out_file_discard(out_file *file)
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
