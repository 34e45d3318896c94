/* SPDX-License-Identifier: Apache-2.0
 *
 * The open model, whatever form it was stored in: metadata under GGUF keys and tensors under GGUF names. Readers
 * of each form (gguf_*.c, hf_*.c) fill it. */
#ifndef Q35I_MODEL_FILE_H
#define Q35I_MODEL_FILE_H

#include "runtime/base/file_map.h"
#include "runtime/model/meta_list.h"
#include "runtime/model/model.h"

#include <pthread.h>
#include <stdbool.h>

#define Q35I_MAX_ROTATION_WIDTH 4096u
#define Q35I_MAX_ROW_INPUTS     66304 /* exact sums of int8 products stay in int32 */

#define Q35I_NAME_BYTES 64u /* of a tensor, with the terminator */

/* How the bytes of a tensor stand in the file, when that is not as info.dtype says. */
enum {
    Q35I_STORED_PLAIN = 0,
    /* rows of each head in the half-split order of Hugging Face: row h * head_dim + 2 i (+ 1) of the tensor is row
     * h * head_dim + i (+ head_dim / 2) of the file */
    Q35I_STORED_HALVES = 1u << 0,
    Q35I_STORED_F8 = 1u << 1 /* e4m3 bytes and one scale; info.dtype is Q35_DT_F8_32 */
};

typedef struct q35i_tensor {
    q35_tensor_info info; /* info.name points at name; info.data is NULL unless stored plain */
    char name[Q35I_NAME_BYTES];
    uint32_t stored;      /* Q35I_STORED_* */
    uint32_t head_dim;    /* HALVES: rows per head */
    float scale;          /* F8: w = scale * fp8 */
    const uint8_t *bytes; /* first byte in the mapped file (or in memory of `owned`) */
    uint64_t offset;      /* of the data, in its file */
    void *owned;          /* memory that goes with the tensor, NULL: none */
} q35i_tensor;

struct q35_model {
    char *path;
    const char *format;  /* "GGUF", "Hugging Face directory" ...; static */
    q35i_file_map *maps; /* [n_maps] the files whose tensors are used; none for an image */
    uint32_t n_maps;
    uint64_t file_bytes; /* of all files */
    const uint8_t *data; /* GGUF in one file: its image */
    uint64_t bytes;      /* of the image */
    uint64_t n_meta, n_tensors;
    q35_meta *meta;                       /* in file order */
    const q35_meta **meta_index;          /* sorted by key */
    q35i_tensor *tensors;                 /* in file order */
    q35i_tensor **tensor_index;           /* sorted by name */
    q35i_meta_list made;                  /* metadata that is not the file's own; meta is made.entries then */
    uint64_t n_skipped, skipped_bytes;    /* tensors of a vision tower and its projector */
    const int8_t (*book)[2], (*book8)[2]; /* of 7- and 8-bit codes; borrowed from the image, NULL: none */
    pthread_mutex_t lock;                 /* guards `owned` of tensors that are not stored plain */
    const q35_model *base;                /* overlays: whose everything but the tensors is; else NULL */
};

/* An empty model; path stands for its name. */
q35_status q35i_model_create(const char *path, q35_model **out);

/* Sorted look-up tables; FORMAT for a key or a name that occurs twice. */
q35_status q35i_model_index_meta(q35_model *model);
q35_status q35i_model_index_tensors(q35_model *model);

/* Opens the file and keeps it until the model is closed; *out is valid until the next call. */
q35_status q35i_model_add_map(q35_model *model, const char *path, q35i_file_map **out);

/* Entry by key, not NUL-terminated; NULL: absent. */
const q35_meta *q35i_model_meta(const q35_model *model, q35_string key);
q35i_tensor *q35i_model_tensor(const q35_model *model, q35_string name);

/* Bytes of one scalar value of a metadata type; 0 for strings, arrays and unknown types. */
uint32_t q35i_meta_scalar_bytes(uint32_t type);

/* "u32", "string" ...; "?" for an unknown type. */
const char *q35i_meta_type_name(uint32_t type);

/* Bytes of the value (without type, and for arrays without the element type and count). */
uint64_t q35i_meta_value_bytes(const q35_meta *meta);

/* True for the name of a tensor of a vision tower or its projector, in any of the forms: such tensors are counted
 * and left alone. */
bool q35i_is_vision_name(const char *name);

/* Readers. model: zeroed but for path and lock; on failure the caller closes it. */
q35_status q35i_gguf_open(q35_model *model, const char *path);
q35_status q35i_gguf_open_image(q35_model *model, const void *data, uint64_t bytes);
q35_status q35i_hf_open(q35_model *model, const char *path); /* a directory */
/* Its tokenizer alone; a directory without one is opened whole, for what that says. */
q35_status q35i_hf_open_tokenizer(q35_model *model, const char *path);

#endif
