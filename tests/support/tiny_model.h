/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes small random models of the llama family with a byte-level tokenizer and a chat template: complete enough
 * to be loaded, run and converted like a real one, with the same bytes for the same options everywhere. */
#ifndef Q35T_TINY_MODEL_H
#define Q35T_TINY_MODEL_H

#include <q35rt/model.h>

typedef struct q35t_tiny_options {
    uint64_t seed;
    uint32_t layers, hidden, heads, kv_heads, head_dim, ffn;
    uint32_t context;
    uint32_t vocab;       /* tokens; 0: the tokenizer's own number. More: unused tokens follow */
    uint32_t dtype;       /* of the linear layers: F32, F16, BF16, Q8_0, Q4_0 or Q4_1 */
    uint32_t embed_dtype; /* of embedding and output matrix: the same choice */
    int tied;             /* 1: no output.weight */
    int rope_freqs;       /* 1: with rope_freqs.weight */
    const char *massive;  /* tensor whose row 3 (of a vector, element 3) is multiplied by 30000; NULL: none */
    float rope_base;
} q35t_tiny_options;

/* seed 1, 2 layers, hidden 64, 4 heads of 16 over 2 kv heads, ffn 160, context 1024, F32, tied. */
q35t_tiny_options q35t_tiny_options_default(void);

/* Token ids of the tokenizer. */
enum {
    Q35T_TINY_ENDOFTEXT = 0, /* <|endoftext|> */
    Q35T_TINY_IM_START = 1,  /* <|im_start|>, bos */
    Q35T_TINY_IM_END = 2,    /* <|im_end|>, eos */
    Q35T_TINY_BYTE = 3       /* byte b is token 3 + b; results of the merges follow from 259 on */
};

/* Replaces path. INVALID names an option that does not fit. */
q35_status q35t_tiny_model_write(const char *path, const q35t_tiny_options *options);

#endif
