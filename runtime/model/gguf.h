/* SPDX-License-Identifier: Apache-2.0
 *
 * The open model file and the steps that fill it. Format: the GGUF specification (ggml docs/gguf.md), version 3.
 */
#ifndef Q35I_GGUF_H
#define Q35I_GGUF_H

#include "runtime/base/file_map.h"
#include "runtime/model/cursor.h"
#include "runtime/model/model.h"

#include <stdbool.h>

#define Q35I_GGUF_MAGIC      "GGUF"
#define Q35I_GGUF_VERSION    3u
#define Q35I_GGUF_HEADER     24u /* magic, u32 version, u64 tensors, u64 metadata entries */
#define Q35I_GGUF_ALIGNMENT  32u /* without general.alignment */
#define Q35I_GGUF_NAME_BYTES 64u /* of a tensor, with the terminator */
#define Q35I_GGUF_MAX_META   (UINT64_C(1) << 16)
#define Q35I_GGUF_MAX_TENSOR (UINT64_C(1) << 20)

typedef struct q35i_tensor {
    q35_tensor_info info; /* info.name points at name */
    char name[Q35I_GGUF_NAME_BYTES];
    uint64_t offset; /* of the data, in the file */
} q35i_tensor;

struct q35_model {
    char *path;
    q35i_file_map map; /* zeroed when the image is borrowed memory */
    const uint8_t *data;
    uint64_t bytes;
    uint32_t version;
    uint64_t alignment;
    uint64_t infos_end;   /* header, metadata and tensor infos end here */
    uint64_t data_offset; /* start of the data section */
    uint64_t n_meta, n_tensors;
    q35_meta *meta;              /* in file order */
    const q35_meta **meta_index; /* sorted by key */
    q35i_tensor *tensors;        /* in file order */
    q35i_tensor **tensor_index;  /* sorted by name */
    const int8_t (*book)[2];     /* borrowed from the image, NULL without 3.5-bit tensors */
};

/* As q35_model_open, over an image in memory that is borrowed until q35_model_close. name stands for the path. */
q35_status q35i_model_open_image(const char *name, const void *data, uint64_t bytes, q35_model **out);

/* Steps of opening, in order. Each leaves the model destroyable when it fails. */
q35_status q35i_gguf_read_header(q35_model *model, q35i_cursor *c);
q35_status q35i_gguf_read_meta(q35_model *model, q35i_cursor *c);
q35_status q35i_gguf_read_tensors(q35_model *model, q35i_cursor *c);
q35_status q35i_q35_read(q35_model *model); /* the q35.* keys: true shapes of 3.5-bit tensors */

/* Entry by key, not NUL-terminated; NULL: absent. */
const q35_meta *q35i_model_meta(const q35_model *model, q35_string key);
q35i_tensor *q35i_model_tensor(const q35_model *model, q35_string name);

/* Bytes of one scalar value of a metadata type; 0 for strings, arrays and unknown types. */
uint32_t q35i_meta_scalar_bytes(uint32_t type);

/* "u32", "string" ...; "?" for an unknown type. */
const char *q35i_meta_type_name(uint32_t type);

/* Bytes of the value (without type, and for arrays without the element type and count). */
uint64_t q35i_meta_value_bytes(const q35_meta *meta);

/* GGUF tensor types, also those that cannot be used here. */
typedef struct q35i_gguf_type {
    const char *name; /* NULL: unknown */
    bool removed;     /* once defined, taken out of the format */
    bool supported;   /* has a decoder in <q35rt/blocks.h> */
} q35i_gguf_type;

q35i_gguf_type q35i_gguf_type_describe(uint32_t type);

#define Q35I_GGUF_TYPES_TEXT "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K, I8 or I32"

#endif
