/* SPDX-License-Identifier: Apache-2.0
 *
 * Safetensors files, right or wrong, and whole model directories with seeded weights, in Hugging Face's layout or
 * Mistral's: the same options give the same model in both. Failing ends the program. */
#ifndef Q35T_HF_DIR_H
#define Q35T_HF_DIR_H

#include "support/image.h"

/* A safetensors file that grows tensor by tensor; zero-initialise. */
typedef struct q35t_st {
    q35t_image header, data; /* members of the JSON object; bytes of the tensors */
} q35t_st;

void q35t_st_add(q35t_st *st, const char *name, const char *dtype, uint32_t rank, const uint64_t *shape,
                 const void *data, uint64_t bytes);

/* Length, JSON and data; pad: spaces up to a multiple of 8. Frees the members; release the result with free. */
q35t_image q35t_st_finish(q35t_st *st, int pad);

/* The same from any text and any number of zero bytes. */
q35t_image q35t_st_raw(const char *json, uint64_t data_bytes);

typedef struct q35t_hf_options {
    int mistral; /* 1: Mistral's layout */
    uint32_t layers, hidden, heads, kv_heads, head_dim, ffn, vocab;
    const char *dtype;       /* of the layers' matrices: BF16, F32 or F8_E4M3 with a scale each */
    const char *norm_dtype;  /* BF16 or F32 */
    const char *prefix;      /* Hugging Face: before "layers" and "norm" */
    const char *head_prefix; /* before "lm_head" */
    int tied, repeat_head;   /* repeat_head: tied, but the output matrix is there, equal to the embedding */
    int vision;              /* 1: with two tensors of a vision tower */
    int odd_header;          /* 1: data begin at no multiple of 8 */
    uint32_t shards;         /* 1: one file */
    const char *config;      /* members of the configuration, which replace those of the same name; NULL: none */
    const char *drop;        /* tensor left out, by its name in the file; NULL: none */
    const char *add;         /* tensor added as the last one; NULL: none */
    const char *add_dtype;   /* F32 or BF16, all elements add_value; other types: zeros */
    float add_value;
    uint32_t add_rank;
    uint64_t add_shape[4];
} q35t_hf_options;

/* 2 layers, hidden 32, 4 heads of 16 over 2 kv heads, ffn 64, vocabulary 48, BF16, not tied, one file. */
q35t_hf_options q35t_hf_options_default(void);

/* Text of config.json or params.json; free() its data. */
q35t_image q35t_hf_config(const q35t_hf_options *options);

/* Makes the directory when it is not there; files of other options stay. */
void q35t_hf_write(const char *dir, const q35t_hf_options *options);

/* Files of a directory. */
void q35t_hf_put_file(const char *dir, const char *name, const void *data, uint64_t bytes);
void q35t_hf_remove_file(const char *dir, const char *name);

#endif
