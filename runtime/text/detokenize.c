/* SPDX-License-Identifier: Apache-2.0
 *
 * Streaming text. Bytes that start a character wait in `pending` until it is complete; the longest start of a
 * character that the next byte rules out becomes one U+FFFD, as Unicode recommends. */
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"
#include "runtime/base/utf8.h"
#include "runtime/text/tokenizer.h"

#include <inttypes.h>
#include <string.h>

static const char replacement[] = "\xEF\xBF\xBD";
enum { REPLACEMENT_BYTES = 3 };

void q35_detokenizer_init(q35_detokenizer *d, const q35_tokenizer *tokenizer)
{
    *d = (q35_detokenizer){.tokenizer = tokenizer};
}

void q35_detokenizer_free(q35_detokenizer *d)
{
    q35i_free(d->text);
    *d = (q35_detokenizer){0};
}

/* Room for any token after any pending bytes, so that only the first call allocates: each byte may become U+FFFD.
 */
static q35_status reserve(q35_detokenizer *d)
{
    uint64_t cap;
    if (d->text)
        return Q35_OK;
    if (!q35i_mul(d->tokenizer->vocab.longest + sizeof d->pending, REPLACEMENT_BYTES, &cap))
        return Q35_FAIL(Q35_E_NOMEM, "detokenizer: a token of %" PRIu64 " bytes, need fewer",
                        d->tokenizer->vocab.longest);
    d->text = q35i_calloc(cap + 1, 1);
    if (!d->text)
        return Q35_E_NOMEM;
    d->cap = cap + 1;
    return Q35_OK;
}

/* Moves whole characters of pending to the text, n bytes long so far; returns its new length. */
static uint64_t flush(q35_detokenizer *d, uint64_t n)
{
    while (d->n_pending > 0) {
        int length = q35i_utf8_char((const uint8_t *)d->pending, d->n_pending);
        if (length == 0)
            break;
        uint32_t taken = (uint32_t)(length > 0 ? length : -length);
        const char *from = length > 0 ? d->pending : replacement;
        uint32_t bytes = length > 0 ? taken : REPLACEMENT_BYTES;
        memcpy(d->text + n, from, bytes);
        n += bytes;
        d->n_pending -= taken;
        memmove(d->pending, d->pending + taken, d->n_pending);
    }
    return n;
}

/* Bytes at the start of a token that a text which begins with it does not have: the space in front of every text
 * of a SentencePiece vocabulary, or all of them where spaces at the start do not count. */
static uint64_t prefix_bytes(q35_detokenizer *d, int32_t id, const char *piece, uint64_t len)
{
    const q35_tokenizer *t = d->tokenizer;
    bool prefix = !t->splitter && (t->pieces.space_prefix || t->pieces.squeeze_spaces);
    if (d->begun || len == 0)
        return 0;
    bool cut = prefix && !(d->flags & Q35_DETOKENIZE_CONTINUE) && piece[0] == ' ' &&
               t->vocab.byte_id[' '] != (uint32_t)id;
    d->begun = !(cut && len == 1 && t->pieces.squeeze_spaces);
    return cut;
}

q35_status q35_detokenizer_push(q35_detokenizer *d, int32_t id, const char **out_text, uint64_t *out_len)
{
    uint64_t len, n = 0;
    *out_text = "";
    *out_len = 0;
    const char *piece = q35_tokenizer_piece(d->tokenizer, id, &len);
    if (!piece)
        return Q35_FAIL(Q35_E_RANGE, "token id %" PRId32 ": not in the vocabulary, need 0 to %" PRIu32, id,
                        d->tokenizer->vocab.n - 1);
    bool control = q35_tokenizer_is_control(d->tokenizer, id);
    if (control && !(d->flags & Q35_DETOKENIZE_SPECIAL))
        return Q35_OK;
    Q35_TRY(reserve(d));
    /* what follows a control token is a text of its own */
    uint64_t i = control ? 0 : prefix_bytes(d, id, piece, len);
    if (control)
        d->begun = 0;
    if (d->flags & Q35_DETOKENIZE_BYTES) {
        n = len - i;
        memcpy(d->text, piece + i, n);
    }
    for (; i < len && !(d->flags & Q35_DETOKENIZE_BYTES); i++) {
        d->pending[d->n_pending++] = piece[i];
        n = flush(d, n);
    }
    d->text[n] = '\0';
    *out_text = d->text;
    *out_len = n;
    return Q35_OK;
}

q35_status q35_detokenizer_finish(q35_detokenizer *d, const char **out_text, uint64_t *out_len)
{
    *out_text = d->n_pending > 0 ? replacement : "";
    *out_len = d->n_pending > 0 ? REPLACEMENT_BYTES : 0;
    d->n_pending = 0;
    return Q35_OK;
}
