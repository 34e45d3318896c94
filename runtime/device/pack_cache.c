/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "pack_cache.h"

#include "runtime/base/env.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/path_tail.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

q35_status q35i_pack_folder(char out[Q35I_PACK_PATH])
{
    const char *base = q35i_env("XDG_CACHE_HOME");
    if (!q35i_cache_path(out, Q35I_PACK_PATH, "packed"))
        return Q35_FAIL(Q35_E_UNAVAILABLE,
                        "no cache folder: XDG_CACHE_HOME is '%.100s' and HOME '%.100s', need an absolute path",
                        base ? base : "", q35i_env("HOME") ? q35i_env("HOME") : "");
    if (base && base[0] != '/')
        q35i_log(Q35_LOG_WARN, "XDG_CACHE_HOME is '%.100s', need an absolute path: %s is used", base,
                 q35i_path_tail(out));
    return Q35_OK;
}

q35_status q35i_pack_path(const q35i_pack_index *index, char out[Q35I_PACK_PATH])
{
    char folder[Q35I_PACK_PATH], name[Q35I_PACK_NAME];
    Q35_TRY(q35i_pack_folder(folder));
    q35i_pack_file_name(index, name);
    int n = snprintf(out, Q35I_PACK_PATH, "%s/%s", folder, name);
    if (n <= 0 || n >= Q35I_PACK_PATH)
        return Q35_FAIL(Q35_E_UNAVAILABLE, "cache folder %s: too long a path", q35i_path_tail(folder));
    return Q35_OK;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* A temporary output that nobody holds any more. */
static bool is_left_behind(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0)
        return false;
    bool left = flock(fd, LOCK_EX | LOCK_NB) == 0;
    close(fd);
    return left;
}

void q35i_pack_each(void (*visit)(void *user, const char *path, bool unfinished), void *user)
{
    char folder[Q35I_PACK_PATH], path[Q35I_PACK_PATH + 256];
    DIR *dir = q35i_cache_path(folder, sizeof folder, "packed") ? opendir(folder) : NULL;
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] != '.' && ends_with(e->d_name, Q35I_PACK_SUFFIX))
            visit(user, path, false);
        else if (strncmp(e->d_name, ".q35rt-", 7) == 0 && ends_with(e->d_name, ".tmp") && is_left_behind(path))
            visit(user, path, true);
    }
    if (dir)
        closedir(dir);
}

static void evict_one(void *user, const char *path, bool unfinished)
{
    q35i_pack_map map;
    q35i_pack_header header;
    if (unfinished || q35i_pack_map_open(path, &map, NULL) != Q35_OK)
        return;
    q35_status status = q35i_pack_header_read(map.data, map.bytes, &header);
    const q35i_pack_entry *entries = status == Q35_OK ? (const void *)(map.data + Q35I_PACK_HEADER_BYTES) : NULL;
    if ((status == Q35_OK || status == Q35_E_VERSION) && q35i_pack_obsolete(&header, entries, user) &&
        !q35i_pack_map_busy(&map) && q35i_pack_remove(path) == Q35_OK)
        q35i_log(Q35_LOG_INFO, "packed weights: %s deleted, %llu MiB: of an older model file or plugin",
                 q35i_path_tail(path), (unsigned long long)(map.bytes >> 20));
    q35i_pack_map_close(&map);
}

void q35i_pack_evict(const q35i_pack_index *index)
{
    q35i_pack_each(evict_one, (void *)(uintptr_t)index);
}

/* Failures show in what follows. */
static void make_folders(const char *path)
{
    char part[Q35I_PACK_PATH];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(part, 0700);
        *slash = '/';
    }
}

q35_status q35i_pack_make_room(const char *path, uint64_t bytes)
{
    char folder[Q35I_PACK_PATH];
    struct statvfs fs;
    make_folders(path);
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    if (statvfs(folder, &fs) != 0)
        return Q35_FAIL(Q35_E_IO, "cache folder %s: %s", q35i_path_tail(folder), strerror(errno));
    if (fs.f_blocks != 0 && fs.f_bavail * (uint64_t)fs.f_frsize < bytes)
        return Q35_FAIL(Q35_E_IO, "cache folder %s: %llu MiB free, need %llu MiB", q35i_path_tail(folder),
                        (unsigned long long)(fs.f_bavail * (uint64_t)fs.f_frsize >> 20),
                        (unsigned long long)(bytes >> 20));
    return Q35_OK;
}
