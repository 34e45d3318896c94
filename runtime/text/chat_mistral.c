/* SPDX-License-Identifier: Apache-2.0
 *
 * Mistral's formats as Mistral's own library (mistral-common 1.13.1) encodes them: every piece of text is encoded
 * by itself between control tokens. Before v7 the system text goes in front of a user message and tool calls are a
 * list in JSON; v2 forgets tool calls before the last user message. */
#include "runtime/text/chat_mistral.h"
#include "runtime/base/error.h"

#include <inttypes.h>
#include <string.h>

static q35_status control(q35i_mistral *m, const char *spelling)
{
    const q35i_vocab *vocab = &m->encoder->tokenizer->vocab;
    uint32_t id = q35i_vocab_special(vocab, (const uint8_t *)spelling, strlen(spelling));
    if (id == Q35I_NO_TOKEN)
        return Q35_FAIL(Q35_E_FORMAT, "chat format: control token '%s' is not in the vocabulary, need it",
                        spelling);
    return q35i_encoder_id(m->encoder, id);
}

static q35_status text(q35i_mistral *m, const char *bytes, uint64_t n)
{
    return n > 0 ? q35i_encoder_text(m->encoder, bytes, n, false) : Q35_OK;
}

static q35_status scratch_text(q35i_mistral *m)
{
    return text(m, m->scratch.bytes, m->scratch.n);
}

/* Appends a JSON text the way Python writes it again; what is no JSON as a string. "" counts as {}. */
static q35_status add_value(q35i_mistral *m, const char *json, uint64_t n)
{
    const q35i_json_style style = q35i_json_style_default();
    q35i_jv v;
    if (n == 0)
        return q35i_jout_add_literal(&m->scratch, "{}");
    q35_status status = q35i_jv_from_json(&m->heap, "JSON", json, n, &v);
    if (status == Q35_E_FORMAT)
        status = q35i_jv_text(&m->heap, json, n, &v);
    return status == Q35_OK ? q35i_jv_to_json(v, &style, &m->scratch) : status;
}

static q35_status add_string(q35i_mistral *m, const char *s)
{
    const q35i_json_style style = q35i_json_style_default();
    q35i_jv v = q35i_jv_none();
    if (s)
        Q35_TRY(q35i_jv_text(&m->heap, s, strlen(s), &v));
    return q35i_jv_to_json(v, &style, &m->scratch);
}

static q35_status member(q35i_jdict *from, const char *key, q35i_jv standard, q35i_heap *heap, q35i_jdict *to)
{
    const q35i_jv *found = q35i_jdict_get(from, key, strlen(key));
    return q35i_jdict_put(heap, to, key, found && found->kind != Q35I_JV_NONE ? *found : standard);
}

/* {"type": "function", "function": {"name", "description", "parameters"}}: other members are left out. */
static q35_status tool_value(q35i_mistral *m, q35i_jv tool, q35i_jv *out)
{
    q35i_jdict *outer, *inner, *empty;
    q35i_jv type, nothing;
    const q35i_jv *function = tool.kind == Q35I_JV_DICT ? q35i_jdict_get(tool.u.dict, "function", 8) : NULL;
    const q35i_jv *name =
        function && function->kind == Q35I_JV_DICT ? q35i_jdict_get(function->u.dict, "name", 4) : NULL;
    if (!name || name->kind != Q35I_JV_STRING)
        return Q35_FAIL(Q35_E_INVALID, "tools: one without a function and its name, need both");
    Q35_TRY(q35i_jdict_make(&m->heap, 2, &outer));
    Q35_TRY(q35i_jdict_make(&m->heap, 3, &inner));
    Q35_TRY(q35i_jdict_make(&m->heap, 0, &empty));
    Q35_TRY(q35i_jv_text(&m->heap, "function", 8, &type));
    Q35_TRY(q35i_jv_text(&m->heap, "", 0, &nothing));
    Q35_TRY(q35i_jdict_put(&m->heap, inner, "name", *name));
    Q35_TRY(member(function->u.dict, "description", nothing, &m->heap, inner));
    Q35_TRY(member(function->u.dict, "parameters", q35i_jv_dict(empty), &m->heap, inner));
    Q35_TRY(q35i_jdict_put(&m->heap, outer, "type", type));
    Q35_TRY(q35i_jdict_put(&m->heap, outer, "function", q35i_jv_dict(inner)));
    *out = q35i_jv_dict(outer);
    return Q35_OK;
}

static q35_status available_tools(q35i_mistral *m)
{
    const q35i_json_style style = q35i_json_style_default();
    const char *json = m->conversation->tools;
    q35i_jv v;
    if (!json)
        return Q35_OK;
    Q35_TRY(q35i_jv_from_json(&m->heap, "tools", json, strlen(json), &v));
    if (v.kind != Q35I_JV_LIST)
        return Q35_FAIL(Q35_E_INVALID, "tools: %s, need a list", q35i_jv_kind_name(v.kind));
    if (v.u.list->n == 0)
        return Q35_OK;
    if (m->version < 2)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "tools, which mistral-v1 has no form for");
    for (uint64_t i = 0; i < v.u.list->n; i++)
        Q35_TRY(tool_value(m, v.u.list->items[i], &v.u.list->items[i]));
    m->scratch.n = 0;
    Q35_TRY(q35i_jv_to_json(v, &style, &m->scratch));
    Q35_TRY(control(m, "[AVAILABLE_TOOLS]"));
    Q35_TRY(scratch_text(m));
    return control(m, "[/AVAILABLE_TOOLS]");
}

static q35_status add_system(q35i_mistral *m, const q35i_mistral_turn *turn)
{
    bool here = m->version < 7 && (m->version == 1 ? turn->first_user : turn->last_user);
    if (!here || m->system.n == 0)
        return Q35_OK;
    Q35_TRY(q35i_jout_add(&m->scratch, m->system.bytes, m->system.n, NULL));
    return q35i_jout_add_literal(&m->scratch, "\n\n");
}

static q35_status user_turn(q35i_mistral *m, const q35i_mistral_turn *turn)
{
    if (m->version >= 13 ? turn->first_user : turn->last_user)
        Q35_TRY(available_tools(m));
    m->scratch.n = 0;
    if (m->version == 1)
        Q35_TRY(q35i_jout_add_literal(&m->scratch, "[INST] "));
    Q35_TRY(add_system(m, turn));
    for (const q35i_mistral_chunk *chunk = turn->chunks; chunk; chunk = chunk->next)
        Q35_TRY(q35i_jout_add(&m->scratch, chunk->bytes, chunk->n, NULL));
    if (m->version == 1) {
        Q35_TRY(q35i_jout_add_literal(&m->scratch, " [/INST]"));
        return scratch_text(m);
    }
    Q35_TRY(control(m, "[INST]"));
    Q35_TRY(scratch_text(m));
    return control(m, "[/INST]");
}

/* Text and reasoning. */
static q35_status chunks(q35i_mistral *m, const q35i_mistral_chunk *chunk)
{
    for (; chunk; chunk = chunk->next) {
        if (chunk->think)
            Q35_TRY(control(m, "[THINK]"));
        Q35_TRY(text(m, chunk->bytes, chunk->n));
        if (chunk->think)
            Q35_TRY(control(m, "[/THINK]"));
    }
    return Q35_OK;
}

/* Up to v7: all calls in a list. */
static q35_status call_list(q35i_mistral *m, const q35i_mistral_turn *turn)
{
    m->scratch.n = 0;
    Q35_TRY(q35i_jout_add_literal(&m->scratch, "["));
    for (uint32_t i = turn->from; i < turn->to; i++) {
        const q35_message *message = &m->conversation->messages[i];
        for (uint32_t k = 0; k < message->n_calls; k++) {
            const q35_tool_call *call = &message->calls[k];
            const char *arguments = call->arguments ? call->arguments : "";
            Q35_TRY(q35i_jout_add_literal(&m->scratch, m->scratch.n > 1 ? ", {\"name\": " : "{\"name\": "));
            Q35_TRY(add_string(m, call->name));
            Q35_TRY(q35i_jout_add_literal(&m->scratch, ", \"arguments\": "));
            Q35_TRY(add_value(m, arguments, strlen(arguments)));
            if (m->version >= 3 && call->id && *call->id && strcmp(call->id, "null") != 0) {
                Q35_TRY(q35i_jout_add_literal(&m->scratch, ", \"id\": "));
                Q35_TRY(add_string(m, call->id));
            }
            Q35_TRY(q35i_jout_add_literal(&m->scratch, "}"));
        }
    }
    Q35_TRY(q35i_jout_add_literal(&m->scratch, "]"));
    Q35_TRY(control(m, "[TOOL_CALLS]"));
    return scratch_text(m);
}

static q35_status one_call(q35i_mistral *m, const q35_tool_call *call)
{
    const char *arguments = call->arguments ? call->arguments : "";
    Q35_TRY(control(m, "[TOOL_CALLS]"));
    Q35_TRY(text(m, call->name, strlen(call->name)));
    if (m->version == 11 && call->id && *call->id && strcmp(call->id, "null") != 0) {
        Q35_TRY(control(m, "[CALL_ID]"));
        Q35_TRY(text(m, call->id, strlen(call->id)));
    }
    m->scratch.n = 0;
    Q35_TRY(add_value(m, arguments, strlen(arguments)));
    Q35_TRY(control(m, "[ARGS]"));
    return scratch_text(m);
}

static q35_status calls(q35i_mistral *m, const q35i_mistral_turn *turn)
{
    if (m->version < 11)
        return call_list(m, turn);
    for (uint32_t i = turn->from; i < turn->to; i++)
        for (uint32_t k = 0; k < m->conversation->messages[i].n_calls; k++)
            Q35_TRY(one_call(m, &m->conversation->messages[i].calls[k]));
    return Q35_OK;
}

static q35_status assistant_turn(q35i_mistral *m, const q35i_mistral_turn *turn)
{
    q35i_mistral_chunk *only = turn->chunks && !turn->chunks->next && !turn->chunks->think ? turn->chunks : NULL;
    if (m->version == 2 && turn->n_calls > 0 && turn->before_last_user)
        return Q35_OK;
    while (only && m->version >= 2 && only->n > 0 && only->bytes[only->n - 1] == ' ')
        only->n--;
    Q35_TRY(chunks(m, turn->chunks));
    if (turn->n_calls > 0)
        Q35_TRY(calls(m, turn));
    return control(m, "</s>");
}

static q35_status tool_turn(q35i_mistral *m, const q35i_mistral_turn *turn)
{
    const q35_message *message = &m->conversation->messages[turn->from];
    const char *bytes = turn->chunks ? turn->chunks->bytes : "";
    uint64_t n = turn->chunks ? turn->chunks->n : 0;
    if (m->version == 2 && turn->before_last_user)
        return Q35_OK;
    Q35_TRY(control(m, "[TOOL_RESULTS]"));
    m->scratch.n = 0;
    if (m->version == 2) {
        Q35_TRY(q35i_jout_add_literal(&m->scratch, "[{\"name\": "));
        Q35_TRY(add_string(m, message->name));
    }
    if (m->version <= 3) {
        Q35_TRY(q35i_jout_add_literal(&m->scratch, m->version == 2 ? ", \"content\": " : "{\"content\": "));
        Q35_TRY(add_value(m, bytes, n));
    }
    if (m->version == 3) {
        Q35_TRY(q35i_jout_add_literal(&m->scratch, ", \"call_id\": "));
        Q35_TRY(add_string(m, message->call_id));
    }
    if (m->version <= 3)
        Q35_TRY(q35i_jout_add_literal(&m->scratch, m->version == 2 ? "}]" : "}"));
    if (m->version == 7 || m->version == 11) {
        Q35_TRY(text(m, message->call_id, strlen(message->call_id)));
        Q35_TRY(control(m, "[TOOL_CONTENT]"));
    }
    Q35_TRY(m->version <= 3 ? scratch_text(m) : text(m, bytes, n));
    return control(m, "[/TOOL_RESULTS]");
}

static q35_status turn(q35i_mistral *m, const q35i_mistral_turn *t)
{
    switch (t->role) {
    case Q35I_MISTRAL_USER: return user_turn(m, t);
    case Q35I_MISTRAL_ASSISTANT: return assistant_turn(m, t);
    case Q35I_MISTRAL_TOOL: return tool_turn(m, t);
    case Q35I_MISTRAL_SYSTEM: break;
    }
    Q35_TRY(control(m, "[SYSTEM_PROMPT]"));
    Q35_TRY(chunks(m, t->chunks));
    return control(m, "[/SYSTEM_PROMPT]");
}

q35_status q35i_chat_mistral(q35i_encoder *encoder, uint32_t version, const q35_conversation *conversation)
{
    q35i_mistral m = {.encoder = encoder, .version = version, .conversation = conversation};
    q35_status status;
    Q35_TRY_GOTO(q35i_mistral_turns(&m), done);
    Q35_TRY_GOTO(control(&m, "<s>"), done);
    for (const q35i_mistral_turn *t = m.turns; t; t = t->next)
        Q35_TRY_GOTO(turn(&m, t), done);
done:
    q35i_jout_free(&m.scratch);
    q35i_jout_free(&m.system);
    q35i_heap_free(&m.heap);
    return status;
}
