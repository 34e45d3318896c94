/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzz target: any bytes as a chat template, run on a small conversation. It ends, says why it failed, and no byte
 * of a message counts as the template's. */
#include "runtime/text/chat_render.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(const q35i_chat_format *format)
{
    static const q35_part parts[] = {{Q35_PART_TEXT, "\x02 a\x02"}, {Q35_PART_THINK, "\x02"}};
    static const q35_tool_call call = {"abcdefghi", "f", "{\"a\": [1, 2.5, null, \"x\"]}"};
    static const q35_message messages[] = {
        {.role = "system", .parts = parts, .n_parts = 1},
        {.role = "user", .parts = parts, .n_parts = 1},
        {.role = "assistant", .parts = parts, .n_parts = 1, .calls = &call, .n_calls = 1},
        {.role = "tool", .parts = parts, .n_parts = 1, .call_id = "abcdefghi"}};
    static const q35_conversation conversation = {
        .messages = messages,
        .n_messages = 4,
        .tools = "[{\"type\": \"function\", \"function\": {\"name\": \"f\"}}]"};
    q35i_jout text = {0};
    if (q35i_chat_template(format, &conversation, 0, &text) != Q35_OK && !*q35_error_message())
        abort();
    for (uint64_t i = 0; i < text.n; i++)
        if (text.bytes[i] == '\x02' && text.marks[i])
            abort();
    q35i_jout_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    q35i_chat_format format = {0};
    if (size > 0 && memchr(data, '\x02', size))
        return 0;
    if (q35i_jinja_parse(&format.jinja, (q35_string){(const char *)data, size}) == Q35_OK)
        run(&format);
    else if (!*q35_error_message())
        abort();
    q35i_chat_format_free(&format);
    return 0;
}
