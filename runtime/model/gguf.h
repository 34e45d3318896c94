/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading GGUF. Format: the GGUF specification (ggml docs/gguf.md), version 3.
 */
#ifndef Q35I_GGUF_H
#define Q35I_GGUF_H

#include "runtime/model/cursor.h"
#include "runtime/model/model_file.h"

#include <stdbool.h>

#define Q35I_GGUF_MAGIC      "GGUF"
#define Q35I_GGUF_VERSION    3u
#define Q35I_GGUF_HEADER     24u /* magic, u32 version, u64 tensors, u64 metadata entries */
#define Q35I_GGUF_ALIGNMENT  32u /* without general.alignment */
#define Q35I_GGUF_MAX_META   (UINT64_C(1) << 16)
#define Q35I_GGUF_MAX_TENSOR (UINT64_C(1) << 20)

/* One GGUF image on its way into a model: a file of its own, or a part of a split one. */
typedef struct q35i_gguf {
    const uint8_t *data; /* borrowed */
    uint64_t bytes;
    uint32_t version;
    uint64_t alignment;
    uint64_t infos_end;   /* header, metadata and tensor infos end here */
    uint64_t data_offset; /* start of the data section */
    uint64_t n_meta, n_tensors;
    q35_meta *meta;       /* [n_meta] in file order; taken by the model for the first file */
    q35i_tensor *tensors; /* [n_tensors] the model's, from its first of this file on */
} q35i_gguf;

/* As q35_model_open, over an image in memory that is borrowed until q35_model_close. name stands for the path. */
q35_status q35i_model_open_image(const char *name, const void *data, uint64_t bytes, q35_model **out);

/* Steps of reading an image, in order. */
q35_status q35i_gguf_read_header(q35i_gguf *gguf, q35i_cursor *c);
q35_status q35i_gguf_read_meta(q35i_gguf *gguf, q35i_cursor *c);    /* fills meta[n_meta] */
q35_status q35i_gguf_read_tensors(q35i_gguf *gguf, q35i_cursor *c); /* fills tensors[n_tensors] */

/* The q35.* keys: true shapes of 3.5-bit tensors. */
q35_status q35i_q35_read(q35_model *model);

/* GGUF tensor types, also those that cannot be used here. */
typedef struct q35i_gguf_type {
    const char *name; /* NULL: unknown */
    bool removed;     /* once defined, taken out of the format */
    bool supported;   /* has a decoder in <q35rt/blocks.h> */
} q35i_gguf_type;

q35i_gguf_type q35i_gguf_type_describe(uint32_t type);

#define Q35I_GGUF_TYPES_TEXT                                                                                      \
    "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, I8 or I32"

#endif
