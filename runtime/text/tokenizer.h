/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of a tokenizer. Immutable after creation, usable from any thread. */
#ifndef Q35I_TOKENIZER_H
#define Q35I_TOKENIZER_H

#include <q35rt/tokenizer.h>

#include "runtime/text/bpe.h"
#include "runtime/text/chat_format.h"
#include "runtime/text/pieces.h"
#include "runtime/text/pretokenize.h"

enum { Q35I_MARKS = 6 }; /* two spellings of each */

struct q35_tokenizer {
    q35i_vocab vocab;
    q35i_merges merges;
    uint32_t *order;          /* [vocab.n] by score, NULL: not SentencePiece, or one with merge rules */
    q35i_bpe_rules rules;     /* of the three above */
    q35i_splitter *splitter;  /* NULL: SentencePiece */
    bool whole_pieces;        /* a piece that is a token is taken before any merge */
    q35i_pieces_rules pieces; /* SentencePiece */
    q35i_chat_format chat;
    uint32_t bos;               /* Q35I_NO_TOKEN: none */
    uint32_t unknown;           /* Q35I_NO_TOKEN: none */
    bool add_bos;               /* the file wants bos first; then there is one */
    uint32_t marks[Q35I_MARKS]; /* tokens of Q35_MARK_* = 1 + i / 2, Q35I_NO_TOKEN: none */
    uint32_t replacement[3];    /* tokens of U+FFFD, which stands in for bytes without a token */
    uint32_t n_replacement;
};

#endif
