/* SPDX-License-Identifier: Apache-2.0
 *
 * Text in front of a SentencePiece vocabulary: normalised, and cut where no token reaches across. */
#ifndef Q35I_PIECES_H
#define Q35I_PIECES_H

#include "runtime/text/bpe.h"

/* How a file wants text prepared. Immutable after init, usable from any thread. */
typedef struct q35i_pieces_rules {
    bool space_prefix;   /* a space goes before every text */
    bool squeeze_spaces; /* spaces at both ends go, several become one */
    uint64_t *joins;     /* Bloom filter of the pairs of neighbouring characters inside tokens */
} q35i_pieces_rules;

/* Reads tokenizer.ggml.add_space_prefix and remove_extra_whitespaces. rules: zeroed. */
q35_status q35i_pieces_rules_init(q35i_pieces_rules *rules, const q35i_vocab *vocab, const q35_model *model);
void q35i_pieces_rules_free(q35i_pieces_rules *rules); /* zeroed or half-built ok */

/* One text at a time, part by part; what stands between the parts (a token taken whole) ends a piece. */
typedef struct q35i_pieces {
    uint8_t *piece; /* [cap] not handed out yet */
    uint32_t n, cap;
    uint32_t last;      /* character at its end */
    bool begun;         /* something of the text has been handed out or kept */
    bool space_waiting; /* squeezed spaces, which count if more follows */
} q35i_pieces;          /* zeroed: no memory yet */

void q35i_pieces_begin(q35i_pieces *work);
void q35i_pieces_free(q35i_pieces *work);

typedef q35_status (*q35i_piece_fn)(void *user, const uint8_t *piece, uint64_t n);

/* Calls fn with the pieces of a part of the text; none is empty or over Q35I_PIECE_BYTES, U+2581 has become a
 * space. */
q35_status q35i_pieces_part(q35i_pieces *work, const q35i_pieces_rules *rules, const uint8_t *text, uint64_t n,
                            q35i_piece_fn fn, void *user);
/* Before a token that was cut out of the text and is followed by more of it. */
q35_status q35i_pieces_before_token(q35i_pieces *work, const q35i_pieces_rules *rules, q35i_piece_fn fn,
                                    void *user);

#endif
