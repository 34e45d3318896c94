/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of token ids. */
#include "ids.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int is_separator(char c)
{
    return c == ',' || c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* One id at *text, which advances past it. */
static int parse_id(const char *what, const char **text, uint32_t vocab, int32_t *out)
{
    char *end;
    errno = 0;
    long long v = strtoll(*text, &end, 10);
    if (end == *text || (*end && !is_separator(*end))) {
        int n = 0;
        while (n < 20 && (*text)[n] && !is_separator((*text)[n]))
            n++;
        return cli_fail(CLI_EXIT_USAGE, "%s: '%.*s' found, a token id needed", what, n, *text);
    }
    if (errno || v < 0 || v >= vocab)
        return cli_fail(CLI_EXIT_USAGE, "%s: id %lld found, 0 to %" PRIu32 " needed", what, v, vocab - 1);
    *out = (int32_t)v;
    *text = end;
    return 0;
}

int ids_parse(const char *what, const char *text, uint32_t vocab, int32_t **out_ids, uint64_t *out_n)
{
    uint64_t n = 0;
    int32_t *ids = malloc((strlen(text) / 2 + 1) * sizeof *ids); /* an id takes a digit and a separator */
    *out_ids = NULL;
    *out_n = 0;
    if (!ids)
        return cli_fail(CLI_EXIT_NOFIT, "token ids: out of memory");
    int rc = 0;
    while (rc == 0) {
        while (is_separator(*text))
            text++;
        if (!*text)
            break;
        rc = parse_id(what, &text, vocab, &ids[n++]);
    }
    if (rc) {
        free(ids);
        return rc;
    }
    *out_ids = ids;
    *out_n = n;
    return 0;
}

int ids_read(const char *path, uint32_t vocab, int32_t **out_ids, uint64_t *out_n)
{
    char *text;
    uint64_t len;
    *out_ids = NULL;
    *out_n = 0;
    int rc = cli_read_file(path, "token file", &text, &len);
    if (rc)
        return rc;
    if (memchr(text, '\0', (size_t)len))
        rc = cli_fail(CLI_EXIT_USAGE, "token file %s: a NUL byte found, text needed", path);
    else
        rc = ids_parse("token file", text, vocab, out_ids, out_n);
    free(text);
    return rc;
}

int ids_of_option(const char *value, uint32_t vocab, int32_t **out_ids, uint64_t *out_n)
{
    if (value[0] == '@')
        return ids_read(value + 1, vocab, out_ids, out_n);
    return ids_parse("option --ids", value, vocab, out_ids, out_n);
}
