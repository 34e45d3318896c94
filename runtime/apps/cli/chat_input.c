/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines to messages. "//text" is a message that begins with "/"; a block is taken as it is. */
#include "chat_input.h"

#include "cli.h"

#include <stdlib.h>
#include <string.h>

#define QUOTES "\"\"\""

enum { QUOTES_LEN = 3 };

static int append(chat_input *input, const char *text, uint64_t len)
{
    if (input->n + len + 2 > input->cap) {
        uint64_t cap = 2 * (input->n + len + 2);
        char *grown = realloc(input->text, (size_t)cap);
        if (!grown)
            return cli_fail(CLI_EXIT_NOFIT, "message: out of memory");
        input->text = grown;
        input->cap = cap;
    }
    memcpy(input->text + input->n, text, (size_t)len);
    input->n += len;
    input->text[input->n] = '\0';
    return 0;
}

static int is_blank(const char *text, uint64_t len)
{
    return strspn(text, " \t\r") == len;
}

static int begins_block(const char *line)
{
    return strncmp(line, QUOTES, QUOTES_LEN) == 0;
}

/* Takes closing quotes from the end of a line. */
static int ends_block(const char *line, uint64_t *len)
{
    uint64_t n = *len;
    while (n && (line[n - 1] == ' ' || line[n - 1] == '\t' || line[n - 1] == '\r'))
        n--;
    if (n < QUOTES_LEN || memcmp(line + n - QUOTES_LEN, QUOTES, QUOTES_LEN) != 0)
        return 0;
    *len = n - QUOTES_LEN;
    return 1;
}

/* A line end between what there is and what comes, unless there is nothing. */
static int add_line(chat_input *input, const char *line, uint64_t len, int first)
{
    int rc = first ? 0 : append(input, "\n", 1);
    return rc ? rc : append(input, line, len);
}

static line_result read_block(chat_input *input, const char *line, uint64_t len)
{
    line += QUOTES_LEN;
    len -= QUOTES_LEN;
    int end = ends_block(line, &len), first = end || is_blank(line, len);
    if (!is_blank(line, len) && add_line(input, line, len, 1))
        return LINE_FAILED;
    while (!end) {
        char *next;
        line_result result = line_edit_read(input->lines, "... ", &next, &len);
        if (result == LINE_END) {
            cli_fail(CLI_EXIT_USAGE, "message: end of input found in a block, " QUOTES " needed");
            return LINE_FAILED;
        }
        if (result != LINE_READ)
            return result;
        end = ends_block(next, &len);
        if (!(end && is_blank(next, len)) && add_line(input, next, len, first))
            return LINE_FAILED;
        first = 0;
    }
    return LINE_READ;
}

/* Lines that end in "\", and the one that does not. */
static line_result read_lines(chat_input *input, char *line, uint64_t len)
{
    for (int first = 1;; first = 0) {
        if (len && line[len - 1] == '\r')
            len--;
        int more = len && line[len - 1] == '\\';
        if (add_line(input, line, more ? len - 1 : len, first))
            return LINE_FAILED;
        if (!more)
            return LINE_READ;
        line_result result = line_edit_read(input->lines, "... ", &line, &len);
        if (result != LINE_READ)
            return result == LINE_END ? LINE_READ : result;
    }
}

line_result chat_input_read(chat_input *input)
{
    for (;;) {
        char *line;
        uint64_t len;
        input->n = 0;
        line_result result = line_edit_read(input->lines, "> ", &line, &len);
        input->dropped = result != LINE_SIGNAL || len > 0;
        if (result != LINE_READ)
            return result;
        int block = begins_block(line);
        result = block ? read_block(input, line, len) : read_lines(input, line, len);
        if (result != LINE_READ)
            return result;
        if (append(input, "", 0))
            return LINE_FAILED;
        if (memchr(input->text, '\0', (size_t)input->n)) {
            cli_fail(CLI_EXIT_USAGE, "message: a NUL byte found, text needed");
            return LINE_FAILED;
        }
        if (strspn(input->text, " \t\r\n") == input->n)
            continue;
        int slashes = block || input->text[0] != '/' ? 0 : input->text[1] == '/' ? 2 : 1;
        input->is_command = slashes == 1;
        if (slashes == 2)
            memmove(input->text, input->text + 1, (size_t)input->n--);
        return LINE_READ;
    }
}

void chat_input_free(chat_input *input)
{
    free(input->text);
}
