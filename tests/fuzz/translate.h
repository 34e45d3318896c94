/* SPDX-License-Identifier: Apache-2.0
 *
 * The check of the tokenizer files' fuzz targets: bytes are translated or end with a sentence; what is translated
 * is the same when read again, fills up to more rows, and does not fit fewer. */
#ifndef FUZZ_TRANSLATE_H
#define FUZZ_TRANSLATE_H

#include "support/sentence.h"

#include "runtime/model/hf_tokenizer.h"

#include <stdlib.h>

typedef q35_status (*fuzz_reader)(q35i_tok *tok, const char *name, const void *image, uint64_t bytes);

/* Tokens written, 0: refused. extra: rows of the embedding beyond the tokens; -1: one fewer. */
static inline uint64_t fuzz_translate_once(fuzz_reader read, const char *name, const uint8_t *data, size_t size,
                                           int extra)
{
    q35i_tok tok = {0};
    q35i_meta_list list = {0};
    uint64_t n = 0;
    q35_status status = read(&tok, name, data, size);
    if (status == Q35_OK && extra < 0 && tok.n < 2)
        extra = 0;
    if (status == Q35_OK)
        status = q35i_tok_write(&tok, (uint64_t)((int64_t)tok.n + extra), &list);
    if (status == Q35_OK) {
        const q35_meta *tokens = q35i_meta_list_find(&list, "tokenizer.ggml.tokens");
        const q35_meta *types = q35i_meta_list_find(&list, "tokenizer.ggml.token_type");
        n = tok.n;
        if (!tokens || !types || tokens->count != n || types->count != n)
            abort();
    } else if (!q35t_error_is_sentence()) {
        abort();
    }
    q35i_meta_list_free(&list);
    q35i_tok_free(&tok);
    return n;
}

static inline void fuzz_translate(fuzz_reader read, const char *name, const uint8_t *data, size_t size)
{
    uint64_t n = fuzz_translate_once(read, name, data, size, 0);
    if (n == 0)
        return;
    if (fuzz_translate_once(read, name, data, size, 3) != n + 3)
        abort();
    if (n > 1 && fuzz_translate_once(read, name, data, size, -1) != 0)
        abort();
}

#endif
