/* SPDX-License-Identifier: Apache-2.0
 *
 * The folder of cache files, ${XDG_CACHE_HOME:-~/.cache}/q35rt/packed. */
#ifndef Q35I_PACK_CACHE_H
#define Q35I_PACK_CACHE_H

#include "runtime/device/pack_map.h"

enum { Q35I_PACK_PATH = 4096 };

/* UNAVAILABLE when neither variable names an absolute path, or too long a one. */
q35_status q35i_pack_folder(char out[Q35I_PACK_PATH]);

/* Path of the file of an index in that folder. */
q35_status q35i_pack_path(const q35i_pack_index *index, char out[Q35I_PACK_PATH]);

/* Calls visit for every cache file, and for every output that a process left behind unfinished. */
void q35i_pack_each(void (*visit)(void *user, const char *path, bool unfinished), void *user);

/* Deletes the files that index makes useless, those in use excepted. */
void q35i_pack_evict(const q35i_pack_index *index);

/* Makes the folders above path, private to the user, and asks whether bytes more fit there. IO says why not. */
q35_status q35i_pack_make_room(const char *path, uint64_t bytes);

#endif
