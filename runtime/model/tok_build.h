/* SPDX-License-Identifier: Apache-2.0
 *
 * A tokenizer being translated: the readers of each file format fill it, and q35i_tok_write makes the tokenizer.*
 * keys of GGUF out of it. One thread at a time. */
#ifndef Q35I_TOK_BUILD_H
#define Q35I_TOK_BUILD_H

#include "runtime/model/alphabet.h"
#include "runtime/model/meta_list.h"
#include "runtime/model/text.h"

/* Values of tokenizer.ggml.token_type. */
enum {
    Q35I_TOK_NORMAL = 1,
    Q35I_TOK_UNKNOWN = 2,
    Q35I_TOK_CONTROL = 3,
    Q35I_TOK_USER = 4,
    Q35I_TOK_UNUSED = 5,
    Q35I_TOK_BYTE = 6
};

/* Tokens with a part to play. */
enum { Q35I_TOK_BOS, Q35I_TOK_EOS, Q35I_TOK_UNK, Q35I_TOK_PAD, Q35I_TOK_EOT, Q35I_TOK_EOM, Q35I_TOK_ROLES };

#define Q35I_TOK_NONE UINT32_MAX

/* What the files say about something. */
enum { Q35I_TOK_UNSAID = 0, Q35I_TOK_NO = 1, Q35I_TOK_YES = 2 };

typedef struct q35i_tok {
    const char *name;  /* of the file, for messages; borrowed */
    const char *model; /* "gpt2", "llama" */
    const char *pre;   /* NULL: none */
    q35i_string_array tokens, merges;
    uint64_t *begin; /* [cap] of each token in tokens.bytes, behind its length */
    int32_t *types;  /* [cap] */
    float *scores;   /* [cap]; NULL unless SentencePiece */
    uint32_t n, cap;
    uint32_t *slots; /* [mask + 1] open addressing over class and spelling: id + 1, 0 for an empty slot */
    uint32_t mask, n_slots_used;
    uint32_t n_bytes;  /* tokens of type BYTE */
    uint32_t n_unused; /* that q35i_tok_add_unused made */
    bool has_merges, has_scores;
    uint32_t ids[Q35I_TOK_ROLES];
    uint32_t named; /* bit per role: set by name in a file beside the vocabulary */
    uint8_t add_bos, add_eos, add_space_prefix, squeeze_spaces; /* Q35I_TOK_UNSAID ... */
    char version[8];                                            /* of Mistral's tokenizers, "" unless known */
    char *template;                                             /* chat template, NULL: none */
    uint64_t template_len;
    char *piece; /* [piece_cap] spelling in the byte alphabet being made */
    uint64_t piece_cap;
    q35i_alphabet alphabet;
} q35i_tok;

/* Empty, with room for cap tokens, which may grow. tok: zeroed. */
q35_status q35i_tok_init(q35i_tok *tok, const char *name, uint64_t cap, bool scores);
void q35i_tok_free(q35i_tok *tok); /* zeroed or half-built ok */

/* The next token. FORMAT for an empty one, one that is no UTF-8, one that is there already: special tokens
 * (unknown, control, user-defined) and others are told apart, since an ordinary token may spell a special one. */
q35_status q35i_tok_add(q35i_tok *tok, q35_string spelling, int32_t type, float score);
/* The next token, an ordinary one given by its bytes. */
q35_status q35i_tok_add_bytes(q35i_tok *tok, const uint8_t *bytes, uint64_t n);
q35_status q35i_tok_set_type(q35i_tok *tok, uint32_t id, int32_t type);
/* The next token, one that stands for nothing. */
q35_status q35i_tok_add_unused(q35i_tok *tok);

/* A token that a file lists as added: the one with its id, which must have its spelling, or a new one behind the
 * others, with unused ones between. name: of the file. */
q35_status q35i_tok_added(q35i_tok *tok, const char *name, uint32_t id, q35_string spelling, bool special);

/* Id of the special (or else ordinary) token, or Q35I_TOK_NONE. */
uint32_t q35i_tok_find(const q35i_tok *tok, q35_string spelling, bool special);
/* Of the special token with this spelling, or else the ordinary one. */
uint32_t q35i_tok_find_any(const q35i_tok *tok, q35_string spelling);

q35_string q35i_tok_spelling(const q35i_tok *tok, uint32_t id);

/* Takes a copy as the chat template. */
q35_status q35i_tok_set_template(q35i_tok *tok, q35_string text);

/* Adds the keys. n_embeddings: 0, or the rows that the vocabulary is filled up to; FORMAT for fewer rows than
 * tokens. */
q35_status q35i_tok_write(q35i_tok *tok, uint64_t n_embeddings, q35i_meta_list *out);

#endif
