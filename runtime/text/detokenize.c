/* SPDX-License-Identifier: Apache-2.0
 *
 * Streaming text. Bytes that start a character wait in `pending` until it is complete; the longest start of a
 * character that the next byte rules out becomes one U+FFFD, as Unicode recommends. */
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"
#include "runtime/text/tokenizer.h"
#include "runtime/base/utf8.h"

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

q35_status q35_detokenizer_push(q35_detokenizer *d, int32_t id, const char **out_text, uint64_t *out_len)
{
    uint64_t len, n = 0;
    *out_text = "";
    *out_len = 0;
    const char *piece = q35_tokenizer_piece(d->tokenizer, id, &len);
    if (!piece)
        return Q35_FAIL(Q35_E_RANGE, "token id %" PRId32 ": not in the vocabulary, need 0 to %" PRIu32, id,
                        d->tokenizer->vocab.n - 1);
    if (q35_tokenizer_is_control(d->tokenizer, id))
        return Q35_OK;
    Q35_TRY(reserve(d));
    for (uint64_t i = 0; i < len; i++) {
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
