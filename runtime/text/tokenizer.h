/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of a tokenizer. Immutable after creation, usable from any thread. */
#ifndef Q35I_TOKENIZER_H
#define Q35I_TOKENIZER_H

#include <q35rt/tokenizer.h>

#include "runtime/text/chat_format.h"
#include "runtime/text/merges.h"
#include "runtime/text/pretokenize.h"
#include "runtime/text/vocab.h"

struct q35_tokenizer {
    q35i_vocab vocab;
    q35i_merges merges;
    q35i_splitter *splitter;
    q35i_chat_format chat;
    uint32_t bos;            /* Q35I_NO_TOKEN: none */
    bool add_bos;            /* the file wants bos first; then there is one */
    uint32_t replacement[3]; /* tokens of U+FFFD, which stands in for bytes without a token */
    uint32_t n_replacement;
};

#endif
