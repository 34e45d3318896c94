/* SPDX-License-Identifier: Apache-2.0
 *
 * Text to standard output and into the message. */
#include "chat_show.h"

#include "cli.h"

#include <stdlib.h>
#include <string.h>

#define DIM   "\033[2m"
#define PLAIN "\033[0m"

static int write_word(const char *word)
{
    return cli_write_out(word, strlen(word));
}

static int end_line(chat_show *show)
{
    int open = show->line_open;
    show->line_open = 0;
    return open ? write_word("\n") : 0;
}

int chat_show_thinking(chat_show *show, int thinking)
{
    if (show->thinking == thinking)
        return 0;
    show->thinking = thinking;
    int rc = end_line(show);
    if (rc == 0 && show->colour)
        rc = write_word(thinking ? DIM : PLAIN);
    return rc;
}

static int keep(chat_text *to, const char *text, uint64_t len)
{
    if (to->n + len + 1 > to->cap) {
        uint64_t cap = 2 * (to->n + len + 1);
        char *grown = realloc(to->text, (size_t)cap);
        if (!grown)
            return cli_fail(CLI_EXIT_NOFIT, "answer: out of memory");
        to->text = grown;
        to->cap = cap;
    }
    for (uint64_t i = 0; i < len; i++)
        if (text[i])
            to->text[to->n++] = text[i];
    to->text[to->n] = '\0';
    return 0;
}

/* A model's control characters could steer the terminal: C0 except tab and line end, DEL, C1 (U+0080 to U+009F).
 */
static uint64_t control_length(const unsigned char *s, uint64_t left)
{
    if ((s[0] < 32 && s[0] != '\n' && s[0] != '\t') || s[0] == 127)
        return 1;
    return left > 1 && s[0] == 0xc2 && s[1] < 0xa0 ? 2 : 0;
}

static int show_safe(const char *text, uint64_t len)
{
    uint64_t from = 0;
    int rc = 0;
    for (uint64_t i = 0; i < len && rc == 0;) {
        uint64_t skip = control_length((const unsigned char *)text + i, len - i);
        if (skip) {
            rc = cli_write_out(text + from, i - from);
            from = i + skip;
        }
        i += skip ? skip : 1;
    }
    return rc ? rc : cli_write_out(text + from, len - from);
}

int chat_show_text(chat_show *show, const char *text, uint64_t len)
{
    if (len == 0)
        return 0;
    int rc = keep(show->thinking ? &show->think : &show->answer, text, len);
    if (rc == 0)
        rc = show->terminal ? show_safe(text, len) : cli_write_out(text, len);
    show->line_open = text[len - 1] != '\n';
    return rc;
}

int chat_show_end(chat_show *show)
{
    int dim = show->thinking && show->colour;
    int rc = end_line(show);
    return rc == 0 && dim ? cli_write_out(PLAIN, strlen(PLAIN)) : rc;
}

void chat_show_free(chat_show *show)
{
    free(show->answer.text);
    free(show->think.text);
}
