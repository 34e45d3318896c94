/* SPDX-License-Identifier: Apache-2.0
 *
 * Mapping and sealing of cache files. The seal is a file of its own, as writing it into the cache file would
 * change the times that it records. It goes away before bytes from the disk are verified and comes back when they
 * were good: a process that starts in between does not take pages for verified that another one is only reading.
 */
#define _GNU_SOURCE
#include "pack_map.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/file_io.h"
#include "runtime/base/file_out.h"
#include "runtime/base/log.h"
#include "runtime/base/path_tail.h"
#include "runtime/base/size.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

enum { PATH_CAP = 4096 };

/* A later change within the clock tick of an earlier one leaves no trace in a file's times: they tell only once
 * they are older than any tick. */
#define TICK_NS INT64_C(20000000)

typedef struct seal {
    char magic[8]; /* "Q35SEAL" */
    q35i_pack_identity identity;
    uint64_t header_checksum; /* of the cache file */
    uint64_t checksum;        /* XXH3-64 of the above */
} seal;

static const char magic[8] = "Q35SEAL";

_Static_assert(sizeof(seal) == 64, "file layout has no padding");

static int64_t ns_of(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static q35i_pack_identity identity_of(const struct stat *st)
{
    return (q35i_pack_identity){.dev = st->st_dev,
                                .inode = st->st_ino,
                                .bytes = (uint64_t)st->st_size,
                                .mtime_ns = ns_of(st->st_mtim),
                                .ctime_ns = ns_of(st->st_ctim)};
}

/* ---- the mapping */

static q35_status check_file(const char *path, const struct stat *st)
{
    if (!S_ISREG(st->st_mode))
        return Q35_FAIL(Q35_E_FORMAT, "%s: need a regular file", q35i_path_tail(path));
    if (st->st_uid != geteuid() || (st->st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return Q35_FAIL(
            Q35_E_FORMAT, "%s: belongs to user %u with mode %o, need user %u, and nobody else to write",
            q35i_path_tail(path), (unsigned)st->st_uid, (unsigned)(st->st_mode & 07777), (unsigned)geteuid());
    if (st->st_size == 0)
        return Q35_FAIL(Q35_E_FORMAT, "%s: is empty", q35i_path_tail(path));
    return Q35_OK;
}

/* What is in memory before anything is read: reading brings in neighbours. NULL when nobody can tell. */
static unsigned char *find_resident(const void *data, uint64_t bytes)
{
    unsigned char *pages = q35i_calloc(q35i_div_up(bytes, (uint64_t)sysconf(_SC_PAGESIZE)), 1);
    if (pages && mincore((void *)(uintptr_t)data, bytes, pages) == 0)
        return pages;
    q35i_free(pages);
    return NULL;
}

static q35_status map_fd(const char *path, int fd, q35i_pack_map *out)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return Q35_FAIL(Q35_E_IO, "%s: %s", q35i_path_tail(path), strerror(errno));
    Q35_TRY(check_file(path, &st));
    (void)flock(fd, LOCK_SH | LOCK_NB); /* one that is being deleted just now serves this process still */
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return Q35_FAIL(Q35_E_IO, "%s: cannot map %lld bytes: %s", q35i_path_tail(path), (long long)st.st_size,
                        strerror(errno));
    *out = (q35i_pack_map){.data = data, .bytes = (uint64_t)st.st_size, .identity = identity_of(&st), .fd = fd};
    out->resident = find_resident(data, out->bytes);
    return Q35_OK;
}

q35_status q35i_pack_map_open(const char *path, q35i_pack_map *out, bool *out_missing)
{
    memset(out, 0, sizeof *out);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (out_missing)
        *out_missing = fd < 0 && (errno == ENOENT || errno == ENOTDIR);
    if (fd < 0)
        return Q35_FAIL(Q35_E_IO, "%s: %s", q35i_path_tail(path), strerror(errno));
    q35_status status = map_fd(path, fd, out);
    if (status != Q35_OK)
        close(fd);
    return status;
}

void q35i_pack_map_close(q35i_pack_map *map)
{
    if (map->data) {
        munmap((void *)(uintptr_t)map->data, map->bytes);
        close(map->fd);
        q35i_free(map->resident);
    }
    memset(map, 0, sizeof *map);
}

bool q35i_pack_map_busy(const q35i_pack_map *map)
{
    if (flock(map->fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK;
    (void)flock(map->fd, LOCK_SH | LOCK_NB);
    return false;
}

/* ---- the seal */

static bool seal_path(const char *path, char out[PATH_CAP])
{
    int n = snprintf(out, PATH_CAP, "%s" Q35I_PACK_SEAL_SUFFIX, path);
    return n > 0 && n < PATH_CAP;
}

static seal make_seal(const q35i_pack_map *map)
{
    seal s = {.identity = map->identity};
    memcpy(s.magic, magic, sizeof s.magic);
    memcpy(&s.header_checksum, map->data + offsetof(q35i_pack_header, checksum), sizeof s.header_checksum);
    s.checksum = XXH3_64bits(&s, offsetof(seal, checksum));
    return s;
}

bool q35i_pack_map_sealed(const char *path, const q35i_pack_map *map, int64_t *out_used)
{
    char name[PATH_CAP];
    seal found, need = make_seal(map);
    struct stat st;
    if (out_used)
        *out_used = 0;
    int fd = seal_path(path, name) ? open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW) : -1;
    if (fd < 0)
        return false;
    bool good = fstat(fd, &st) == 0 && check_file(name, &st) == Q35_OK &&
                q35i_read_at(fd, 0, &found, sizeof found) == 0 && memcmp(&found, &need, sizeof found) == 0;
    if (out_used)
        *out_used = ns_of(st.st_mtim);
    close(fd);
    return good;
}

/* Waits until the times of the file tell any later change. A clock that stands before them, and file systems that
 * count whole seconds, never do. */
static bool times_tell(const q35i_pack_map *map)
{
    struct timespec now;
    if (map->identity.ctime_ns % 1000000000 == 0 || clock_gettime(CLOCK_REALTIME, &now) != 0)
        return false;
    int64_t age = ns_of(now) - map->identity.ctime_ns;
    if (age >= 0 && age < TICK_NS)
        (void)nanosleep(&(struct timespec){.tv_nsec = (long)(TICK_NS - age)}, NULL);
    return age >= 0;
}

q35_status q35i_pack_map_seal(const char *path, const q35i_pack_map *map)
{
    char name[PATH_CAP];
    struct stat st;
    q35i_file_out *file;
    if (!seal_path(path, name))
        return Q35_FAIL(Q35_E_IO, "%s: path too long for its seal", q35i_path_tail(path));
    if (!times_tell(map))
        return Q35_FAIL(Q35_E_IO, "%s: its times do not tell changes", q35i_path_tail(path));
    const seal s = make_seal(map);
    const q35i_pack_identity now = fstat(map->fd, &st) == 0 ? identity_of(&st) : (q35i_pack_identity){0};
    if (memcmp(&now, &map->identity, sizeof now) != 0)
        return Q35_FAIL(Q35_E_IO, "%s: changed while it was read", q35i_path_tail(path));
    Q35_TRY(q35i_file_out_create(name, true, &file));
    q35_status status = q35i_file_out_write(file, &s, sizeof s);
    if (status != Q35_OK) {
        q35i_file_out_discard(file);
        return status;
    }
    Q35_TRY(q35i_file_out_commit(file));
    (void)chmod(name, S_IRUSR | S_IWUSR);
    return Q35_OK;
}

/* ---- verification */

static bool is_resident(const q35i_pack_map *map, const q35i_pack_entry *e)
{
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    for (uint64_t i = e->offset / page; i * page < e->offset + e->bytes; i++)
        if (!map->resident || !(map->resident[i] & 1))
            return false;
    return true;
}

/* skip[i]: tensor i was in memory whole. Returns how many were not. */
static uint32_t find_absent(const q35i_pack_map *map, uint32_t n, bool *skip)
{
    uint32_t n_absent = 0;
    for (uint32_t i = 0; i < n; i++) {
        q35i_pack_entry e;
        memcpy(&e, map->data + Q35I_PACK_HEADER_BYTES + i * sizeof e, sizeof e);
        skip[i] = is_resident(map, &e);
        n_absent += !skip[i];
    }
    return n_absent;
}

static q35_status verify_and_seal(const char *path, const q35i_pack_map *map, const bool *skip, q35_pool *pool)
{
    char name[PATH_CAP];
    if (seal_path(path, name))
        (void)unlink(name);
    q35_status status = q35i_pack_file_verify(map->data, skip, pool);
    if (status != Q35_OK)
        return q35i_fail_context(status, "%s", q35i_path_tail(path));
    if (q35i_pack_map_seal(path, map) != Q35_OK)
        q35i_log(Q35_LOG_INFO, "packed weights: the next start reads all of them to verify them: %s",
                 q35_error_message());
    return Q35_OK;
}

q35_status q35i_pack_map_verify(const char *path, q35i_pack_map *map, q35_pool *pool)
{
    q35i_pack_header header;
    char name[PATH_CAP];
    if (!q35i_pack_map_sealed(path, map, NULL))
        return verify_and_seal(path, map, NULL, pool);
    memcpy(&header, map->data, sizeof header);
    bool *skip = q35i_calloc(header.n_entries, sizeof *skip); /* NULL: all are read */
    q35_status status = Q35_OK;
    if (!skip || find_absent(map, header.n_entries, skip) > 0)
        status = verify_and_seal(path, map, skip, pool);
    else if (seal_path(path, name))
        (void)utimensat(AT_FDCWD, name, NULL, 0);
    q35i_free(skip);
    q35i_free(map->resident); /* of no use from here on */
    map->resident = NULL;
    return status;
}

q35_status q35i_pack_map_open_verified(const char *path, const q35i_pack_index *index, q35_pool *pool,
                                       q35i_pack_map *out, bool *out_missing)
{
    Q35_TRY(q35i_pack_map_open(path, out, out_missing));
    q35_status status = q35i_pack_file_check(out->data, out->bytes, index);
    if (status != Q35_OK)
        status = q35i_fail_context(status, "%s", q35i_path_tail(path));
    else
        status = q35i_pack_map_verify(path, out, pool);
    if (status != Q35_OK)
        q35i_pack_map_close(out);
    return status;
}

q35_status q35i_pack_remove(const char *path)
{
    char name[PATH_CAP];
    if (unlink(path) != 0)
        return Q35_FAIL(Q35_E_IO, "%s: cannot delete: %s", q35i_path_tail(path), strerror(errno));
    if (seal_path(path, name))
        (void)unlink(name);
    return Q35_OK;
}
