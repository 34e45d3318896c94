/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole reads and writes at an offset of an open file, in the face of signals and of the kernel's cap on one call,
 * the small files of /proc and /sys, and the two questions that locks by name need answered. */
#ifndef Q35I_FILE_IO_H
#define Q35I_FILE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 0 or an errno; EIO when the system takes nothing without saying why. *done (NULL ok): bytes written. */
int q35i_write_at(int fd, uint64_t offset, const void *data, uint64_t bytes, uint64_t *done);

/* 0 or an errno; ENODATA when the file ends before. */
int q35i_read_at(int fd, uint64_t offset, void *data, uint64_t bytes);

/* "the file was cut meanwhile" for ENODATA, else the system's text. */
const char *q35i_read_error(int e);

/* What one read of a small file gives, up to cap - 1 bytes, with a NUL behind. False leaves errno. */
bool q35i_read_small(const char *path, char *out, size_t cap);

/* The open file stands at path: it may have been renamed or deleted since it was opened. */
bool q35i_has_name(int fd, const char *path);

#endif
