/* SPDX-License-Identifier: Apache-2.0
 *
 * A conversation as a template sees it: messages in the form of Hugging Face's apply_chat_template, with the
 * content a string, or a list of blocks when there is reasoning and the template knows such blocks. */
#include "runtime/text/chat_render.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/text/jinja_json.h"
#include "runtime/text/jinja_run.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static q35_status put_text(q35i_heap *heap, q35i_jdict *dict, const char *key, const char *text)
{
    q35i_jv v;
    if (!text)
        return Q35_OK;
    Q35_TRY(q35i_jv_text(heap, text, strlen(text), &v));
    return q35i_jdict_put(heap, dict, key, v);
}

/* The parts of a kind, one behind the other. */
static q35_status joined(q35i_heap *heap, const q35_message *message, uint32_t kind, q35i_jv *out)
{
    uint64_t n = 0, at = 0;
    if (message->n_parts == 1 && message->parts[0].kind == kind)
        return q35i_jv_text(heap, message->parts[0].text, strlen(message->parts[0].text), out);
    for (uint32_t i = 0; i < message->n_parts; i++)
        n += message->parts[i].kind == kind ? strlen(message->parts[i].text) : 0;
    char *text = q35i_heap_take(heap, n + 1, 1);
    if (!text)
        return heap->status;
    for (uint32_t i = 0; i < message->n_parts; i++) {
        size_t len = message->parts[i].kind == kind ? strlen(message->parts[i].text) : 0;
        memcpy(text + at, message->parts[i].text, len);
        at += len;
    }
    return q35i_jv_text(heap, text, n, out);
}

static q35_status blocks(q35i_heap *heap, const q35_message *message, q35i_jv *out)
{
    q35i_jlist *list;
    Q35_TRY(q35i_jlist_make(heap, message->n_parts, &list));
    for (uint32_t i = 0; i < message->n_parts; i++) {
        const char *key = message->parts[i].kind == Q35_PART_THINK ? "thinking" : "text";
        q35i_jdict *block;
        Q35_TRY(q35i_jdict_make(heap, 2, &block));
        Q35_TRY(put_text(heap, block, "type", key));
        Q35_TRY(put_text(heap, block, key, message->parts[i].text));
        list->items[i] = q35i_jv_dict(block);
    }
    *out = q35i_jv_list(list);
    return Q35_OK;
}

static bool has_thoughts(const q35_message *message)
{
    for (uint32_t i = 0; i < message->n_parts; i++)
        if (message->parts[i].kind == Q35_PART_THINK)
            return true;
    return false;
}

static q35_status content(q35i_heap *heap, const q35i_jinja *jinja, const q35_message *message, uint32_t i,
                          q35i_jdict *dict)
{
    q35i_jv v;
    bool thoughts = has_thoughts(message);
    if (thoughts && (q35i_jinja_mentions(jinja, "'thinking'") || q35i_jinja_mentions(jinja, "\"thinking\""))) {
        Q35_TRY(blocks(heap, message, &v));
        return q35i_jdict_put(heap, dict, "content", v);
    }
    if (thoughts && !q35i_jinja_mentions(jinja, "reasoning_content"))
        return Q35_FAIL(Q35_E_UNSUPPORTED,
                        "message %" PRIu32 ": reasoning, which the chat template has no form for", i);
    Q35_TRY(joined(heap, message, Q35_PART_TEXT, &v));
    Q35_TRY(q35i_jdict_put(heap, dict, "content", v));
    if (!thoughts)
        return Q35_OK;
    Q35_TRY(joined(heap, message, Q35_PART_THINK, &v));
    return q35i_jdict_put(heap, dict, "reasoning_content", v);
}

static q35_status tool_call(q35i_heap *heap, const q35_tool_call *call, uint32_t i, q35i_jv *out)
{
    char name[48];
    q35i_jdict *dict, *function;
    q35i_jv v;
    const char *arguments = call->arguments && *call->arguments ? call->arguments : "{}";
    snprintf(name, sizeof name, "message %" PRIu32 ": arguments of a tool call", i);
    Q35_TRY(q35i_jdict_make(heap, 3, &dict));
    Q35_TRY(q35i_jdict_make(heap, 2, &function));
    Q35_TRY(put_text(heap, function, "name", call->name));
    Q35_TRY(q35i_jv_from_json(heap, name, arguments, strlen(arguments), &v));
    Q35_TRY(q35i_jdict_put(heap, function, "arguments", v));
    Q35_TRY(put_text(heap, dict, "id", call->id));
    Q35_TRY(put_text(heap, dict, "type", "function"));
    Q35_TRY(q35i_jdict_put(heap, dict, "function", q35i_jv_dict(function)));
    *out = q35i_jv_dict(dict);
    return Q35_OK;
}

static q35_status message_value(q35i_heap *heap, const q35i_jinja *jinja, const q35_message *message, uint32_t i,
                                q35i_jv *out)
{
    q35i_jdict *dict;
    q35i_jlist *calls;
    Q35_TRY(q35i_jdict_make(heap, 6, &dict));
    Q35_TRY(put_text(heap, dict, "role", message->role));
    Q35_TRY(content(heap, jinja, message, i, dict));
    if (message->n_calls > 0) {
        Q35_TRY(q35i_jlist_make(heap, message->n_calls, &calls));
        for (uint32_t c = 0; c < message->n_calls; c++)
            Q35_TRY(tool_call(heap, &message->calls[c], i, &calls->items[c]));
        Q35_TRY(q35i_jdict_put(heap, dict, "tool_calls", q35i_jv_list(calls)));
    }
    Q35_TRY(put_text(heap, dict, "tool_call_id", message->call_id));
    Q35_TRY(put_text(heap, dict, "name", message->name));
    *out = q35i_jv_dict(dict);
    return Q35_OK;
}

/* A token's spelling counts as text of the template. */
static q35_status set_token(q35i_jrun *run, const char *name, const char *spelling)
{
    size_t n = spelling ? strlen(spelling) : 0;
    uint8_t *marks = q35i_heap_take(&run->heap, n, 1);
    q35i_jstr *s = marks ? q35i_heap_take(&run->heap, 1, sizeof *s) : NULL;
    if (!s)
        return run->heap.status;
    memset(marks, 1, n);
    *s = (q35i_jstr){.n = n, .bytes = spelling, .marks = marks};
    q35i_jrun_set(run, name, spelling ? q35i_jv_string(s) : q35i_jv_undefined());
    return Q35_OK;
}

static q35_status set_variables(q35i_jrun *run, const q35i_chat_format *format,
                                const q35_conversation *conversation)
{
    const char *tools = conversation->tools;
    uint32_t n = conversation->n_messages;
    q35i_jv v = q35i_jv_none();
    q35i_jlist *list;
    Q35_TRY(q35i_jlist_make(&run->heap, n, &list));
    for (uint32_t i = 0; i < n; i++)
        Q35_TRY(message_value(&run->heap, run->jinja, &conversation->messages[i], i, &list->items[i]));
    q35i_jrun_set(run, "messages", q35i_jv_list(list));
    if (tools)
        Q35_TRY(q35i_jv_from_json(&run->heap, "tools", tools, strlen(tools), &v));
    if (tools && !q35i_jinja_mentions(run->jinja, "tools"))
        return Q35_FAIL(Q35_E_UNSUPPORTED, "tools, which the chat template has no form for");
    if (tools && v.kind != Q35I_JV_LIST)
        return Q35_FAIL(Q35_E_INVALID, "tools: %s, need a list", q35i_jv_kind_name(v.kind));
    q35i_jrun_set(run, "tools", tools && v.u.list->n > 0 ? v : q35i_jv_none());
    q35i_jrun_set(run, "documents", q35i_jv_none());
    q35i_jrun_set(run, "add_generation_prompt",
                  q35i_jv_bool(strcmp(conversation->messages[n - 1].role, "assistant") != 0));
    Q35_TRY(set_token(run, "bos_token", format->bos));
    return set_token(run, "eos_token", format->eos);
}

static uint64_t total_bytes(const q35_conversation *conversation)
{
    uint64_t bytes = conversation->tools ? strlen(conversation->tools) : 0;
    for (uint32_t i = 0; i < conversation->n_messages; i++) {
        const q35_message *message = &conversation->messages[i];
        bytes += 64;
        for (uint32_t k = 0; k < message->n_parts; k++)
            bytes += strlen(message->parts[k].text);
        for (uint32_t k = 0; k < message->n_calls; k++)
            bytes += message->calls[k].arguments ? strlen(message->calls[k].arguments) : 0;
    }
    return bytes;
}

q35_status q35i_chat_template(const q35i_chat_format *format, const q35_conversation *conversation, int64_t now,
                              q35i_jout *out)
{
    q35i_jrun *run = q35i_calloc(1, sizeof *run);
    q35_status status;
    if (!run)
        return Q35_E_NOMEM;
    q35i_jrun_init(run, &format->jinja, out, total_bytes(conversation));
    if (now >= 0)
        run->now = (time_t)now;
    Q35_TRY_GOTO(set_variables(run, format, conversation), done);
    Q35_TRY_GOTO(q35i_jrun_go(run), done);
done:
    q35i_jrun_free(run);
    q35i_free(run);
    return status;
}

/* The bytes from `at` on that come from the template without a break. */
static uint64_t marked(const q35i_jout *text, uint64_t at)
{
    uint64_t end = at;
    while (end < text->n && text->marks[end])
        end++;
    return end - at;
}

q35_status q35i_chat_encode(q35i_encoder *encoder, const q35i_jout *text)
{
    const q35i_vocab *vocab = &encoder->tokenizer->vocab;
    /* the space that SentencePiece puts in front of a text is the template's own */
    bool space = !encoder->tokenizer->splitter && encoder->tokenizer->pieces.space_prefix;
    uint64_t begin = 0, run_end = 0;
    for (uint64_t at = 0; at < text->n;) {
        uint32_t id = Q35I_NO_TOKEN;
        uint64_t spelling;
        if (text->marks[at]) {
            if (at >= run_end)
                run_end = at + marked(text, at);
            id = q35i_vocab_special_at(vocab, (const uint8_t *)text->bytes + at, run_end - at, true);
        }
        if (id == Q35I_NO_TOKEN || q35i_vocab_kind(vocab, id) != Q35I_TOKEN_CONTROL) {
            at++;
            continue;
        }
        if (at > begin)
            Q35_TRY(q35i_encoder_text(encoder, text->bytes + begin, at - begin, false));
        Q35_TRY(q35i_encoder_id(encoder, id));
        q35i_vocab_piece(vocab, id, &spelling);
        at += spelling;
        at += space && at < text->n && text->marks[at] && text->bytes[at] == ' ';
        begin = at;
    }
    return text->n > begin ? q35i_encoder_text(encoder, text->bytes + begin, text->n - begin, false) : Q35_OK;
}
