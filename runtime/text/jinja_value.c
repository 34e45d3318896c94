/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/text/jinja_value.h"

#include "runtime/base/size.h"

#include <string.h>

q35_status q35i_jv_text(q35i_heap *heap, const char *bytes, uint64_t n, q35i_jv *out)
{
    q35i_jstr *s = q35i_heap_take(heap, 1, sizeof *s);
    if (!s)
        return heap->status;
    s->bytes = bytes;
    s->n = n;
    *out = q35i_jv_string(s);
    return Q35_OK;
}

q35_status q35i_jv_part(q35i_heap *heap, const q35i_jstr *s, uint64_t from, uint64_t n, q35i_jv *out)
{
    q35i_jstr *part = q35i_heap_take(heap, 1, sizeof *part);
    if (!part)
        return heap->status;
    *part =
        (q35i_jstr){.n = n, .bytes = s->bytes + from, .marks = s->marks ? s->marks + from : NULL, .safe = s->safe};
    *out = q35i_jv_string(part);
    return Q35_OK;
}

q35_status q35i_jlist_make(q35i_heap *heap, uint64_t n, q35i_jlist **out)
{
    q35i_jlist *list = q35i_heap_take(heap, 1, sizeof *list);
    if (!list)
        return heap->status;
    list->items = q35i_heap_take(heap, n, sizeof *list->items);
    if (!list->items)
        return heap->status;
    list->n = n;
    *out = list;
    return Q35_OK;
}

q35_status q35i_jdict_make(q35i_heap *heap, uint64_t cap, q35i_jdict **out)
{
    q35i_jdict *dict = q35i_heap_take(heap, 1, sizeof *dict);
    if (!dict)
        return heap->status;
    dict->pairs = q35i_heap_take(heap, cap, sizeof *dict->pairs);
    if (!dict->pairs)
        return heap->status;
    dict->cap = cap;
    *out = dict;
    return Q35_OK;
}

static q35_status add_pair(q35i_heap *heap, q35i_jdict *dict, q35i_jstr key, q35i_jv value)
{
    if (dict->n == dict->cap) {
        uint64_t cap = q35i_max(2 * dict->cap, 4);
        q35i_jpair *bigger = q35i_heap_take(heap, cap, sizeof *bigger);
        if (!bigger)
            return heap->status;
        if (dict->n > 0)
            memcpy(bigger, dict->pairs, dict->n * sizeof *bigger);
        dict->pairs = bigger;
        dict->cap = cap;
    }
    dict->pairs[dict->n++] = (q35i_jpair){key, value};
    return Q35_OK;
}

q35_status q35i_jdict_set(q35i_heap *heap, q35i_jdict *dict, q35i_jstr key, q35i_jv value)
{
    for (uint64_t i = 0; i < dict->n; i++)
        if (q35i_jstr_equal(&dict->pairs[i].key, key.bytes, key.n)) {
            dict->pairs[i].value = value;
            return Q35_OK;
        }
    return add_pair(heap, dict, key, value);
}

q35_status q35i_jdict_put(q35i_heap *heap, q35i_jdict *dict, const char *key, q35i_jv value)
{
    return add_pair(heap, dict, (q35i_jstr){.n = strlen(key), .bytes = key}, value);
}

const q35i_jv *q35i_jdict_get(const q35i_jdict *dict, const char *key, uint64_t n)
{
    for (uint64_t i = dict->n; i-- > 0;)
        if (q35i_jstr_equal(&dict->pairs[i].key, key, n))
            return &dict->pairs[i].value;
    return NULL;
}

bool q35i_jstr_equal(const q35i_jstr *s, const char *bytes, uint64_t n)
{
    return s->n == n && (n == 0 || memcmp(s->bytes, bytes, n) == 0);
}

bool q35i_jstr_is(const q35i_jstr *s, const char *literal)
{
    return q35i_jstr_equal(s, literal, strlen(literal));
}

const char *q35i_jv_kind_name(q35i_jv_kind kind)
{
    static const char *const names[] = {[Q35I_JV_UNDEFINED] = "an undefined value",
                                        [Q35I_JV_NONE] = "none",
                                        [Q35I_JV_BOOL] = "a boolean",
                                        [Q35I_JV_INT] = "an integer",
                                        [Q35I_JV_LONG] = "a long integer",
                                        [Q35I_JV_FLOAT] = "a float",
                                        [Q35I_JV_STRING] = "a string",
                                        [Q35I_JV_LIST] = "a list",
                                        [Q35I_JV_DICT] = "a dict",
                                        [Q35I_JV_SPACE] = "a namespace",
                                        [Q35I_JV_LOOP] = "a loop"};
    return names[kind];
}

bool q35i_jv_truth(q35i_jv v)
{
    switch (v.kind) {
    case Q35I_JV_UNDEFINED:
    case Q35I_JV_NONE: return false;
    case Q35I_JV_BOOL: return v.u.b;
    case Q35I_JV_INT: return v.u.i != 0;
    case Q35I_JV_FLOAT: return v.u.f != 0;
    case Q35I_JV_STRING: return v.u.s->n > 0;
    case Q35I_JV_LIST: return v.u.list->n > 0;
    case Q35I_JV_DICT: return v.u.dict->n > 0;
    case Q35I_JV_LONG:
    case Q35I_JV_SPACE:
    case Q35I_JV_LOOP: return true;
    }
    return false;
}

static bool begins_character(char c)
{
    return ((unsigned char)c & 0xC0) != 0x80;
}

uint64_t q35i_jstr_length(const q35i_jstr *s)
{
    uint64_t length = 0;
    for (uint64_t i = 0; i < s->n; i++)
        length += begins_character(s->bytes[i]);
    return length;
}

uint64_t q35i_jstr_offset(const q35i_jstr *s, uint64_t i)
{
    uint64_t at = 0;
    for (; at < s->n; at++)
        if (begins_character(s->bytes[at]) && i-- == 0)
            break;
    return at;
}
