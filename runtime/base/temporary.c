/* SPDX-License-Identifier: Apache-2.0
 *
 * Names are <directory of the output>/.q35rt-<hash of its file name>-<process>-<number>.tmp: a hash, because the
 * name itself may be as long as a name can be. Process numbers alone would not tell who is alive: containers and
 * machines that share a directory have numbers of their own. */
#define _GNU_SOURCE
#include "temporary.h"

#include "file_io.h"
#include "log.h"
#include "path_tail.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define PREFIX_BYTES 32

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void prefix_of(const char *path, char prefix[PREFIX_BYTES])
{
    const char *name = file_name(path);
    snprintf(prefix, PREFIX_BYTES, ".q35rt-%016llx-", (unsigned long long)XXH3_64bits(name, strlen(name)));
}

bool q35i_temporary_name(const char *path, unsigned number, char *name, size_t bytes)
{
    char prefix[PREFIX_BYTES];
    prefix_of(path, prefix);
    int n = snprintf(name, bytes, "%.*s%s%ld-%u.tmp", (int)(file_name(path) - path), path, prefix, (long)getpid(),
                     number);
    return n >= 0 && (size_t)n < bytes;
}

/* A file system without locks has no sweeping either. */
bool q35i_temporary_lock(int fd, const char *name)
{
    return flock(fd, LOCK_EX | LOCK_NB) != 0 ? errno != EWOULDBLOCK : q35i_has_name(fd, name);
}

static void delete_leftover(int dir, const char *name)
{
    struct stat st;
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
        flock(fd, LOCK_EX | LOCK_NB) == 0 && unlinkat(dir, name, 0) == 0)
        q35i_log(Q35_LOG_INFO, "%s: deleted, %lld bytes of an output that was not finished", name,
                 (long long)st.st_size);
    close(fd);
}

void q35i_temporary_sweep(const char *path)
{
    char prefix[PREFIX_BYTES], directory[4096];
    int n = snprintf(directory, sizeof directory, "%.*s.", (int)(file_name(path) - path), path);
    DIR *dir = n > 0 && (size_t)n < sizeof directory ? opendir(directory) : NULL;
    prefix_of(path, prefix);
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;)
        if (strncmp(e->d_name, prefix, strlen(prefix)) == 0)
            delete_leftover(dirfd(dir), e->d_name);
    if (dir)
        closedir(dir);
}
