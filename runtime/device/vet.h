/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a file may be loaded as code: only its owner, or root, could have put it there. */
#ifndef Q35I_VET_H
#define Q35I_VET_H

#include <q35rt/status.h>

#include <sys/types.h>

enum { Q35I_PATH_CAP = 4096 };

/* An open plugin file. path is canonical: absolute, no links. */
typedef struct q35i_vetted {
    char path[Q35I_PATH_CAP];
    int fd; /* read-only, close-on-exec; the caller closes it */
    dev_t dev;
    ino_t inode;
} q35i_vetted;

/* Opens path when it is a regular file (no link), owned by root or the effective user, writable by its owner
 * alone, and so are all directories above it. A sticky directory of root (like /tmp) is accepted above a component
 * that is root's or the user's own. INVALID otherwise, IO when it cannot be opened. */
q35_status q35i_vet_file(const char *path, q35i_vetted *out);

/* The same test for a directory; out: its canonical path. */
q35_status q35i_vet_directory(const char *path, char out[Q35I_PATH_CAP]);

#endif
