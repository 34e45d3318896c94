/* SPDX-License-Identifier: Apache-2.0
 *
 * Output files. The temporary name lies beside the final one, so that the rename stays inside one file system.
 * Names of open outputs stand in a static table of fixed-length paths, because a signal handler may neither
 * allocate nor follow pointers that are being freed. */
#define _GNU_SOURCE
#include "file_out.h"

#include "alloc.h"
#include "error.h"
#include "file_io.h"
#include "path_tail.h"
#include "size.h"
#include "temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_OPEN        16
#define PATH_BYTES      4096
#define NAME_TRIES      10000
#define TEMPORARY_BYTES 64 /* of a temporary name, at most */

enum { SLOT_FREE, SLOT_CLAIMED, SLOT_NAMED };

static struct {
    atomic_int state;
    char path[PATH_BYTES]; /* valid while state is SLOT_NAMED */
} slots[MAX_OPEN];

static atomic_uint name_counter;

struct q35i_file_out {
    char *path; /* final name */
    uint64_t offset;
    uint32_t slot;
    int fd; /* -1: closed */
    bool overwrite, failed;
};

static q35_status claim_slot(const char *path, uint32_t *out)
{
    for (uint32_t i = 0; i < MAX_OPEN; i++) {
        int expected = SLOT_FREE;
        if (atomic_compare_exchange_strong(&slots[i].state, &expected, SLOT_CLAIMED)) {
            *out = i;
            return Q35_OK;
        }
    }
    return Q35_FAIL(Q35_E_INVALID, "%s: %d output files are open already, need a free slot", q35i_path_tail(path),
                    MAX_OPEN);
}

/* What stands at path may be replaced (or nothing stands there). */
static q35_status check_target(const char *path, bool overwrite)
{
    struct stat st;
    if (strlen(path) >= PATH_BYTES)
        return Q35_FAIL(Q35_E_INVALID, "output file: path of %zu bytes, need less than %d", strlen(path),
                        PATH_BYTES);
    if (path[0] == '\0')
        return Q35_FAIL(Q35_E_INVALID, "output file: the name is empty, need a path");
    if (stat(path, &st) != 0) {
        if (errno == ENOENT)
            return Q35_OK;
        return Q35_FAIL(Q35_E_IO, "%s: %s", q35i_path_tail(path), strerror(errno));
    }
    if (!S_ISREG(st.st_mode))
        return Q35_FAIL(Q35_E_INVALID, "%s: is %s, need the name of a regular file", q35i_path_tail(path),
                        S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
    if (!overwrite)
        return Q35_FAIL(Q35_E_INVALID, "%s: file exists, need a new name or leave to overwrite",
                        q35i_path_tail(path));
    return Q35_OK;
}

/* Opens a fresh temporary file in the directory of file->path. The slot is named before the file exists, so there
 * is no moment at which a signal would leave it behind. */
static q35_status open_temporary(q35i_file_out *file)
{
    char *name = slots[file->slot].path;
    q35i_temporary_sweep(file->path);
    for (int tries = 0; tries < NAME_TRIES; tries++) {
        if (!q35i_temporary_name(file->path, atomic_fetch_add(&name_counter, 1u), name, PATH_BYTES))
            return Q35_FAIL(Q35_E_INVALID, "output file: path of %zu bytes, need %d less than %d",
                            strlen(file->path), TEMPORARY_BYTES, PATH_BYTES);
        atomic_store(&slots[file->slot].state, SLOT_NAMED);
        file->fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file->fd >= 0 && q35i_temporary_lock(file->fd, name))
            return Q35_OK;
        int e = file->fd >= 0 ? EEXIST : errno;
        if (file->fd >= 0)
            close(file->fd);
        file->fd = -1;
        atomic_store(&slots[file->slot].state, SLOT_CLAIMED);
        if (e != EEXIST)
            return Q35_FAIL(Q35_E_IO, "%s: cannot create a temporary file beside it: %s",
                            q35i_path_tail(file->path), strerror(e));
    }
    return Q35_FAIL(Q35_E_IO, "%s: %d temporary names beside it are taken, need a free one",
                    q35i_path_tail(file->path), NAME_TRIES);
}

q35_status q35i_file_out_create(const char *path, bool overwrite, q35i_file_out **out)
{
    q35_status status;
    q35i_file_out *file = NULL;
    uint32_t slot = MAX_OPEN;
    *out = NULL;
    Q35_TRY(check_target(path, overwrite));
    if (strlen(path) >= PATH_BYTES)
        return Q35_FAIL(Q35_E_INVALID, "output file: path of %zu bytes, need less than %d", strlen(path),
                        PATH_BYTES);
    Q35_TRY_GOTO(claim_slot(path, &slot), fail);
    file = q35i_calloc(1, sizeof *file);
    Q35_CHECK_ALLOC_GOTO(file, fail);
    file->fd = -1;
    file->slot = slot;
    file->overwrite = overwrite;
    file->path = q35i_strndup(path, strlen(path));
    Q35_CHECK_ALLOC_GOTO(file->path, fail);
    Q35_TRY_GOTO(open_temporary(file), fail);
    *out = file;
    return Q35_OK;
fail:
    if (slot < MAX_OPEN)
        atomic_store(&slots[slot].state, SLOT_FREE);
    if (file)
        q35i_free(file->path);
    q35i_free(file);
    return status;
}

static q35_status write_at(q35i_file_out *file, uint64_t offset, const void *data, uint64_t bytes)
{
    uint64_t done, end;
    if (!q35i_add(offset, bytes, &end) || end > INT64_MAX)
        return Q35_FAIL(Q35_E_RANGE, "%s: write of %llu bytes at offset %llu, need an end below 2^63",
                        q35i_path_tail(file->path), (unsigned long long)bytes, (unsigned long long)offset);
    int e = q35i_write_at(file->fd, offset, data, bytes, &done);
    if (e == 0)
        return Q35_OK;
    file->failed = true;
    return Q35_FAIL(Q35_E_IO, "%s: write of %llu bytes at offset %llu: %s", q35i_path_tail(file->path),
                    (unsigned long long)(bytes - done), (unsigned long long)(offset + done), strerror(e));
}

q35_status q35i_file_out_write(q35i_file_out *file, const void *data, uint64_t bytes)
{
    Q35_TRY(write_at(file, file->offset, data, bytes));
    file->offset += bytes;
    return Q35_OK;
}

/* [offset, offset + bytes) was written before. */
static q35_status check_range(const q35i_file_out *file, const char *what, uint64_t offset, uint64_t bytes)
{
    if (offset > file->offset || bytes > file->offset - offset)
        return Q35_FAIL(Q35_E_RANGE, "%s: %s of %llu bytes at offset %llu, need to stay below offset %llu",
                        q35i_path_tail(file->path), what, (unsigned long long)bytes, (unsigned long long)offset,
                        (unsigned long long)file->offset);
    return Q35_OK;
}

q35_status q35i_file_out_read(q35i_file_out *file, uint64_t offset, void *data, uint64_t bytes)
{
    Q35_TRY(check_range(file, "read", offset, bytes));
    int e = q35i_read_at(file->fd, offset, data, bytes);
    if (e == 0)
        return Q35_OK;
    return Q35_FAIL(Q35_E_IO, "%s: read of %llu bytes at offset %llu: %s", q35i_path_tail(file->path),
                    (unsigned long long)bytes, (unsigned long long)offset, q35i_read_error(e));
}

q35_status q35i_file_out_patch(q35i_file_out *file, uint64_t offset, const void *data, uint64_t bytes)
{
    Q35_TRY(check_range(file, "patch", offset, bytes));
    return write_at(file, offset, data, bytes);
}

uint64_t q35i_file_out_offset(const q35i_file_out *file)
{
    return file->offset;
}

/* Moves the temporary name to the final one without replacing anything. A file system without hard links gets a
 * rename that refuses to replace. */
static int move_exclusive(const char *from, const char *to)
{
    if (link(from, to) == 0) {
        (void)unlink(from); /* the data is in place under its final name */
        return 0;
    }
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS && errno != EMLINK)
        return errno;
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0 ? 0 : errno;
}

/* Makes the new directory entry durable; a directory that cannot be opened or synced is left to the kernel. */
static void sync_directory(const char *path)
{
    char dir[PATH_BYTES];
    const char *slash = strrchr(path, '/');
    int len = slash ? (int)(slash - path + 1) : 1;
    snprintf(dir, sizeof dir, "%.*s", len, slash ? path : ".");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd);
    close(fd);
}

static q35_status finish(q35i_file_out *file)
{
    if (file->failed)
        return Q35_FAIL(Q35_E_IO, "%s: an earlier write failed, need all writes to succeed",
                        q35i_path_tail(file->path));
    if (fsync(file->fd) != 0)
        return Q35_FAIL(Q35_E_IO, "%s: sync at offset %llu: %s", q35i_path_tail(file->path),
                        (unsigned long long)file->offset, strerror(errno));
    /* Before the file is closed, which lets its lock go. */
    const char *from = slots[file->slot].path;
    int e = file->overwrite ? (rename(from, file->path) == 0 ? 0 : errno) : move_exclusive(from, file->path);
    if (e == EEXIST)
        return Q35_FAIL(Q35_E_INVALID, "%s: file exists, need a new name or leave to overwrite",
                        q35i_path_tail(file->path));
    if (e != 0)
        return Q35_FAIL(Q35_E_IO, "%s: cannot move the finished file there: %s", q35i_path_tail(file->path),
                        strerror(e));
    sync_directory(file->path);
    return Q35_OK;
}

/* Frees the object; remove_temporary: its file is still there under the temporary name. */
static void release(q35i_file_out *file, bool remove_temporary)
{
    if (file->fd >= 0)
        close(file->fd);
    if (remove_temporary)
        (void)unlink(slots[file->slot].path);
    atomic_store(&slots[file->slot].state, SLOT_FREE);
    q35i_free(file->path);
    q35i_free(file);
}

q35_status q35i_file_out_commit(q35i_file_out *file)
{
    q35_status status = finish(file);
    release(file, status != Q35_OK);
    return status;
}

void q35i_file_out_discard(q35i_file_out *file)
{
    if (file)
        release(file, true);
}

void q35i_file_out_unlink_all(void)
{
    for (uint32_t i = 0; i < MAX_OPEN; i++)
        if (atomic_load(&slots[i].state) == SLOT_NAMED)
            (void)unlink(slots[i].path);
}
