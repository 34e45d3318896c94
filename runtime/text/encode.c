/* SPDX-License-Identifier: Apache-2.0
 *
 * From text to ids: special tokens are cut out first, leftmost and longest; what lies between is split into
 * pieces, and each piece is merged. */
#include "runtime/text/encode.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"

#include <inttypes.h>

q35_status q35i_encoder_init(q35i_encoder *encoder, const q35_tokenizer *tokenizer)
{
    *encoder = (q35i_encoder){.tokenizer = tokenizer};
    return q35i_split_work_create(tokenizer->splitter, &encoder->split);
}

void q35i_encoder_free(q35i_encoder *encoder)
{
    q35i_split_work_destroy(encoder->split);
    q35i_bpe_free(&encoder->bpe);
    q35i_free(encoder->ids);
    *encoder = (q35i_encoder){0};
}

q35_status q35i_encoder_id(q35i_encoder *encoder, uint32_t id)
{
    if (encoder->n == encoder->cap) {
        uint64_t cap = q35i_max(encoder->cap * 2, 64);
        int32_t *ids = q35i_realloc(encoder->ids, cap, sizeof *ids);
        if (!ids)
            return Q35_E_NOMEM;
        encoder->ids = ids;
        encoder->cap = cap;
    }
    encoder->ids[encoder->n++] = (int32_t)id;
    return Q35_OK;
}

static q35_status add_replacement(q35i_encoder *encoder)
{
    for (uint32_t i = 0; i < encoder->tokenizer->n_replacement; i++)
        Q35_TRY(q35i_encoder_id(encoder, encoder->tokenizer->replacement[i]));
    return Q35_OK;
}

static q35_status add_piece(void *user, const uint8_t *piece, uint64_t n)
{
    q35i_encoder *encoder = user;
    const q35_tokenizer *t = encoder->tokenizer;
    if (q35i_splitter_whole_pieces(t->splitter)) {
        uint32_t whole = q35i_vocab_find(&t->vocab, piece, n);
        if (whole != Q35I_NO_TOKEN)
            return q35i_encoder_id(encoder, whole);
    }
    Q35_TRY(q35i_bpe_merge(&encoder->bpe, &t->vocab, &t->merges, piece, (uint32_t)n));
    for (uint32_t i = 0; i != UINT32_MAX; i = encoder->bpe.symbols[i].next) {
        uint32_t id = encoder->bpe.symbols[i].id;
        Q35_TRY(id == Q35I_NO_TOKEN ? add_replacement(encoder) : q35i_encoder_id(encoder, id));
    }
    return Q35_OK;
}

q35_status q35i_encoder_text(q35i_encoder *encoder, const char *text, uint64_t len, bool control)
{
    const q35i_vocab *vocab = &encoder->tokenizer->vocab;
    const uint8_t *bytes = (const uint8_t *)text;
    uint64_t begin = 0, at = 0; /* [begin, at) is plain text not yet encoded */
    if (len > INT32_MAX)
        return Q35_FAIL(Q35_E_INVALID, "text: %" PRIu64 " bytes, need at most %" PRId32, len, INT32_MAX);
    while (vocab->n_special > 0 && at < len) {
        uint32_t id = q35i_vocab_special_at(vocab, bytes + at, len - at, control);
        if (id == Q35I_NO_TOKEN) {
            at++;
            continue;
        }
        uint64_t spelling;
        q35i_vocab_piece(vocab, id, &spelling);
        Q35_TRY(q35i_split(encoder->split, bytes + begin, at - begin, add_piece, encoder));
        Q35_TRY(q35i_encoder_id(encoder, id));
        at += spelling;
        begin = at;
    }
    return q35i_split(encoder->split, bytes + begin, len - begin, add_piece, encoder);
}

void q35i_encoder_take(q35i_encoder *encoder, int32_t **out_ids, uint64_t *out_n)
{
    *out_ids = encoder->ids;
    *out_n = encoder->n;
    encoder->ids = NULL;
    encoder->n = encoder->cap = 0;
}
