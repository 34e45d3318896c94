/* SPDX-License-Identifier: Apache-2.0
 *
 * Methods of strings and dicts. */
#include "runtime/text/jinja_run.h"

#include "runtime/base/error.h"

#include <string.h>

/* An argument that must be a string. */
static q35_status text_argument(const q35i_jargs *args, uint32_t i, const q35i_jstr **out)
{
    if (i >= args->n || args->v[i].kind != Q35I_JV_STRING)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "a method's argument is %s, need a string",
                        i < args->n ? q35i_jv_kind_name(args->v[i].kind) : "missing");
    *out = args->v[i].u.s;
    return Q35_OK;
}

static q35_status begins(const q35i_jargs *args, const q35i_jstr *s, bool at_end, bool *out)
{
    const q35i_jlist one = {.n = args->n > 0, .items = (q35i_jv[]){args->n > 0 ? args->v[0] : q35i_jv_none()}};
    const q35i_jlist *any = args->n > 0 && args->v[0].kind == Q35I_JV_LIST ? args->v[0].u.list : &one;
    *out = false;
    for (uint64_t i = 0; i < any->n; i++) {
        if (any->items[i].kind != Q35I_JV_STRING)
            return Q35_FAIL(Q35_E_UNSUPPORTED, "startswith or endswith of %s, need a string",
                            q35i_jv_kind_name(any->items[i].kind));
        const q35i_jstr *part = any->items[i].u.s;
        const q35i_jstr side = {.n = part->n,
                                .bytes = s->bytes + (at_end && part->n <= s->n ? s->n - part->n : 0)};
        *out = *out || (part->n <= s->n && q35i_jstr_equal(&side, part->bytes, part->n));
    }
    return Q35_OK;
}

static q35_status add_part(q35i_jrun *run, q35i_jlist *list, uint64_t *cap, const q35i_jstr *s, uint64_t from,
                           uint64_t to)
{
    if (list->n == *cap) {
        uint64_t bigger = *cap * 2 + 4;
        q35i_jv *items = q35i_heap_take(&run->heap, bigger, sizeof *items);
        if (!items)
            return run->heap.status;
        memcpy(items, list->items, list->n * sizeof *items);
        list->items = items;
        *cap = bigger;
    }
    Q35_TRY(q35i_jrun_step(run, 0));
    return q35i_jv_part(&run->heap, s, from, to - from, &list->items[list->n++]);
}

/* separator NULL: runs of white space. */
static q35_status split(q35i_jrun *run, const q35i_jstr *s, const q35i_jstr *separator, int64_t most, q35i_jv *out)
{
    q35i_jlist *list;
    uint64_t cap = 4, at = 0, found;
    Q35_TRY(q35i_jlist_make(&run->heap, cap, &list));
    list->n = 0;
    if (separator && separator->n == 0)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "split at an empty string, need some text");
    *out = q35i_jv_list(list);
    for (; separator && most != 0; most--, at = found + separator->n) {
        Q35_TRY(q35i_jtext_find(run, s, separator, at, &found));
        if (found == UINT64_MAX)
            break;
        Q35_TRY(add_part(run, list, &cap, s, at, found));
    }
    if (separator)
        return add_part(run, list, &cap, s, at, s->n);
    Q35_TRY(q35i_jrun_step(run, s->n));
    for (uint64_t i = 0; i <= s->n; i++) {
        bool white = i == s->n || s->bytes[i] == ' ' || (s->bytes[i] >= '\t' && s->bytes[i] <= '\r') ||
                     (s->bytes[i] >= 0x1C && s->bytes[i] <= 0x1F);
        if (white && i > at)
            Q35_TRY(add_part(run, list, &cap, s, at, i));
        if (white)
            at = i + 1;
    }
    return Q35_OK;
}

static q35_status count(q35i_jrun *run, const q35i_jstr *s, const q35i_jstr *what, q35i_jv *out)
{
    uint64_t at = 0, found;
    int64_t n = 0;
    if (what->n == 0)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "count of an empty string, need some text");
    for (;; at = found + what->n, n++) {
        Q35_TRY(q35i_jtext_find(run, s, what, at, &found));
        if (found == UINT64_MAX)
            break;
    }
    *out = q35i_jv_int(n);
    return Q35_OK;
}

static q35_status find(q35i_jrun *run, const q35i_jstr *s, const q35i_jstr *what, q35i_jv *out)
{
    uint64_t at;
    Q35_TRY(q35i_jtext_find(run, s, what, 0, &at));
    const q35i_jstr before = {.n = at == UINT64_MAX ? 0 : at, .bytes = s->bytes};
    *out = q35i_jv_int(at == UINT64_MAX ? -1 : (int64_t)q35i_jstr_length(&before));
    return q35i_jrun_step(run, before.n);
}

static int64_t limit_of(const q35i_jargs *args, uint32_t i, const char *name)
{
    const q35i_jv *v = q35i_jargs_get(args, i, name);
    return v && v->kind == Q35I_JV_INT ? v->u.i : -1;
}

/* Methods with a string as their first argument. */
static q35_status search(q35i_jrun *run, uint32_t method, const q35i_jstr *s, const q35i_jargs *args, q35i_jv *out)
{
    const q35i_jstr *first = NULL, *second = NULL;
    bool at_end = method == Q35I_METHOD_REMOVESUFFIX, truth;
    Q35_TRY(text_argument(args, 0, &first));
    switch ((q35i_jmethod)method) {
    case Q35I_METHOD_COUNT: return count(run, s, first, out);
    case Q35I_METHOD_FIND: return find(run, s, first, out);
    case Q35I_METHOD_REPLACE:
        Q35_TRY(text_argument(args, 1, &second));
        return q35i_jtext_replace(run, s, first, second, limit_of(args, 2, "count"), out);
    default: break;
    }
    Q35_TRY(begins(args, s, at_end, &truth));
    return q35i_jv_part(&run->heap, s, truth && !at_end ? first->n : 0, truth ? s->n - first->n : s->n, out);
}

static q35_status of_string(q35i_jrun *run, uint32_t method, const q35i_jstr *s, const q35i_jargs *args,
                            q35i_jv *out)
{
    const q35i_jv *given = q35i_jargs_get(args, 0, "sep");
    const q35i_jstr *set = given && given->kind == Q35I_JV_STRING ? given->u.s : NULL;
    const q35i_jlist *list = NULL;
    bool truth;
    switch ((q35i_jmethod)method) {
    case Q35I_METHOD_STRIP: return q35i_jtext_strip(run, s, set, 3, out);
    case Q35I_METHOD_LSTRIP: return q35i_jtext_strip(run, s, set, 1, out);
    case Q35I_METHOD_RSTRIP: return q35i_jtext_strip(run, s, set, 2, out);
    case Q35I_METHOD_LOWER: return q35i_jtext_case(run, s, Q35I_JCASE_LOWER, out);
    case Q35I_METHOD_UPPER: return q35i_jtext_case(run, s, Q35I_JCASE_UPPER, out);
    case Q35I_METHOD_TITLE: return q35i_jtext_case(run, s, Q35I_JCASE_TITLE, out);
    case Q35I_METHOD_CAPITALIZE: return q35i_jtext_case(run, s, Q35I_JCASE_CAPITAL, out);
    case Q35I_METHOD_SPLIT: return split(run, s, set, limit_of(args, 1, "maxsplit"), out);
    case Q35I_METHOD_STARTSWITH:
    case Q35I_METHOD_ENDSWITH:
        Q35_TRY(begins(args, s, method == Q35I_METHOD_ENDSWITH, &truth));
        *out = q35i_jv_bool(truth);
        return Q35_OK;
    case Q35I_METHOD_JOIN:
        Q35_TRY(q35i_jop_list(run, args->n > 0 ? args->v[0] : q35i_jv_none(), &list));
        return q35i_jtext_join(run, list, s, out);
    default: return search(run, method, s, args, out);
    }
}

/* Keys, values or both as a list. */
q35_status q35i_jdict_list(q35i_jrun *run, const q35i_jdict *dict, bool keys, bool values, q35i_jv *out)
{
    q35i_jlist *list, *pair;
    Q35_TRY(q35i_jrun_step(run, dict->n * 64));
    Q35_TRY(q35i_jlist_make(&run->heap, dict->n, &list));
    for (uint64_t i = 0; i < dict->n; i++) {
        q35i_jv key = q35i_jv_string(&dict->pairs[i].key);
        list->items[i] = keys ? key : dict->pairs[i].value;
        if (!keys || !values)
            continue;
        Q35_TRY(q35i_jlist_make(&run->heap, 2, &pair));
        pair->items[0] = key;
        pair->items[1] = dict->pairs[i].value;
        list->items[i] = q35i_jv_list(pair);
    }
    *out = q35i_jv_list(list);
    return Q35_OK;
}

q35_status q35i_jrun_method(q35i_jrun *run, uint32_t method, q35i_jv object, const q35i_jargs *args, q35i_jv *out)
{
    const q35i_jstr *key = NULL;
    bool of_dict = method == Q35I_METHOD_GET || method == Q35I_METHOD_ITEMS || method == Q35I_METHOD_KEYS ||
                   method == Q35I_METHOD_VALUES;
    if (object.kind == Q35I_JV_STRING && !of_dict)
        return of_string(run, method, object.u.s, args, out);
    if (object.kind != Q35I_JV_DICT || !of_dict)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "a method of %s, need %s", q35i_jv_kind_name(object.kind),
                        of_dict ? "a dict" : "a string");
    if (method != Q35I_METHOD_GET)
        return q35i_jdict_list(run, object.u.dict, method != Q35I_METHOD_VALUES, method != Q35I_METHOD_KEYS, out);
    Q35_TRY(text_argument(args, 0, &key));
    const q35i_jv *found = key ? q35i_jdict_get(object.u.dict, key->bytes, key->n) : NULL;
    *out = found ? *found : args->n > 1 ? args->v[1] : q35i_jv_none();
    return q35i_jrun_step(run, object.u.dict->n * 16);
}
