/* SPDX-License-Identifier: Apache-2.0
 *
 * SentencePiece merges over a whole text. Where the two characters at a boundary stand next to each other inside
 * no token, no merge can cross it, so the text may be cut there without changing a single id; a filter without
 * false negatives over the pairs inside tokens finds such places. In usual vocabularies each word ends at one. */
#include "runtime/text/pieces.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"
#include "runtime/base/utf8.h"

#include <inttypes.h>
#include <string.h>

#define KEY_PREFIX  "tokenizer.ggml.add_space_prefix"
#define KEY_SQUEEZE "tokenizer.ggml.remove_extra_whitespaces"

enum { JOIN_BITS = 20 };

/* Bytes of a character as one number; n <= 4. */
static uint32_t pack(const uint8_t *c, uint32_t n)
{
    uint32_t value = 0;
    for (uint32_t i = 0; i < n; i++)
        value = value << 8 | c[i];
    return value;
}

static uint32_t pair_bit(uint32_t a, uint32_t b)
{
    uint64_t h = ((uint64_t)a << 32 | b) * 0x9E3779B97F4A7C15u;
    h ^= h >> 32;
    return (uint32_t)((h * 0xD6E8FEB86659FD93u) >> (64 - JOIN_BITS));
}

static bool may_join(const q35i_pieces_rules *rules, uint32_t a, uint32_t b)
{
    uint32_t bit = pair_bit(a, b);
    return rules->joins[bit / 64] >> bit % 64 & 1;
}

static uint32_t char_length(const uint8_t *text, uint64_t n)
{
    int length = q35i_utf8_char(text, n);
    return length > 0 ? (uint32_t)length : 1;
}

static void add_joins(q35i_pieces_rules *rules, const uint8_t *token, uint64_t n)
{
    uint32_t before = 0;
    for (uint64_t i = 0; i < n;) {
        uint32_t length = char_length(token + i, n - i), c = pack(token + i, length);
        if (i > 0)
            rules->joins[pair_bit(before, c) / 64] |= UINT64_C(1) << pair_bit(before, c) % 64;
        before = c;
        i += length;
    }
}

static q35_status read_flag(const q35_model *model, const char *key, bool *out)
{
    const q35_meta *meta = q35_model_meta(model, key);
    int value = *out;
    if (meta && !q35_meta_bool(meta, &value))
        return Q35_FAIL(Q35_E_FORMAT, "%s: value type %" PRIu32 ", need a bool (7)", key, meta->type);
    *out = value != 0;
    return Q35_OK;
}

q35_status q35i_pieces_rules_init(q35i_pieces_rules *rules, const q35i_vocab *vocab, const q35_model *model)
{
    rules->space_prefix = true;
    Q35_TRY(read_flag(model, KEY_PREFIX, &rules->space_prefix));
    Q35_TRY(read_flag(model, KEY_SQUEEZE, &rules->squeeze_spaces));
    rules->joins = q35i_calloc((1u << JOIN_BITS) / 64, sizeof *rules->joins);
    if (!rules->joins)
        return Q35_E_NOMEM;
    for (uint32_t id = 0; id < vocab->n; id++) {
        uint32_t kind = q35i_vocab_kind(vocab, id);
        uint64_t n;
        const uint8_t *token = q35i_vocab_piece(vocab, id, &n);
        if (kind == Q35I_TOKEN_PLAIN || kind == Q35I_TOKEN_UNUSED)
            add_joins(rules, token, n);
    }
    return Q35_OK;
}

void q35i_pieces_rules_free(q35i_pieces_rules *rules)
{
    q35i_free(rules->joins);
    *rules = (q35i_pieces_rules){0};
}

void q35i_pieces_begin(q35i_pieces *work)
{
    work->n = 0;
    work->begun = work->space_waiting = false;
}

void q35i_pieces_free(q35i_pieces *work)
{
    q35i_free(work->piece);
    *work = (q35i_pieces){0};
}

static q35_status hand_out(q35i_pieces *work, q35i_piece_fn fn, void *user)
{
    uint32_t n = work->n;
    work->n = 0;
    return n > 0 ? fn(user, work->piece, n) : Q35_OK;
}

static q35_status reserve(q35i_pieces *work, uint32_t n)
{
    if (n <= work->cap)
        return Q35_OK;
    uint32_t cap = (uint32_t)q35i_max((uint64_t)work->cap * 2, 4096);
    uint8_t *piece = q35i_realloc(work->piece, cap, 1);
    if (!piece)
        return Q35_E_NOMEM;
    work->piece = piece;
    work->cap = cap;
    return Q35_OK;
}

/* Puts a character of n bytes behind the piece, which is handed out before when it ends here. */
static q35_status put(q35i_pieces *work, const q35i_pieces_rules *rules, const uint8_t *c, uint32_t n,
                      q35i_piece_fn fn, void *user)
{
    uint32_t packed = pack(c, n);
    if (work->n > 0 && (work->n + n > Q35I_PIECE_BYTES || !may_join(rules, work->last, packed)))
        Q35_TRY(hand_out(work, fn, user));
    Q35_TRY(reserve(work, work->n + n));
    memcpy(work->piece + work->n, c, n);
    work->n += n;
    work->last = packed;
    return Q35_OK;
}

/* What comes before a character that counts: the prefix of the text, or a squeezed space. */
static q35_status put_before(q35i_pieces *work, const q35i_pieces_rules *rules, q35i_piece_fn fn, void *user)
{
    static const uint8_t space = ' ';
    bool wanted = work->begun ? work->space_waiting : rules->space_prefix;
    work->begun = true;
    work->space_waiting = false;
    return wanted ? put(work, rules, &space, 1, fn, user) : Q35_OK;
}

q35_status q35i_pieces_part(q35i_pieces *work, const q35i_pieces_rules *rules, const uint8_t *text, uint64_t n,
                            q35i_piece_fn fn, void *user)
{
    static const uint8_t space = ' ';
    for (uint64_t i = 0; i < n;) {
        uint32_t length = char_length(text + i, n - i);
        const uint8_t *c = text + i;
        i += length;
        if (length == 3 && memcmp(c, "\xE2\x96\x81", 3) == 0) {
            c = &space;
            length = 1;
        }
        if (rules->squeeze_spaces && *c == ' ') {
            work->space_waiting = true;
            continue;
        }
        if (!work->begun || work->space_waiting)
            Q35_TRY(put_before(work, rules, fn, user));
        Q35_TRY(put(work, rules, c, length, fn, user));
    }
    return hand_out(work, fn, user);
}

q35_status q35i_pieces_before_token(q35i_pieces *work, const q35i_pieces_rules *rules, q35i_piece_fn fn,
                                    void *user)
{
    Q35_TRY(put_before(work, rules, fn, user));
    return hand_out(work, fn, user);
}
