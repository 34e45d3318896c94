/* SPDX-License-Identifier: Apache-2.0
 *
 * Vocabulary tables. Plain tokens are spelled in the byte alphabet and become the bytes they stand for; special
 * tokens and plain ones with other characters keep their spelling. Only plain tokens in the alphabet can be found
 * by their bytes, so plain text never becomes a control token. */
#define _GNU_SOURCE /* qsort_r */
#include "runtime/text/vocab.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/size.h"
#include "runtime/model/quote.h"
#include "runtime/model/alphabet.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define KEY_TOKENS "tokenizer.ggml.tokens"
#define KEY_TYPES  "tokenizer.ggml.token_type"
#define KEY_SCORES "tokenizer.ggml.scores"

/* Values of tokenizer.ggml.token_type. */
enum { TYPE_UNKNOWN = 2, TYPE_CONTROL = 3, TYPE_USER_DEFINED = 4, TYPE_LAST = 6 };

/* Some converters leave these as normal or user-defined tokens; as such, message text could spell a turn's end. */
static const char *const always_control[] = {"<|im_start|>",        "<|im_end|>",        "<|endoftext|>",
                                             "<|begin_of_text|>",   "<|end_of_text|>",   "<|eot_id|>",
                                             "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>"};

typedef struct loader {
    q35i_vocab *vocab;
    const uint8_t *types; /* i32 [n], unaligned, or NULL */
    q35i_alphabet alphabet;
    q35_status status;
} loader;

uint32_t q35i_vocab_find(const q35i_vocab *vocab, const uint8_t *bytes, uint64_t len)
{
    if (len > vocab->longest)
        return Q35I_NO_TOKEN;
    for (uint64_t i = XXH3_64bits(bytes, len);; i++) {
        uint32_t slot = vocab->slots[i & vocab->mask];
        uint64_t found;
        if (slot == 0)
            return Q35I_NO_TOKEN;
        const uint8_t *piece = q35i_vocab_piece(vocab, slot - 1, &found);
        if (found == len && memcmp(piece, bytes, len) == 0)
            return slot - 1;
    }
}

/* Array metadata with one element per token; *out stays NULL when the key is absent. */
static q35_status per_token(const q35_model *model, const char *key, uint32_t n, const q35_meta **out)
{
    const q35_meta *meta = q35_model_meta(model, key);
    if (!meta)
        return Q35_OK;
    if (meta->type != Q35_META_ARRAY)
        return Q35_FAIL(Q35_E_FORMAT, "%s: value type %" PRIu32 ", need an array (9)", key, meta->type);
    if (meta->count != n)
        return Q35_FAIL(Q35_E_FORMAT, "%s: %" PRIu64 " elements, need %" PRIu32 " (one per token)", key,
                        meta->count, n);
    *out = meta;
    return Q35_OK;
}

static int add_length(void *user, uint64_t i, q35_string s)
{
    uint64_t *total = user;
    (void)i;
    return q35i_add(*total, s.len, total) ? 0 : 1;
}

static bool is_always_control(q35_string s)
{
    for (size_t i = 0; i < sizeof always_control / sizeof *always_control; i++)
        if (strlen(always_control[i]) == s.len && memcmp(always_control[i], s.data, s.len) == 0)
            return true;
    return false;
}

static q35_status token_kind(const loader *l, uint64_t i, q35_string s, uint8_t *out)
{
    int32_t type = 1;
    if (l->types)
        memcpy(&type, l->types + i * sizeof type, sizeof type);
    if (type < 0 || type > TYPE_LAST)
        return Q35_FAIL(Q35_E_FORMAT, "%s[%" PRIu64 "]: %" PRId32 ", need 0 to %d", KEY_TYPES, i, type, TYPE_LAST);
    if (type == TYPE_UNKNOWN || type == TYPE_CONTROL || is_always_control(s))
        *out = Q35I_TOKEN_CONTROL;
    else
        *out = type == TYPE_USER_DEFINED ? Q35I_TOKEN_USER : Q35I_TOKEN_PLAIN;
    return Q35_OK;
}

/* Makes the token findable by its bytes. */
static q35_status insert(q35i_vocab *vocab, uint32_t id, q35_string spelling)
{
    uint64_t len, found;
    const uint8_t *bytes = q35i_vocab_piece(vocab, id, &len);
    uint64_t i = XXH3_64bits(bytes, len);
    for (; vocab->slots[i & vocab->mask] != 0; i++) {
        uint32_t other = vocab->slots[i & vocab->mask] - 1;
        const uint8_t *piece = q35i_vocab_piece(vocab, other, &found);
        if (found == len && memcmp(piece, bytes, len) == 0)
            return Q35_FAIL(Q35_E_FORMAT,
                            "%s: ids %" PRIu32 " and %" PRIu32 " are both '%s', need each token once", KEY_TOKENS,
                            other, id, q35i_quote(spelling).text);
    }
    vocab->slots[i & vocab->mask] = id + 1;
    return Q35_OK;
}

static int add_token(void *user, uint64_t i, q35_string s)
{
    loader *l = user;
    q35i_vocab *vocab = l->vocab;
    uint64_t begin = vocab->begin[i], len = 0;
    uint8_t kind = Q35I_TOKEN_PLAIN;
    l->status = token_kind(l, i, s, &kind);
    if (l->status != Q35_OK)
        return 1;
    bool in_alphabet =
        kind == Q35I_TOKEN_PLAIN && q35i_alphabet_decode(&l->alphabet, s, vocab->bytes + begin, s.len, &len);
    if (!in_alphabet) {
        len = s.len;
        if (len > 0)
            memcpy(vocab->bytes + begin, s.data, len);
    }
    vocab->begin[i + 1] = begin + len;
    vocab->traits[i] = kind;
    vocab->longest = q35i_max(vocab->longest, len);
    if (in_alphabet && len > 0)
        l->status = insert(vocab, (uint32_t)i, s);
    else if (kind != Q35I_TOKEN_PLAIN && len > 0)
        vocab->special[vocab->n_special++] = (uint32_t)i;
    return l->status != Q35_OK;
}

static int by_spelling(const void *a, const void *b, void *user)
{
    const q35i_vocab *vocab = user;
    uint64_t na, nb;
    const uint8_t *pa = q35i_vocab_piece(vocab, *(const uint32_t *)a, &na);
    const uint8_t *pb = q35i_vocab_piece(vocab, *(const uint32_t *)b, &nb);
    int order = memcmp(pa, pb, q35i_min(na, nb));
    return order != 0 ? order : (na > nb) - (na < nb);
}

static q35_status sort_special(q35i_vocab *vocab)
{
    uint32_t *ids = vocab->special;
    if (vocab->n_special > 1)
        qsort_r(ids, vocab->n_special, sizeof *ids, by_spelling, vocab);
    for (uint32_t i = 1; i < vocab->n_special; i++) {
        if (by_spelling(&ids[i - 1], &ids[i], vocab) == 0) {
            q35_string s;
            s.data = (const char *)q35i_vocab_piece(vocab, ids[i], &s.len);
            return Q35_FAIL(Q35_E_FORMAT,
                            "%s: special ids %" PRIu32 " and %" PRIu32 " are both '%s', need each token once",
                            KEY_TOKENS, ids[i - 1], ids[i], q35i_quote(s).text);
        }
    }
    return Q35_OK;
}

static q35_status find_bytes(q35i_vocab *vocab)
{
    uint32_t missing = 0, first = 0;
    for (uint32_t byte = 256; byte-- > 0;) {
        uint8_t b = (uint8_t)byte;
        vocab->byte_id[byte] = q35i_vocab_find(vocab, &b, 1);
        if (vocab->byte_id[byte] == Q35I_NO_TOKEN) {
            missing++;
            first = byte;
        }
    }
    if (missing == 256)
        return Q35_FAIL(Q35_E_FORMAT, "%s: a token for 0 of the 256 bytes, need those that text is made of",
                        KEY_TOKENS);
    if (missing > 0)
        q35i_log(Q35_LOG_DEBUG,
                 "%s: no token for %" PRIu32 " of the 256 bytes, the first 0x%02" PRIx32
                 "; in text they become U+FFFD",
                 KEY_TOKENS, missing, first);
    return Q35_OK;
}

static q35_status allocate(q35i_vocab *vocab, uint32_t n, uint64_t bytes)
{
    uint32_t n_slots = 16;
    while (n_slots < n * 2u)
        n_slots *= 2;
    vocab->n = n;
    vocab->mask = n_slots - 1;
    vocab->bytes = q35i_calloc(q35i_max(bytes, 1), 1);
    vocab->begin = q35i_calloc((uint64_t)n + 1, sizeof *vocab->begin);
    vocab->traits = q35i_calloc(n, 1);
    vocab->slots = q35i_calloc(n_slots, sizeof *vocab->slots);
    vocab->special = q35i_calloc(n, sizeof *vocab->special);
    if (!vocab->bytes || !vocab->begin || !vocab->traits || !vocab->slots || !vocab->special)
        return Q35_E_NOMEM;
    return Q35_OK;
}

q35_status q35i_vocab_init(q35i_vocab *vocab, const q35_model *model)
{
    enum { MAX_TOKENS = 1 << 28 };
    const q35_meta *tokens = q35_model_meta(model, KEY_TOKENS), *types = NULL, *scores = NULL;
    loader l = {.vocab = vocab};
    uint64_t bytes = 0;
    if (!tokens)
        return Q35_FAIL(Q35_E_FORMAT, "%s: missing, need an array of strings", KEY_TOKENS);
    if (tokens->type != Q35_META_ARRAY || tokens->elem_type != Q35_META_STRING)
        return Q35_FAIL(Q35_E_FORMAT, "%s: value type %" PRIu32 ", need an array (9) of strings (8)", KEY_TOKENS,
                        tokens->type);
    if (tokens->count < 1 || tokens->count > MAX_TOKENS)
        return Q35_FAIL(Q35_E_FORMAT, "%s: %" PRIu64 " tokens, need 1 to %d", KEY_TOKENS, tokens->count,
                        MAX_TOKENS);
    uint32_t n = (uint32_t)tokens->count;
    Q35_TRY(per_token(model, KEY_TYPES, n, &types));
    Q35_TRY(per_token(model, KEY_SCORES, n, &scores));
    if (types && types->elem_type != Q35_META_I32 && types->elem_type != Q35_META_U32)
        return Q35_FAIL(Q35_E_FORMAT, "%s: elements of type %" PRIu32 ", need i32 (5)", KEY_TYPES,
                        types->elem_type);
    l.types = types ? types->data : NULL;
    if (q35_meta_each_string(tokens, add_length, &bytes))
        return Q35_FAIL(Q35_E_FORMAT, "%s: the lengths of the strings overflow", KEY_TOKENS);
    Q35_TRY(allocate(vocab, n, bytes));
    q35i_alphabet_init(&l.alphabet);
    q35_meta_each_string(tokens, add_token, &l);
    Q35_TRY(l.status);
    Q35_TRY(sort_special(vocab));
    return find_bytes(vocab);
}

void q35i_vocab_free(q35i_vocab *vocab)
{
    q35i_free(vocab->bytes);
    q35i_free(vocab->begin);
    q35i_free(vocab->traits);
    q35i_free(vocab->slots);
    q35i_free(vocab->special);
    *vocab = (q35i_vocab){0};
}
