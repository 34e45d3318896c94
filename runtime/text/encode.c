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
    return tokenizer->splitter ? q35i_split_work_create(tokenizer->splitter, &encoder->split) : Q35_OK;
}

void q35i_encoder_free(q35i_encoder *encoder)
{
    q35i_split_work_destroy(encoder->split);
    q35i_pieces_free(&encoder->pieces);
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

static q35_status add_merged(q35i_encoder *encoder, const uint8_t *piece, uint32_t n)
{
    Q35_TRY(q35i_bpe_merge(&encoder->bpe, &encoder->tokenizer->rules, piece, n));
    for (uint32_t i = 0; i != UINT32_MAX; i = encoder->bpe.symbols[i].next) {
        uint32_t id = encoder->bpe.symbols[i].id;
        Q35_TRY(id == Q35I_NO_TOKEN ? add_replacement(encoder) : q35i_encoder_id(encoder, id));
    }
    return Q35_OK;
}

/* A piece for byte-level vocabularies: well-formed UTF-8 or a single byte. */
static q35_status add_piece(void *user, const uint8_t *piece, uint64_t n)
{
    q35i_encoder *encoder = user;
    const q35_tokenizer *t = encoder->tokenizer;
    if (t->whole_pieces) {
        uint32_t whole = q35i_vocab_find(&t->vocab, piece, n);
        if (whole != Q35I_NO_TOKEN && q35i_vocab_kind(&t->vocab, whole) == Q35I_TOKEN_PLAIN)
            return q35i_encoder_id(encoder, whole);
    }
    while (n > Q35I_PIECE_BYTES) {
        uint32_t part = Q35I_PIECE_BYTES;
        while ((piece[part] & 0xC0) == 0x80)
            part--;
        Q35_TRY(add_merged(encoder, piece, part));
        piece += part;
        n -= part;
    }
    return add_merged(encoder, piece, (uint32_t)n);
}

/* A character without a token: as bytes, else as the unknown token, one for several in a row. */
static q35_status add_unknown(q35i_encoder *encoder, const uint8_t *c, uint64_t n)
{
    const q35_tokenizer *t = encoder->tokenizer;
    uint32_t unknown = t->unknown;
    bool spelled = true;
    for (uint64_t i = 0; i < n; i++)
        spelled = spelled && t->vocab.byte_id[c[i]] != Q35I_NO_TOKEN;
    for (uint64_t i = 0; spelled && i < n; i++)
        Q35_TRY(q35i_encoder_id(encoder, t->vocab.byte_id[c[i]]));
    if (spelled || unknown == Q35I_NO_TOKEN ||
        (encoder->n > 0 && encoder->ids[encoder->n - 1] == (int32_t)unknown))
        return Q35_OK;
    return q35i_encoder_id(encoder, unknown);
}

/* A piece for SentencePiece vocabularies. */
static q35_status add_characters(void *user, const uint8_t *piece, uint64_t n)
{
    q35i_encoder *encoder = user;
    Q35_TRY(q35i_bpe_merge(&encoder->bpe, &encoder->tokenizer->rules, piece, (uint32_t)n));
    for (uint64_t i = 0, end; i < n; i = end) {
        const q35i_bpe_symbol *s = &encoder->bpe.symbols[i];
        end = s->next == UINT32_MAX ? n : s->next;
        Q35_TRY(s->id == Q35I_NO_TOKEN ? add_unknown(encoder, piece + i, end - i)
                                       : q35i_encoder_id(encoder, s->id));
    }
    return Q35_OK;
}

static q35_status add_plain(q35i_encoder *encoder, const uint8_t *text, uint64_t n)
{
    const q35_tokenizer *t = encoder->tokenizer;
    return t->splitter ? q35i_split(encoder->split, text, n, add_piece, encoder)
                       : q35i_pieces_part(&encoder->pieces, &t->pieces, text, n, add_characters, encoder);
}

static q35_status add_special(q35i_encoder *encoder, uint32_t id)
{
    const q35_tokenizer *t = encoder->tokenizer;
    if (!t->splitter && q35i_vocab_kind(&t->vocab, id) == Q35I_TOKEN_CONTROL)
        q35i_pieces_begin(&encoder->pieces);
    else if (!t->splitter)
        Q35_TRY(q35i_pieces_before_token(&encoder->pieces, &t->pieces, add_characters, encoder));
    return q35i_encoder_id(encoder, id);
}

q35_status q35i_encoder_text(q35i_encoder *encoder, const char *text, uint64_t len, bool control)
{
    const q35i_vocab *vocab = &encoder->tokenizer->vocab;
    const uint8_t *bytes = (const uint8_t *)text;
    uint8_t kinds = 1u << Q35I_TOKEN_USER | (control ? 1u << Q35I_TOKEN_CONTROL : 0);
    uint64_t begin = 0, at = 0; /* [begin, at) is plain text not yet encoded */
    if (len > INT32_MAX)
        return Q35_FAIL(Q35_E_INVALID, "text: %" PRIu64 " bytes, need at most %" PRId32, len, INT32_MAX);
    q35i_pieces_begin(&encoder->pieces);
    while (vocab->n_special > 0 && at < len) {
        uint32_t id = Q35I_NO_TOKEN;
        if (vocab->special_first[bytes[at]] & kinds)
            id = q35i_vocab_special_at(vocab, bytes + at, len - at, control);
        if (id == Q35I_NO_TOKEN) {
            at++;
            continue;
        }
        uint64_t spelling;
        q35i_vocab_piece(vocab, id, &spelling);
        Q35_TRY(add_plain(encoder, bytes + begin, at - begin));
        Q35_TRY(add_special(encoder, id));
        at += spelling;
        begin = at;
    }
    return add_plain(encoder, bytes + begin, len - begin);
}

void q35i_encoder_take(q35i_encoder *encoder, int32_t **out_ids, uint64_t *out_n)
{
    *out_ids = encoder->ids;
    *out_n = encoder->n;
    encoder->ids = NULL;
    encoder->n = encoder->cap = 0;
}
