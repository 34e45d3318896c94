/* SPDX-License-Identifier: Apache-2.0
 *
 * White space around tags: the line end after a block or comment tag goes, and so do the blanks from the line
 * start to one; '-' inside a tag takes all white space on its side, '+' none. */
#include "runtime/text/jinja_lex.h"

#include "runtime/base/error.h"

#include <inttypes.h>
#include <string.h>

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_';
}

static q35_status set_token(q35i_jlexer *l, q35i_jtoken_kind kind, uint64_t from, uint64_t to)
{
    l->token = (q35i_jtoken){.kind = kind, .line = l->line, .text = {l->s + from, to - from}};
    for (uint64_t i = l->at; i < to; i++)
        l->line += l->s[i] == '\n';
    l->at = to;
    return Q35_OK;
}

static void skip_to(q35i_jlexer *l, uint64_t to)
{
    for (; l->at < to; l->at++)
        l->line += l->s[l->at] == '\n';
}

/* First byte of the next tag from `at` on, n for none. */
static uint64_t find_tag(const q35i_jlexer *l, uint64_t at)
{
    for (; at + 1 < l->n; at++)
        if (l->s[at] == '{' && (l->s[at + 1] == '{' || l->s[at + 1] == '%' || l->s[at + 1] == '#'))
            return at;
    return l->n;
}

/* End of the text [l->at, tag) once the tag's white space is gone. */
static uint64_t text_end(const q35i_jlexer *l, uint64_t tag)
{
    uint64_t i = tag;
    if (tag == l->n)
        return i > l->at && l->s[i - 1] == '\n' ? i - 1 : i;
    char sign = tag + 2 < l->n ? l->s[tag + 2] : '\0';
    if (sign == '-') {
        while (i > l->at && is_space(l->s[i - 1]))
            i--;
        return i;
    }
    if (l->s[tag + 1] == '{' || sign == '+')
        return tag;
    while (i > l->at && is_space(l->s[i - 1]) && l->s[i - 1] != '\n')
        i--;
    return i == 0 || l->s[i - 1] == '\n' ? i : tag;
}

/* After the closing signs of a tag, whose sign of white space stands before them. */
static void after_tag(q35i_jlexer *l, char sign, bool block)
{
    uint64_t at = l->at;
    if (sign == '-')
        while (at < l->n && is_space(l->s[at]))
            at++;
    else if (sign != '+' && block && at < l->n && l->s[at] == '\n')
        at++;
    skip_to(l, at);
}

static q35_status skip_comment(q35i_jlexer *l)
{
    uint64_t end = l->at + 2;
    while (end + 1 < l->n && !(l->s[end] == '#' && l->s[end + 1] == '}'))
        end++;
    if (end + 1 >= l->n)
        return Q35_FAIL(Q35_E_FORMAT, "chat template, line %" PRIu32 ": a comment that does not end, need #}",
                        l->line);
    char sign = end > l->at + 2 ? l->s[end - 1] : '\0';
    skip_to(l, end + 2);
    after_tag(l, sign, true);
    return Q35_OK;
}

/* Outside of tags. */
static q35_status next_outside(q35i_jlexer *l)
{
    for (;;) {
        uint64_t tag = find_tag(l, l->at), end = text_end(l, tag);
        if (end > l->at) {
            uint64_t from = l->at;
            Q35_TRY(set_token(l, Q35I_JT_TEXT, from, end));
            skip_to(l, tag);
            return Q35_OK;
        }
        skip_to(l, tag);
        if (tag == l->n)
            return set_token(l, Q35I_JT_END, l->n, l->n);
        if (l->s[tag + 1] != '#')
            break;
        Q35_TRY(skip_comment(l));
    }
    bool value = l->s[l->at + 1] == '{',
         sign = l->at + 2 < l->n && (l->s[l->at + 2] == '-' || l->s[l->at + 2] == '+');
    l->tag = value ? '{' : '%';
    l->nesting = 0;
    return set_token(l, value ? Q35I_JT_BEGIN_VALUE : Q35I_JT_BEGIN_BLOCK, l->at, l->at + 2 + sign);
}

/* The end of the tag at the place, with its sign of white space. */
static bool at_tag_end(const q35i_jlexer *l, char *sign)
{
    char close = l->tag == '{' ? '}' : '%';
    uint64_t at = l->at;
    *sign = '\0';
    if (at < l->n && (l->s[at] == '-' || (l->s[at] == '+' && close == '%')))
        *sign = l->s[at++];
    return l->nesting == 0 && at + 1 < l->n && l->s[at] == close && l->s[at + 1] == '}';
}

static int hex_value(char c)
{
    return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static uint64_t put_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    uint64_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (uint64_t i = n; i-- > 1; code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)((uint32_t)(0xF00 >> n & 0xFF) | code);
    return n;
}

/* \xHH, \uHHHH, \UHHHHHHHH at s[at], behind the letter; 0 when the digits do not make a character. */
static uint64_t unescape_hex(const q35i_jlexer *l, uint64_t at, uint64_t digits, char *out)
{
    uint32_t code = 0;
    for (uint64_t i = 0; i < digits; i++) {
        int digit = at + i < l->n ? hex_value(l->s[at + i]) : -1;
        if (digit < 0)
            return 0;
        code = code << 4 | (uint32_t)digit;
    }
    return code > 0x10FFFF || (code >= 0xD800 && code < 0xE000) ? 0 : put_utf8(out, code);
}

/* The escape whose backslash is at `at`; returns the bytes written, *at behind it. -1: malformed. */
static int64_t unescape(const q35i_jlexer *l, uint64_t *at, char *out)
{
    static const char plain[] = "n\nt\tr\r\\\\''\"\"a\ab\bf\fv\v";
    char c = l->s[*at + 1];
    uint64_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    for (size_t i = 0; i + 1 < sizeof plain; i += 2)
        if (plain[i] == c) {
            *at += 2;
            out[0] = plain[i + 1];
            return 1;
        }
    if (digits > 0) {
        uint64_t n = unescape_hex(l, *at + 2, digits, out);
        *at += 2 + digits;
        return n > 0 ? (int64_t)n : -1;
    }
    if (c == '\n') {
        *at += 2;
        return 0;
    }
    if (is_digit(c) && c < '8') {
        uint32_t code = 0;
        uint64_t i = *at + 1;
        for (int k = 0; k < 3 && i < l->n && l->s[i] >= '0' && l->s[i] < '8'; k++)
            code = code << 3 | (uint32_t)(l->s[i++] - '0');
        *at = i;
        return (int64_t)put_utf8(out, code);
    }
    *at += 1;
    out[0] = '\\';
    return 1;
}

/* A quoted string. */
static q35_status string(q35i_jlexer *l)
{
    char quote = l->s[l->at];
    uint64_t end = l->at + 1, n = 0;
    while (end < l->n && l->s[end] != quote)
        end += l->s[end] == '\\' ? 2 : 1;
    if (end >= l->n)
        return Q35_FAIL(Q35_E_FORMAT, "chat template, line %" PRIu32 ": a string that does not end, need %c",
                        l->line, quote);
    char *text = q35i_heap_take(l->heap, end - l->at, 1); /* no escape gets longer */
    if (!text)
        return l->heap->status;
    for (uint64_t i = l->at + 1; i < end;) {
        int64_t added = 1;
        if (l->s[i] == '\\')
            added = unescape(l, &i, text + n);
        else
            text[n] = l->s[i++];
        if (added < 0)
            return Q35_FAIL(Q35_E_FORMAT, "chat template, line %" PRIu32 ": a wrong escape in a string", l->line);
        n += (uint64_t)added;
    }
    Q35_TRY(set_token(l, Q35I_JT_STRING, l->at, end + 1));
    l->token.text = (q35_string){text, n};
    return Q35_OK;
}

static q35_status number_or_name(q35i_jlexer *l)
{
    uint64_t end = l->at;
    bool number = is_digit(l->s[l->at]);
    while (end < l->n &&
           (is_word(l->s[end]) || (number && l->s[end] == '.' && end + 1 < l->n && is_digit(l->s[end + 1]))))
        end++;
    return set_token(l, number ? Q35I_JT_NUMBER : Q35I_JT_NAME, l->at, end);
}

static q35_status sign(q35i_jlexer *l)
{
    static const char pairs[] = "==!=<=>=//**";
    char c = l->s[l->at];
    for (size_t i = 0; l->at + 1 < l->n && i + 1 < sizeof pairs; i += 2)
        if (c == pairs[i] && l->s[l->at + 1] == pairs[i + 1])
            return set_token(l, Q35I_JT_SIGN, l->at, l->at + 2);
    if (c == '\0' || !strchr("+-*/%~=<>()[]{},.:|", c))
        return Q35_FAIL(Q35_E_FORMAT, "chat template, line %" PRIu32 ": byte 0x%02x in a tag, need an expression",
                        l->line, (unsigned)(unsigned char)c);
    if (strchr("([{", c))
        l->nesting++;
    if (strchr(")]}", c) && l->nesting > 0)
        l->nesting--;
    return set_token(l, Q35I_JT_SIGN, l->at, l->at + 1);
}

q35_status q35i_jlex_next(q35i_jlexer *l)
{
    char space;
    if (!l->tag)
        return next_outside(l);
    uint64_t at = l->at;
    while (at < l->n && is_space(l->s[at]))
        at++;
    skip_to(l, at);
    if (at_tag_end(l, &space)) {
        bool block = l->tag == '%';
        Q35_TRY(set_token(l, block ? Q35I_JT_END_BLOCK : Q35I_JT_END_VALUE, at, at + 2 + (space != '\0')));
        l->tag = '\0';
        after_tag(l, space, block);
        return Q35_OK;
    }
    if (at == l->n)
        return Q35_FAIL(Q35_E_FORMAT, "chat template, line %" PRIu32 ": ends inside of a tag", l->line);
    if (l->s[at] == '\'' || l->s[at] == '"')
        return string(l);
    return is_word(l->s[at]) ? number_or_name(l) : sign(l);
}

q35_status q35i_jlex_init(q35i_jlexer *lexer, q35i_heap *heap, const char *text, uint64_t n)
{
    *lexer = (q35i_jlexer){.heap = heap, .s = text, .n = n, .line = 1};
    return q35i_jlex_next(lexer);
}
