/* SPDX-License-Identifier: Apache-2.0
 *
 * Access to parsed JSON. */
#include "runtime/model/json_tape.h"

#include "runtime/base/error.h"

#include <inttypes.h>
#include <string.h>

const char *q35i_json_type_name(uint8_t type)
{
    static const char *const names[] = {"null", "false", "true", "a number", "a string", "an array", "an object"};
    return names[type];
}

static uint32_t hex4(const char *p)
{
    uint32_t c = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t digit = (uint8_t)p[i];
        c = c << 4 | (digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
    }
    return c;
}

static char *put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
        return out;
    }
    if (c < 0x800) {
        *out++ = (char)(0xC0 | c >> 6);
    } else if (c < 0x10000) {
        *out++ = (char)(0xE0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
    } else {
        *out++ = (char)(0xF0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3F));
        *out++ = (char)(0x80 | (c >> 6 & 0x3F));
    }
    *out++ = (char)(0x80 | (c & 0x3F));
    return out;
}

q35_string q35i_json_text(const q35i_json *json, uint32_t node)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const q35i_json_node *n = &json->nodes[node];
    const char *p = json->text + n->begin, *end = p + n->len;
    char *out = json->scratch;
    if (!n->escaped)
        return (q35_string){p, n->len};
    while (p < end) {
        if (*p != '\\') {
            *out++ = *p++;
            continue;
        }
        const char *known = strchr(from, p[1]);
        if (p[1] != 'u') {
            *out++ = known ? to[known - from] : p[1];
            p += 2;
            continue;
        }
        uint32_t c = hex4(p + 2);
        p += 6;
        if (c >= 0xD800 && c <= 0xDFFF) {
            c = 0x10000 + ((c & 0x3FF) << 10) + (hex4(p + 2) & 0x3FF);
            p += 6;
        }
        out = put_utf8(out, c);
    }
    return (q35_string){json->scratch, (uint64_t)(out - json->scratch)};
}

bool q35i_json_is(const q35i_json *json, uint32_t node, const char *text)
{
    size_t len = strlen(text);
    const q35i_json_node *n = &json->nodes[node];
    if (n->type != Q35I_JSON_STRING || n->len < len || (!n->escaped && n->len != len))
        return false;
    q35_string s = q35i_json_text(json, node);
    return s.len == len && memcmp(s.data, text, len) == 0;
}

q35_status q35i_json_get(const q35i_json *json, uint32_t object, const char *key, uint32_t *out)
{
    *out = Q35I_JSON_NONE;
    if (json->nodes[object].type != Q35I_JSON_OBJECT)
        return Q35_FAIL(Q35_E_FORMAT, "%s: %s at byte %" PRIu32 ", need an object with %s", json->name,
                        q35i_json_type_name(json->nodes[object].type), json->nodes[object].begin, key);
    for (uint32_t i = object + 1; i < json->nodes[object].next; i = json->nodes[i + 1].next) {
        if (!q35i_json_is(json, i, key))
            continue;
        if (*out != Q35I_JSON_NONE)
            return Q35_FAIL(Q35_E_FORMAT, "%s: %s: again at byte %" PRIu32 ", need it once", json->name, key,
                            json->nodes[i].begin);
        *out = i + 1;
    }
    if (*out != Q35I_JSON_NONE && json->nodes[*out].type == Q35I_JSON_NULL)
        *out = Q35I_JSON_NONE;
    return Q35_OK;
}

q35_status q35i_json_get_type(const q35i_json *json, uint32_t object, const char *key, q35i_json_type type,
                              uint32_t *out)
{
    Q35_TRY(q35i_json_get(json, object, key, out));
    if (*out != Q35I_JSON_NONE && json->nodes[*out].type != type)
        return Q35_FAIL(Q35_E_FORMAT, "%s: %s: %s, need %s", json->name, key,
                        q35i_json_type_name(json->nodes[*out].type), q35i_json_type_name((uint8_t)type));
    return Q35_OK;
}

q35_status q35i_json_need(const q35i_json *json, uint32_t object, const char *key, q35i_json_type type,
                          uint32_t *out)
{
    Q35_TRY(q35i_json_get_type(json, object, key, type, out));
    if (*out == Q35I_JSON_NONE)
        return Q35_FAIL(Q35_E_FORMAT, "%s: %s: missing, need %s", json->name, key,
                        q35i_json_type_name((uint8_t)type));
    return Q35_OK;
}

q35_status q35i_json_get_bool(const q35i_json *json, uint32_t object, const char *key, bool *out)
{
    uint32_t node;
    Q35_TRY(q35i_json_get(json, object, key, &node));
    if (node == Q35I_JSON_NONE)
        return Q35_OK;
    uint8_t type = json->nodes[node].type;
    if (type != Q35I_JSON_TRUE && type != Q35I_JSON_FALSE)
        return Q35_FAIL(Q35_E_FORMAT, "%s: %s: %s, need true or false", json->name, key,
                        q35i_json_type_name(type));
    *out = type == Q35I_JSON_TRUE;
    return Q35_OK;
}

/* Multiplies by 10 and adds; false past max. */
static bool shift_in(uint64_t *value, uint32_t digit, uint64_t max)
{
    if (*value > (max - digit) / 10 || max < digit)
        return false;
    *value = *value * 10 + digit;
    return true;
}

bool q35i_json_int(const q35i_json *json, uint32_t node, uint64_t max, uint64_t *out)
{
    const q35i_json_node *n = &json->nodes[node];
    const char *p = json->text + n->begin, *end = p + n->len;
    uint64_t value = 0;
    int64_t places = 0, exponent = 0, zeros = 0; /* fraction digits taken; zeros at the end that are not yet */
    bool fraction = false, negative = false;
    if (n->type != Q35I_JSON_NUMBER || *p == '-')
        return false;
    for (; p < end && (*p | 0x20) != 'e'; p++) {
        if (*p == '.') {
            fraction = true;
            continue;
        }
        if (fraction && *p == '0') {
            zeros++;
            continue;
        }
        for (; zeros > 0; zeros--, places++)
            if (!shift_in(&value, 0, max))
                return false;
        if (!shift_in(&value, (uint32_t)(*p - '0'), max))
            return false;
        places += fraction;
    }
    if (p < end && (p[1] == '-' || p[1] == '+'))
        negative = *++p == '-';
    for (p++; p < end; p++)
        exponent = exponent > 1000 ? exponent : exponent * 10 + (*p - '0');
    exponent = (negative ? -exponent : exponent) - places;
    for (; exponent > 0 && value > 0; exponent--)
        if (!shift_in(&value, 0, max))
            return false;
    for (; exponent < 0 && value > 0; exponent++, value /= 10)
        if (value % 10 != 0)
            return false;
    *out = value;
    return true;
}

q35_status q35i_json_need_int(const q35i_json *json, uint32_t object, const char *key, uint64_t max, uint64_t *out)
{
    uint32_t node;
    Q35_TRY(q35i_json_need(json, object, key, Q35I_JSON_NUMBER, &node));
    if (!q35i_json_int(json, node, max, out))
        return Q35_FAIL(Q35_E_FORMAT, "%s: %s: %.*s, need an integer of 0 to %" PRIu64, json->name, key,
                        (int)(json->nodes[node].len < 40 ? json->nodes[node].len : 40),
                        json->text + json->nodes[node].begin, max);
    return Q35_OK;
}
