/* SPDX-License-Identifier: Apache-2.0
 *
 * The parser: one pass, no recursion. Containers that are open form a stack of fixed depth. */
#include "runtime/model/json_tape.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"
#include "runtime/base/utf8.h"

#include <inttypes.h>
#include <string.h>

enum {
    MAX_DEPTH = 64,
    MAX_NODES = 1 << 23 /* 128 MiB; a vocabulary of 262,144 tokens with its merges takes 2^21 */
};

typedef struct parser {
    q35i_json *json;
    const uint8_t *p, *end, *begin;
    uint32_t open[MAX_DEPTH]; /* nodes of the containers around the place, outermost first */
    uint32_t depth;
} parser;

static q35_status wrong(const parser *s, const char *need)
{
    uint64_t at = (uint64_t)(s->p - s->begin);
    if (s->p == s->end)
        return Q35_FAIL(Q35_E_FORMAT, "%s: ends at byte %" PRIu64 ", need %s", s->json->name, at, need);
    return Q35_FAIL(Q35_E_FORMAT, "%s: 0x%02x at byte %" PRIu64 ", need %s", s->json->name, *s->p, at, need);
}

static void skip_blank(parser *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
}

static q35_status add_node(parser *s, uint8_t type, uint32_t *out)
{
    q35i_json *json = s->json;
    if (json->n == json->cap) {
        uint64_t cap = q35i_max(64, 2 * (uint64_t)json->cap);
        if (json->n >= MAX_NODES)
            return Q35_FAIL(Q35_E_FORMAT, "%s: more than %d values, need fewer", json->name, MAX_NODES);
        q35i_json_node *bigger = q35i_realloc(json->nodes, cap, sizeof *bigger);
        if (!bigger)
            return Q35_E_NOMEM;
        json->nodes = bigger;
        json->cap = (uint32_t)cap;
    }
    json->nodes[json->n] =
        (q35i_json_node){.begin = (uint32_t)(s->p - s->begin), .next = json->n + 1, .type = type};
    *out = json->n++;
    return Q35_OK;
}

/* Four hexadecimal digits at p. */
static q35_status hex4(parser *s, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < 4; i++, s->p++) {
        uint32_t c = s->p < s->end ? *s->p : 0, low = c | 0x20;
        if (c >= '0' && c <= '9')
            *out = *out << 4 | (c - '0');
        else if (low >= 'a' && low <= 'f')
            *out = *out << 4 | (low - 'a' + 10);
        else
            return wrong(s, "four hexadecimal digits");
    }
    return Q35_OK;
}

/* Behind a backslash. */
static q35_status escape(parser *s)
{
    uint32_t c, second;
    if (s->p == s->end || *s->p == 0 || !strchr("\"\\/bfnrtu", *s->p))
        return wrong(s, "an escape sequence");
    if (*s->p++ != 'u')
        return Q35_OK;
    Q35_TRY(hex4(s, &c));
    if (c < 0xD800 || c > 0xDFFF)
        return Q35_OK;
    if (c >= 0xDC00 || s->end - s->p < 2 || s->p[0] != '\\' || s->p[1] != 'u')
        return wrong(s, "both halves of the surrogate pair before it");
    s->p += 2;
    Q35_TRY(hex4(s, &second));
    return second >= 0xDC00 && second <= 0xDFFF ? Q35_OK : wrong(s, "a low surrogate before it");
}

/* True for eight bytes that are all ASCII from 0x20 on, without quote and backslash. */
static bool is_plain(const uint8_t *p)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = UINT64_C(0x8080808080808080);
    uint64_t v;
    memcpy(&v, p, sizeof v);
    uint64_t quote = v ^ ones * '"', backslash = v ^ ones * '\\';
    return ((v | (v - ones * 0x20) | (quote - ones) | (backslash - ones)) & tops) == 0;
}

static q35_status string(parser *s)
{
    uint32_t node;
    s->p++;
    Q35_TRY(add_node(s, Q35I_JSON_STRING, &node));
    const uint8_t *begin = s->p;
    bool escaped = false;
    for (;;) {
        while (s->end - s->p >= 8 && is_plain(s->p))
            s->p += 8;
        if (s->p == s->end || *s->p < 0x20)
            return wrong(s, "the quote that ends the string");
        if (*s->p == '"')
            break;
        if (*s->p == '\\') {
            escaped = true;
            s->p++;
            Q35_TRY(escape(s));
            continue;
        }
        int length = *s->p < 0x80 ? 1 : q35i_utf8_char(s->p, (uint64_t)(s->end - s->p));
        if (length < 1)
            return wrong(s, "UTF-8");
        s->p += length;
    }
    q35i_json_node *n = &s->json->nodes[node];
    n->len = (uint32_t)(s->p++ - begin);
    n->escaped = escaped;
    if (escaped && n->len > s->json->longest_escaped)
        s->json->longest_escaped = n->len;
    return Q35_OK;
}

static q35_status digits(parser *s)
{
    if (s->p == s->end || *s->p < '0' || *s->p > '9')
        return wrong(s, "a digit");
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
        s->p++;
    return Q35_OK;
}

static q35_status number(parser *s)
{
    uint32_t node;
    const uint8_t *begin = s->p;
    Q35_TRY(add_node(s, Q35I_JSON_NUMBER, &node));
    if (*s->p == '-')
        s->p++;
    if (s->p < s->end && *s->p == '0')
        s->p++;
    else
        Q35_TRY(digits(s));
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        Q35_TRY(digits(s));
    }
    if (s->p < s->end && (*s->p | 0x20) == 'e') {
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
            s->p++;
        Q35_TRY(digits(s));
    }
    s->json->nodes[node].len = (uint32_t)(s->p - begin);
    return Q35_OK;
}

static q35_status word(parser *s, const char *text, uint8_t type)
{
    uint32_t node;
    size_t len = strlen(text);
    Q35_TRY(add_node(s, type, &node));
    if ((size_t)(s->end - s->p) < len || memcmp(s->p, text, len) != 0)
        return wrong(s, "a value");
    s->p += len;
    return Q35_OK;
}

/* A key and its colon. */
static q35_status key(parser *s)
{
    skip_blank(s);
    if (s->p == s->end || *s->p != '"')
        return wrong(s, "the quote of a key");
    Q35_TRY(string(s));
    skip_blank(s);
    if (s->p == s->end || *s->p != ':')
        return wrong(s, "a colon");
    s->p++;
    return Q35_OK;
}

static q35_status open_container(parser *s, uint8_t type)
{
    if (s->depth == MAX_DEPTH)
        return Q35_FAIL(Q35_E_FORMAT, "%s: more than %d levels at byte %" PRIu64 ", need fewer", s->json->name,
                        MAX_DEPTH, (uint64_t)(s->p - s->begin));
    Q35_TRY(add_node(s, type, &s->open[s->depth]));
    s->depth++;
    s->p++;
    return Q35_OK;
}

/* Closes what ends here. *more: an element or a member follows, whose key is read. */
static q35_status close_containers(parser *s, bool fresh, bool *more)
{
    for (; s->depth > 0; s->depth--, fresh = false) {
        q35i_json_node *node = &s->json->nodes[s->open[s->depth - 1]];
        bool object = node->type == Q35I_JSON_OBJECT;
        skip_blank(s);
        if (!(s->p < s->end && *s->p == (object ? '}' : ']'))) {
            *more = true;
            if (!fresh && (s->p == s->end || *s->p != ','))
                return wrong(s, object ? "a comma or the end of the object" : "a comma or the end of the array");
            s->p += fresh ? 0 : 1;
            node->len++;
            return object ? key(s) : Q35_OK;
        }
        s->p++;
        node->next = s->json->n;
    }
    *more = false;
    return Q35_OK;
}

static q35_status value(parser *s, bool *opened)
{
    *opened = false;
    skip_blank(s);
    switch (s->p < s->end ? *s->p : 0) {
    case '{': *opened = true; return open_container(s, Q35I_JSON_OBJECT);
    case '[': *opened = true; return open_container(s, Q35I_JSON_ARRAY);
    case '"': return string(s);
    case 't': return word(s, "true", Q35I_JSON_TRUE);
    case 'f': return word(s, "false", Q35I_JSON_FALSE);
    case 'n': return word(s, "null", Q35I_JSON_NULL);
    default: break;
    }
    if (s->p < s->end && (*s->p == '-' || (*s->p >= '0' && *s->p <= '9')))
        return number(s);
    return wrong(s, "a value");
}

q35_status q35i_json_parse(q35i_json *json, const char *name, const void *text, uint64_t bytes)
{
    parser s = {.json = json, .p = text, .begin = text};
    bool more = true, opened;
    json->name = name;
    json->text = text;
    if (bytes > UINT32_MAX)
        return Q35_FAIL(Q35_E_FORMAT, "%s: %" PRIu64 " bytes, need at most %" PRIu32, name, bytes, UINT32_MAX);
    if (bytes == 0)
        return Q35_FAIL(Q35_E_FORMAT, "%s: empty, need JSON", name);
    s.end = s.begin + bytes; /* text may be NULL without bytes */
    while (more) {
        Q35_TRY(value(&s, &opened));
        Q35_TRY(close_containers(&s, opened, &more));
    }
    skip_blank(&s);
    if (s.p != s.end)
        return wrong(&s, "nothing after the value");
    json->scratch = q35i_calloc(q35i_max(json->longest_escaped, 1), 1);
    return json->scratch ? Q35_OK : Q35_E_NOMEM;
}

void q35i_json_free(q35i_json *json)
{
    q35i_free(json->nodes);
    q35i_free(json->scratch);
    *json = (q35i_json){0};
}
