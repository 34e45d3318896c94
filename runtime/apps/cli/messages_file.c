/* SPDX-License-Identifier: Apache-2.0 */
#include "messages_file.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Q35_PRINTF(2, 3) static int wrong(messages_file *file, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(file->error, sizeof file->error, fmt, args);
    va_end(args);
    for (char *c = file->error; *c; c++)
        if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
            *c = '?';
    return -1;
}

/* The JSON text of a value, kept until messages_free(). */
static const char *text_of(messages_file *file, const json_t *value)
{
    char **bigger = realloc(file->made, (file->n_made + 1) * sizeof *bigger);
    if (bigger)
        file->made = bigger;
    char *text = bigger ? json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17)) : NULL;
    if (text)
        file->made[file->n_made++] = text;
    return text;
}

/* A member that is a string, null or absent. */
static int get_text(messages_file *file, size_t i, const json_t *object, const char *key, const char **out)
{
    const json_t *value = json_object_get(object, key);
    *out = json_string_value(value);
    if (*out || !value || json_is_null(value))
        return 0;
    return wrong(file, "message %zu: %s is no string", i, key);
}

static int read_part(messages_file *file, size_t i, const json_t *value, q35_part *part)
{
    const char *type = NULL;
    if (!json_is_object(value))
        return wrong(file, "message %zu: a part of the content is no object", i);
    if (get_text(file, i, value, "type", &type))
        return -1;
    int think = type && strcmp(type, "thinking") == 0;
    if (!type || (!think && strcmp(type, "text") != 0))
        return wrong(file, "message %zu: a part of type '%s', text or thinking needed", i, type ? type : "");
    part->kind = think ? Q35_PART_THINK : Q35_PART_TEXT;
    if (get_text(file, i, value, think ? "thinking" : "text", &part->text))
        return -1;
    return part->text ? 0 : wrong(file, "message %zu: a part without text", i);
}

static int read_content(messages_file *file, size_t i, const json_t *object, q35_message *message)
{
    const json_t *content = json_object_get(object, "content");
    const char *thoughts, *text = json_string_value(content);
    size_t n = json_array_size(content);
    if (get_text(file, i, object, "reasoning_content", &thoughts))
        return -1;
    if (content && !text && !json_is_null(content) && !json_is_array(content))
        return wrong(file, "message %zu: content is no string or list", i);
    q35_part *parts = calloc(n + 2, sizeof *parts);
    if (!parts)
        return wrong(file, "out of memory");
    message->parts = parts;
    if (thoughts && *thoughts)
        parts[message->n_parts++] = (q35_part){Q35_PART_THINK, thoughts};
    if (text && (*text || !json_object_get(object, "tool_calls")))
        parts[message->n_parts++] = (q35_part){Q35_PART_TEXT, text};
    for (size_t k = 0; k < n; k++)
        if (read_part(file, i, json_array_get(content, k), &parts[message->n_parts++]))
            return -1;
    return 0;
}

static int read_call(messages_file *file, size_t i, const json_t *value, q35_tool_call *call)
{
    const json_t *function = json_object_get(value, "function"),
                 *arguments = json_object_get(function, "arguments");
    if (get_text(file, i, value, "id", &call->id) || get_text(file, i, function, "name", &call->name))
        return -1;
    if (!call->name)
        return wrong(file, "message %zu: a tool call without a function's name", i);
    call->arguments = json_is_string(arguments) ? json_string_value(arguments)
                      : arguments               ? text_of(file, arguments)
                                                : "";
    return call->arguments ? 0 : wrong(file, "out of memory");
}

static int read_message(messages_file *file, size_t i, const json_t *value, q35_message *message)
{
    const json_t *calls = json_object_get(value, "tool_calls");
    size_t n = json_array_size(calls);
    if (!json_is_object(value))
        return wrong(file, "message %zu: no object", i);
    if (get_text(file, i, value, "role", &message->role) || read_content(file, i, value, message) ||
        get_text(file, i, value, "tool_call_id", &message->call_id) ||
        get_text(file, i, value, "name", &message->name))
        return -1;
    if (!message->role)
        return wrong(file, "message %zu: no role", i);
    if (calls && !json_is_null(calls) && !json_is_array(calls))
        return wrong(file, "message %zu: tool_calls is no list", i);
    q35_tool_call *list = calloc(n + 1, sizeof *list);
    if (!list)
        return wrong(file, "out of memory");
    message->calls = list;
    message->n_calls = (uint32_t)n;
    for (size_t k = 0; k < n; k++)
        if (read_call(file, i, json_array_get(calls, k), &list[k]))
            return -1;
    return 0;
}

int messages_of_json(messages_file *file, json_t *json)
{
    file->json = json;
    const json_t *messages = json_object_get(json, "messages"), *tools = json_object_get(json, "tools");
    size_t n = json_array_size(messages);
    if (!json_is_array(messages))
        return wrong(file, "no list of messages in it, {\"messages\": [...]} needed");
    if (tools && !json_is_null(tools) && !json_is_array(tools))
        return wrong(file, "tools is no list");
    file->messages = calloc(n + 1, sizeof *file->messages);
    if (!file->messages)
        return wrong(file, "out of memory");
    file->conversation.messages = file->messages;
    for (size_t i = 0; i < n; i++) {
        file->conversation.n_messages = (uint32_t)(i + 1);
        if (read_message(file, i, json_array_get(messages, i), &file->messages[i]))
            return -1;
    }
    if (json_is_array(tools))
        file->conversation.tools = text_of(file, tools);
    return json_is_array(tools) && !file->conversation.tools ? wrong(file, "out of memory") : 0;
}

int messages_of_text(messages_file *file, const char *text, size_t len)
{
    json_error_t error;
    json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        return wrong(file, "line %d, column %d: %s", error.line, error.column, error.text);
    return messages_of_json(file, json);
}

void messages_free(messages_file *file)
{
    for (uint32_t i = 0; file->messages && i < file->conversation.n_messages; i++) {
        free((void *)(uintptr_t)file->messages[i].parts);
        free((void *)(uintptr_t)file->messages[i].calls);
    }
    for (size_t i = 0; i < file->n_made; i++)
        free(file->made[i]);
    free(file->made);
    free(file->messages);
    json_decref(file->json);
    *file = (messages_file){0};
}
