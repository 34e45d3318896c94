/* SPDX-License-Identifier: Apache-2.0
 *
 * Canonical form of a Jinja template, in one pass over its tags. Inside a tag, a blank survives only between two
 * words. White space around tags follows Jinja with trim_blocks and lstrip_blocks: the line end after a block or
 * comment tag goes, and so do the blanks from the line start to one; '-' inside a tag takes all white space on its
 * side. */
#include "runtime/text/jinja_canon.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"

#include <stdbool.h>
#include <string.h>

typedef struct writer {
    char *text;
    uint64_t n, cap;
    bool full;   /* something did not fit */
    bool output; /* the text ends inside an output tag */
} writer;

static void put(writer *w, char c)
{
    if (w->n == w->cap)
        w->full = true;
    else
        w->text[w->n++] = c;
}

static void puts_all(writer *w, const char *s)
{
    while (*s)
        put(w, *s++);
}

static char last(const writer *w)
{
    return w->n > 0 ? w->text[w->n - 1] : '\0';
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Starts a string, or goes on with the one before it when only a '+' lies between. */
static void open_string(writer *w)
{
    if (w->n >= 2 && last(w) == '+' && w->text[w->n - 2] == Q35I_JINJA_CLOSE)
        w->n -= 2;
    else
        put(w, Q35I_JINJA_OPEN);
}

static void open_output(writer *w)
{
    puts_all(w, w->output ? "+" : "{{");
    w->output = true;
}

static void close_output(writer *w)
{
    if (w->output)
        puts_all(w, "}}");
    w->output = false;
}

/* A quoted string at s[0..n); returns the bytes taken, 0 when it is malformed. */
static uint64_t put_string(writer *w, const char *s, uint64_t n)
{
    char quote = s[0];
    open_string(w);
    for (uint64_t i = 1; i < n; i++) {
        char c = s[i];
        if (c == quote) {
            put(w, Q35I_JINJA_CLOSE);
            return i + 1;
        }
        if (c == '\\') {
            if (++i == n)
                return 0;
            switch (s[i]) {
            case 'n': c = '\n'; break;
            case 't': c = '\t'; break;
            case '\\':
            case '\'':
            case '"': c = s[i]; break;
            default: return 0;
            }
        }
        put(w, c);
    }
    return 0;
}

/* ".name" after a value becomes "['name']". */
static uint64_t put_attribute(writer *w, const char *s, uint64_t n)
{
    uint64_t end = 1;
    put(w, '[');
    put(w, Q35I_JINJA_OPEN);
    while (end < n && is_word(s[end]))
        put(w, s[end++]);
    put(w, Q35I_JINJA_CLOSE);
    put(w, ']');
    return end;
}

/* Inside of a tag. */
static bool put_code(writer *w, const char *s, uint64_t n)
{
    bool blank = false;
    uint64_t start = w->n;
    for (uint64_t i = 0; i < n;) {
        char c = s[i];
        if (is_space(c)) {
            blank = true;
            i++;
            continue;
        }
        if (blank && w->n > start && is_word(last(w)) && is_word(c))
            put(w, ' ');
        blank = false;
        uint64_t taken = 1;
        if (c == '\'' || c == '"')
            taken = put_string(w, s + i, n - i);
        else if (c == '.' && i + 1 < n && is_word(s[i + 1]) && w->n > start &&
                 (is_word(last(w)) || last(w) == ']'))
            taken = put_attribute(w, s + i, n - i);
        else
            put(w, c);
        if (taken == 0)
            return false;
        i += taken;
    }
    return true;
}

/* First byte after the tag whose inside starts at `from`, past quoted strings; 0 when it does not end. */
static uint64_t tag_end(const char *s, uint64_t from, uint64_t n, char close)
{
    char quote = '\0';
    for (uint64_t i = from; i + 1 < n; i++) {
        if (quote) {
            if (s[i] == '\\')
                i++;
            else if (s[i] == quote)
                quote = '\0';
        } else if (close != '#' && (s[i] == '\'' || s[i] == '"')) {
            quote = s[i];
        } else if (s[i] == close && s[i + 1] == '}') {
            return i + 2;
        }
    }
    return 0;
}

static void put_text(writer *w, const char *s, uint64_t n)
{
    if (n == 0)
        return;
    open_output(w);
    open_string(w);
    for (uint64_t i = 0; i < n; i++)
        put(w, s[i]);
    put(w, Q35I_JINJA_CLOSE);
}

/* End of the text s[begin..end) that stands before a tag (kind: its second byte, '\0' at the end of the template).
 */
static uint64_t trim_before(const char *s, uint64_t begin, uint64_t end, char kind, bool minus)
{
    uint64_t i = end;
    if (minus) {
        while (i > begin && is_space(s[i - 1]))
            i--;
        return i;
    }
    if (kind == '\0')
        return i > begin && s[i - 1] == '\n' ? i - 1 : i;
    if (kind == '{')
        return end;
    while (i > begin && (s[i - 1] == ' ' || s[i - 1] == '\t'))
        i--;
    return i == 0 || s[i - 1] == '\n' ? i : end;
}

/* Start of the text that follows a tag. */
static uint64_t trim_after(const char *s, uint64_t begin, uint64_t n, char kind, bool minus)
{
    if (minus) {
        while (begin < n && is_space(s[begin]))
            begin++;
    } else if (kind != '{' && begin < n && s[begin] == '\n') {
        begin++;
    }
    return begin;
}

static bool put_tag(writer *w, const char *inside, uint64_t n, char kind)
{
    if (kind == '#')
        return true;
    if (kind == '{') {
        open_output(w);
        return put_code(w, inside, n);
    }
    close_output(w);
    puts_all(w, "{%");
    bool ok = put_code(w, inside, n);
    puts_all(w, "%}");
    return ok;
}

static bool put_template(writer *w, const char *s, uint64_t n)
{
    for (uint64_t begin = 0;;) {
        uint64_t tag = begin;
        while (tag + 1 < n && !(s[tag] == '{' && (s[tag + 1] == '{' || s[tag + 1] == '%' || s[tag + 1] == '#')))
            tag++;
        if (tag + 1 >= n) {
            put_text(w, s + begin, trim_before(s, begin, n, '\0', false) - begin);
            close_output(w);
            return true;
        }
        char kind = s[tag + 1];
        uint64_t inside = tag + 2, end = tag_end(s, inside, n, kind == '{' ? '}' : kind);
        if (end == 0)
            return false;
        bool minus_before = s[inside] == '-', minus_after = end - 3 >= inside + minus_before && s[end - 3] == '-';
        put_text(w, s + begin, trim_before(s, begin, tag, kind, minus_before) - begin);
        inside += minus_before;
        if (!put_tag(w, s + inside, end - 2 - minus_after - inside, kind))
            return false;
        begin = trim_after(s, end, n, kind, minus_after);
    }
}

q35_status q35i_jinja_canon(q35_string source, char **out)
{
    enum { MAX_TEMPLATE = 1 << 20 };
    *out = NULL;
    if (source.len > MAX_TEMPLATE || (source.len > 0 && (memchr(source.data, Q35I_JINJA_OPEN, source.len) ||
                                                         memchr(source.data, Q35I_JINJA_CLOSE, source.len) ||
                                                         memchr(source.data, '\0', source.len))))
        return Q35_OK;
    writer w = {.cap = source.len * 4 + 16};
    w.text = q35i_calloc(w.cap + 1, 1);
    if (!w.text)
        return Q35_E_NOMEM;
    if (put_template(&w, source.data, source.len) && !w.full) {
        *out = w.text;
        return Q35_OK;
    }
    q35i_free(w.text);
    return Q35_OK;
}
