/* SPDX-License-Identifier: Apache-2.0
 *
 * The small files beside a vocabulary: which tokens begin and end a text, tokens added later, the chat template.
 * Where they disagree, tokenizer_config.json comes first, then special_tokens_map.json, the vocabulary itself, and
 * generation_config.json, whose further end tokens count as ends of a turn. */
#include "runtime/model/hf_tokenizer.h"
#include "runtime/model/json_tape.h"
#include "runtime/model/tok_files.h"

#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/model/quote.h"

#include <inttypes.h>
#include <string.h>

enum { MAX_GAPS = 1 << 16 }; /* ids without a token */

typedef q35_status (*reader)(q35i_tok *tok, const q35i_json *json);

/* A token by name: a string, or an object with the string in "content". NONE: absent. */
static q35_status token_node(const q35i_json *json, const char *key, uint32_t *out)
{
    Q35_TRY(q35i_json_get(json, 0, key, out));
    if (*out == Q35I_JSON_NONE || json->nodes[*out].type == Q35I_JSON_STRING)
        return Q35_OK;
    return q35i_json_need(json, *out, "content", Q35I_JSON_STRING, out);
}

static q35_status read_names(q35i_tok *tok, const q35i_json *json)
{
    static const char *const keys[] = {"bos_token", "eos_token", "unk_token", "pad_token"}; /* by role */
    for (int role = Q35I_TOK_BOS; role <= Q35I_TOK_PAD; role++) {
        uint32_t node;
        Q35_TRY(token_node(json, keys[role], &node));
        if (node == Q35I_JSON_NONE || (tok->named & 1u << role))
            continue;
        q35_string name = q35i_json_text(json, node);
        uint32_t id = q35i_tok_find_any(tok, name);
        if (id == Q35I_TOK_NONE && role <= Q35I_TOK_EOS)
            return Q35_FAIL(Q35_E_FORMAT, "%s: %s: '%s', need a token of the vocabulary", json->name, keys[role],
                            q35i_quote(name).text);
        if (id == Q35I_TOK_NONE) {
            q35i_log(Q35_LOG_INFO, "%s: %s: '%s' is no token of the vocabulary, left alone", json->name,
                     keys[role], q35i_quote(name).text);
            continue;
        }
        tok->named |= 1u << role;
        tok->ids[role] = id;
    }
    return Q35_OK;
}

static q35_status read_flag(const q35i_json *json, const char *key, uint8_t *said)
{
    bool value = *said == Q35I_TOK_YES;
    uint32_t node;
    Q35_TRY(q35i_json_get(json, 0, key, &node));
    Q35_TRY(q35i_json_get_bool(json, 0, key, &value));
    if (node != Q35I_JSON_NONE)
        *said = value ? Q35I_TOK_YES : Q35I_TOK_NO;
    return Q35_OK;
}

/* The id that a key of added_tokens_decoder spells. */
static bool decimal(q35_string s, uint32_t *out)
{
    uint64_t value = 0;
    if (s.len < 1 || s.len > 9)
        return false;
    for (uint64_t i = 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(s.data[i] - '0');
    }
    *out = (uint32_t)value;
    return true;
}

q35_status q35i_tok_added(q35i_tok *tok, const char *name, uint32_t id, q35_string spelling, bool special)
{
    int32_t type = special ? Q35I_TOK_CONTROL : Q35I_TOK_USER;
    if (id >= tok->n) {
        if (id > tok->n && (uint64_t)id - tok->n + tok->n_unused > MAX_GAPS)
            return Q35_FAIL(Q35_E_FORMAT,
                            "%s: added token '%s': id %" PRIu32 " with %" PRIu32
                            " tokens, need at most %d ids without one",
                            name, q35i_quote(spelling).text, id, tok->n, MAX_GAPS);
        while (tok->n < id)
            Q35_TRY(q35i_tok_add_unused(tok));
        return q35i_tok_add(tok, spelling, type, 0);
    }
    q35_string there = q35i_tok_spelling(tok, id);
    if (there.len != spelling.len || memcmp(there.data, spelling.data, there.len) != 0)
        return Q35_FAIL(Q35_E_FORMAT, "%s: added token '%s': id %" PRIu32 " is another token, need the same", name,
                        q35i_quote(spelling).text, id);
    if (tok->types[id] == Q35I_TOK_NORMAL || (tok->types[id] == Q35I_TOK_USER && special))
        return q35i_tok_set_type(tok, id, type);
    return Q35_OK;
}

static q35_status read_added(q35i_tok *tok, const q35i_json *json)
{
    uint32_t list, text, id;
    Q35_TRY(q35i_json_get_type(json, 0, "added_tokens_decoder", Q35I_JSON_OBJECT, &list));
    if (list == Q35I_JSON_NONE)
        return Q35_OK;
    for (uint32_t i = list + 1; i < json->nodes[list].next; i = json->nodes[i + 1].next) {
        bool special = false;
        q35_string key = q35i_json_text(json, i);
        if (!decimal(key, &id))
            return Q35_FAIL(Q35_E_FORMAT, "%s: added_tokens_decoder: '%s', need an id", json->name,
                            q35i_quote(key).text);
        Q35_TRY(q35i_json_need(json, i + 1, "content", Q35I_JSON_STRING, &text));
        Q35_TRY(q35i_json_get_bool(json, i + 1, "special", &special));
        Q35_TRY(q35i_tok_added(tok, json->name, id, q35i_json_text(json, text), special));
    }
    return Q35_OK;
}

/* A string, or a list of named templates, of which "default" is taken. */
static q35_status read_template(q35i_tok *tok, const q35i_json *json)
{
    uint32_t node, name, text;
    Q35_TRY(q35i_json_get(json, 0, "chat_template", &node));
    if (node == Q35I_JSON_NONE || tok->template)
        return Q35_OK;
    if (json->nodes[node].type != Q35I_JSON_ARRAY) {
        Q35_TRY(q35i_json_need(json, 0, "chat_template", Q35I_JSON_STRING, &node));
        return q35i_tok_set_template(tok, q35i_json_text(json, node));
    }
    for (uint32_t i = node + 1; i < json->nodes[node].next; i = json->nodes[i].next) {
        Q35_TRY(q35i_json_need(json, i, "name", Q35I_JSON_STRING, &name));
        Q35_TRY(q35i_json_need(json, i, "template", Q35I_JSON_STRING, &text));
        if (q35i_json_is(json, name, "default"))
            return q35i_tok_set_template(tok, q35i_json_text(json, text));
    }
    q35i_log(Q35_LOG_INFO, "%s: chat_template: none is named default, none taken", json->name);
    return Q35_OK;
}

static q35_status read_config(q35i_tok *tok, const q35i_json *json)
{
    Q35_TRY(read_added(tok, json));
    Q35_TRY(read_names(tok, json));
    Q35_TRY(read_flag(json, "add_bos_token", &tok->add_bos));
    return read_flag(json, "add_eos_token", &tok->add_eos);
}

/* A token that ends a text or a turn. */
static void add_stop(q35i_tok *tok, const char *name, uint32_t id)
{
    static const int roles[] = {Q35I_TOK_EOS, Q35I_TOK_EOT, Q35I_TOK_EOM};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (tok->ids[roles[i]] == id)
            return;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if (tok->ids[roles[i]] == Q35I_TOK_NONE) {
            tok->ids[roles[i]] = id;
            return;
        }
    }
    q35i_log(Q35_LOG_WARN, "%s: eos_token_id: %" PRIu32 " is one more than the three that are used", name, id);
}

static q35_status token_id(const q35i_tok *tok, const q35i_json *json, const char *key, uint32_t node,
                           uint32_t *out)
{
    uint64_t id;
    if (!q35i_json_int(json, node, UINT32_MAX, &id) || id >= tok->n)
        return Q35_FAIL(
            Q35_E_FORMAT, "%s: %s: %s, need an id below %" PRIu32, json->name, key,
            json->nodes[node].type == Q35I_JSON_NUMBER
                ? q35i_quote((q35_string){json->text + json->nodes[node].begin, json->nodes[node].len}).text
                : q35i_json_type_name(json->nodes[node].type),
            tok->n);
    *out = (uint32_t)id;
    return Q35_OK;
}

static q35_status read_generation(q35i_tok *tok, const q35i_json *json)
{
    static const struct {
        const char *key;
        int role;
    } single[] = {{"bos_token_id", Q35I_TOK_BOS}, {"pad_token_id", Q35I_TOK_PAD}};
    uint32_t node, id = 0;
    for (size_t i = 0; i < sizeof single / sizeof *single; i++) {
        Q35_TRY(q35i_json_get(json, 0, single[i].key, &node));
        if (node == Q35I_JSON_NONE || tok->ids[single[i].role] != Q35I_TOK_NONE)
            continue;
        Q35_TRY(token_id(tok, json, single[i].key, node, &id));
        tok->ids[single[i].role] = id;
    }
    Q35_TRY(q35i_json_get(json, 0, "eos_token_id", &node));
    if (node == Q35I_JSON_NONE)
        return Q35_OK;
    bool list = json->nodes[node].type == Q35I_JSON_ARRAY;
    for (uint32_t i = list ? node + 1 : node; i < json->nodes[node].next; i = json->nodes[i].next) {
        Q35_TRY(token_id(tok, json, "eos_token_id", i, &id));
        add_stop(tok, json->name, id);
    }
    return Q35_OK;
}

static q35_status read_json(q35i_tok *tok, const char *dir, const char *name, reader read)
{
    q35i_tok_file file = {0};
    q35i_json json = {0};
    q35_status status = Q35_OK;
    Q35_TRY_GOTO(q35i_tok_file_open(&file, dir, name), done);
    if (!file.found)
        goto done;
    Q35_TRY_GOTO(q35i_json_parse(&json, file.path, file.map.data, file.map.bytes), done);
    status = read(tok, &json);
done:
    q35i_json_free(&json);
    q35i_tok_file_close(&file);
    return status;
}

q35_status q35i_tok_read_template_beside(q35i_tok *tok, const char *dir)
{
    q35i_tok_file file = {0};
    q35_status status = Q35_OK;
    Q35_TRY_GOTO(q35i_tok_file_open(&file, dir, "chat_template.jinja"), done);
    if (file.found)
        status = q35i_tok_set_template(tok, (q35_string){(const char *)file.map.data, file.map.bytes});
done:
    q35i_tok_file_close(&file);
    Q35_TRY(status);
    if (!tok->template)
        Q35_TRY(read_json(tok, dir, "tokenizer_config.json", read_template));
    return tok->template ? Q35_OK : read_json(tok, dir, "chat_template.json", read_template);
}

q35_status q35i_tok_read_beside(q35i_tok *tok, const char *dir)
{
    Q35_TRY(read_json(tok, dir, "tokenizer_config.json", read_config));
    Q35_TRY(read_json(tok, dir, "special_tokens_map.json", read_names));
    return read_json(tok, dir, "generation_config.json", read_generation);
}
