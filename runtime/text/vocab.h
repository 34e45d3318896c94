/* SPDX-License-Identifier: Apache-2.0
 *
 * The tokens of a model file as byte strings, and the way back from bytes to ids. Immutable after init, usable
 * from any thread. */
#ifndef Q35I_VOCAB_H
#define Q35I_VOCAB_H

#include "runtime/model/alphabet.h"

#define Q35I_NO_TOKEN UINT32_MAX

enum {
    Q35I_TOKEN_PLAIN = 0,   /* made by merging bytes */
    Q35I_TOKEN_USER = 1,    /* user-defined: taken whole wherever the text spells it */
    Q35I_TOKEN_CONTROL = 2, /* control or unknown: taken whole only when the caller asks for it */
    Q35I_TOKEN_UNUSED = 3,  /* fills a vocabulary up; in SentencePiece's a step on the way to longer tokens */
    Q35I_TOKEN_KINDS = 4,
    Q35I_TOKEN_KIND_MASK = 3,
    Q35I_TOKEN_STOP = 4 /* flag: ends a sequence or a turn */
};

enum { Q35I_SPECIAL_BYTES = 1024 }; /* longest special token */

typedef struct q35i_vocab {
    bool pieces;      /* SentencePiece: characters, with U+2581 for spaces; else bytes in the byte alphabet */
    uint32_t n;       /* tokens */
    uint8_t *bytes;   /* pieces, back to back */
    uint64_t *begin;  /* [n + 1] offsets into bytes */
    uint8_t *traits;  /* [n] Q35I_TOKEN_* kind and flags */
    uint64_t longest; /* bytes of the longest piece */
    uint32_t *slots;  /* [mask + 1] open addressing over the plain tokens' bytes: id + 1, 0 for an empty slot */
    uint32_t mask;
    uint32_t *special; /* [n_special] ids of user-defined and control tokens, sorted by spelling */
    uint32_t n_special, n_unused;
    uint8_t special_first[256]; /* bit Q35I_TOKEN_USER, _CONTROL: one of that kind starts with the byte */
    uint32_t byte_id[256];      /* token of a single byte, Q35I_NO_TOKEN where the vocabulary has none */
} q35i_vocab;

/* Copies the tokens of the file. FORMAT for a broken vocabulary. vocab: zeroed. */
q35_status q35i_vocab_init(q35i_vocab *vocab, const q35_model *model, bool pieces);
void q35i_vocab_free(q35i_vocab *vocab); /* zeroed or half-built ok */

/* Text that a plain token spelled like this stands for, at most cap bytes. False when it does not fit or, in
 * vocabularies of bytes, a character is outside the alphabet. */
bool q35i_vocab_decode(const q35i_vocab *vocab, const q35i_alphabet *alphabet, q35_string spelling, uint8_t *out,
                       uint64_t cap, uint64_t *out_len);

/* Id of the plain or unused token with exactly these bytes, or Q35I_NO_TOKEN. */
uint32_t q35i_vocab_find(const q35i_vocab *vocab, const uint8_t *bytes, uint64_t len);

/* Longest special token that text[0..n) starts with, or Q35I_NO_TOKEN; control tokens only when asked for. */
uint32_t q35i_vocab_special_at(const q35i_vocab *vocab, const uint8_t *text, uint64_t n, bool control);

/* Id of the special token with exactly this spelling, or Q35I_NO_TOKEN. */
uint32_t q35i_vocab_special(const q35i_vocab *vocab, const uint8_t *spelling, uint64_t len);

static inline const uint8_t *q35i_vocab_piece(const q35i_vocab *vocab, uint32_t id, uint64_t *out_len)
{
    *out_len = vocab->begin[id + 1] - vocab->begin[id];
    return vocab->bytes + vocab->begin[id];
}

static inline uint32_t q35i_vocab_kind(const q35i_vocab *vocab, uint32_t id)
{
    return vocab->traits[id] & Q35I_TOKEN_KIND_MASK;
}

#endif
