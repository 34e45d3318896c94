/* SPDX-License-Identifier: Apache-2.0
 *
 * Which format a file has. A template's name comes from what it writes for a small conversation; nothing else
 * depends on it. */
#include "runtime/text/chat_format.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/text/chat_render.h"

#include <inttypes.h>
#include <string.h>

#define KEY_TEMPLATE "tokenizer.chat_template"
#define KEY_VERSION  "tokenizer.mistral.version"

static q35_status get_string(const q35_model *model, const char *key, q35_string *out)
{
    const q35_meta *meta = q35_model_meta(model, key);
    *out = (q35_string){NULL, 0};
    if (meta && !q35_meta_string(meta, out))
        return Q35_FAIL(Q35_E_FORMAT, "%s: value type %" PRIu32 ", need a string (8)", key, meta->type);
    return Q35_OK;
}

static const struct {
    uint32_t version;
    const char *name;
} mistral[] = {{1, "mistral-v1"}, {2, "mistral-v2"},   {3, "mistral-v3"},
               {7, "mistral-v7"}, {11, "mistral-v11"}, {13, "mistral-v13"}};

static void use_mistral(q35i_chat_format *out, q35_string version)
{
    for (size_t i = 0; i < sizeof mistral / sizeof *mistral; i++) {
        const char *number = strchr(mistral[i].name, 'v');
        if (strlen(number) == version.len && memcmp(number, version.data, version.len) == 0) {
            out->kind = Q35I_CHAT_MISTRAL;
            out->version = mistral[i].version;
            out->name = mistral[i].name;
        }
    }
}

/* Spelling of the token whose id stands under a key; *out NULL: none. */
static q35_status spelling(const q35_model *model, const char *key, const q35i_vocab *vocab, char **out)
{
    const q35_meta *meta = q35_model_meta(model, key);
    uint64_t id, n;
    if (!meta || !q35_meta_u64(meta, &id) || id >= vocab->n)
        return Q35_OK;
    const uint8_t *piece = q35i_vocab_piece(vocab, (uint32_t)id, &n);
    *out = q35i_strndup((const char *)piece, n);
    return *out ? Q35_OK : Q35_E_NOMEM;
}

static bool contains(const q35i_jout *text, const char *what)
{
    size_t n = strlen(what);
    for (uint64_t i = 0; i + n <= text->n; i++)
        if (memcmp(text->bytes + i, what, n) == 0)
            return true;
    return false;
}

/* By the control tokens that a template of Mistral's holds. */
static const char *mistral_name(const q35i_jinja *jinja)
{
    if (q35i_jinja_mentions(jinja, "[ARGS]"))
        return q35i_jinja_mentions(jinja, "[CALL_ID]") ? "mistral-v11" : "mistral-v13";
    if (q35i_jinja_mentions(jinja, "[SYSTEM_PROMPT]"))
        return "mistral-v7";
    return q35i_jinja_mentions(jinja, "[AVAILABLE_TOOLS]") ? "mistral-v3" : "mistral-v1";
}

static q35_status name_of(const q35i_chat_format *format, const char **out)
{
    static const q35_part part = {Q35_PART_TEXT, "U"};
    static const q35_message message = {.role = "user", .parts = &part, .n_parts = 1};
    static const q35_conversation conversation = {.messages = &message, .n_messages = 1};
    q35i_jout text = {0};
    q35_status status = q35i_chat_template(format, &conversation, 0, &text);
    *out = "template";
    if (status != Q35_OK)
        status = status == Q35_E_NOMEM ? status : Q35_OK;
    else if (contains(&text, "<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n"))
        *out = "chatml";
    else if (contains(&text, "<|start_header_id|>user<|end_header_id|>\n\nU<|eot_id|>"
                             "<|start_header_id|>assistant<|end_header_id|>\n\n"))
        *out = "llama3";
    else if (contains(&text, "[INST]U[/INST]") || contains(&text, "[INST] U[/INST]") ||
             contains(&text, "[INST] U [/INST]"))
        *out = mistral_name(&format->jinja);
    q35i_jout_free(&text);
    return status;
}

static q35_status use_template(q35i_chat_format *out, const q35_model *model, const q35i_vocab *vocab,
                               q35_string source)
{
    q35_status status = q35i_jinja_parse(&out->jinja, source);
    if (status == Q35_E_NOMEM)
        return status;
    if (status != Q35_OK) {
        out->kind = Q35I_CHAT_UNKNOWN;
        out->name = "unknown";
        out->reason = q35i_strndup(q35_error_message(), strlen(q35_error_message()));
        return out->reason ? Q35_OK : Q35_E_NOMEM;
    }
    out->kind = Q35I_CHAT_TEMPLATE;
    Q35_TRY(spelling(model, "tokenizer.ggml.bos_token_id", vocab, &out->bos));
    Q35_TRY(spelling(model, "tokenizer.ggml.eos_token_id", vocab, &out->eos));
    return name_of(out, &out->name);
}

q35_status q35i_chat_format_init(q35i_chat_format *out, const q35_model *model, const q35i_vocab *vocab)
{
    q35_string source, version;
    Q35_TRY(get_string(model, KEY_TEMPLATE, &source));
    Q35_TRY(get_string(model, KEY_VERSION, &version));
    out->name = "";
    if (source.len == 0 || !vocab->pieces)
        use_mistral(out, version);
    if (source.len == 0 || out->kind == Q35I_CHAT_MISTRAL)
        return Q35_OK;
    return use_template(out, model, vocab, source);
}

void q35i_chat_format_free(q35i_chat_format *format)
{
    q35i_jinja_free(&format->jinja);
    q35i_free(format->bos);
    q35i_free(format->eos);
    q35i_free(format->reason);
    *format = (q35i_chat_format){0};
}
