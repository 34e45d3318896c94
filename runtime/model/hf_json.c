/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers, checked keys and metadata of configuration files. */
#include "hf_json.h"

#include "quote.h"
#include "runtime/base/error.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define SHOWN 40 /* bytes of a value in a message */

/* The text of a value, cut. */
static q35i_quoted show(const q35i_json *json, uint32_t node)
{
    const q35i_json_node *n = &json->nodes[node];
    if (n->type == Q35I_JSON_STRING || n->type == Q35I_JSON_NUMBER)
        return q35i_quote((q35_string){json->text + n->begin, n->len < SHOWN ? n->len : SHOWN});
    const char *name = q35i_json_type_name(n->type);
    return q35i_quote((q35_string){name, strlen(name)});
}

/* Digits of the number as an integer of at most 19 places and a power of ten. */
static void split_number(const char *p, const char *end, uint64_t *digits, int64_t *power)
{
    bool fraction = false, negative = false;
    int64_t exponent = 0;
    *digits = 0;
    *power = 0;
    for (; p < end && (*p | 0x20) != 'e'; p++) {
        if (*p == '.') {
            fraction = true;
        } else if (*digits < UINT64_C(1000000000000000000)) {
            *digits = *digits * 10 + (uint64_t)(*p - '0');
            *power -= fraction;
        } else {
            *power += !fraction;
        }
    }
    if (p < end && (p[1] == '-' || p[1] == '+'))
        negative = *++p == '-';
    for (p++; p < end; p++)
        exponent = exponent > 100000 ? exponent : exponent * 10 + (*p - '0');
    *power += negative ? -exponent : exponent;
}

bool q35i_hf_number(const q35i_json *json, uint32_t node, double *out)
{
    const q35i_json_node *n = &json->nodes[node];
    const char *p = json->text + n->begin;
    uint64_t digits;
    int64_t power;
    if (n->type != Q35I_JSON_NUMBER)
        return false;
    bool negative = *p == '-';
    split_number(p + negative, p + n->len, &digits, &power);
    /* both operands are exact up to 10^27 where long double has 64 bits: one rounding, and the one to double */
    long double value = (long double)digits;
    if (digits != 0)
        value = power < 0 ? value / powl(10.0L, (long double)-power) : value * powl(10.0L, (long double)power);
    *out = (double)(negative ? -value : value);
    return value <= (long double)DBL_MAX;
}

q35_status q35i_hf_get_f64(const q35i_json *json, uint32_t object, const char *key, double *out)
{
    uint32_t node;
    Q35_TRY(q35i_json_get(json, object, key, &node));
    if (node != Q35I_JSON_NONE && !q35i_hf_number(json, node, out))
        return Q35_FAIL(Q35_E_FORMAT, "%s: %s: %s, need a number", json->name, key, show(json, node).text);
    return Q35_OK;
}

q35_status q35i_hf_get_u32(const q35i_json *json, uint32_t object, const char *key, uint32_t *out)
{
    uint32_t node;
    uint64_t value;
    Q35_TRY(q35i_json_get(json, object, key, &node));
    if (node == Q35I_JSON_NONE)
        return Q35_OK;
    if (!q35i_json_int(json, node, UINT32_MAX, &value))
        return Q35_FAIL(Q35_E_FORMAT, "%s: %s: %s, need a whole number from 0 to %" PRIu32, json->name, key,
                        show(json, node).text, UINT32_MAX);
    *out = (uint32_t)value;
    return Q35_OK;
}

static q35_status need(const q35i_json *json, uint32_t object, const char *key)
{
    uint32_t node;
    Q35_TRY(q35i_json_get(json, object, key, &node));
    if (node == Q35I_JSON_NONE)
        return Q35_FAIL(Q35_E_FORMAT, "%s: %s: absent, need a number", json->name, key);
    return Q35_OK;
}

q35_status q35i_hf_need_f64(const q35i_json *json, uint32_t object, const char *key, double *out)
{
    Q35_TRY(need(json, object, key));
    return q35i_hf_get_f64(json, object, key, out);
}

q35_status q35i_hf_need_u32(const q35i_json *json, uint32_t object, const char *key, uint32_t *out)
{
    Q35_TRY(need(json, object, key));
    return q35i_hf_get_u32(json, object, key, out);
}

static const q35i_hf_key *find_key(q35_string name, const q35i_hf_key *keys, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(keys[i].name);
        bool open = len > 0 && keys[i].name[len - 1] == '*';
        len -= open;
        if ((open ? name.len >= len : name.len == len) && memcmp(name.data, keys[i].name, len) == 0)
            return &keys[i];
    }
    return NULL;
}

static q35_status check_value(const q35i_json *json, uint32_t node, const char *where, const char *name,
                              const q35i_hf_key *key)
{
    uint8_t type = q35i_json_type_of(json, node);
    double value;
    if (type == Q35I_JSON_NULL || type == Q35I_JSON_FALSE || (key && key->rule == Q35I_HF_ANY))
        return Q35_OK;
    if (!key)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: %s%s: %s; not known here and may change results, need no such key",
                        json->name, where, name, show(json, node).text);
    if (!q35i_hf_number(json, node, &value) || value != (key->rule == Q35I_HF_ONE ? 1 : 0))
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: %s%s: %s, need %d or no such key", json->name, where, name,
                        show(json, node).text, key->rule == Q35I_HF_ONE);
    return Q35_OK;
}

q35_status q35i_hf_check_keys(const q35i_json *json, uint32_t object, const char *where, const q35i_hf_key *keys,
                              size_t n)
{
    if (q35i_json_type_of(json, object) != Q35I_JSON_OBJECT)
        return Q35_FAIL(Q35_E_FORMAT, "%s: %s%s, need an object", json->name, where,
                        q35i_json_type_name(q35i_json_type_of(json, object)));
    for (uint32_t i = object + 1; i < json->nodes[object].next; i = json->nodes[i + 1].next) {
        q35_string name = q35i_json_text(json, i);
        Q35_TRY(check_value(json, i + 1, where, q35i_quote(name).text, find_key(name, keys, n)));
    }
    return Q35_OK;
}

const char *q35i_hf_full_key(const q35i_hf_out *out, const char *name, char buf[96])
{
    snprintf(buf, 96, "%s.%s", out->architecture, name);
    return buf;
}

q35_status q35i_hf_put_u32(const q35i_hf_out *out, const char *name, uint32_t value)
{
    char key[96];
    return q35i_meta_add_u32(out->list, q35i_hf_full_key(out, name, key), value);
}

q35_status q35i_hf_put_f32(const q35i_hf_out *out, const char *name, double value)
{
    char key[96];
    return q35i_meta_add_f32(out->list, q35i_hf_full_key(out, name, key), (float)value);
}

q35_status q35i_hf_put_text(const q35i_hf_out *out, const char *name, const char *value)
{
    char key[96];
    return q35i_meta_add_string(out->list, q35i_hf_full_key(out, name, key), (q35_string){value, strlen(value)});
}
