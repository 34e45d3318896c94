/* SPDX-License-Identifier: Apache-2.0
 *
 * The file is made without a name where the system can (O_TMPFILE), else it gets one that the next conversion of
 * the same output sweeps, and loses it at once. Its room is asked for before anything is computed, so that a disk
 * that is too small is known then. */
#define _GNU_SOURCE
#include "windows.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/file_io.h"
#include "runtime/base/path_tail.h"
#include "runtime/base/size.h"
#include "runtime/base/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 4096
#define NAMES      100u /* that are tried */

struct q35i_windows {
    uint8_t *memory; /* NULL: in the file */
    int fd;
    uint64_t window, bytes; /* of one, of all */
    char *beside;
};

static q35_status fail_io(const q35i_windows *w, const char *what, uint64_t bytes, uint64_t offset,
                          const char *why)
{
    return Q35_FAIL(Q35_E_IO, "scratch file beside %s: %s of %llu bytes at offset %llu: %s, need %llu bytes there",
                    q35i_path_tail(w->beside), what, (unsigned long long)bytes, (unsigned long long)offset, why,
                    (unsigned long long)w->bytes);
}

/* Descriptor of a file without a name in the folder of the output; -1 with errno. */
static int open_nameless(const char *beside)
{
    char name[PATH_BYTES];
    const char *slash = strrchr(beside, '/');
    size_t len = slash ? (size_t)(slash - beside) + 1 : 0;
    if (len + 2 > sizeof name) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(name, beside, len);
    memcpy(name + len, ".", 2);
    int fd = open(name, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    for (unsigned i = 0; fd < 0 && i < NAMES && q35i_temporary_name(beside, i, name, sizeof name); i++) {
        fd = open(name, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 && errno != EEXIST)
            return -1;
        if (fd >= 0)
            (void)unlink(name);
    }
    return fd;
}

static q35_status open_file(q35i_windows *w)
{
    w->fd = open_nameless(w->beside);
    if (w->fd < 0)
        return Q35_FAIL(Q35_E_IO, "scratch file beside %s: cannot create it: %s", q35i_path_tail(w->beside),
                        strerror(errno));
    if (w->bytes > INT64_MAX ||
        (fallocate(w->fd, 0, 0, (off_t)w->bytes) != 0 && errno != EOPNOTSUPP && errno != ENOSYS && errno != EINTR))
        return fail_io(w, "reservation", w->bytes, 0, w->bytes > INT64_MAX ? strerror(EFBIG) : strerror(errno));
    return Q35_OK;
}

q35_status q35i_windows_open(uint64_t n, uint64_t bytes, const char *beside, q35i_windows **out)
{
    q35_status status = Q35_OK;
    q35i_windows *w = *out = q35i_calloc(1, sizeof *w);
    if (!w)
        return Q35_E_NOMEM;
    w->fd = -1;
    w->window = bytes;
    if (!q35i_mul(n, bytes, &w->bytes))
        status = Q35_FAIL(Q35_E_NOMEM, "hidden states: %llu windows of %llu bytes, more than fit",
                          (unsigned long long)n, (unsigned long long)bytes);
    else if (!beside && !(w->memory = q35i_alloc_pages(q35i_max(w->bytes, 1))))
        status = q35i_fail_context(Q35_E_NOMEM, "hidden states");
    else if (beside && !(w->beside = q35i_strndup(beside, strlen(beside))))
        status = Q35_E_NOMEM;
    else if (beside)
        status = open_file(w);
    if (status != Q35_OK) {
        q35i_windows_close(w);
        *out = NULL;
    }
    return status;
}

void q35i_windows_close(q35i_windows *w)
{
    if (!w)
        return;
    q35i_free_pages(w->memory, q35i_max(w->bytes, 1));
    if (w->fd >= 0)
        close(w->fd);
    q35i_free(w->beside);
    q35i_free(w);
}

q35_status q35i_windows_read(const q35i_windows *w, uint64_t i, void *to)
{
    if (w->memory) {
        memcpy(to, w->memory + i * w->window, w->window);
        return Q35_OK;
    }
    int e = q35i_read_at(w->fd, i * w->window, to, w->window);
    return e == 0 ? Q35_OK : fail_io(w, "read", w->window, i * w->window, q35i_read_error(e));
}

q35_status q35i_windows_write(q35i_windows *w, uint64_t i, const void *from)
{
    if (w->memory) {
        memcpy(w->memory + i * w->window, from, w->window);
        return Q35_OK;
    }
    int e = q35i_write_at(w->fd, i * w->window, from, w->window, NULL);
    return e == 0 ? Q35_OK : fail_io(w, "write", w->window, i * w->window, strerror(e));
}
