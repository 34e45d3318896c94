/* SPDX-License-Identifier: Apache-2.0
 *
 * Known chat templates, written as Jinja and brought into canonical form like the file's, then compared byte by
 * byte. WILD in one stands for the text of the default system turn, which is taken from the file. */
#include "runtime/text/chat_format.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/text/jinja_canon.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#define KEY_TEMPLATE "tokenizer.chat_template"
#define WILD         "\x03"

#define CHATML_TURN                                                                                               \
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"      \
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"

typedef struct known {
    uint32_t kind;
    const char *jinja;
} known;

static const known known_templates[] = {
    {Q35I_CHAT_ML, "{% for message in messages %}" CHATML_TURN},
    {Q35I_CHAT_ML, "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
                   "{{ '<|im_start|>system\\n" WILD "<|im_end|>\\n' }}{% endif %}" CHATML_TURN},
};

/* May stand first in any template; the runtime always asks for the generation prompt. */
static const char preamble[] =
    "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}";

static q35_status canon(const char *jinja, char **out)
{
    q35_string source = {jinja, strlen(jinja)};
    return q35i_jinja_canon(source, out);
}

/* True when a text can stand in a turn without ending it. */
static bool is_turn_text(const char *text, uint64_t len)
{
    for (uint64_t i = 0; i < len; i++)
        if (text[i] == Q35I_JINJA_OPEN || text[i] == Q35I_JINJA_CLOSE ||
            (text[i] == '<' && i + 1 < len && text[i + 1] == '|'))
            return false;
    return true;
}

/* *wild, *wild_len: what WILD stands for; NULL when the pattern has none. */
static bool matches(const char *pattern, const char *text, const char **wild, uint64_t *wild_len)
{
    const char *gap = strchr(pattern, WILD[0]);
    size_t n = strlen(text);
    *wild = NULL;
    if (!gap)
        return strcmp(pattern, text) == 0;
    size_t before = (size_t)(gap - pattern), after = strlen(gap + 1);
    if (n < before + after || memcmp(text, pattern, before) != 0 || memcmp(text + n - after, gap + 1, after) != 0)
        return false;
    *wild = text + before;
    *wild_len = n - before - after;
    return is_turn_text(*wild, *wild_len);
}

static q35_status try_known(q35i_chat_format *out, const known *candidate, const char *text)
{
    const char *wild;
    uint64_t wild_len = 0;
    char *pattern;
    Q35_TRY(canon(candidate->jinja, &pattern));
    bool matched = pattern && matches(pattern, text, &wild, &wild_len);
    q35i_free(pattern);
    if (!matched)
        return Q35_OK;
    out->kind = candidate->kind;
    if (wild) {
        out->default_system = q35i_strndup(wild, wild_len);
        if (!out->default_system)
            return Q35_E_NOMEM;
    }
    return Q35_OK;
}

static q35_status recognise(q35i_chat_format *out, const char *text)
{
    char *optional;
    Q35_TRY(canon(preamble, &optional));
    size_t n = strlen(optional);
    if (strncmp(text, optional, n) == 0)
        text += n;
    q35i_free(optional);
    for (size_t i = 0; i < sizeof known_templates / sizeof *known_templates && out->kind == Q35I_CHAT_UNKNOWN; i++)
        Q35_TRY(try_known(out, &known_templates[i], text));
    return Q35_OK;
}

q35_status q35i_chat_format_init(q35i_chat_format *out, const q35_model *model)
{
    const q35_meta *meta = q35_model_meta(model, KEY_TEMPLATE);
    q35_string source;
    char *text;
    out->kind = Q35I_CHAT_NONE;
    if (!meta)
        return Q35_OK;
    if (!q35_meta_string(meta, &source))
        return Q35_FAIL(Q35_E_FORMAT, "%s: value type %" PRIu32 ", need a string (8)", KEY_TEMPLATE, meta->type);
    if (source.len == 0)
        return Q35_OK;
    out->kind = Q35I_CHAT_UNKNOWN;
    Q35_TRY(q35i_jinja_canon(source, &text));
    if (!text)
        return Q35_OK;
    q35_status status = recognise(out, text);
    q35i_free(text);
    return status;
}

void q35i_chat_format_free(q35i_chat_format *format)
{
    q35i_free(format->default_system);
    *format = (q35i_chat_format){0};
}
