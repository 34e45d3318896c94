/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers: integers as their digits, floats by the fewest digits that read back as the same value, with an
 * exponent below 1e-4 and from 1e16 on. */
#include "runtime/text/jinja_json.h"

#include "runtime/base/error.h"
#include "runtime/base/utf8.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 100 };

q35i_json_style q35i_json_style_default(void)
{
    return (q35i_json_style){.indent = -1, .comma = ", ", .colon = ": "};
}

/* Fewest digits of f, which is finite; value = 0.d1d2d3... * 10^point. */
static int shortest(double f, char digits[32], int *point)
{
    char text[40];
    int n = 0, precision = 0;
    do
        snprintf(text, sizeof text, "%.*e", precision, fabs(f));
    while (precision++ < 17 && strtod(text, NULL) != fabs(f));
    const char *e = strchr(text, 'e');
    for (const char *c = text; e && c < e && n < 31; c++)
        if (*c >= '0' && *c <= '9')
            digits[n++] = *c;
    digits[n] = '\0';
    *point = e ? (int)strtol(e + 1, NULL, 10) + 1 : 1;
    return n;
}

static q35_status add_float(double f, q35i_jout *out)
{
    char digits[32], text[64];
    int point, n = shortest(f, digits, &point);
    const char *sign = signbit(f) ? "-" : "";
    if (point > 16 || point < -3)
        snprintf(text, sizeof text, "%s%c%s%se%c%02d", sign, digits[0], n > 1 ? "." : "", digits + 1,
                 point > 0 ? '+' : '-', abs(point - 1));
    else if (point <= 0)
        snprintf(text, sizeof text, "%s0.%.*s%s", sign, -point, "000", digits);
    else if (point < n)
        snprintf(text, sizeof text, "%s%.*s.%s", sign, point, digits, digits + point);
    else
        snprintf(text, sizeof text, "%s%s%.*s.0", sign, digits, point - n, "0000000000000000");
    return q35i_jout_add_literal(out, text);
}

/* none, booleans and numbers, by the words of JSON or of Python. */
static q35_status add_scalar(q35i_jv v, bool json, q35i_jout *out)
{
    char text[24];
    switch (v.kind) {
    case Q35I_JV_NONE: return q35i_jout_add_literal(out, json ? "null" : "None");
    case Q35I_JV_BOOL:
        return q35i_jout_add_literal(out, json ? v.u.b ? "true" : "false" : v.u.b ? "True" : "False");
    case Q35I_JV_INT: snprintf(text, sizeof text, "%" PRId64, v.u.i); return q35i_jout_add_literal(out, text);
    case Q35I_JV_LONG: return q35i_jout_add(out, v.u.s->bytes, v.u.s->n, NULL);
    default: break;
    }
    if (isnan(v.u.f))
        return q35i_jout_add_literal(out, json ? "NaN" : "nan");
    if (isinf(v.u.f))
        return q35i_jout_add_literal(out, json        ? v.u.f > 0 ? "Infinity" : "-Infinity"
                                          : v.u.f > 0 ? "inf"
                                                      : "-inf");
    return add_float(v.u.f, out);
}

static uint32_t code_point(const uint8_t *c, int length)
{
    static const uint8_t first[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t code = c[0] & first[length];
    for (int i = 1; i < length; i++)
        code = code << 6 | (c[i] & 0x3F);
    return code;
}

static q35_status add_unicode(uint32_t code, q35i_jout *out)
{
    char text[16];
    if (code >= 0x10000)
        snprintf(text, sizeof text, "\\u%04" PRIx32 "\\u%04" PRIx32, 0xD7C0 + (code >> 10),
                 0xDC00 + (code & 0x3FF));
    else
        snprintf(text, sizeof text, "\\u%04" PRIx32, code);
    return q35i_jout_add_literal(out, text);
}

/* Bytes of s from i on that a JSON string takes as they are. */
static uint64_t plain_run(const q35i_jstr *s, uint64_t i, bool ascii)
{
    uint64_t from = i;
    while (i < s->n && (uint8_t)s->bytes[i] >= 0x20 && s->bytes[i] != '"' && s->bytes[i] != '\\' &&
           !(ascii && (uint8_t)s->bytes[i] >= 0x80))
        i++;
    return i - from;
}

static q35_status add_json_string(const q35i_jstr *s, bool ascii, q35i_jout *out)
{
    static const char escapes[] = "\"\"\\\\\nn\rr\tt\bb\ff";
    Q35_TRY(q35i_jout_add_literal(out, "\""));
    for (uint64_t i = 0; i < s->n;) {
        uint64_t run = plain_run(s, i, ascii);
        Q35_TRY(q35i_jout_add(out, s->bytes + i, run, NULL));
        i += run;
        if (i == s->n)
            break;
        uint8_t c = (uint8_t)s->bytes[i];
        const char *found = c ? strchr(escapes, c) : NULL;
        while (found && (found - escapes) % 2 != 0)
            found = strchr(found + 1, c);
        if (found) {
            const char pair[2] = {'\\', found[1]};
            Q35_TRY(q35i_jout_add(out, pair, 2, NULL));
            i++;
        } else {
            int length = c < 0x80 ? 1 : q35i_utf8_char((const uint8_t *)s->bytes + i, s->n - i);
            Q35_TRY(add_unicode(length < 1 ? 0xFFFD : code_point((const uint8_t *)s->bytes + i, length), out));
            i += length < 1 ? 1 : (uint64_t)length;
        }
    }
    return q35i_jout_add_literal(out, "\"");
}

/* 'text' or, when it has ' but no ", "text". */
static q35_status add_quoted(const q35i_jstr *s, q35i_jout *out)
{
    bool apostrophe = s->n > 0 && memchr(s->bytes, '\'', s->n), both = s->n > 0 && memchr(s->bytes, '"', s->n);
    char quote = apostrophe && !both ? '"' : '\'', text[8];
    Q35_TRY(q35i_jout_add(out, &quote, 1, NULL));
    for (uint64_t i = 0; i < s->n; i++) {
        char c = s->bytes[i];
        if (c == quote || c == '\\')
            snprintf(text, sizeof text, "\\%c", c);
        else if (c == '\n' || c == '\r' || c == '\t')
            snprintf(text, sizeof text, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else if ((unsigned char)c < 0x20 || c == 0x7F)
            snprintf(text, sizeof text, "\\x%02x", (unsigned)(unsigned char)c);
        else
            snprintf(text, sizeof text, "%c", c);
        Q35_TRY(q35i_jout_add_literal(out, text));
    }
    return q35i_jout_add(out, &quote, 1, NULL);
}

static q35_status add_break(const q35i_json_style *style, uint32_t depth, q35i_jout *out)
{
    if (style->indent < 0)
        return Q35_OK;
    Q35_TRY(q35i_jout_add_literal(out, "\n"));
    for (uint64_t i = 0; i < (uint64_t)style->indent * depth; i++)
        Q35_TRY(q35i_jout_add_literal(out, " "));
    return Q35_OK;
}

static q35_status add_string(const q35i_jstr *s, const q35i_json_style *style, q35i_jout *out)
{
    return style->python ? add_quoted(s, out) : add_json_string(s, style->ascii, out);
}

static q35_status check_depth(q35i_jv v, const q35i_json_style *style, uint32_t depth)
{
    if (v.kind != Q35I_JV_LIST && v.kind != Q35I_JV_DICT)
        return Q35_FAIL(Q35_E_UNSUPPORTED,
                        style->python ? "writes %s, need a string, number, list or dict"
                                      : "%s for tojson, need a value that JSON has",
                        q35i_jv_kind_name(v.kind));
    if (depth == MAX_DEPTH)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "a value of more than %d levels, need fewer", MAX_DEPTH);
    return Q35_OK;
}

static q35_status add_value(q35i_jv v, const q35i_json_style *style, uint32_t depth, q35i_jout *out)
{
    if (v.kind == Q35I_JV_STRING)
        return add_string(v.u.s, style, out);
    if (v.kind >= Q35I_JV_NONE && v.kind <= Q35I_JV_FLOAT)
        return add_scalar(v, !style->python, out);
    Q35_TRY(check_depth(v, style, depth));
    const bool list = v.kind == Q35I_JV_LIST;
    uint64_t n = list ? v.u.list->n : v.u.dict->n;
    Q35_TRY(q35i_jout_add_literal(out, list ? "[" : "{"));
    for (uint64_t i = 0; i < n; i++) {
        if (i > 0)
            Q35_TRY(q35i_jout_add_literal(out, style->comma));
        Q35_TRY(add_break(style, depth + 1, out));
        if (!list) {
            Q35_TRY(add_string(&v.u.dict->pairs[i].key, style, out));
            Q35_TRY(q35i_jout_add_literal(out, style->colon));
        }
        Q35_TRY(add_value(list ? v.u.list->items[i] : v.u.dict->pairs[i].value, style, depth + 1, out));
    }
    if (n > 0)
        Q35_TRY(add_break(style, depth, out));
    return q35i_jout_add_literal(out, list ? "]" : "}");
}

q35_status q35i_jv_to_json(q35i_jv v, const q35i_json_style *style, q35i_jout *out)
{
    return add_value(v, style, 0, out);
}

q35_status q35i_jv_to_text(q35i_jv v, q35i_jout *out)
{
    q35i_json_style style = q35i_json_style_default();
    style.python = true;
    if (v.kind == Q35I_JV_UNDEFINED)
        return Q35_OK;
    return v.kind == Q35I_JV_STRING ? q35i_jout_add_string(out, v.u.s) : add_value(v, &style, 0, out);
}
