/* SPDX-License-Identifier: Apache-2.0
 *
 * Conversations in JSON. Contents of messages are strings, or lists of text parts as other programs write them. */
#define _GNU_SOURCE
#include "chat_file.h"

#include "cli.h"
#include "json_out.h"

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

/* Text of a content: a string, null, or a list of {"type": "text", "text": ...}. NULL: something else, or out of
 * memory; free(). */
static char *content_text(const json_t *content)
{
    if (!content || json_is_null(content))
        return strdup("");
    if (json_is_string(content))
        return strdup(json_string_value(content));
    if (!json_is_array(content))
        return NULL;
    size_t len = 0, n = json_array_size(content);
    for (size_t i = 0; i < n; i++) {
        const json_t *part = json_array_get(content, i);
        const char *type = json_string_value(json_object_get(part, "type"));
        if (!type || strcmp(type, "text") != 0 || !json_is_string(json_object_get(part, "text")))
            return NULL;
        len += json_string_length(json_object_get(part, "text"));
    }
    char *text = malloc(len + 1), *end = text;
    if (!text)
        return NULL;
    for (size_t i = 0; i < n; i++)
        end = stpcpy(end, json_string_value(json_object_get(json_array_get(content, i), "text")));
    *end = '\0';
    return text;
}

static int load_message(const char *path, uint32_t i, const json_t *object, chat_log *log)
{
    const char *role = json_string_value(json_object_get(object, "role"));
    const json_t *think = json_object_get(object, "reasoning_content");
    chat_role known = CHAT_SYSTEM;
    while (role && known <= CHAT_ASSISTANT && strcmp(role, chat_role_name(known)) != 0)
        known++;
    if (!role || known > CHAT_ASSISTANT) {
        char found[64];
        if (role)
            snprintf(found, sizeof found, "role '%.40s'", role);
        else
            snprintf(found, sizeof found, "no role");
        return wrong(path, i, found, "system, user or assistant");
    }
    if (known == CHAT_SYSTEM && i > 0)
        return wrong(path, i, "a system message", "only message 0 as one");
    if (json_object_get(object, "tool_calls"))
        return wrong(path, i, "tool_calls", "only text");
    if (think && !json_is_string(think) && !json_is_null(think))
        return wrong(path, i, "reasoning_content that is no string", "one");
    char *text = content_text(json_object_get(object, "content"));
    if (!text)
        return wrong(path, i, "content that is no text", "a string or text parts");
    const char *reasoning = json_string_value(think);
    int rc = chat_log_add(log, known, text, reasoning && *reasoning ? reasoning : NULL);
    free(text);
    return rc;
}

static int load_root(const char *path, const json_t *root, chat_log *log)
{
    const json_t *version = json_object_get(root, "version"), *messages = json_object_get(root, "messages");
    if (!json_is_object(root) || !json_is_array(messages))
        return cli_fail(CLI_EXIT_USAGE, "conversation %s: no list of messages found, an object with one needed",
                        path);
    if (version && json_integer_value(version) != 1)
        return cli_fail(CLI_EXIT_USAGE, "conversation %s: version %lld found, 1 needed", path,
                        (long long)json_integer_value(version));
    size_t n = json_array_size(messages);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = load_message(path, (uint32_t)i, json_array_get(messages, i), log);
    return rc;
}

int chat_file_load(const char *path, chat_log *log)
{
    char *text;
    uint64_t len;
    json_error_t error;
    if (strcmp(path, "-") == 0)
        return cli_fail(CLI_EXIT_USAGE, "conversation -: standard input found, a file needed");
    int rc = cli_read_file(path, "conversation", &text, &len);
    if (rc)
        return rc;
    json_t *root = json_loadb(text, (size_t)len, JSON_REJECT_DUPLICATES, &error);
    free(text);
    if (!root)
        return cli_fail(CLI_EXIT_USAGE, "conversation %s: line %d: %s", path, error.line, error.text);
    rc = load_root(path, root, log);
    json_decref(root);
    return rc;
}
