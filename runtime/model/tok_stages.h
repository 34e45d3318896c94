/* SPDX-License-Identifier: Apache-2.0
 *
 * The stages of a tokenizer.json around its vocabulary, recognised: there are endless combinations, of which those
 * that models of this family use are known. */
#ifndef Q35I_TOK_STAGES_H
#define Q35I_TOK_STAGES_H

#include "runtime/model/json_tape.h"

typedef struct q35i_tok_stages {
    bool pieces;          /* spaces are U+2581 and unknown characters bytes; else byte-level */
    const char *pre;      /* byte-level: name of the pattern, static */
    bool whole_pieces;    /* what the pattern's name implies: a piece that is a token is taken before any merge */
    bool space_prefix;    /* pieces: a space goes before the text */
    uint32_t first, last; /* ids put around every text, Q35I_JSON_NONE: none */
} q35i_tok_stages;

/* Reads normalizer, pre_tokenizer, post_processor and decoder. UNSUPPORTED names what is not known. pieces: as the
 * model has byte_fallback. */
q35_status q35i_tok_read_stages(const q35i_json *json, bool pieces, q35i_tok_stages *out);

#endif
