/* SPDX-License-Identifier: Apache-2.0
 *
 * A growing list of token ids, filled from text and from single ids. One thread at a time. */
#ifndef Q35I_ENCODE_H
#define Q35I_ENCODE_H

#include "runtime/text/bpe.h"
#include "runtime/text/tokenizer.h"

typedef struct q35i_encoder {
    const q35_tokenizer *tokenizer; /* borrowed */
    q35i_split_work *split;         /* byte-level vocabularies */
    q35i_pieces pieces;             /* SentencePiece */
    q35i_bpe bpe;
    int32_t *ids;
    uint64_t n, cap;
} q35i_encoder;

q35_status q35i_encoder_init(q35i_encoder *encoder, const q35_tokenizer *tokenizer);
void q35i_encoder_free(q35i_encoder *encoder); /* zeroed or half-built ok */

q35_status q35i_encoder_id(q35i_encoder *encoder, uint32_t id);

/* Appends the tokens of text. User-defined tokens in it are always taken whole, control tokens when asked for;
 * what follows a control token is a text of its own, which matters to SentencePiece alone (a space in front of
 * each). */
q35_status q35i_encoder_text(q35i_encoder *encoder, const char *text, uint64_t len, bool control);

/* Hands the ids over to the caller, NULL when there are none. */
void q35i_encoder_take(q35i_encoder *encoder, int32_t **out_ids, uint64_t *out_n);

#endif
