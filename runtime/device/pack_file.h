/* SPDX-License-Identifier: Apache-2.0
 *
 * The cache file of packed weights. Little-endian; everything but the checksums follows from the list of weights,
 * the device and the host, so a reader compares instead of parsing: header (4096 bytes), n entries (96 bytes
 * each), then each tensor's packed bytes at its entry's offset, a multiple of 64; gaps are zero. */
#ifndef Q35I_PACK_FILE_H
#define Q35I_PACK_FILE_H

#include "runtime/device/pack.h"

#include <stdbool.h>

#define Q35I_PACK_SUFFIX ".q35p"

enum { Q35I_PACK_VERSION = 2, Q35I_PACK_HEADER_BYTES = 4096, Q35I_PACK_NAME = 48 };

typedef struct q35i_pack_header {
    char magic[8]; /* "Q35PACK" */
    uint32_t version, n_entries;
    uint8_t model_id[16];
    uint64_t file_bytes;
    uint32_t isa, device_class; /* Q35_ISA_* of the host; Q35_CLASS_* */
    char machine[16];           /* "x86_64"; this and all texts: padded with zeros, cut when longer */
    char plugin[16], plugin_version[32];
    uint64_t checksum; /* XXH3-64 of header and entries, this field 0 */
    char device[32];   /* from here on for people alone */
    char model[3944];  /* absolute path, "" when unknown */
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

/* keys: [n_items][32], or NULL: zeros; model NULL: zeros. FORMAT for layouts that make no sense, naming the
 * weight. */
q35_status q35i_pack_index_make(const q35i_device *device, const q35i_pack_model *model,
                                const q35i_pack_item *items, uint64_t n_items, const uint8_t (*keys)[32],
                                q35i_pack_index *out);
void q35i_pack_index_free(q35i_pack_index *index);

/* Sets header.checksum from the rest. */
void q35i_pack_index_seal(q35i_pack_index *index);

/* Header and entries make sense on their own: sizes, checksum, every tensor inside the file. VERSION for a file of
 * another version of this layout (out is filled as far as versions agree: up to file_bytes), FORMAT with what is
 * wrong. */
q35_status q35i_pack_header_read(const uint8_t *data, uint64_t bytes, q35i_pack_header *out);

/* Compares a file with the index, all but the tensors' bytes. FORMAT with the difference found. */
q35_status q35i_pack_file_check(const uint8_t *data, uint64_t bytes, const q35i_pack_index *index);

/* Verifies the checksums of the tensors with the pool, of those with skip[i] false (NULL: all). The file passed
 * q35i_pack_header_read. FORMAT names the first wrong one. */
q35_status q35i_pack_file_verify(const uint8_t *data, const bool *skip, q35_pool *pool);

/* File name of 37 characters from everything but what is for people. */
void q35i_pack_file_name(const q35i_pack_index *index, char out[Q35I_PACK_NAME]);

/* What `old` describes can never be used again once `now` is: same model and kind of device, other key; or the
 * model's file was replaced. old_entries as in the file that q35i_pack_header_read accepted, NULL for one of an
 * older version. */
bool q35i_pack_obsolete(const q35i_pack_header *old, const q35i_pack_entry *old_entries,
                        const q35i_pack_index *now);

#endif
