/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "file_map.h"

#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

q35_status q35i_file_map_open(const char *path, q35i_file_map *out)
{
    struct stat st;
    memset(out, 0, sizeof *out);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return Q35_FAIL(Q35_E_IO, "%s: %s", path, strerror(errno));
    if (fstat(fd, &st) != 0) {
        int e = errno;
        close(fd);
        return Q35_FAIL(Q35_E_IO, "%s: %s", path, strerror(e));
    }
    if (!S_ISREG(st.st_mode)) {
        close(fd);
        return Q35_FAIL(Q35_E_FORMAT, "%s: %s, need a regular file", path,
                        S_ISDIR(st.st_mode) ? "is a directory" : "is not a regular file");
    }
    if (st.st_size > 0) {
        void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            int e = errno;
            close(fd);
            return Q35_FAIL(Q35_E_IO, "%s: cannot map %lld bytes: %s", path, (long long)st.st_size, strerror(e));
        }
        out->data = data;
    }
    out->bytes = (uint64_t)st.st_size;
    out->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    close(fd);
    return Q35_OK;
}

void q35i_file_map_close(q35i_file_map *map)
{
    if (map->data)
        munmap((void *)(uintptr_t)map->data, map->bytes);
    memset(map, 0, sizeof *map);
}
