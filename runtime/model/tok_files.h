/* SPDX-License-Identifier: Apache-2.0
 *
 * A file of a directory that may be missing. */
#ifndef Q35I_TOK_FILES_H
#define Q35I_TOK_FILES_H

#include "runtime/base/file_map.h"

#include <stdbool.h>

typedef struct q35i_tok_file {
    char *path; /* directory and name */
    q35i_file_map map;
    bool found;
} q35i_tok_file; /* zeroed: nothing */

/* OK and not found when there is no such name; other failures are the caller's. */
q35_status q35i_tok_file_open(q35i_tok_file *file, const char *dir, const char *name);
void q35i_tok_file_close(q35i_tok_file *file);

/* True when the directory has something of this name. */
q35_status q35i_tok_file_exists(const char *dir, const char *name, bool *out);

#endif
