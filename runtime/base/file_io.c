/* SPDX-License-Identifier: Apache-2.0
 *
 * pread and pwrite until all is done; one read where that is all. */
#define _GNU_SOURCE
#include "file_io.h"

#include "size.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST (UINT64_C(1) << 30) /* one call's share: the kernel caps it near 2 GiB */

int q35i_write_at(int fd, uint64_t offset, const void *data, uint64_t bytes, uint64_t *done)
{
    const uint8_t *from = data;
    uint64_t written = 0;
    int e = 0;
    while (written < bytes && e == 0) {
        ssize_t n = pwrite(fd, from + written, (size_t)q35i_min(bytes - written, MOST), (off_t)(offset + written));
        if (n > 0)
            written += (uint64_t)n;
        else if (n == 0 || errno != EINTR)
            e = n < 0 ? errno : EIO;
    }
    if (done)
        *done = written;
    return e;
}

int q35i_read_at(int fd, uint64_t offset, void *data, uint64_t bytes)
{
    uint8_t *to = data;
    for (uint64_t got = 0; got < bytes;) {
        ssize_t n = pread(fd, to + got, (size_t)q35i_min(bytes - got, MOST), (off_t)(offset + got));
        if (n > 0)
            got += (uint64_t)n;
        else if (n == 0 || errno != EINTR)
            return n < 0 ? errno : ENODATA;
    }
    return 0;
}

const char *q35i_read_error(int e)
{
    return e == ENODATA ? "the file was cut meanwhile" : strerror(e);
}

bool q35i_read_small(const char *path, char *out, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, out, cap - 1);
    int error = errno;
    close(fd);
    errno = error;
    if (n < 0)
        return false;
    out[n] = '\0';
    return true;
}

bool q35i_has_name(int fd, const char *path)
{
    struct stat here, there;
    return fstat(fd, &here) == 0 && lstat(path, &there) == 0 && here.st_dev == there.st_dev &&
           here.st_ino == there.st_ino;
}
