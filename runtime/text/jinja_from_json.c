/* SPDX-License-Identifier: Apache-2.0
 *
 * From the parser's nodes to values. The parser bounds the depth. */
#include "runtime/text/jinja_json.h"

#include "runtime/base/error.h"
#include "runtime/model/json_tape.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct reader {
    q35i_heap *heap;
    const q35i_json *json;
} reader;

static q35_status copy(q35i_heap *heap, q35_string text, q35i_jstr *out)
{
    char *bytes = q35i_heap_take(heap, text.len + 1, 1);
    if (!bytes)
        return heap->status;
    if (text.len > 0)
        memcpy(bytes, text.data, text.len);
    *out = (q35i_jstr){.n = text.len, .bytes = bytes};
    return Q35_OK;
}

static q35_status number(const reader *r, uint32_t node, q35i_jv *out)
{
    const q35i_json_node *n = &r->json->nodes[node];
    q35i_jstr *s = q35i_heap_take(r->heap, 1, sizeof *s);
    if (!s)
        return r->heap->status;
    Q35_TRY(copy(r->heap, (q35_string){r->json->text + n->begin, n->len}, s));
    if (strpbrk(s->bytes, ".eE")) {
        *out = q35i_jv_float(strtod(s->bytes, NULL));
        return Q35_OK;
    }
    errno = 0;
    *out = q35i_jv_int(strtoll(s->bytes, NULL, 10));
    if (errno == ERANGE)
        *out = (q35i_jv){.kind = Q35I_JV_LONG, .u.s = s};
    return Q35_OK;
}

static q35_status value(const reader *r, uint32_t node, q35i_jv *out);

static q35_status array(const reader *r, uint32_t node, q35i_jv *out)
{
    q35i_jlist *list;
    uint32_t at = node + 1;
    Q35_TRY(q35i_jlist_make(r->heap, r->json->nodes[node].len, &list));
    for (uint64_t i = 0; i < list->n; i++) {
        Q35_TRY(value(r, at, &list->items[i]));
        at = r->json->nodes[at].next;
    }
    *out = q35i_jv_list(list);
    return Q35_OK;
}

static int by_key(const void *a, const void *b)
{
    const q35i_jpair *x = *(q35i_jpair *const *)a, *y = *(q35i_jpair *const *)b;
    uint64_t n = x->key.n < y->key.n ? x->key.n : y->key.n;
    int order = n > 0 ? memcmp(x->key.bytes, y->key.bytes, n) : 0;
    if (order != 0)
        return order;
    if (x->key.n != y->key.n)
        return x->key.n < y->key.n ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Of pairs with one key, the first place stays with the last value. */
static q35_status drop_doubles(q35i_heap *heap, q35i_jdict *dict)
{
    uint64_t n = dict->n, kept = 0;
    q35i_jpair **order = q35i_heap_take(heap, n, sizeof *order);
    bool *gone = order ? q35i_heap_take(heap, n, sizeof *gone) : NULL;
    if (!gone)
        return heap->status;
    for (uint64_t i = 0; i < n; i++)
        order[i] = &dict->pairs[i];
    qsort(order, n, sizeof *order, by_key);
    for (uint64_t i = 0, first = 0; i < n; i++) {
        if (!q35i_jstr_equal(&order[first]->key, order[i]->key.bytes, order[i]->key.n))
            first = i;
        if (first == i)
            continue;
        order[first]->value = order[i]->value;
        gone[order[i] - dict->pairs] = true;
    }
    for (uint64_t i = 0; i < n; i++)
        if (!gone[i])
            dict->pairs[kept++] = dict->pairs[i];
    dict->n = kept;
    return Q35_OK;
}

static q35_status object(const reader *r, uint32_t node, q35i_jv *out)
{
    q35i_jdict *dict;
    uint32_t at = node + 1, n = r->json->nodes[node].len;
    Q35_TRY(q35i_jdict_make(r->heap, n, &dict));
    for (uint32_t i = 0; i < n; i++) {
        Q35_TRY(copy(r->heap, q35i_json_text(r->json, at), &dict->pairs[i].key));
        at = r->json->nodes[at].next;
        Q35_TRY(value(r, at, &dict->pairs[i].value));
        at = r->json->nodes[at].next;
    }
    dict->n = n;
    if (n > 1)
        Q35_TRY(drop_doubles(r->heap, dict));
    *out = q35i_jv_dict(dict);
    return Q35_OK;
}

static q35_status value(const reader *r, uint32_t node, q35i_jv *out)
{
    q35i_jstr *s;
    switch ((q35i_json_type)q35i_json_type_of(r->json, node)) {
    case Q35I_JSON_NULL: *out = q35i_jv_none(); return Q35_OK;
    case Q35I_JSON_FALSE: *out = q35i_jv_bool(false); return Q35_OK;
    case Q35I_JSON_TRUE: *out = q35i_jv_bool(true); return Q35_OK;
    case Q35I_JSON_NUMBER: return number(r, node, out);
    case Q35I_JSON_ARRAY: return array(r, node, out);
    case Q35I_JSON_OBJECT: return object(r, node, out);
    case Q35I_JSON_STRING: break;
    }
    s = q35i_heap_take(r->heap, 1, sizeof *s);
    if (!s)
        return r->heap->status;
    *out = q35i_jv_string(s);
    return copy(r->heap, q35i_json_text(r->json, node), s);
}

q35_status q35i_jv_from_json(q35i_heap *heap, const char *name, const char *text, uint64_t n, q35i_jv *out)
{
    q35i_json json = {0};
    const reader r = {heap, &json};
    q35_status status;
    Q35_TRY_GOTO(q35i_json_parse(&json, name, text, n), done);
    Q35_TRY_GOTO(value(&r, 0, out), done);
done:
    q35i_json_free(&json);
    return status;
}
