/* SPDX-License-Identifier: Apache-2.0
 *
 * Each stage is an object with a type, or a Sequence of such; a stage that is not understood is refused, since it
 * may change the tokens. */
#include "runtime/model/tok_stages.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/model/quote.h"

#include <inttypes.h>
#include <string.h>

#define BLOCK   "\xE2\x96\x81" /* U+2581, for a space */
#define OTHERS  " ?[^\\s\\p{L}\\p{N}]+"
#define BLANKS  "\\s+(?!\\S)|\\s+"
#define LINES   "|\\s*[\\r\\n]+|"
#define UPPER   "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER   "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define LEADING "[^\\r\\n\\p{L}\\p{N}]?"

enum { MAX_STAGES = 8 };

/* Stages of one kind, sequences opened. */
typedef struct stage_list {
    const char *key;
    uint32_t node[MAX_STAGES];
    uint32_t n;
} stage_list;

static const struct {
    const char *pre;
    bool whole_pieces;
    const char *pattern;
} patterns[] = {
    {"llama-bpe", true,
     "(?i:'s|'t|'re|'ve|'m|'ll|'d)|" LEADING "\\p{L}+|\\p{N}{1,3}|" OTHERS "[\\r\\n]*" LINES BLANKS},
    {"tekken", true,
     LEADING UPPER "*" LOWER "+|" LEADING UPPER "+" LOWER "*|\\p{N}|" OTHERS "[\\r\\n/]*" LINES BLANKS},
    {"gpt-2", false, "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+|" OTHERS "|" BLANKS},
    {"gpt-2", false, "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+|" OTHERS "|" BLANKS},
};

static q35_status type_of(const q35i_json *json, uint32_t stage, uint32_t *out)
{
    return q35i_json_need(json, stage, "type", Q35I_JSON_STRING, out);
}

static q35_status unknown(const q35i_json *json, const char *key, uint32_t stage, const char *need)
{
    uint32_t type;
    Q35_TRY(type_of(json, stage, &type));
    return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: %s: '%s', need %s", json->name, key,
                    q35i_quote(q35i_json_text(json, type)).text, need);
}

/* True for a stage of this type; false, too, when it has none, which type_of reports. */
static bool has_type(const q35i_json *json, uint32_t stage, const char *type)
{
    uint32_t node;
    return type_of(json, stage, &node) == Q35_OK && q35i_json_is(json, node, type);
}

/* Member of a stage that must be this string, when it is there. */
static bool is_text_or_absent(const q35i_json *json, uint32_t stage, const char *key, const char *text)
{
    uint32_t node;
    return q35i_json_get(json, stage, key, &node) == Q35_OK &&
           (node == Q35I_JSON_NONE || q35i_json_is(json, node, text));
}

/* list: in a Sequence, the key of its stages. */
static q35_status open_stages(const q35i_json *json, const char *key, const char *list, stage_list *out)
{
    uint32_t top, inner;
    *out = (stage_list){.key = key};
    Q35_TRY(q35i_json_get_type(json, 0, key, Q35I_JSON_OBJECT, &top));
    if (top == Q35I_JSON_NONE)
        return Q35_OK;
    if (!has_type(json, top, "Sequence")) {
        out->node[out->n++] = top;
        return type_of(json, top, &inner);
    }
    Q35_TRY(q35i_json_need(json, top, list, Q35I_JSON_ARRAY, &inner));
    for (uint32_t i = inner + 1; i < json->nodes[inner].next; i = json->nodes[i].next) {
        uint32_t type;
        if (out->n == MAX_STAGES)
            return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: %s: %" PRIu32 " stages, need at most %d", json->name, key,
                            json->nodes[inner].len, MAX_STAGES);
        Q35_TRY(type_of(json, i, &type));
        out->node[out->n++] = i;
    }
    return Q35_OK;
}

/* Replace of a space by the block. */
static bool replaces_spaces(const q35i_json *json, uint32_t stage)
{
    uint32_t pattern;
    return has_type(json, stage, "Replace") && is_text_or_absent(json, stage, "content", BLOCK) &&
           q35i_json_get(json, stage, "pattern", &pattern) == Q35_OK && pattern != Q35I_JSON_NONE &&
           json->nodes[pattern].type == Q35I_JSON_OBJECT && json->nodes[pattern].len == 1 &&
           q35i_json_is(json, pattern + 1, "String") && q35i_json_is(json, pattern + 2, " ");
}

static q35_status read_normalizer(const q35i_json *json, q35i_tok_stages *out, bool *replaced)
{
    stage_list stages;
    Q35_TRY(open_stages(json, "normalizer", "normalizers", &stages));
    for (uint32_t i = 0; i < stages.n; i++) {
        uint32_t stage = stages.node[i];
        if (!out->pieces)
            return unknown(json, stages.key, stage, "none before byte-level BPE");
        if (has_type(json, stage, "Prepend") && is_text_or_absent(json, stage, "prepend", BLOCK) && !*replaced)
            out->space_prefix = true;
        else if (replaces_spaces(json, stage))
            *replaced = true;
        else
            return unknown(json, stages.key, stage, "a Prepend of U+2581 and a Replace of spaces by it");
    }
    return Q35_OK;
}

/* One difference is accepted: Metaspace puts no space before a text that begins with one; SentencePiece, of which
 * it is a rendering, always does, and so do we, or the text would not come back from its tokens. */
static q35_status read_metaspace(const q35i_json *json, uint32_t stage, q35i_tok_stages *out)
{
    static const char *const schemes[] = {"always", "first", "never"};
    bool split = true, prefix = true;
    uint32_t node;
    if (!is_text_or_absent(json, stage, "replacement", BLOCK))
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: Metaspace: another replacement, need U+2581", json->name);
    Q35_TRY(q35i_json_get_bool(json, stage, "split", &split));
    if (split)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: Metaspace: split at spaces, need split false", json->name);
    Q35_TRY(q35i_json_get_bool(json, stage, "add_prefix_space", &prefix));
    Q35_TRY(q35i_json_get_type(json, stage, "prepend_scheme", Q35I_JSON_STRING, &node));
    if (node != Q35I_JSON_NONE) {
        int scheme = 0;
        while (scheme < 3 && !q35i_json_is(json, node, schemes[scheme]))
            scheme++;
        if (scheme == 3)
            return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: Metaspace: prepend_scheme '%s', need always, first or never",
                            json->name, q35i_quote(q35i_json_text(json, node)).text);
        prefix = scheme < 2;
    }
    out->space_prefix = out->space_prefix || prefix;
    return Q35_OK;
}

static q35_status read_pieces(const q35i_json *json, const stage_list *stages, bool replaced, q35i_tok_stages *out)
{
    for (uint32_t i = 0; i < stages->n; i++) {
        if (!has_type(json, stages->node[i], "Metaspace"))
            return unknown(json, stages->key, stages->node[i], "Metaspace with byte_fallback");
        Q35_TRY(read_metaspace(json, stages->node[i], out));
        replaced = true;
    }
    if (!replaced)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: byte_fallback without a stage that makes spaces U+2581, need one",
                        json->name);
    return Q35_OK;
}

/* Split by a known pattern. */
static q35_status read_split(const q35i_json *json, uint32_t stage, q35i_tok_stages *out)
{
    uint32_t pattern, regex, behavior;
    bool invert = false;
    Q35_TRY(q35i_json_need(json, stage, "pattern", Q35I_JSON_OBJECT, &pattern));
    Q35_TRY(q35i_json_get_type(json, pattern, "Regex", Q35I_JSON_STRING, &regex));
    if (regex == Q35I_JSON_NONE)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: Split: no Regex, need a known one", json->name);
    Q35_TRY(q35i_json_need(json, stage, "behavior", Q35I_JSON_STRING, &behavior));
    Q35_TRY(q35i_json_get_bool(json, stage, "invert", &invert));
    if (!q35i_json_is(json, behavior, invert ? "Removed" : "Isolated"))
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: Split: behavior '%s', need Isolated", json->name,
                        q35i_quote(q35i_json_text(json, behavior)).text);
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        if (!q35i_json_is(json, regex, patterns[i].pattern))
            continue;
        out->pre = patterns[i].pre;
        out->whole_pieces = patterns[i].whole_pieces;
        return Q35_OK;
    }
    return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: Split: pattern '%s', need that of llama-bpe, tekken or gpt-2",
                    json->name, q35i_quote(q35i_json_text(json, regex)).text);
}

static q35_status read_byte_level(const q35i_json *json, const stage_list *stages, q35i_tok_stages *out)
{
    static const char need[] = "ByteLevel, alone, after Split or after Digits";
    bool prefix = true, regex = true, digits = false, individual = false;
    uint32_t last = stages->n > 0 ? stages->node[stages->n - 1] : 0;
    if (stages->n == 0)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: no pre_tokenizer and no byte_fallback, need %s", json->name, need);
    if (stages->n > 2 || !has_type(json, last, "ByteLevel"))
        return unknown(json, stages->key, last, need);
    Q35_TRY(q35i_json_get_bool(json, last, "add_prefix_space", &prefix));
    Q35_TRY(q35i_json_get_bool(json, last, "use_regex", &regex));
    if (prefix)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: ByteLevel: add_prefix_space, need it off", json->name);
    if (stages->n == 2 && has_type(json, stages->node[0], "Split") && !regex)
        return read_split(json, stages->node[0], out);
    if (stages->n == 2) {
        digits = has_type(json, stages->node[0], "Digits");
        Q35_TRY(q35i_json_get_bool(json, stages->node[0], "individual_digits", &individual));
    }
    if (!regex || (stages->n == 2 && !(digits && individual)))
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: pre_tokenizer: ByteLevel %s, need %s", json->name,
                        regex ? "after a stage that is not individual Digits" : "without a pattern",
                        regex ? need : "use_regex or a Split before it");
    out->pre = digits ? "smollm" : "gpt-2";
    out->whole_pieces = false;
    return Q35_OK;
}

static q35_status check_decoder(const q35i_json *json, bool pieces)
{
    static const char *const known[] = {"Replace", "ByteFallback", "Fuse", "Strip", "Metaspace"};
    stage_list stages;
    Q35_TRY(open_stages(json, "decoder", "decoders", &stages));
    for (uint32_t i = 0; i < stages.n; i++) {
        bool good = !pieces && has_type(json, stages.node[i], "ByteLevel");
        for (size_t k = 0; pieces && k < sizeof known / sizeof *known; k++)
            good = good || has_type(json, stages.node[i], known[k]);
        if (!good)
            return unknown(json, stages.key, stages.node[i],
                           pieces ? "Replace, ByteFallback, Fuse and Strip, or Metaspace" : "ByteLevel");
    }
    return Q35_OK;
}

/* Id of a special token of a template: special_tokens[name].ids[0]. */
static q35_status template_id(const q35i_json *json, uint32_t stage, uint32_t item, uint32_t *out)
{
    uint32_t name, map, token, ids;
    uint64_t id = UINT64_MAX;
    Q35_TRY(q35i_json_need(json, item, "id", Q35I_JSON_STRING, &name));
    Q35_TRY(q35i_json_need(json, stage, "special_tokens", Q35I_JSON_OBJECT, &map));
    q35_string text = q35i_json_text(json, name);
    char *key = q35i_strndup(text.data, text.len);
    if (!key)
        return Q35_E_NOMEM;
    q35_status status = q35i_json_need(json, map, key, Q35I_JSON_OBJECT, &token);
    q35i_free(key);
    Q35_TRY(status);
    Q35_TRY(q35i_json_need(json, token, "ids", Q35I_JSON_ARRAY, &ids));
    if (json->nodes[ids].len != 1 || !q35i_json_int(json, ids + 1, UINT32_MAX - 1, &id))
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: TemplateProcessing: special token of %" PRIu32 " ids, need one id",
                        json->name, json->nodes[ids].len);
    *out = (uint32_t)id;
    return Q35_OK;
}

static q35_status read_template(const q35i_json *json, uint32_t stage, q35i_tok_stages *out)
{
    uint32_t single, item;
    bool text = false;
    Q35_TRY(q35i_json_need(json, stage, "single", Q35I_JSON_ARRAY, &single));
    for (uint32_t i = single + 1; i < json->nodes[single].next; i = json->nodes[i].next) {
        Q35_TRY(q35i_json_get_type(json, i, "Sequence", Q35I_JSON_OBJECT, &item));
        if (item != Q35I_JSON_NONE && !text) {
            text = true;
            continue;
        }
        uint32_t *place = text ? &out->last : &out->first;
        if (item != Q35I_JSON_NONE || *place != Q35I_JSON_NONE)
            return Q35_FAIL(Q35_E_UNSUPPORTED,
                            "%s: TemplateProcessing: %" PRIu32
                            " parts, need the text and at most one token before "
                            "and behind it",
                            json->name, json->nodes[single].len);
        Q35_TRY(q35i_json_need(json, i, "SpecialToken", Q35I_JSON_OBJECT, &item));
        Q35_TRY(template_id(json, stage, item, place));
    }
    if (!text)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: TemplateProcessing: no Sequence, need the text in it", json->name);
    return Q35_OK;
}

static q35_status read_post_processor(const q35i_json *json, q35i_tok_stages *out)
{
    stage_list stages;
    Q35_TRY(open_stages(json, "post_processor", "processors", &stages));
    for (uint32_t i = 0; i < stages.n; i++) {
        if (has_type(json, stages.node[i], "TemplateProcessing"))
            Q35_TRY(read_template(json, stages.node[i], out));
        else if (!has_type(json, stages.node[i], "ByteLevel")) /* changes offsets only */
            return unknown(json, stages.key, stages.node[i], "TemplateProcessing or ByteLevel");
    }
    return Q35_OK;
}

q35_status q35i_tok_read_stages(const q35i_json *json, bool pieces, q35i_tok_stages *out)
{
    stage_list stages;
    bool replaced = false;
    *out = (q35i_tok_stages){.pieces = pieces, .first = Q35I_JSON_NONE, .last = Q35I_JSON_NONE};
    Q35_TRY(read_normalizer(json, out, &replaced));
    Q35_TRY(open_stages(json, "pre_tokenizer", "pretokenizers", &stages));
    if (pieces)
        Q35_TRY(read_pieces(json, &stages, replaced, out));
    else
        Q35_TRY(read_byte_level(json, &stages, out));
    Q35_TRY(check_decoder(json, pieces));
    return read_post_processor(json, out);
}
