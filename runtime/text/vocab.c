/* SPDX-License-Identifier: Apache-2.0
 *
 * Vocabulary tables. Plain tokens become the text they stand for: byte-level ones are spelled in the byte
 * alphabet, SentencePiece's have U+2581 for a space and <0xNN> for a byte. Special tokens and what is outside the
 * alphabet keep their spelling. Only plain tokens can be found by their bytes, so plain text never becomes a
 * control token. */
#define _GNU_SOURCE /* qsort_r */
#include "runtime/text/vocab.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/size.h"
#include "runtime/model/quote.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define KEY_TOKENS "tokenizer.ggml.tokens"
#define KEY_TYPES  "tokenizer.ggml.token_type"
#define KEY_SCORES "tokenizer.ggml.scores"

/* Values of tokenizer.ggml.token_type. */
enum {
    TYPE_NORMAL = 1,
    TYPE_UNKNOWN,
    TYPE_CONTROL,
    TYPE_USER_DEFINED,
    TYPE_UNUSED,
    TYPE_BYTE,
    TYPE_LAST = TYPE_BYTE
};

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

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Byte of a token <0xNN>, -1: spelled otherwise. */
static int byte_value(q35_string s)
{
    if (s.len != 6 || memcmp(s.data, "<0x", 3) != 0 || s.data[5] != '>')
        return -1;
    int high = hex_digit(s.data[3]), low = hex_digit(s.data[4]);
    return high < 0 || low < 0 ? -1 : 16 * high + low;
}

static q35_status token_type(const loader *l, uint64_t i, q35_string s, int32_t *out)
{
    bool pieces = l->vocab->pieces;
    int32_t type = pieces && byte_value(s) >= 0 ? TYPE_BYTE : TYPE_NORMAL;
    if (l->types)
        memcpy(&type, l->types + i * sizeof type, sizeof type);
    if (type < 0 || type > TYPE_LAST)
        return Q35_FAIL(Q35_E_FORMAT, "%s[%" PRIu64 "]: %" PRId32 ", need 0 to %d", KEY_TYPES, i, type, TYPE_LAST);
    if (pieces && type == TYPE_BYTE && byte_value(s) < 0)
        return Q35_FAIL(Q35_E_FORMAT, "%s[%" PRIu64 "]: byte token '%s', need <0x00> to <0xFF>", KEY_TOKENS, i,
                        q35i_quote(s).text);
    if (type != TYPE_UNKNOWN && is_always_control(s))
        type = TYPE_CONTROL;
    *out = type;
    return Q35_OK;
}

static uint8_t token_kind(int32_t type)
{
    switch (type) {
    case TYPE_UNKNOWN:
    case TYPE_CONTROL: return Q35I_TOKEN_CONTROL;
    case TYPE_USER_DEFINED: return Q35I_TOKEN_USER;
    case TYPE_UNUSED: return Q35I_TOKEN_UNUSED;
    default: return Q35I_TOKEN_PLAIN;
    }
}

static bool decode_piece(q35_string s, uint8_t *out, uint64_t cap, uint64_t *out_len)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < s.len; i++, n++) {
        bool space = s.len - i >= 3 && memcmp(s.data + i, "\xE2\x96\x81", 3) == 0;
        if (n == cap)
            return false;
        out[n] = space ? ' ' : (uint8_t)s.data[i];
        i += space ? 2 : 0;
    }
    *out_len = n;
    return true;
}

bool q35i_vocab_decode(const q35i_vocab *vocab, const q35i_alphabet *alphabet, q35_string spelling, uint8_t *out,
                       uint64_t cap, uint64_t *out_len)
{
    return vocab->pieces ? decode_piece(spelling, out, cap, out_len)
                         : q35i_alphabet_decode(alphabet, spelling, out, cap, out_len);
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

/* A byte of a SentencePiece vocabulary: found by its value, not by spelling. */
static q35_status add_byte(q35i_vocab *vocab, uint32_t id, q35_string s)
{
    int byte = byte_value(s);
    if (vocab->byte_id[byte] != Q35I_NO_TOKEN)
        return Q35_FAIL(Q35_E_FORMAT, "%s: ids %" PRIu32 " and %" PRIu32 " are both '%s', need each token once",
                        KEY_TOKENS, vocab->byte_id[byte], id, q35i_quote(s).text);
    vocab->byte_id[byte] = id;
    vocab->bytes[vocab->begin[id]] = (uint8_t)byte;
    vocab->begin[id + 1] = vocab->begin[id] + 1;
    vocab->longest = q35i_max(vocab->longest, 1);
    return Q35_OK;
}

static q35_status add_special(q35i_vocab *vocab, uint32_t id, q35_string s)
{
    uint64_t len;
    const uint8_t *piece = q35i_vocab_piece(vocab, id, &len);
    if (len == 0)
        return Q35_OK;
    if (len > Q35I_SPECIAL_BYTES)
        return Q35_FAIL(Q35_E_FORMAT, "%s[%" PRIu32 "]: special token '%s' of %" PRIu64 " bytes, need at most %d",
                        KEY_TOKENS, id, q35i_quote(s).text, len, Q35I_SPECIAL_BYTES);
    vocab->special[vocab->n_special++] = id;
    vocab->special_first[piece[0]] |= (uint8_t)(1u << q35i_vocab_kind(vocab, id));
    return Q35_OK;
}

static q35_status add_text(loader *l, uint32_t id, q35_string s, uint8_t kind)
{
    q35i_vocab *vocab = l->vocab;
    uint8_t *bytes = vocab->bytes + vocab->begin[id];
    uint64_t len = 0;
    bool decoded = kind != Q35I_TOKEN_CONTROL && (kind != Q35I_TOKEN_USER || vocab->pieces) &&
                   q35i_vocab_decode(vocab, &l->alphabet, s, bytes, s.len, &len);
    if (!decoded) {
        len = s.len;
        if (len > 0)
            memcpy(bytes, s.data, len);
    }
    vocab->begin[id + 1] = vocab->begin[id] + len;
    vocab->traits[id] = kind;
    vocab->n_unused += kind == Q35I_TOKEN_UNUSED;
    vocab->longest = q35i_max(vocab->longest, len);
    if (kind == Q35I_TOKEN_CONTROL || kind == Q35I_TOKEN_USER)
        return add_special(vocab, id, s);
    /* spaces of a text are never looked up as such in vocabularies of pieces */
    bool findable = decoded && len > 0 && !(vocab->pieces && memchr(s.data, ' ', s.len));
    return findable ? insert(vocab, id, s) : Q35_OK;
}

static int add_token(void *user, uint64_t i, q35_string s)
{
    loader *l = user;
    int32_t type = TYPE_NORMAL;
    l->status = token_type(l, i, s, &type);
    if (l->status == Q35_OK && l->vocab->pieces && type == TYPE_BYTE)
        l->status = add_byte(l->vocab, (uint32_t)i, s);
    else if (l->status == Q35_OK)
        l->status = add_text(l, (uint32_t)i, s, token_kind(type));
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
        if (!vocab->pieces)
            vocab->byte_id[byte] = q35i_vocab_find(vocab, &b, 1);
        if (vocab->byte_id[byte] == Q35I_NO_TOKEN) {
            missing++;
            first = byte;
        }
    }
    if (missing == 256 && !vocab->pieces)
        return Q35_FAIL(Q35_E_FORMAT, "%s: a token for 0 of the 256 bytes, need those that text is made of",
                        KEY_TOKENS);
    if (missing > 0)
        q35i_log(Q35_LOG_DEBUG,
                 "%s: no token for %" PRIu32 " of the 256 bytes, the first 0x%02" PRIx32
                 "; in text they become %s",
                 KEY_TOKENS, missing, first, vocab->pieces ? "the unknown token" : "U+FFFD");
    return Q35_OK;
}

static q35_status allocate(q35i_vocab *vocab, uint32_t n, uint64_t bytes)
{
    uint32_t n_slots = 16;
    while (n_slots < n * 2u)
        n_slots *= 2;
    vocab->n = n;
    vocab->mask = n_slots - 1;
    for (int byte = 0; byte < 256; byte++)
        vocab->byte_id[byte] = Q35I_NO_TOKEN;
    vocab->bytes = q35i_calloc(q35i_max(bytes, 1), 1);
    vocab->begin = q35i_calloc((uint64_t)n + 1, sizeof *vocab->begin);
    vocab->traits = q35i_calloc(n, 1);
    vocab->slots = q35i_calloc(n_slots, sizeof *vocab->slots);
    vocab->special = q35i_calloc(n, sizeof *vocab->special);
    if (!vocab->bytes || !vocab->begin || !vocab->traits || !vocab->slots || !vocab->special)
        return Q35_E_NOMEM;
    return Q35_OK;
}

q35_status q35i_vocab_init(q35i_vocab *vocab, const q35_model *model, bool pieces)
{
    enum { MAX_TOKENS = 1 << 28 };
    const q35_meta *tokens = q35_model_meta(model, KEY_TOKENS), *types = NULL, *scores = NULL;
    loader l = {.vocab = vocab};
    uint64_t bytes = 0;
    vocab->pieces = pieces;
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
