/* SPDX-License-Identifier: Apache-2.0
 *
 * Logits of the prompt in a file: float32, little-endian, [position][vocabulary]. Appears whole or not at all. */
#ifndef Q35_CLI_LOGITS_FILE_H
#define Q35_CLI_LOGITS_FILE_H

#include <stdint.h>

typedef struct logits_file logits_file;

/* Opens a temporary file beside path. 0, or an exit code after a message; so do the others. */
int logits_file_create(const char *path, logits_file **out);
int logits_file_append(logits_file *file, const float *rows, uint64_t n_rows, uint32_t vocab);
int logits_file_commit(logits_file *file);   /* renames into place; frees, also on failure */
void logits_file_discard(logits_file *file); /* removes and frees; NULL ok */

#endif
