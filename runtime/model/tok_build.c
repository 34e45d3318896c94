/* SPDX-License-Identifier: Apache-2.0
 *
 * The tokens of a tokenizer being translated, each once. */
#include "runtime/model/tok_build.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"
#include "runtime/base/utf8.h"
#include "runtime/model/quote.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

enum { MAX_TOKENS = 1 << 28 };

static bool is_special_type(int32_t type)
{
    return type == Q35I_TOK_UNKNOWN || type == Q35I_TOK_CONTROL || type == Q35I_TOK_USER;
}

/* Room for cap tokens. */
static q35_status grow(q35i_tok *tok, uint64_t cap)
{
    if (cap > MAX_TOKENS)
        return Q35_FAIL(Q35_E_FORMAT, "%s: %" PRIu64 " tokens, need at most %d", tok->name, cap, MAX_TOKENS);
    uint64_t *begin = q35i_realloc(tok->begin, cap, sizeof *begin);
    if (!begin)
        return Q35_E_NOMEM;
    tok->begin = begin;
    int32_t *types = q35i_realloc(tok->types, cap, sizeof *types);
    if (!types)
        return Q35_E_NOMEM;
    tok->types = types;
    if (tok->has_scores) {
        float *scores = q35i_realloc(tok->scores, cap, sizeof *scores);
        if (!scores)
            return Q35_E_NOMEM;
        tok->scores = scores;
    }
    tok->cap = (uint32_t)cap;
    return Q35_OK;
}

q35_status q35i_tok_init(q35i_tok *tok, const char *name, uint64_t cap, bool scores)
{
    uint64_t n_slots = 16;
    tok->name = name;
    tok->has_scores = scores;
    for (int i = 0; i < Q35I_TOK_ROLES; i++)
        tok->ids[i] = Q35I_TOK_NONE;
    q35i_alphabet_init(&tok->alphabet);
    Q35_TRY(grow(tok, q35i_max(cap, 1)));
    while (n_slots < 2 * cap)
        n_slots *= 2;
    tok->mask = (uint32_t)(n_slots - 1);
    tok->slots = q35i_calloc(n_slots, sizeof *tok->slots);
    return tok->slots ? Q35_OK : Q35_E_NOMEM;
}

void q35i_tok_free(q35i_tok *tok)
{
    q35i_string_array_free(&tok->tokens);
    q35i_string_array_free(&tok->merges);
    q35i_free(tok->begin);
    q35i_free(tok->types);
    q35i_free(tok->scores);
    q35i_free(tok->slots);
    q35i_free(tok->template);
    q35i_free(tok->piece);
    *tok = (q35i_tok){0};
}

q35_string q35i_tok_spelling(const q35i_tok *tok, uint32_t id)
{
    q35_string s;
    memcpy(&s.len, tok->tokens.bytes + tok->begin[id] - sizeof s.len, sizeof s.len);
    s.data = (const char *)tok->tokens.bytes + tok->begin[id];
    return s;
}

/* Slot of the token, or the empty one where it belongs. */
static uint32_t *find_slot(const q35i_tok *tok, q35_string spelling, bool special)
{
    for (uint64_t i = XXH3_64bits_withSeed(spelling.data, spelling.len, special);; i++) {
        uint32_t *slot = &tok->slots[i & tok->mask];
        if (*slot == 0)
            return slot;
        q35_string other = q35i_tok_spelling(tok, *slot - 1);
        if (other.len == spelling.len && memcmp(other.data, spelling.data, other.len) == 0 &&
            is_special_type(tok->types[*slot - 1]) == special)
            return slot;
    }
}

uint32_t q35i_tok_find(const q35i_tok *tok, q35_string spelling, bool special)
{
    uint32_t slot = *find_slot(tok, spelling, special);
    return slot ? slot - 1 : Q35I_TOK_NONE;
}

uint32_t q35i_tok_find_any(const q35i_tok *tok, q35_string spelling)
{
    uint32_t id = q35i_tok_find(tok, spelling, true);
    return id != Q35I_TOK_NONE ? id : q35i_tok_find(tok, spelling, false);
}

/* At most half of the slots stay in use. */
static q35_status reserve_slot(q35i_tok *tok)
{
    uint32_t *old = tok->slots;
    if (2 * ((uint64_t)tok->n_slots_used + 1) <= (uint64_t)tok->mask + 1)
        return Q35_OK;
    uint32_t *slots = q35i_calloc(2 * ((uint64_t)tok->mask + 1), sizeof *slots);
    if (!slots)
        return Q35_E_NOMEM;
    tok->slots = slots;
    tok->mask = 2 * tok->mask + 1;
    tok->n_slots_used = 0;
    for (uint32_t id = 0; id < tok->n; id++) {
        uint32_t *slot = find_slot(tok, q35i_tok_spelling(tok, id), is_special_type(tok->types[id]));
        tok->n_slots_used += *slot == 0;
        *slot = *slot ? *slot : id + 1;
    }
    q35i_free(old);
    return Q35_OK;
}

static q35_status append(q35i_tok *tok, q35_string spelling, int32_t type, float score)
{
    if (tok->n == tok->cap)
        Q35_TRY(grow(tok, 2 * (uint64_t)tok->cap));
    Q35_TRY(q35i_string_array_add(&tok->tokens, spelling));
    tok->begin[tok->n] = tok->tokens.used - spelling.len;
    tok->types[tok->n] = type;
    if (tok->has_scores)
        tok->scores[tok->n] = score;
    tok->n_bytes += type == Q35I_TOK_BYTE;
    tok->n++;
    return Q35_OK;
}

q35_status q35i_tok_add(q35i_tok *tok, q35_string spelling, int32_t type, float score)
{
    if (spelling.len == 0)
        return Q35_FAIL(Q35_E_FORMAT, "%s: token %" PRIu32 ": empty, need text", tok->name, tok->n);
    for (uint64_t i = 0; i < spelling.len;) {
        int length = q35i_utf8_char((const uint8_t *)spelling.data + i, spelling.len - i);
        if (length < 1)
            return Q35_FAIL(Q35_E_FORMAT, "%s: token %" PRIu32 ": '%s', need UTF-8", tok->name, tok->n,
                            q35i_quote(spelling).text);
        i += (uint64_t)length;
    }
    Q35_TRY(reserve_slot(tok));
    uint32_t *slot = find_slot(tok, spelling, is_special_type(type));
    if (*slot != 0)
        return Q35_FAIL(Q35_E_FORMAT, "%s: tokens %" PRIu32 " and %" PRIu32 " are both '%s', need each token once",
                        tok->name, *slot - 1, tok->n, q35i_quote(spelling).text);
    Q35_TRY(append(tok, spelling, type, score));
    *slot = tok->n;
    tok->n_slots_used++;
    return Q35_OK;
}

q35_status q35i_tok_set_type(q35i_tok *tok, uint32_t id, int32_t type)
{
    if (is_special_type(tok->types[id]) == is_special_type(type)) {
        tok->types[id] = type;
        return Q35_OK;
    }
    Q35_TRY(reserve_slot(tok));
    q35_string spelling = q35i_tok_spelling(tok, id);
    uint32_t *slot = find_slot(tok, spelling, is_special_type(type));
    if (*slot != 0)
        return Q35_FAIL(Q35_E_FORMAT, "%s: tokens %" PRIu32 " and %" PRIu32 " are both '%s', need each token once",
                        tok->name, *slot - 1, id, q35i_quote(spelling).text);
    tok->types[id] = type;
    *slot = id + 1;
    tok->n_slots_used++;
    return Q35_OK;
}

q35_status q35i_tok_add_bytes(q35i_tok *tok, const uint8_t *bytes, uint64_t n)
{
    if (n > tok->piece_cap / 2) {
        char *bigger = q35i_realloc(tok->piece, q35i_max(4 * n, 256), 1);
        if (!bigger)
            return Q35_E_NOMEM;
        tok->piece = bigger;
        tok->piece_cap = q35i_max(4 * n, 256);
    }
    q35_string spelling = {tok->piece, q35i_alphabet_encode(&tok->alphabet, bytes, n, tok->piece)};
    return q35i_tok_add(tok, spelling, Q35I_TOK_NORMAL, 0);
}

q35_status q35i_tok_add_unused(q35i_tok *tok)
{
    char text[24];
    int n = snprintf(text, sizeof text, "[PAD%" PRIu32 "]", tok->n);
    Q35_TRY(append(tok, (q35_string){text, (uint64_t)n}, Q35I_TOK_UNUSED, 0));
    tok->n_unused++;
    return Q35_OK;
}

q35_status q35i_tok_set_template(q35i_tok *tok, q35_string text)
{
    char *copy = q35i_strndup(text.data, text.len);
    if (!copy)
        return Q35_E_NOMEM;
    q35i_free(tok->template);
    tok->template = copy;
    tok->template_len = text.len;
    return Q35_OK;
}
