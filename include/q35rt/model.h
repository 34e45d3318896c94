/* SPDX-License-Identifier: Apache-2.0
 *
 * A model, mapped read-only: a GGUF file (or the first of a split one), or a directory as models are released in:
 * config.json with safetensors (Hugging Face), params.json with consolidated.safetensors (Mistral). Whatever the
 * form, metadata is under GGUF keys and tensors are under GGUF names. Immutable after opening, usable from any
 * thread. All pointers handed out are borrowed until q35_model_close. */
#ifndef Q35RT_MODEL_H
#define Q35RT_MODEL_H

#include <q35rt/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct q35_model q35_model;

/* IO: cannot be read. FORMAT: not a valid file. VERSION, UNSUPPORTED: a version, a tensor type or a feature that
 * is not read here. The message names the object, the value found and the value needed. */
Q35_API q35_status q35_model_open(const char *path, q35_model **out);
/* As q35_model_open, for text alone: of a directory only the tokenizer's files are needed and read. */
Q35_API q35_status q35_model_open_tokenizer(const char *path, q35_model **out);
Q35_API void q35_model_close(q35_model *model); /* NULL ok */

Q35_API const char *q35_model_path(const q35_model *model);
Q35_API uint64_t q35_model_file_bytes(const q35_model *model); /* of all its files */
/* "GGUF", "GGUF in 3 files", "Hugging Face directory", "Mistral directory". */
Q35_API const char *q35_model_format(const q35_model *model);
/* Tensors of a vision tower, which are left alone, and their bytes. */
Q35_API uint64_t q35_model_n_skipped(const q35_model *model, uint64_t *out_bytes);

/* ---- metadata ---- */

/* GGUF value types. */
enum {
    Q35_META_U8 = 0,
    Q35_META_I8 = 1,
    Q35_META_U16 = 2,
    Q35_META_I16 = 3,
    Q35_META_U32 = 4,
    Q35_META_I32 = 5,
    Q35_META_F32 = 6,
    Q35_META_BOOL = 7,
    Q35_META_STRING = 8,
    Q35_META_ARRAY = 9,
    Q35_META_U64 = 10,
    Q35_META_I64 = 11,
    Q35_META_F64 = 12
};

typedef struct q35_string {
    const char *data; /* not NUL-terminated */
    uint64_t len;
} q35_string;

typedef struct q35_meta {
    q35_string key;
    uint32_t type;      /* Q35_META_* */
    uint32_t elem_type; /* arrays: type of the elements */
    uint64_t count;     /* arrays: elements, else 1 */
    const void *data;   /* value bytes in the file, little-endian, unaligned; strings: u64 length + bytes */
} q35_meta;

Q35_API uint64_t q35_model_n_meta(const q35_model *model);
Q35_API const q35_meta *q35_model_meta_at(const q35_model *model, uint64_t i);
Q35_API const q35_meta *q35_model_meta(const q35_model *model, const char *key); /* NULL: absent */

/* Typed access; false when the value has another type or does not fit. Integers convert between widths, and from a
 * float without fraction. */
Q35_API int q35_meta_u64(const q35_meta *meta, uint64_t *out);
Q35_API int q35_meta_i64(const q35_meta *meta, int64_t *out);
Q35_API int q35_meta_f64(const q35_meta *meta, double *out);
Q35_API int q35_meta_bool(const q35_meta *meta, int *out);
Q35_API int q35_meta_string(const q35_meta *meta, q35_string *out);
/* Calls fn for each element of an array of strings, in order; stops when fn returns non-zero and returns that. */
Q35_API int q35_meta_each_string(const q35_meta *meta, int (*fn)(void *user, uint64_t i, q35_string s),
                                 void *user);

/* ---- tensors ---- */

/* dim[0] is the contiguous one. For 3.5-bit tensors dtype, rank and dim are the true ones (not the I8
 * container's). */
typedef struct q35_tensor_info {
    const char *name;
    uint32_t dtype, rank;
    int64_t dim[4];
    const void *data; /* NULL: the file holds it in another form (FP8, other row order), see q35_model_read_rows */
    uint64_t bytes;
    double max_error;        /* 3.5-bit: certificate, largest |w - w^|, else 0 */
    double relative_error;   /* 3.5-bit: certificate, sum (w - w^)^2 / sum w^2, else 0 */
    uint64_t checksum;       /* 3.5-bit: XXH3-64 of the bytes, else 0 */
    uint64_t rotation_seed;  /* of the signs of its input's rotation (docs/formats.md) */
    uint32_t rotation_width; /* of the blocks, 0: the input is as the model has it */
    uint32_t activation;     /* 3.5-bit: Q35_DT_A8_*, the int8 type its input takes; else 0 */
} q35_tensor_info;

Q35_API uint64_t q35_model_n_tensors(const q35_model *model);
Q35_API const q35_tensor_info *q35_model_tensor_at(const q35_model *model, uint64_t i);
Q35_API const q35_tensor_info *q35_model_tensor(const q35_model *model, const char *name); /* NULL: absent */

/* Copies rows [row, row + n) of a matrix, in the byte layout of its dtype. RANGE past the last. */
Q35_API q35_status q35_model_read_rows(const q35_model *model, const q35_tensor_info *tensor, uint64_t row,
                                       uint64_t n, void *out);

/* Codebook of the file's tensors of a type, [q35_book_entries(dtype)][2]; NULL when it has none. */
Q35_API const int8_t (*q35_model_book(const q35_model *model, uint32_t dtype))[2];

/* ---- hyper-parameters ---- */

/* Llama 3's scaling has no value here: it is in the tensor rope_freqs.weight, the divisors of the frequencies. */
enum { Q35_ROPE_PLAIN = 0, Q35_ROPE_LINEAR = 1, Q35_ROPE_YARN = 2 };

typedef struct q35_model_config {
    char architecture[32]; /* "llama", "mistral3" */
    uint32_t n_layers, n_heads, n_kv_heads, head_dim;
    uint32_t hidden, ffn, vocab, context_length;
    uint32_t n_rot; /* rope dimensions per head */
    float norm_eps;
    float rope_base;
    int tied_head;                        /* 1: output matrix is the embedding */
    uint32_t rope_scaling;                /* Q35_ROPE_* */
    float rope_factor;                    /* LINEAR, YARN: positions are stretched by it */
    uint32_t rope_original_context;       /* YARN: positions the model was first trained on */
    float rope_beta_fast, rope_beta_slow; /* YARN: turns over the original context between which it blends */
    float rope_attention_factor;          /* YARN: multiplies sine and cosine; 1 for Ministral 3 */
    float temperature_beta;      /* queries are scaled by 1 + beta ln(1 + floor(position / length)) after rope */
    uint32_t temperature_length; /* 0: no such scaling */
} q35_model_config;

/* Reads and checks the hyper-parameters and that every tensor the architecture needs is there with the right
 * shape. UNSUPPORTED for an unknown architecture (names it and the known ones), FORMAT for wrong values. */
Q35_API q35_status q35_model_read_config(const q35_model *model, q35_model_config *out);

#ifdef __cplusplus
}
#endif
#endif
