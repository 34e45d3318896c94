/* SPDX-License-Identifier: Apache-2.0
 *
 * GGUF v3 writer: metadata, then tensor infos, then data in the order declared, streamed. One thread at a time. */
#ifndef Q35I_GGUF_WRITE_H
#define Q35I_GGUF_WRITE_H

#include <q35rt/model.h>

#include <stdbool.h>

typedef struct q35i_gguf_writer q35i_gguf_writer;

q35_status q35i_gguf_writer_create(const char *path, bool overwrite, q35i_gguf_writer **out);

/* Metadata, before q35i_gguf_writer_begin. Keys are unique (INVALID). */
q35_status q35i_gguf_writer_copy(q35i_gguf_writer *w, const q35_meta *meta);
q35_status q35i_gguf_writer_u32(q35i_gguf_writer *w, const char *key, uint32_t value);
q35_status q35i_gguf_writer_string(q35i_gguf_writer *w, const char *key, const char *value);
q35_status q35i_gguf_writer_strings(q35i_gguf_writer *w, const char *key, const char *const *values, uint64_t n);
/* Array of a scalar type (Q35_META_*): elements as they stand in memory (little-endian). values NULL: zeros, to be
 * patched. */
q35_status q35i_gguf_writer_array(q35i_gguf_writer *w, const char *key, uint32_t elem_type, const void *values,
                                  uint64_t n);

/* Declares a tensor, dim[0] contiguous, bytes of data; before begin. dtype: a GGUF type id. */
q35_status q35i_gguf_writer_tensor(q35i_gguf_writer *w, const char *name, uint32_t dtype, uint32_t rank,
                                   const int64_t *dim, uint64_t bytes);

/* Writes everything declared so far; then data follows. */
q35_status q35i_gguf_writer_begin(q35i_gguf_writer *w);

/* Next bytes of the data section, in tensor order; the writer pads between tensors. INVALID when they overrun a
 * tensor. */
q35_status q35i_gguf_writer_data(q35i_gguf_writer *w, const void *data, uint64_t bytes);

/* Replaces the values of an array written earlier (same size). */
q35_status q35i_gguf_writer_patch_array(q35i_gguf_writer *w, const char *key, const void *values);

/* Fills the array q35.file_checksum (u64 [1], zeros until now) with the checksum of the whole file
 * (file_checksum.h). The last thing before commit. */
q35_status q35i_gguf_writer_file_checksum(q35i_gguf_writer *w);

/* File offset of the data section's next byte. */
uint64_t q35i_gguf_writer_offset(const q35i_gguf_writer *w);

/* Checks that every tensor is complete, then renames into place. Frees w in any case. */
q35_status q35i_gguf_writer_commit(q35i_gguf_writer *w);
void q35i_gguf_writer_discard(q35i_gguf_writer *w); /* NULL ok */

#endif
