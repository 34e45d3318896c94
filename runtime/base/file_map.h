/* SPDX-License-Identifier: Apache-2.0
 *
 * A file mapped read-only. Immutable after opening. */
#ifndef Q35I_FILE_MAP_H
#define Q35I_FILE_MAP_H

#include <q35rt/status.h>

typedef struct q35i_file_map {
    const uint8_t *data; /* NULL for an empty file */
    uint64_t bytes;
    int64_t mtime_ns;
} q35i_file_map;

/* Regular files only. IO with the system's text, FORMAT for something that is not a regular file. */
q35_status q35i_file_map_open(const char *path, q35i_file_map *out);
void q35i_file_map_close(q35i_file_map *map); /* zeroed or closed: nothing */

#endif
