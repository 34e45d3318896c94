/* SPDX-License-Identifier: Apache-2.0
 *
 * tokenizer.json of Hugging Face tokenizers with a BPE model: tokens from model.vocab and added_tokens at their
 * ids, merges in their order. */
#include "runtime/model/hf_tokenizer.h"
#include "runtime/model/tok_stages.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"
#include "runtime/model/quote.h"

#include <inttypes.h>
#include <string.h>

enum { MAX_GAPS = 1 << 16 }; /* ids without a token */

typedef struct reader {
    q35i_json json;
    q35i_tok *tok;
    uint32_t model, vocab, merges, added; /* nodes; added may be Q35I_JSON_NONE */
    uint64_t n_ids;                       /* one more than the highest id */
    uint32_t *vocab_at, *added_at;        /* [n_ids] nodes of key and of added token by id, 0: none */
    q35i_tok_stages stages;
    char *line; /* [line_cap] a merge being joined */
    uint64_t line_cap;
} reader;

/* Settings of the model that would change the tokens. */
static q35_status check_model(const reader *r, bool *pieces)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    const q35i_json *json = &r->json;
    uint32_t node;
    uint64_t zero;
    Q35_TRY(q35i_json_get_type(json, r->model, "type", Q35I_JSON_STRING, &node));
    if (node != Q35I_JSON_NONE && !q35i_json_is(json, node, "BPE"))
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: model: '%s', need BPE", json->name,
                        q35i_quote(q35i_json_text(json, node)).text);
    Q35_TRY(q35i_json_get(json, r->model, "dropout", &node));
    if (node != Q35I_JSON_NONE && !q35i_json_int(json, node, 0, &zero))
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: model: dropout, need none", json->name);
    for (int i = 0; i < 2; i++) {
        Q35_TRY(q35i_json_get_type(json, r->model, affixes[i], Q35I_JSON_STRING, &node));
        if (node != Q35I_JSON_NONE && json->nodes[node].len > 0)
            return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: model: %s '%s', need none", json->name, affixes[i],
                            q35i_quote(q35i_json_text(json, node)).text);
    }
    *pieces = false;
    return q35i_json_get_bool(json, r->model, "byte_fallback", pieces);
}

static q35_status check_whole_pieces(const reader *r)
{
    bool whole = false;
    Q35_TRY(q35i_json_get_bool(&r->json, r->model, "ignore_merges", &whole));
    /* every token of Tekken's comes about by merging, so both ways give the same */
    bool either = r->stages.pre && strcmp(r->stages.pre, "tekken") == 0;
    if (whole != r->stages.whole_pieces && !either)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: model: ignore_merges %s with %s, need %s", r->json.name,
                        whole ? "true" : "false", r->stages.pieces ? "byte_fallback" : r->stages.pre,
                        whole ? "false" : "true");
    return Q35_OK;
}

static q35_status open_parts(reader *r)
{
    const q35i_json *json = &r->json;
    bool pieces = false;
    Q35_TRY(q35i_json_need(json, 0, "model", Q35I_JSON_OBJECT, &r->model));
    Q35_TRY(check_model(r, &pieces));
    Q35_TRY(q35i_json_need(json, r->model, "vocab", Q35I_JSON_OBJECT, &r->vocab));
    Q35_TRY(q35i_json_need(json, r->model, "merges", Q35I_JSON_ARRAY, &r->merges));
    Q35_TRY(q35i_json_get_type(json, 0, "added_tokens", Q35I_JSON_ARRAY, &r->added));
    Q35_TRY(q35i_tok_read_stages(json, pieces, &r->stages));
    return check_whole_pieces(r);
}

/* *id of the token, and the ids counted up to it. */
static q35_status count_id(reader *r, uint32_t node, const char *list, uint64_t limit, uint64_t *id)
{
    if (!q35i_json_int(&r->json, node, limit - 1, id))
        return Q35_FAIL(Q35_E_FORMAT, "%s: %s: id at byte %" PRIu32 ", need an integer of 0 to %" PRIu64,
                        r->json.name, list, r->json.nodes[node].begin, limit - 1);
    r->n_ids = q35i_max(r->n_ids, *id + 1);
    return Q35_OK;
}

/* Highest id; holes are bounded, so that a small file does not take much memory. */
static q35_status count_ids(reader *r)
{
    const q35i_json_node *nodes = r->json.nodes;
    uint64_t limit = (uint64_t)nodes[r->vocab].len + MAX_GAPS, id;
    if (r->added != Q35I_JSON_NONE)
        limit += nodes[r->added].len;
    for (uint32_t i = r->vocab + 1; i < nodes[r->vocab].next; i = nodes[i + 1].next)
        Q35_TRY(count_id(r, i + 1, "vocab", limit, &id));
    if (r->added == Q35I_JSON_NONE)
        return Q35_OK;
    for (uint32_t i = r->added + 1; i < nodes[r->added].next; i = nodes[i].next) {
        uint32_t node;
        Q35_TRY(q35i_json_need(&r->json, i, "id", Q35I_JSON_NUMBER, &node));
        Q35_TRY(count_id(r, node, "added_tokens", limit, &id));
    }
    return Q35_OK;
}

static q35_status place(const reader *r, uint32_t *at, uint64_t id, uint32_t node, const char *list)
{
    if (at[id] != 0)
        return Q35_FAIL(Q35_E_FORMAT, "%s: %s: id %" PRIu64 ": again at byte %" PRIu32 ", need each id once",
                        r->json.name, list, id, r->json.nodes[node].begin);
    at[id] = node;
    return Q35_OK;
}

static q35_status place_tokens(reader *r)
{
    const q35i_json_node *nodes = r->json.nodes;
    uint64_t id = 0;
    r->vocab_at = q35i_calloc(r->n_ids, sizeof *r->vocab_at);
    r->added_at = q35i_calloc(r->n_ids, sizeof *r->added_at);
    if (!r->vocab_at || !r->added_at)
        return Q35_E_NOMEM;
    for (uint32_t i = r->vocab + 1; i < nodes[r->vocab].next; i = nodes[i + 1].next) {
        Q35_TRY(count_id(r, i + 1, "vocab", r->n_ids, &id));
        Q35_TRY(place(r, r->vocab_at, id, i, "vocab"));
    }
    if (r->added == Q35I_JSON_NONE)
        return Q35_OK;
    for (uint32_t i = r->added + 1; i < nodes[r->added].next; i = nodes[i].next) {
        Q35_TRY(q35i_json_need_int(&r->json, i, "id", r->n_ids - 1, &id));
        Q35_TRY(place(r, r->added_at, id, i, "added_tokens"));
    }
    return Q35_OK;
}

static bool is_byte_name(q35_string s)
{
    static const char hex[] = "0123456789ABCDEF";
    return s.len == 6 && memcmp(s.data, "<0x", 3) == 0 && s.data[5] == '>' && memchr(hex, s.data[3], 16) &&
           memchr(hex, s.data[4], 16);
}

static q35_status add_added(reader *r, uint64_t id)
{
    static const char *const flags[] = {"single_word", "lstrip", "rstrip"};
    const q35i_json *json = &r->json;
    uint32_t node = r->added_at[id], text;
    bool special = false;
    Q35_TRY(q35i_json_need(json, node, "content", Q35I_JSON_STRING, &text));
    Q35_TRY(q35i_json_get_bool(json, node, "special", &special));
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        bool set = false;
        Q35_TRY(q35i_json_get_bool(json, node, flags[i], &set));
        if (set)
            return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: added token '%s': %s, need it off", json->name,
                            q35i_quote(q35i_json_text(json, text)).text, flags[i]);
    }
    return q35i_tok_added(r->tok, json->name, (uint32_t)id, q35i_json_text(json, text), special);
}

static q35_status add_tokens(reader *r)
{
    for (uint64_t id = 0; id < r->n_ids; id++) {
        if (r->vocab_at[id] != 0) {
            q35_string s = q35i_json_text(&r->json, r->vocab_at[id]);
            int32_t type = r->stages.pieces && is_byte_name(s) ? Q35I_TOK_BYTE : Q35I_TOK_NORMAL;
            Q35_TRY(q35i_tok_add(r->tok, s, type, -(float)id));
        }
        if (r->added_at[id] != 0)
            Q35_TRY(add_added(r, id));
        if (r->tok->n == id)
            Q35_TRY(q35i_tok_add_unused(r->tok));
    }
    return Q35_OK;
}

static q35_status reserve_line(reader *r, uint64_t bytes)
{
    if (bytes <= r->line_cap)
        return Q35_OK;
    char *bigger = q35i_realloc(r->line, 2 * bytes, 1);
    if (!bigger)
        return Q35_E_NOMEM;
    r->line = bigger;
    r->line_cap = 2 * bytes;
    return Q35_OK;
}

/* ["left", "right"] becomes "left right". */
static q35_status join_pair(reader *r, uint32_t node, q35_string *out)
{
    const q35i_json_node *nodes = r->json.nodes, *left = &nodes[node + 1], *right = left + 1;
    if (nodes[node].type != Q35I_JSON_ARRAY || nodes[node].len != 2 || left->type != Q35I_JSON_STRING ||
        right->type != Q35I_JSON_STRING)
        return Q35_FAIL(Q35_E_FORMAT, "%s: merges: at byte %" PRIu32 " %s, need two strings", r->json.name,
                        nodes[node].begin, q35i_json_type_name(nodes[node].type));
    Q35_TRY(reserve_line(r, (uint64_t)left->len + right->len + 1));
    q35_string part = q35i_json_text(&r->json, node + 1);
    memcpy(r->line, part.data, part.len);
    r->line[part.len] = ' ';
    uint64_t used = part.len + 1;
    part = q35i_json_text(&r->json, node + 2);
    memcpy(r->line + used, part.data, part.len);
    *out = (q35_string){r->line, used + part.len};
    return Q35_OK;
}

static q35_status add_merge(reader *r, uint32_t node)
{
    q35_string s;
    if (r->json.nodes[node].type == Q35I_JSON_STRING)
        s = q35i_json_text(&r->json, node);
    else
        Q35_TRY(join_pair(r, node, &s));
    const char *space = memchr(s.data, ' ', s.len), *end = s.data + s.len;
    if (!space || space == s.data || space + 1 == end || memchr(space + 1, ' ', (size_t)(end - space - 1)))
        return Q35_FAIL(Q35_E_FORMAT, "%s: merges: '%s', need two tokens without a space in them", r->json.name,
                        q35i_quote(s).text);
    return q35i_string_array_add(&r->tok->merges, s);
}

static q35_status add_merges(reader *r)
{
    const q35i_json_node *nodes = r->json.nodes;
    uint32_t i = r->merges + 1;
    if (nodes[r->merges].len > 0 && nodes[i].type == Q35I_JSON_STRING && nodes[i].len > 9 &&
        memcmp(r->json.text + nodes[i].begin, "#version:", 9) == 0)
        i = nodes[i].next; /* first line of the older merges.txt */
    for (; i < nodes[r->merges].next; i = nodes[i].next)
        Q35_TRY(add_merge(r, i));
    r->tok->has_merges = true;
    return Q35_OK;
}

static q35_status set_unknown(reader *r)
{
    uint32_t node;
    Q35_TRY(q35i_json_get_type(&r->json, r->model, "unk_token", Q35I_JSON_STRING, &node));
    if (node == Q35I_JSON_NONE)
        return Q35_OK;
    uint32_t id = q35i_tok_find_any(r->tok, q35i_json_text(&r->json, node));
    r->tok->ids[Q35I_TOK_UNK] = id;
    return id != Q35I_TOK_NONE && r->stages.pieces ? q35i_tok_set_type(r->tok, id, Q35I_TOK_UNKNOWN) : Q35_OK;
}

/* The token that the file puts at one end of every text. */
static q35_status set_end(reader *r, uint32_t id, int role, uint8_t *said)
{
    if (id != Q35I_JSON_NONE && id >= r->tok->n)
        return Q35_FAIL(Q35_E_FORMAT, "%s: post_processor: id %" PRIu32 ", need one below %" PRIu32, r->json.name,
                        id, r->tok->n);
    *said = id == Q35I_JSON_NONE ? Q35I_TOK_NO : Q35I_TOK_YES;
    if (id == Q35I_JSON_NONE)
        return Q35_OK;
    r->tok->ids[role] = id;
    r->tok->named |= 1u << role;
    return Q35_OK;
}

static q35_status translate(reader *r)
{
    q35i_tok *tok = r->tok;
    Q35_TRY(open_parts(r));
    Q35_TRY(count_ids(r));
    if (r->n_ids == 0)
        return Q35_FAIL(Q35_E_FORMAT, "%s: no tokens, need some", r->json.name);
    Q35_TRY(place_tokens(r));
    Q35_TRY(q35i_tok_init(tok, r->json.name, r->n_ids, r->stages.pieces));
    tok->model = r->stages.pieces ? "llama" : "gpt2";
    tok->pre = r->stages.pieces ? NULL : r->stages.pre;
    Q35_TRY(add_tokens(r));
    Q35_TRY(add_merges(r));
    Q35_TRY(set_unknown(r));
    if (r->stages.pieces) {
        tok->add_space_prefix = r->stages.space_prefix ? Q35I_TOK_YES : Q35I_TOK_NO;
        tok->squeeze_spaces = Q35I_TOK_NO;
    }
    Q35_TRY(set_end(r, r->stages.first, Q35I_TOK_BOS, &tok->add_bos));
    Q35_TRY(set_end(r, r->stages.last, Q35I_TOK_EOS, &tok->add_eos));
    if (tok->pre && strcmp(tok->pre, "tekken") == 0 && tok->add_bos == Q35I_TOK_NO)
        tok->add_bos = Q35I_TOK_UNSAID; /* Mistral's own tokenizer begins every text; the file leaves it to them */
    return Q35_OK;
}

q35_status q35i_tok_read_json(q35i_tok *tok, const char *name, const void *image, uint64_t bytes)
{
    reader r = {.tok = tok};
    q35_status status = q35i_json_parse(&r.json, name, image, bytes);
    if (status == Q35_OK)
        status = translate(&r);
    q35i_json_free(&r.json);
    q35i_free(r.vocab_at);
    q35i_free(r.added_at);
    q35i_free(r.line);
    return status;
}
