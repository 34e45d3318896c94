/* SPDX-License-Identifier: Apache-2.0
 *
 * A file that appears whole or not at all: bytes go to a temporary name in the same directory, commit syncs and
 * renames it. One thread at a time. */
#ifndef Q35I_FILE_OUT_H
#define Q35I_FILE_OUT_H

#include <q35rt/status.h>

#include <stdbool.h>

typedef struct q35i_file_out q35i_file_out;

/* overwrite false: INVALID when path exists, both now and at commit. */
q35_status q35i_file_out_create(const char *path, bool overwrite, q35i_file_out **out);

/* Appends. IO names the path, the offset and the system's text (disk full). */
q35_status q35i_file_out_write(q35i_file_out *file, const void *data, uint64_t bytes);

/* Overwrites bytes already written, at an absolute offset. */
q35_status q35i_file_out_patch(q35i_file_out *file, uint64_t offset, const void *data, uint64_t bytes);

/* Reads back bytes already written. */
q35_status q35i_file_out_read(q35i_file_out *file, uint64_t offset, void *data, uint64_t bytes);

uint64_t q35i_file_out_offset(const q35i_file_out *file);

/* Renames into place and frees the object, also on failure (then no file remains). */
q35_status q35i_file_out_commit(q35i_file_out *file);

/* Removes the temporary file and frees the object; NULL ok. */
void q35i_file_out_discard(q35i_file_out *file);

/* Async-signal-safe: unlinks the temporary files of all open outputs, for use before _exit. */
void q35i_file_out_unlink_all(void);

#endif
