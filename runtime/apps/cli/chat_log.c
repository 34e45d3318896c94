/* SPDX-License-Identifier: Apache-2.0
 *
 * A list of messages. */
#define _GNU_SOURCE
#include "chat_log.h"

#include "cli.h"

#include <stdlib.h>
#include <string.h>

const char *chat_role_name(chat_role role)
{
    static const char *const names[] = {"system", "user", "assistant"};
    return names[role];
}

static int out_of_memory(void)
{
    return cli_fail(CLI_EXIT_NOFIT, "conversation: out of memory");
}

static void free_message(chat_message *message)
{
    free(message->text);
    free(message->think);
}

static int insert(chat_log *log, uint32_t at, chat_role role, const char *text, const char *think)
{
    if (log->n == log->cap) {
        uint32_t cap = log->cap ? 2 * log->cap : 16;
        chat_message *grown = cap > log->cap ? realloc(log->messages, cap * sizeof *grown) : NULL;
        if (!grown)
            return out_of_memory();
        log->messages = grown;
        log->cap = cap;
    }
    chat_message message = {role, strdup(text), think ? strdup(think) : NULL};
    if (!message.text || (think && !message.think)) {
        free_message(&message);
        return out_of_memory();
    }
    memmove(log->messages + at + 1, log->messages + at, (log->n - at) * sizeof message);
    log->messages[at] = message;
    log->n++;
    return 0;
}

int chat_log_add(chat_log *log, chat_role role, const char *text, const char *think)
{
    return insert(log, log->n, role, text, think);
}

static uint32_t first_turn(const chat_log *log)
{
    return log->n && log->messages[0].role == CHAT_SYSTEM;
}

int chat_log_set_system(chat_log *log, const char *text)
{
    int rc = text && *text ? insert(log, 0, CHAT_SYSTEM, text, NULL) : 0;
    uint32_t old = text && *text ? 1 : 0;
    if (rc == 0 && log->n > old && log->messages[old].role == CHAT_SYSTEM)
        chat_log_cut(log, old, 1);
    return rc;
}

const char *chat_log_system(const chat_log *log)
{
    return first_turn(log) ? log->messages[0].text : NULL;
}

void chat_log_cut(chat_log *log, uint32_t first, uint32_t n)
{
    for (uint32_t i = first; i < first + n; i++)
        free_message(&log->messages[i]);
    memmove(log->messages + first, log->messages + first + n, (log->n - first - n) * sizeof *log->messages);
    log->n -= n;
}

void chat_log_free(chat_log *log)
{
    for (uint32_t i = 0; i < log->n; i++)
        free_message(&log->messages[i]);
    free(log->messages);
    *log = (chat_log){0};
}

uint32_t chat_log_turns(const chat_log *log)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < log->n; i++)
        n += log->messages[i].role == CHAT_USER;
    return n;
}

uint32_t chat_log_messages_of_turns(const chat_log *log, uint32_t n)
{
    uint32_t begin = first_turn(log), seen = 0;
    for (uint32_t i = begin; i < log->n; i++) {
        seen += log->messages[i].role == CHAT_USER;
        if (seen > n)
            return i - begin;
    }
    return log->n - begin;
}

q35_status chat_log_render(const chat_log *log, uint32_t skip, const q35_tokenizer *tokenizer, int with_think,
                           int32_t **out_ids, uint64_t *out_n)
{
    uint32_t system = first_turn(log), n = 0;
    q35_message *messages = calloc((size_t)log->n + 1, sizeof *messages);
    q35_part *parts = calloc(2 * (size_t)log->n + 1, sizeof *parts);
    q35_status status = messages && parts ? Q35_OK : Q35_E_NOMEM;
    for (uint32_t i = 0; i < log->n && status == Q35_OK; i++) {
        if (i >= system && i < system + skip)
            continue;
        const chat_message *from = &log->messages[i];
        q35_message *to = &messages[n];
        q35_part *part = &parts[2 * n++];
        to->role = chat_role_name(from->role);
        to->parts = part;
        if (from->think && with_think)
            part[to->n_parts++] = (q35_part){Q35_PART_THINK, from->think};
        if (*from->text || to->n_parts == 0)
            part[to->n_parts++] = (q35_part){Q35_PART_TEXT, from->text};
    }
    const q35_conversation conversation = {.messages = messages, .n_messages = n};
    if (status == Q35_OK)
        status = q35_tokenizer_chat(tokenizer, &conversation, out_ids, out_n);
    free(messages);
    free(parts);
    return status;
}
