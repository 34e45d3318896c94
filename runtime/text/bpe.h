/* SPDX-License-Identifier: Apache-2.0
 *
 * BPE of one piece of text: from bytes or characters to tokens by joining neighbours, the most preferred pair
 * first, the leftmost on ties. O(n log n) in the bytes of the piece. */
#ifndef Q35I_BPE_H
#define Q35I_BPE_H

#include "runtime/text/merges.h"

/* Longer pieces are cut after this many bytes, at a character: memory would grow with the text, and words are not
 * that long. */
enum { Q35I_PIECE_BYTES = 1 << 20 };

/* What joins, and in what order. Two kinds of vocabulary: with merge rules (pairs of tokens, by rank), and without
 * (any two neighbours whose bytes together are a token, by the order of that token). */
typedef struct q35i_bpe_rules {
    const q35i_vocab *vocab;
    const q35i_merges *merges; /* NULL: by the order of tokens */
    const uint32_t *order;     /* [vocab->n] least first; NULL: by id */
} q35i_bpe_rules;

/* A run of bytes that is one token; the runs of a piece are a linked list by index of their first byte. */
typedef struct q35i_bpe_symbol {
    uint32_t id;         /* Q35I_NO_TOKEN: a byte or a character without a token */
    uint32_t prev, next; /* UINT32_MAX at the ends */
    uint32_t rank;       /* of joining it with the next one, Q35I_NO_RANK: they do not join */
    uint32_t joined;     /* the token of both */
} q35i_bpe_symbol;

/* Work memory, grown to the longest piece seen. One thread at a time; zero to start with. */
typedef struct q35i_bpe {
    q35i_bpe_symbol *symbols; /* [cap] */
    uint64_t *heap;           /* [2 * cap] rank << 32 | first byte of the left symbol */
    uint32_t *split;          /* [vocab->n] unused tokens: bytes of the left part they were last seen made of */
    uint32_t cap, n_heap;
} q35i_bpe;

/* Leaves the tokens of piece[0..n), 1 <= n <= Q35I_PIECE_BYTES, in work->symbols as a list from index 0.
 * Byte-level vocabularies start from bytes, SentencePiece's from characters (a byte outside well-formed UTF-8 is
 * one). */
q35_status q35i_bpe_merge(q35i_bpe *work, const q35i_bpe_rules *rules, const uint8_t *piece, uint32_t n);
void q35i_bpe_free(q35i_bpe *work);

#endif
