/* SPDX-License-Identifier: Apache-2.0
 *
 * tekken.json: a rank of merging per token, bytes in base64, special tokens in front. There is no list of merges:
 * the lower rank merges first, which is the order of the ids. */
#include "runtime/model/hf_tokenizer.h"
#include "runtime/model/json_tape.h"
#include "runtime/model/tok_base64.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"
#include "runtime/model/quote.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char pattern_of_tekken[] =
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|"
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|"
    "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/* Files up to version v7 do not list their special tokens; they have these. */
static const char *const early_specials[] = {"<unk>",
                                             "<s>",
                                             "</s>",
                                             "[INST]",
                                             "[/INST]",
                                             "[AVAILABLE_TOOLS]",
                                             "[/AVAILABLE_TOOLS]",
                                             "[TOOL_RESULTS]",
                                             "[/TOOL_RESULTS]",
                                             "[TOOL_CALLS]",
                                             "[IMG]",
                                             "<pad>",
                                             "[IMG_BREAK]",
                                             "[IMG_END]",
                                             "[PREFIX]",
                                             "[MIDDLE]",
                                             "[SUFFIX]",
                                             "[SYSTEM_PROMPT]",
                                             "[/SYSTEM_PROMPT]",
                                             "[TOOL_CONTENT]"};
enum { N_EARLY = sizeof early_specials / sizeof *early_specials, MAX_SPECIAL = 1 << 16 };

typedef struct tekken {
    q35i_json json;
    uint64_t n_special, n_tokens;
    bool early;                       /* version v7 or before */
    uint32_t config, vocab, specials; /* nodes; specials may be Q35I_JSON_NONE */
    uint32_t *special_at;             /* [n_special] node of each listed special token, 0: none */
    uint8_t *bytes;                   /* [longest] of a token */
} tekken;

static q35_status read_version(tekken *t, q35i_tok *tok)
{
    static const char *const known[] = {"v1", "v2", "v3", "v7", "v11", "v13", "v15"};
    uint32_t node;
    Q35_TRY(q35i_json_need(&t->json, t->config, "version", Q35I_JSON_STRING, &node));
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (!q35i_json_is(&t->json, node, known[i]))
            continue;
        memcpy(tok->version, known[i], strlen(known[i]) + 1);
        t->early = i < 4;
        return Q35_OK;
    }
    return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: version: '%s', need v1, v2, v3, v7, v11, v13 or v15", t->json.name,
                    q35i_quote(q35i_json_text(&t->json, node)).text);
}

static q35_status read_config(tekken *t)
{
    uint32_t node;
    const q35i_json *json = &t->json;
    Q35_TRY(q35i_json_need(json, 0, "config", Q35I_JSON_OBJECT, &t->config));
    Q35_TRY(q35i_json_need(json, 0, "vocab", Q35I_JSON_ARRAY, &t->vocab));
    Q35_TRY(q35i_json_get_type(json, 0, "special_tokens", Q35I_JSON_ARRAY, &t->specials));
    Q35_TRY(q35i_json_need(json, t->config, "pattern", Q35I_JSON_STRING, &node));
    if (!q35i_json_is(json, node, pattern_of_tekken))
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: pattern: '%s', need the one of Tekken", json->name,
                        q35i_quote(q35i_json_text(json, node)).text);
    Q35_TRY(q35i_json_need_int(json, t->config, "default_num_special_tokens", MAX_SPECIAL, &t->n_special));
    Q35_TRY(q35i_json_need_int(json, t->config, "default_vocab_size", UINT32_MAX, &t->n_tokens));
    uint64_t listed = json->nodes[t->vocab].len;
    if (t->n_tokens < t->n_special + 256 || t->n_tokens - t->n_special > listed)
        return Q35_FAIL(Q35_E_FORMAT,
                        "%s: default_vocab_size: %" PRIu64 ", need %" PRIu64 " special tokens and 256 to %" PRIu64
                        " of the vocabulary",
                        json->name, t->n_tokens, t->n_special, listed);
    return Q35_OK;
}

/* Fills special_at from the list of the file. */
static q35_status place_specials(tekken *t)
{
    const q35i_json *json = &t->json;
    for (uint32_t i = t->specials + 1; i < json->nodes[t->specials].next; i = json->nodes[i].next) {
        uint64_t rank;
        uint32_t name;
        Q35_TRY(q35i_json_need_int(json, i, "rank", UINT32_MAX, &rank));
        Q35_TRY(q35i_json_need(json, i, "token_str", Q35I_JSON_STRING, &name));
        if (rank >= t->n_special || t->special_at[rank] != 0)
            return Q35_FAIL(Q35_E_FORMAT,
                            "%s: special token '%s': rank %" PRIu64 ", need one below %" PRIu64
                            " that no other has",
                            json->name, q35i_quote(q35i_json_text(json, name)).text, rank, t->n_special);
        t->special_at[rank] = i;
    }
    return Q35_OK;
}

/* Special tokens are control tokens whether or not is_control says that they are shown: none of them ever comes
 * from the text of a message. */
static q35_status add_special(tekken *t, q35i_tok *tok, uint64_t id)
{
    char filler[32];
    uint32_t node = t->special_at[id];
    if (node != 0) {
        uint32_t name;
        Q35_TRY(q35i_json_need(&t->json, node, "token_str", Q35I_JSON_STRING, &name));
        return q35i_tok_add(tok, q35i_json_text(&t->json, name), Q35I_TOK_CONTROL, 0);
    }
    if (t->specials == Q35I_JSON_NONE && id < N_EARLY)
        return q35i_tok_add(tok, q35i_string_of(early_specials[id]), Q35I_TOK_CONTROL, 0);
    snprintf(filler, sizeof filler, "<SPECIAL_%" PRIu64 ">", id);
    return q35i_tok_add(tok, q35i_string_of(filler), Q35I_TOK_CONTROL, 0);
}

static q35_status add_specials(tekken *t, q35i_tok *tok)
{
    static const struct {
        const char *name;
        int role;
    } roles[] = {{"<s>", Q35I_TOK_BOS}, {"</s>", Q35I_TOK_EOS}, {"<unk>", Q35I_TOK_UNK}, {"<pad>", Q35I_TOK_PAD}};
    t->special_at = q35i_calloc(t->n_special, sizeof *t->special_at);
    if (!t->special_at)
        return Q35_E_NOMEM;
    if (t->specials != Q35I_JSON_NONE)
        Q35_TRY(place_specials(t));
    else if (!t->early || t->n_special < N_EARLY)
        return Q35_FAIL(Q35_E_FORMAT,
                        "%s: no special_tokens, with %" PRIu64 " of them in version %s, need the list",
                        t->json.name, t->n_special, tok->version);
    for (uint64_t id = 0; id < t->n_special; id++)
        Q35_TRY(add_special(t, tok, id));
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        tok->ids[roles[i].role] = q35i_tok_find(tok, q35i_string_of(roles[i].name), true);
    for (int role = Q35I_TOK_BOS; role <= Q35I_TOK_EOS; role++)
        if (tok->ids[role] == Q35I_TOK_NONE)
            return Q35_FAIL(Q35_E_FORMAT, "%s: no special token %s, need it", t->json.name,
                            role == Q35I_TOK_BOS ? "<s>" : "</s>");
    return Q35_OK;
}

static q35_status add_entry(tekken *t, q35i_tok *tok, uint32_t node, uint64_t want_rank)
{
    uint64_t rank, n;
    uint32_t bytes;
    const q35i_json *json = &t->json;
    Q35_TRY(q35i_json_need_int(json, node, "rank", UINT32_MAX, &rank));
    Q35_TRY(q35i_json_need(json, node, "token_bytes", Q35I_JSON_STRING, &bytes));
    if (rank != want_rank)
        return Q35_FAIL(Q35_E_FORMAT, "%s: vocab: rank %" PRIu64 ", need %" PRIu64 " in its place", json->name,
                        rank, want_rank);
    q35_string text = q35i_json_text(json, bytes);
    if (!q35i_base64_decode(text, t->bytes, &n) || n == 0)
        return Q35_FAIL(Q35_E_FORMAT, "%s: vocab: rank %" PRIu64 ": token_bytes: '%s', need base64", json->name,
                        rank, q35i_quote(text).text);
    if (rank < 256 && (n != 1 || t->bytes[0] != rank))
        return Q35_FAIL(Q35_E_FORMAT, "%s: vocab: rank %" PRIu64 ": '%s', need the byte of this number",
                        json->name, rank, q35i_quote(text).text);
    return q35i_tok_add_bytes(tok, t->bytes, n);
}

static q35_status add_vocab(tekken *t, q35i_tok *tok)
{
    const q35i_json_node *nodes = t->json.nodes;
    uint64_t n = t->n_tokens - t->n_special, longest = 4;
    for (uint32_t i = t->vocab + 1; i < nodes[t->vocab].next; i++)
        longest = q35i_max(longest, nodes[i].type == Q35I_JSON_STRING ? nodes[i].len : 0);
    t->bytes = q35i_calloc(longest, 1);
    if (!t->bytes)
        return Q35_E_NOMEM;
    uint32_t node = t->vocab + 1;
    for (uint64_t rank = 0; rank < n; rank++, node = nodes[node].next)
        Q35_TRY(add_entry(t, tok, node, rank));
    return Q35_OK;
}

q35_status q35i_tok_read_tekken(q35i_tok *tok, const char *name, const void *image, uint64_t bytes)
{
    tekken t = {0};
    q35_status status = Q35_OK;
    Q35_TRY_GOTO(q35i_json_parse(&t.json, name, image, bytes), done);
    Q35_TRY_GOTO(read_config(&t), done);
    Q35_TRY_GOTO(read_version(&t, tok), done);
    Q35_TRY_GOTO(q35i_tok_init(tok, name, t.n_tokens, false), done);
    tok->model = "gpt2";
    tok->pre = "tekken";
    tok->add_bos = Q35I_TOK_YES;
    Q35_TRY_GOTO(add_specials(&t, tok), done);
    Q35_TRY_GOTO(add_vocab(&t, tok), done);
done:
    q35i_json_free(&t.json);
    q35i_free(t.special_at);
    q35i_free(t.bytes);
    return status;
}
