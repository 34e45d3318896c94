/* SPDX-License-Identifier: Apache-2.0
 *
 * Temporary files beside an output. Their names tell the output, and a lock that ends with its process tells
 * whether somebody still writes: what a killed process left is deleted when the same output is written again. */
#ifndef Q35I_TEMPORARY_H
#define Q35I_TEMPORARY_H

#include <stdbool.h>
#include <stddef.h>

/* The number-th name of this process for the output at path. False: longer than bytes. */
bool q35i_temporary_name(const char *path, unsigned number, char *name, size_t bytes);

/* Locks the file just created under name. False: it was taken for a leftover in between, so it needs another
 * name. */
bool q35i_temporary_lock(int fd, const char *name);

/* Deletes this user's temporary files for path that no process holds; one of them that fails stays. */
void q35i_temporary_sweep(const char *path);

#endif
