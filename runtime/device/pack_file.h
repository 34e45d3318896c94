/* SPDX-License-Identifier: Apache-2.0
 *
 * The cache file of packed weights. Little-endian; everything but the checksums follows from the list of weights,
 * so a reader compares instead of parsing: header (40 bytes), n entries (96 bytes each), then each tensor's packed
 * bytes at its entry's offset, a multiple of 64; gaps are zero. */
#ifndef Q35I_PACK_FILE_H
#define Q35I_PACK_FILE_H

#include "runtime/device/pack.h"

typedef struct q35i_pack_header {
    char magic[8]; /* "Q35PACK" */
    uint32_t version, n_entries;
    uint8_t model_id[16];
    uint64_t file_bytes;
} q35i_pack_header;

typedef struct q35i_pack_entry {
    uint64_t name_hash; /* XXH3-64 of the name */
    uint32_t dtype, layout;
    int64_t dim[2];
    uint64_t offset, bytes; /* from the start of the file */
    uint64_t checksum;      /* XXH3-64 of the packed bytes */
    uint8_t key[32];        /* the plugin's pack_key of the layout */
    uint64_t reserved;
} q35i_pack_entry;

/* What the file of these items looks like, checksums 0. Owned by the caller: q35i_pack_index_free. */
typedef struct q35i_pack_index {
    q35i_pack_header header;
    q35i_pack_entry *entries; /* [header.n_entries] */
    uint64_t max_bytes;       /* of one tensor */
} q35i_pack_index;

/* keys: [n_items][32], or NULL: zeros. FORMAT for layouts that make no sense, naming the weight. */
q35_status q35i_pack_index_make(const uint8_t model_id[16], const q35i_pack_item *items, uint64_t n_items,
                                const uint8_t (*keys)[32], q35i_pack_index *out);
void q35i_pack_index_free(q35i_pack_index *index);

/* Compares a file's bytes with the index and verifies every checksum with the pool. FORMAT with the difference
 * found. */
q35_status q35i_pack_file_check(const uint8_t *data, uint64_t bytes, const q35i_pack_index *index, q35_pool *pool);

/* Name under the cache directory: packed/<hash of model, plugin and keys>.q35p. */
void q35i_pack_file_name(const q35i_pack_index *index, const char *plugin_id, char *out, uint32_t cap);

#endif
