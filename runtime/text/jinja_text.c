/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations on strings. Every byte keeps its mark. */
#define _GNU_SOURCE /* memmem */
#include "runtime/text/jinja_run.h"

#include "runtime/base/error.h"
#include "runtime/base/utf8.h"

#include <string.h>

q35_status q35i_jtext_find(q35i_jrun *run, const q35i_jstr *s, const q35i_jstr *what, uint64_t from, uint64_t *out)
{
    const char *found;
    *out = UINT64_MAX;
    if (from > s->n || what->n > s->n - from)
        return Q35_OK;
    if (what->n == 0) {
        *out = from;
        return Q35_OK;
    }
    found = memmem(s->bytes + from, s->n - from, what->bytes, what->n);
    *out = found ? (uint64_t)(found - s->bytes) : UINT64_MAX;
    return q35i_jrun_step(run, (found ? *out : s->n) - from + what->n);
}

/* A copy of a string whose bytes are to be changed one by one. */
static q35_status copy(q35i_jrun *run, const q35i_jstr *s, char **bytes, q35i_jv *out)
{
    Q35_TRY(q35i_jrun_step(run, s->n));
    *bytes = q35i_heap_take(&run->heap, s->n, 1);
    if (!*bytes)
        return run->heap.status;
    if (s->n > 0)
        memcpy(*bytes, s->bytes, s->n);
    q35i_jstr *made = q35i_heap_take(&run->heap, 1, sizeof *made);
    if (!made)
        return run->heap.status;
    *made = (q35i_jstr){.n = s->n, .bytes = *bytes, .marks = s->marks};
    *out = q35i_jv_string(made);
    return Q35_OK;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

q35_status q35i_jtext_case(q35i_jrun *run, const q35i_jstr *s, q35i_jcase to, q35i_jv *out)
{
    char *bytes, before = '\0';
    Q35_TRY(copy(run, s, &bytes, out));
    for (uint64_t i = 0; i < s->n; i++) {
        char c = bytes[i];
        bool upper = to == Q35I_JCASE_UPPER || (to == Q35I_JCASE_TITLE && !is_letter(before)) ||
                     (to == Q35I_JCASE_CAPITAL && i == 0);
        if ((unsigned char)c >= 0x80)
            return Q35_FAIL(Q35_E_UNSUPPORTED, "upper or lower case outside of ASCII, which is not known here");
        if (is_letter(c))
            bytes[i] = (char)(upper ? c & ~0x20 : c | 0x20);
        before = c;
    }
    return Q35_OK;
}

/* What str.isspace() takes; length: of the UTF-8 character at c, 0 for none. */
static bool is_white(const uint8_t *c, uint64_t length)
{
    if (length == 1)
        return *c == ' ' || (*c >= 0x09 && *c <= 0x0D) || (*c >= 0x1C && *c <= 0x1F);
    if (length == 2)
        return c[0] == 0xC2 && (c[1] == 0x85 || c[1] == 0xA0);
    if (length != 3)
        return false;
    uint32_t code = ((uint32_t)c[0] & 0x0F) << 12 | ((uint32_t)c[1] & 0x3F) << 6 | (c[2] & 0x3F);
    return code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 ||
           code == 0x202F || code == 0x205F || code == 0x3000;
}

/* True when the character of so many bytes at c is to be stripped. */
static bool in_set(const char *c, uint64_t length, const q35i_jstr *set)
{
    if (!set)
        return is_white((const uint8_t *)c, length);
    return set->n >= length && memmem(set->bytes, set->n, c, length) != NULL;
}

static uint64_t first_length(const char *c, uint64_t n)
{
    uint64_t length = 1;
    while (length < n && length < 4 && (c[length] & 0xC0) == 0x80)
        length++;
    return length;
}

static uint64_t last_length(const char *end, uint64_t n)
{
    uint64_t length = 1;
    while (length < n && length < 4 && (end[-(int64_t)length] & 0xC0) == 0x80)
        length++;
    return length;
}

q35_status q35i_jtext_strip(q35i_jrun *run, const q35i_jstr *s, const q35i_jstr *set, uint32_t sides, q35i_jv *out)
{
    uint64_t from = 0, to = s->n;
    while ((sides & 1) && from < to) {
        uint64_t length = first_length(s->bytes + from, to - from);
        if (!in_set(s->bytes + from, length, set))
            break;
        from += length;
    }
    while ((sides & 2) && from < to) {
        uint64_t length = last_length(s->bytes + to, to - from);
        if (!in_set(s->bytes + to - length, length, set))
            break;
        to -= length;
    }
    Q35_TRY(q35i_jrun_step(run, (s->n - (to - from)) * (set ? 1 + set->n : 1)));
    return q35i_jv_part(&run->heap, s, from, to - from, out);
}

q35_status q35i_jtext_replace(q35i_jrun *run, const q35i_jstr *s, const q35i_jstr *old, const q35i_jstr *by,
                              int64_t most, q35i_jv *out)
{
    q35i_jout text = {.limit = run->out->limit};
    uint64_t at = 0, found;
    q35_status status = Q35_OK;
    if (old->n == 0)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "replace of an empty string, need some text");
    for (; most != 0; most--, at = found + old->n) {
        Q35_TRY_GOTO(q35i_jtext_find(run, s, old, at, &found), done);
        if (found == UINT64_MAX)
            break;
        Q35_TRY_GOTO(q35i_jout_add(&text, s->bytes + at, found - at, s->marks ? s->marks + at : NULL), done);
        Q35_TRY_GOTO(q35i_jout_add_string(&text, by), done);
        Q35_TRY_GOTO(q35i_jrun_step(run, by->n), done);
    }
    Q35_TRY_GOTO(q35i_jout_add(&text, s->bytes + at, s->n - at, s->marks ? s->marks + at : NULL), done);
    Q35_TRY_GOTO(q35i_jout_string(&text, 0, &run->heap, out), done);
done:
    q35i_jout_free(&text);
    return status;
}

q35_status q35i_jtext_join(q35i_jrun *run, const q35i_jlist *list, const q35i_jstr *between, q35i_jv *out)
{
    q35i_jout text = {.limit = run->out->limit};
    q35_status status = Q35_OK;
    for (uint64_t i = 0; i < list->n; i++) {
        const q35i_jstr *part = NULL;
        Q35_TRY_GOTO(q35i_jop_text(run, list->items[i], &part), done);
        if (i > 0)
            Q35_TRY_GOTO(q35i_jout_add_string(&text, between), done);
        Q35_TRY_GOTO(q35i_jout_add_string(&text, part), done);
        Q35_TRY_GOTO(q35i_jrun_step(run, part->n + between->n), done);
    }
    Q35_TRY_GOTO(q35i_jout_string(&text, 0, &run->heap, out), done);
done:
    q35i_jout_free(&text);
    return status;
}

static const char *html(char c)
{
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '\'': return "&#39;";
    case '"': return "&#34;";
    default: return NULL;
    }
}

q35_status q35i_jtext_escape(q35i_jrun *run, const q35i_jstr *s, q35i_jv *out)
{
    q35i_jout text = {.limit = run->out->limit};
    q35_status status;
    Q35_TRY_GOTO(q35i_jrun_step(run, s->n * 6), done);
    for (uint64_t i = 0; i < s->n; i++) {
        const char *escaped = s->safe ? NULL : html(s->bytes[i]);
        Q35_TRY_GOTO(escaped ? q35i_jout_add_literal(&text, escaped)
                             : q35i_jout_add(&text, s->bytes + i, 1, s->marks ? s->marks + i : NULL),
                     done);
    }
    Q35_TRY_GOTO(q35i_jout_string(&text, 0, &run->heap, out), done);
done:
    q35i_jout_free(&text);
    return status;
}
