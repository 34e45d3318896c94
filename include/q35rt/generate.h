/* SPDX-License-Identifier: Apache-2.0
 *
 * Models of random weights in the exact shape of a real one, for trying loaders, conversion and speed at real size
 * without a download. */
#ifndef Q35RT_GENERATE_H
#define Q35RT_GENERATE_H

#include <q35rt/device.h>
#include <q35rt/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct q35_shape {
    char architecture[32]; /* "llama", "mistral3" */
    uint32_t hidden, layers, heads, kv_heads, head_dim, ffn, vocab, context;
    float rope_base;
    int tied; /* 1: the head is the embedding */
} q35_shape;

/* i-th named shape: its name, NULL past the last. out may be NULL. */
Q35_API const char *q35_shape_at(uint32_t i, q35_shape *out);

/* Weights of the whole model, and of the layers' matrices alone. */
Q35_API uint64_t q35_shape_weights(const q35_shape *shape, uint64_t *out_linear);

enum {
    Q35_LAYOUT_GGUF = 0,
    Q35_LAYOUT_HF = 1,     /* directory: config.json, model.safetensors or shards, tokenizer.json */
    Q35_LAYOUT_MISTRAL = 2 /* directory: params.json, consolidated.safetensors */
};

typedef struct q35_generate_options {
    uint32_t layout; /* Q35_LAYOUT_* */
    uint32_t dtype;  /* of the matrices: a GGUF type; directories: F32, F16, BF16, or F8_32 for FP8 with scales */
    int overwrite;   /* 1: replace an existing file (never a directory) */
    int no_tokenizer;
    uint64_t seed;
    uint64_t shard_bytes; /* HF: data of a file, 0: 5 GB; a larger tensor has one of its own */
    /* done and total in weights, from the calling thread; not 0: cancel (CANCELLED, nothing stays). May be NULL.
     */
    int (*progress)(void *user, uint64_t done, uint64_t total);
    void *user;
} q35_generate_options;

/* BF16, GGUF, seed 1. */
Q35_API q35_generate_options q35_generate_options_default(void);

/* Writes `path`: same bytes for same shape, options and seed, any thread count. All layouts of F32, F16 or BF16
 * are the same model. Matrices whose rows the type does not divide become F16; in FP8 directories embedding and
 * head are BF16. Quantised types get random codes under fixed scales. Appears whole or not at all. INVALID names a
 * number of the shape that does not fit; NOFIT the disk space needed and there. */
Q35_API q35_status q35_generate_model(q35_runtime *runtime, const q35_shape *shape, const char *path,
                                      const q35_generate_options *options);

/* The same as an open model that is in no file, of the types that q35_convert gives by default: Q35_DT_Q35_ROW
 * (the dtype asked for, else INVALID) for the layers' matrices, their inputs rotated, and Q8_0 for embedding and
 * head. options NULL: that, seed 1. A session packs it anew and keeps nothing on disk. Borrows runtime during the
 * call; close with q35_model_close. NOFIT the memory needed and there. */
Q35_API q35_status q35_generate_in_memory(q35_runtime *runtime, const q35_shape *shape,
                                          const q35_generate_options *options, q35_model **out);

#ifdef __cplusplus
}
#endif
#endif
