/* SPDX-License-Identifier: Apache-2.0
 *
 * Merge rules: "left right" strings of the file, in the byte alphabet, turned into id pairs once, so that merging
 * compares integers. A pair listed twice keeps its first rank. */
#include "runtime/text/merges.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/model/alphabet.h"
#include "runtime/model/quote.h"

#include <inttypes.h>
#include <string.h>

#define KEY_MERGES "tokenizer.ggml.merges"

typedef struct loader {
    q35i_merges *merges;
    const q35i_vocab *vocab;
    q35i_alphabet alphabet;
    uint8_t *joined; /* [vocab->longest] bytes of both parts */
    q35_status status;
} loader;

/* Finaliser of MurmurHash3: every bit of the pair reaches the low bits. */
static uint64_t hash_pair(uint32_t left, uint32_t right)
{
    uint64_t h = (uint64_t)left << 32 | right;
    h ^= h >> 33;
    h *= 0xFF51AFD7ED558CCDu;
    h ^= h >> 33;
    h *= 0xC4CEB9FE1A85EC53u;
    return h ^ h >> 33;
}

uint32_t q35i_merges_rank(const q35i_merges *merges, uint32_t left, uint32_t right)
{
    for (uint64_t i = hash_pair(left, right);; i++) {
        uint32_t slot = merges->slots[i & merges->mask];
        if (slot == 0)
            return Q35I_NO_RANK;
        if (merges->list[slot - 1].left == left && merges->list[slot - 1].right == right)
            return slot - 1;
    }
}

static void insert(q35i_merges *merges, uint32_t rank, q35i_merge rule)
{
    uint64_t i = hash_pair(rule.left, rule.right);
    merges->list[rank] = rule;
    while (merges->slots[i & merges->mask] != 0)
        i++;
    merges->slots[i & merges->mask] = rank + 1;
}

/* The token spelled by text, appended to l->joined after *len bytes. *special: it exists, but as a special token.
 */
static uint32_t find_part(const loader *l, q35_string text, uint64_t *len, bool *special)
{
    uint64_t n = 0;
    uint8_t *bytes = l->joined + *len;
    if (q35i_vocab_special(l->vocab, (const uint8_t *)text.data, text.len) != Q35I_NO_TOKEN)
        *special = true;
    if (!q35i_vocab_decode(l->vocab, &l->alphabet, text, bytes, l->vocab->longest - *len, &n))
        return Q35I_NO_TOKEN;
    *len += n;
    return q35i_vocab_find(l->vocab, bytes, n);
}

static int add_rule(void *user, uint64_t i, q35_string s)
{
    loader *l = user;
    const char *space = s.len > 1 ? memchr(s.data + 1, ' ', s.len - 1) : NULL;
    if (!space || space + 1 == s.data + s.len) {
        l->status = Q35_FAIL(Q35_E_FORMAT, "%s[%" PRIu64 "]: '%s', need two tokens with a space between",
                             KEY_MERGES, i, q35i_quote(s).text);
        return 1;
    }
    q35_string left = {s.data, (uint64_t)(space - s.data)};
    q35_string right = {space + 1, s.len - left.len - 1};
    uint64_t len = 0;
    bool special = false;
    q35i_merge rule = {.result = Q35I_NO_TOKEN};
    rule.left = find_part(l, left, &len, &special);
    rule.right = find_part(l, right, &len, &special);
    if (rule.left != Q35I_NO_TOKEN && rule.right != Q35I_NO_TOKEN)
        rule.result = q35i_vocab_find(l->vocab, l->joined, len);
    if (rule.result == Q35I_NO_TOKEN)
        special = special || q35i_vocab_special(l->vocab, l->joined, len) != Q35I_NO_TOKEN;
    if (special) {
        l->merges->list[i] = (q35i_merge){Q35I_NO_TOKEN, Q35I_NO_TOKEN, Q35I_NO_TOKEN};
        return 0;
    }
    if (rule.result == Q35I_NO_TOKEN) {
        l->status =
            Q35_FAIL(Q35_E_FORMAT, "%s[%" PRIu64 "]: '%s', need a rule whose two parts and their join are tokens",
                     KEY_MERGES, i, q35i_quote(s).text);
        return 1;
    }
    if (q35i_merges_rank(l->merges, rule.left, rule.right) == Q35I_NO_RANK)
        insert(l->merges, (uint32_t)i, rule);
    else
        l->merges->list[i] = rule;
    return 0;
}

q35_status q35i_merges_init(q35i_merges *merges, const q35i_vocab *vocab, const q35_model *model)
{
    enum { MAX_MERGES = 1 << 28 };
    const q35_meta *meta = q35_model_meta(model, KEY_MERGES);
    loader l = {.merges = merges, .vocab = vocab};
    uint32_t n_slots = 16;
    if (!meta)
        return Q35_OK;
    if (meta->type != Q35_META_ARRAY || (meta->count > 0 && meta->elem_type != Q35_META_STRING))
        return Q35_FAIL(Q35_E_FORMAT, "%s: value type %" PRIu32 ", need an array (9) of strings (8)", KEY_MERGES,
                        meta->type);
    if (meta->count > MAX_MERGES)
        return Q35_FAIL(Q35_E_FORMAT, "%s: %" PRIu64 " rules, need at most %d", KEY_MERGES, meta->count,
                        MAX_MERGES);
    merges->n = (uint32_t)meta->count;
    while (n_slots < merges->n * 2u)
        n_slots *= 2;
    merges->mask = n_slots - 1;
    merges->list = q35i_calloc(merges->n, sizeof *merges->list);
    merges->slots = q35i_calloc(n_slots, sizeof *merges->slots);
    l.joined = q35i_calloc(vocab->longest, 1);
    if (!merges->list || !merges->slots || !l.joined) {
        l.status = Q35_E_NOMEM;
    } else if (merges->n > 0) {
        q35i_alphabet_init(&l.alphabet);
        q35_meta_each_string(meta, add_rule, &l);
    }
    q35i_free(l.joined);
    return l.status;
}

void q35i_merges_free(q35i_merges *merges)
{
    q35i_free(merges->list);
    q35i_free(merges->slots);
    *merges = (q35i_merges){0};
}
