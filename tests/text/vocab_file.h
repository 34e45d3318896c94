/* SPDX-License-Identifier: Apache-2.0
 *
 * Vocabulary files made on the spot: GGUF without tensors, from a short description. */
#ifndef Q35T_VOCAB_FILE_H
#define Q35T_VOCAB_FILE_H

#include <q35rt/tokenizer.h>

enum { VOCAB_BYTES = 256, VOCAB_MAX = 320 };

/* Token ids of the description below: byte b is b (with model llama: <0xNN>), then extra[0], extra[1] ... */
typedef struct vocab_spec {
    const char *model, *pre;   /* NULL: key left out */
    const char *chat_template; /* NULL: key left out */
    const char *extra[64];     /* more tokens, in the byte alphabet; the list ends at the first NULL */
    int32_t extra_type[64];    /* 0: normal */
    const char *merges[64];    /* ends at the first NULL */
    const char *without;       /* bytes whose tokens get a spelling that is no byte */
    int64_t bos, eos, eot;     /* below 0: key left out */
    int add_bos;               /* below 0: key left out */
    int32_t types_missing;     /* elements that token_type is short of; above VOCAB_MAX: key left out */
    int no_tokens, no_merges, scores_short;
    const float *scores;       /* of the tokens extra, NULL: key left out */
    int whole_scores;          /* scores as i32 */
    int space_prefix, squeeze; /* below 0: key left out */
    const char *third;         /* control token 3 instead of its byte, NULL: the byte */
    int64_t unknown;           /* below 0: key left out */
    int64_t n_rows;            /* of token_embd.weight, 0: no such tensor */
} vocab_spec;

/* gpt2, gpt-2, no merges, no special ids. */
vocab_spec vocab_spec_default(void);
/* llama without pre and merges, no scores yet. */
vocab_spec vocab_spec_pieces(void);

/* Writes the file and opens it as a model; aborts when that does not work. */
q35_model *vocab_open(const vocab_spec *spec);

/* Status of making a tokenizer from it; on success the test owns *out. */
q35_status vocab_tokenizer(const vocab_spec *spec, q35_tokenizer **out);

#endif
