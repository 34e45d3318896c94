/* SPDX-License-Identifier: Apache-2.0
 *
 * A file that a command writes besides its output: it appears whole or not at all. */
#ifndef Q35_CLI_OUT_FILE_H
#define Q35_CLI_OUT_FILE_H

#include <stdint.h>

typedef struct out_file out_file;

/* Opens a temporary file beside path. what: what messages call it, "logits file"; borrowed. 0, or an exit code
 * after a message; so do the others. */
int out_file_create(const char *what, const char *path, out_file **out);
int out_file_write(out_file *file, const void *data, uint64_t bytes);
uint64_t out_file_bytes(const out_file *file); /* written so far */
int out_file_commit(out_file *file);           /* renames into place; frees, also on failure */
void out_file_discard(out_file *file);         /* removes and frees; NULL ok */

#endif
