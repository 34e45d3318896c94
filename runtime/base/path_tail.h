/* SPDX-License-Identifier: Apache-2.0
 *
 * Paths in messages: the end of a long path, so that room is left for the reason. */
#ifndef Q35I_PATH_TAIL_H
#define Q35I_PATH_TAIL_H

#include <string.h>

static inline const char *q35i_path_tail(const char *path)
{
    const size_t len = strlen(path), most = 200;
    return len > most ? path + len - most : path;
}

#endif
