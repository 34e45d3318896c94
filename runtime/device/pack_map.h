/* SPDX-License-Identifier: Apache-2.0
 *
 * A cache file, mapped, and the knowledge that its bytes were verified. They are read for that once: beside the
 * file stands its seal, <name>.ok, which records the file as it was then: device, inode, size, times of its last
 * change. Where the seal fits, only tensors with a page that is not in memory are read again, since those bytes
 * come from the disk now; any other file is verified whole. docs/decisions/0013-pack-cache.md. */
#ifndef Q35I_PACK_MAP_H
#define Q35I_PACK_MAP_H

#include "runtime/device/pack_file.h"

#define Q35I_PACK_SEAL_SUFFIX ".ok"

/* Which state of which file. */
typedef struct q35i_pack_identity {
    uint64_t dev, inode, bytes;
    int64_t mtime_ns, ctime_ns;
} q35i_pack_identity;

typedef struct q35i_pack_map {
    const uint8_t *data; /* NULL: nothing is mapped */
    uint64_t bytes;
    unsigned char *resident; /* [pages] bit 0: it was in memory when mapped; NULL: unknown */
    q35i_pack_identity identity;
    int fd; /* holds the lock that tells other processes that the file is in use */
} q35i_pack_map;

/* Maps a regular file that belongs to this user and that nobody else can write. *out_missing (NULL ok): there is
 * none. IO or FORMAT say why not. */
q35_status q35i_pack_map_open(const char *path, q35i_pack_map *out, bool *out_missing);
void q35i_pack_map_close(q35i_pack_map *map); /* zeroed or closed: nothing */

/* Another process has it open as a cache file. */
bool q35i_pack_map_busy(const q35i_pack_map *map);

/* The seal beside path fits the file; *out_used (NULL ok): when it was last used, ns since 1970, also of a seal
 * that does not fit, 0: there is no seal. The file passed q35i_pack_header_read. */
bool q35i_pack_map_sealed(const char *path, const q35i_pack_map *map, int64_t *out_used);

/* Verifies what is not known to be good and seals the file, or notes its use on the seal. A seal that cannot be
 * written is not an error. The file passed q35i_pack_header_read. FORMAT for wrong bytes. */
q35_status q35i_pack_map_verify(const char *path, q35i_pack_map *map, q35_pool *pool);

/* Maps path when it is exactly the file of index, as q35i_pack_map_open and q35i_pack_map_verify do. Else *out is
 * zeros, and VERSION or FORMAT tell the first difference. */
q35_status q35i_pack_map_open_verified(const char *path, const q35i_pack_index *index, q35_pool *pool,
                                       q35i_pack_map *out, bool *out_missing);

/* Writes the seal of the file as it stands, whatever its bytes are. */
q35_status q35i_pack_map_seal(const char *path, const q35i_pack_map *map);

/* Deletes the file and its seal. IO when the file stays. */
q35_status q35i_pack_remove(const char *path);

#endif
