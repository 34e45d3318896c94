/* SPDX-License-Identifier: Apache-2.0
 *
 * Conversations in JSON: written here, read as messages_file.c does. */
#define _GNU_SOURCE
#include "chat_file.h"

#include "cli.h"
#include "json_out.h"
#include "messages_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail_save(const char *path, const char *what)
{
    return cli_fail(CLI_EXIT_FAILED, "conversation %s: cannot %s: %s", path, what, strerror(errno));
}

static json_t *message_json(const chat_message *message)
{
    json_t *object =
        json_pack("{s:s, s:o}", "role", chat_role_name(message->role), "content", json_text(message->text));
    if (object && message->think && json_object_set_new(object, "reasoning_content", json_text(message->think))) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static char *log_text(const chat_log *log, const char *model)
{
    json_t *messages = json_array();
    for (uint32_t i = 0; i < log->n; i++)
        if (json_array_append_new(messages, message_json(&log->messages[i]))) {
            json_decref(messages);
            return NULL;
        }
    json_t *root = json_pack("{s:i, s:o, s:o}", "version", 1, "model", json_text(model), "messages", messages);
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    return text;
}

/* Text and a line end into an open file, with the rights of a new file. */
static int write_text(int fd, const char *text)
{
    mode_t mask = umask(0);
    umask(mask);
    FILE *out = fchmod(fd, 0666 & ~mask) == 0 ? fdopen(fd, "wb") : NULL;
    if (!out) {
        close(fd);
        return -1;
    }
    int bad = fputs(text, out) < 0 || fputc('\n', out) == EOF || fflush(out) != 0 || fsync(fd) != 0;
    int error = errno;
    if (fclose(out) != 0 && !bad)
        return -1;
    errno = error;
    return bad ? -1 : 0;
}

int chat_file_save(const chat_log *log, const char *model, const char *path)
{
    char *text = log_text(log, model), *temporary = NULL;
    int rc = 0, fd = -1;
    if (!text || asprintf(&temporary, "%s.XXXXXX", path) < 0) {
        free(text);
        return cli_fail(CLI_EXIT_NOFIT, "conversation %s: out of memory", path);
    }
    fd = mkstemp(temporary);
    if (fd < 0)
        rc = fail_save(path, "create");
    else if (write_text(fd, text) != 0)
        rc = fail_save(path, "write");
    else if (rename(temporary, path) != 0)
        rc = fail_save(path, "rename");
    if (rc && fd >= 0)
        unlink(temporary);
    free(temporary);
    free(text);
    return rc;
}

static int wrong(const char *path, uint32_t i, const char *found, const char *needed)
{
    return cli_fail(CLI_EXIT_USAGE, "conversation %s: message %" PRIu32 ": %s found, %s needed", path, i, found,
                    needed);
}

/* The parts of one kind, joined; free(). */
static char *join(const q35_message *message, uint32_t kind)
{
    size_t len = 0;
    for (uint32_t i = 0; i < message->n_parts; i++)
        if (message->parts[i].kind == kind)
            len += strlen(message->parts[i].text);
    char *text = malloc(len + 1), *end = text;
    if (!text)
        return NULL;
    for (uint32_t i = 0; i < message->n_parts; i++)
        if (message->parts[i].kind == kind)
            end = stpcpy(end, message->parts[i].text);
    *end = '\0';
    return text;
}

static int add_message(const char *path, uint32_t i, const q35_message *message, chat_log *log)
{
    chat_role role = CHAT_SYSTEM;
    while (role <= CHAT_ASSISTANT && strcmp(message->role, chat_role_name(role)) != 0)
        role++;
    if (role > CHAT_ASSISTANT) {
        char found[64];
        snprintf(found, sizeof found, "role '%.40s'", message->role);
        return wrong(path, i, found, "system, user or assistant");
    }
    if (role == CHAT_SYSTEM && i > 0)
        return wrong(path, i, "a system message", "only message 0 as one");
    if (message->n_calls > 0)
        return wrong(path, i, "tool_calls", "only text");
    char *text = join(message, Q35_PART_TEXT), *think = join(message, Q35_PART_THINK);
    int rc = text && think ? chat_log_add(log, role, text, *think ? think : NULL)
                           : cli_fail(CLI_EXIT_NOFIT, "conversation %s: out of memory", path);
    free(text);
    free(think);
    return rc;
}

static int add_messages(const char *path, const messages_file *file, chat_log *log)
{
    const json_t *version = json_object_get(file->json, "version");
    int rc = 0;
    if (version && json_integer_value(version) != 1)
        return cli_fail(CLI_EXIT_USAGE, "conversation %s: version %lld found, 1 needed", path,
                        (long long)json_integer_value(version));
    for (uint32_t i = 0; i < file->conversation.n_messages && rc == 0; i++)
        rc = add_message(path, i, &file->conversation.messages[i], log);
    return rc;
}

int chat_file_load(const char *path, chat_log *log)
{
    char *text;
    uint64_t len;
    messages_file file = {0};
    if (strcmp(path, "-") == 0)
        return cli_fail(CLI_EXIT_USAGE, "conversation -: standard input found, a file needed");
    int rc = cli_read_file(path, "conversation", &text, &len);
    if (rc)
        return rc;
    rc = messages_of_text(&file, text, (size_t)len)
             ? cli_fail(CLI_EXIT_USAGE, "conversation %s: %s", path, file.error)
             : add_messages(path, &file, log);
    free(text);
    messages_free(&file);
    return rc;
}
