/* SPDX-License-Identifier: Apache-2.0
 *
 * Links are resolved in the directory part, refused in the last component, and everything after that works on the
 * canonical path. Between this test and dlopen only the owners just accepted could change anything; load.c
 * compares the inode once more. */
#define _GNU_SOURCE
#include "vet.h"

#include "runtime/base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert((int)Q35I_PATH_CAP >= PATH_MAX, "realpath writes PATH_MAX bytes");

static int owner_ok(const struct stat *st)
{
    return st->st_uid == 0 || st->st_uid == geteuid();
}

static q35_status check_owner(const char *path, const struct stat *st)
{
    if (!owner_ok(st))
        return Q35_FAIL(Q35_E_INVALID, "%.300s: owned by user %u, need root or user %u", path, st->st_uid,
                        geteuid());
    return Q35_OK;
}

static q35_status check_mode(const char *path, const struct stat *st)
{
    if (st->st_mode & (S_IWGRP | S_IWOTH))
        return Q35_FAIL(Q35_E_INVALID, "%.300s: mode %03o lets others write, need writable by the owner only",
                        path, (unsigned)st->st_mode & 0777u);
    return Q35_OK;
}

/* Tests path and every directory above it; path is canonical and is cut at its slashes meanwhile. child: what lies
 * below, already tested, or NULL. */
static q35_status check_directories(char *path, const struct stat *child)
{
    struct stat below, st;
    size_t len = strlen(path);
    if (child)
        below = *child;
    for (;;) {
        if (stat(path, &st) != 0)
            return Q35_FAIL(Q35_E_IO, "%.300s: %s", path, strerror(errno));
        if (!S_ISDIR(st.st_mode))
            return Q35_FAIL(Q35_E_INVALID, "%.300s: not a directory", path);
        Q35_TRY(check_owner(path, &st));
        int sticky_of_root = st.st_uid == 0 && (st.st_mode & S_ISVTX);
        if (!(sticky_of_root && child && owner_ok(&below)))
            Q35_TRY(check_mode(path, &st));
        if (len == 1)
            return Q35_OK;
        below = st;
        child = &below;
        while (len > 1 && path[len - 1] != '/')
            len--;
        len = len > 1 ? len - 1 : 1;
        path[len] = '\0';
    }
}

q35_status q35i_vet_directory(const char *path, char out[Q35I_PATH_CAP])
{
    char walk[Q35I_PATH_CAP];
    if (!realpath(path, out))
        return Q35_FAIL(Q35_E_IO, "%.300s: %s", path, strerror(errno));
    memcpy(walk, out, sizeof walk);
    return check_directories(walk, NULL);
}

/* out->path = canonical directory of path + its last component. */
static q35_status canonical_path(const char *path, q35i_vetted *out)
{
    char directory[Q35I_PATH_CAP], real[Q35I_PATH_CAP];
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t len = slash ? (size_t)(slash - path) : 1;
    if (len >= sizeof directory || strlen(name) >= NAME_MAX)
        return Q35_FAIL(Q35_E_INVALID, "%.100s...: path of %zu bytes, need at most %d", path, strlen(path),
                        (int)Q35I_PATH_CAP);
    if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return Q35_FAIL(Q35_E_INVALID, "%.300s: not a file name, need a path of a plugin file", path);
    memcpy(directory, slash ? path : ".", len);
    directory[len] = '\0';
    if (!realpath(len > 0 ? directory : "/", real))
        return Q35_FAIL(Q35_E_IO, "%.300s: %s", path, strerror(errno));
    int n = snprintf(out->path, sizeof out->path, "%s/%s", strcmp(real, "/") == 0 ? "" : real, name);
    if (n < 0 || (size_t)n >= sizeof out->path)
        return Q35_FAIL(Q35_E_INVALID, "%.100s...: path too long, need at most %d bytes", path,
                        (int)Q35I_PATH_CAP);
    return Q35_OK;
}

static q35_status vet_open_file(q35i_vetted *v)
{
    struct stat st;
    char walk[Q35I_PATH_CAP];
    if (fstat(v->fd, &st) != 0)
        return Q35_FAIL(Q35_E_IO, "%.300s: %s", v->path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return Q35_FAIL(Q35_E_INVALID, "%.300s: %s, need a regular file", v->path,
                        S_ISDIR(st.st_mode) ? "is a directory" : "is a device or a pipe");
    Q35_TRY(check_owner(v->path, &st));
    Q35_TRY(check_mode(v->path, &st));
    memcpy(walk, v->path, sizeof walk);
    char *slash = strrchr(walk, '/');
    slash[slash == walk ? 1 : 0] = '\0';
    Q35_TRY(check_directories(walk, &st));
    v->dev = st.st_dev;
    v->inode = st.st_ino;
    return Q35_OK;
}

q35_status q35i_vet_file(const char *path, q35i_vetted *out)
{
    memset(out, 0, sizeof *out);
    out->fd = -1;
    Q35_TRY(canonical_path(path, out));
    out->fd = open(out->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (out->fd < 0 && errno == ELOOP)
        return Q35_FAIL(Q35_E_INVALID, "%.300s: is a symbolic link, need the file itself", path);
    if (out->fd < 0)
        return Q35_FAIL(Q35_E_IO, "%.300s: %s", path, strerror(errno));
    q35_status status = vet_open_file(out);
    if (status != Q35_OK) {
        close(out->fd);
        out->fd = -1;
    }
    return status;
}
