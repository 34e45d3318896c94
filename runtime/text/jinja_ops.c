/* SPDX-License-Identifier: Apache-2.0
 *
 * Operators, members, indices and slices, with Python's meaning. What Jinja gives as undefined is undefined here,
 * too; what it refuses is UNSUPPORTED. */
#include "runtime/text/jinja_run.h"

#include "runtime/base/error.h"
#include "runtime/text/jinja_json.h"

#include <math.h>
#include <string.h>

enum { MAX_LEVELS = 500 };

static bool is_number(q35i_jv v)
{
    return v.kind == Q35I_JV_BOOL || v.kind == Q35I_JV_INT || v.kind == Q35I_JV_FLOAT;
}

static int64_t whole(q35i_jv v)
{
    return v.kind == Q35I_JV_BOOL ? v.u.b : v.u.i;
}

static double real(q35i_jv v)
{
    return v.kind == Q35I_JV_FLOAT ? v.u.f : (double)whole(v);
}

q35_status q35i_jop_text(q35i_jrun *run, q35i_jv v, const q35i_jstr **out)
{
    q35i_jout text = {0};
    q35i_jv made = {0};
    q35_status status;
    if (v.kind == Q35I_JV_STRING) {
        *out = v.u.s;
        return Q35_OK;
    }
    Q35_TRY_GOTO(q35i_jv_to_text(v, &text), done);
    Q35_TRY_GOTO(q35i_jrun_step(run, text.n), done);
    Q35_TRY_GOTO(q35i_jout_string(&text, 0, &run->heap, &made), done);
    *out = made.u.s;
done:
    q35i_jout_free(&text);
    return status;
}

static q35_status no_operation(const char *sign, q35i_jv a, q35i_jv b)
{
    return Q35_FAIL(Q35_E_UNSUPPORTED, "%s of %s and %s, need values that have it", sign,
                    q35i_jv_kind_name(a.kind), q35i_jv_kind_name(b.kind));
}

static q35_status concat(q35i_jrun *run, const q35i_jstr *a, const q35i_jstr *b, q35i_jv *out)
{
    uint64_t n = a->n + b->n;
    Q35_TRY(q35i_jrun_step(run, n));
    char *bytes = q35i_heap_take(&run->heap, n, 1);
    uint8_t *marks = bytes ? q35i_heap_take(&run->heap, n, 1) : NULL;
    q35i_jstr *s = marks ? q35i_heap_take(&run->heap, 1, sizeof *s) : NULL;
    if (!s)
        return run->heap.status;
    const q35i_jstr *parts[] = {a, b};
    for (uint64_t i = 0, at = 0; i < 2; at += parts[i++]->n) {
        if (parts[i]->n > 0)
            memcpy(bytes + at, parts[i]->bytes, parts[i]->n);
        if (parts[i]->n > 0 && parts[i]->marks)
            memcpy(marks + at, parts[i]->marks, parts[i]->n);
    }
    *s = (q35i_jstr){.n = n, .bytes = bytes, .marks = marks};
    *out = q35i_jv_string(s);
    return Q35_OK;
}

/* A string that passed the filter safe keeps that, and what is added to it is escaped. */
static q35_status add_strings(q35i_jrun *run, const q35i_jstr *a, const q35i_jstr *b, q35i_jv *out)
{
    q35i_jv escaped;
    if (a->safe == b->safe) {
        Q35_TRY(concat(run, a, b, out));
    } else {
        Q35_TRY(q35i_jtext_escape(run, a->safe ? b : a, &escaped));
        Q35_TRY(a->safe ? concat(run, a, escaped.u.s, out) : concat(run, escaped.u.s, b, out));
    }
    q35i_jstr *s = q35i_heap_take(&run->heap, 1, sizeof *s);
    if (!s)
        return run->heap.status;
    *s = *out->u.s;
    s->safe = a->safe || b->safe;
    *out = q35i_jv_string(s);
    return Q35_OK;
}

static q35_status add_lists(q35i_jrun *run, const q35i_jlist *a, const q35i_jlist *b, q35i_jv *out)
{
    q35i_jlist *list;
    Q35_TRY(q35i_jrun_step(run, (a->n + b->n) * sizeof *list->items));
    Q35_TRY(q35i_jlist_make(&run->heap, a->n + b->n, &list));
    if (a->n > 0)
        memcpy(list->items, a->items, a->n * sizeof *list->items);
    if (b->n > 0)
        memcpy(list->items + a->n, b->items, b->n * sizeof *list->items);
    *out = q35i_jv_list(list);
    return Q35_OK;
}

static q35_status whole_arithmetic(q35i_jinja_op op, int64_t a, int64_t b, q35i_jv *out)
{
    int64_t r = 0;
    bool overflow = false;
    switch (op) {
    case Q35I_JO_ADD: overflow = __builtin_add_overflow(a, b, &r); break;
    case Q35I_JO_SUB: overflow = __builtin_sub_overflow(a, b, &r); break;
    case Q35I_JO_MUL: overflow = __builtin_mul_overflow(a, b, &r); break;
    default:
        if (b == 0)
            return Q35_FAIL(Q35_E_UNSUPPORTED, "division by 0, need another divisor");
        if (b == -1) {
            overflow = op == Q35I_JO_FLOOR && __builtin_sub_overflow(0, a, &r);
            break;
        }
        r = op == Q35I_JO_FLOOR ? a / b : a % b;
        if (a % b != 0 && (a % b < 0) != (b < 0)) /* rounded towards 0, Python rounds down */
            r += op == Q35I_JO_FLOOR ? -1 : b;
    }
    if (overflow)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "an integer of more than 64 bits, need less");
    *out = q35i_jv_int(r);
    return Q35_OK;
}

static q35_status arithmetic(q35i_jinja_op op, q35i_jv a, q35i_jv b, q35i_jv *out)
{
    if (a.kind != Q35I_JV_FLOAT && b.kind != Q35I_JV_FLOAT && op != Q35I_JO_DIV)
        return whole_arithmetic(op, whole(a), whole(b), out);
    double x = real(a), y = real(b), r;
    if (op >= Q35I_JO_DIV && y == 0)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "division by 0, need another divisor");
    switch (op) {
    case Q35I_JO_ADD: r = x + y; break;
    case Q35I_JO_SUB: r = x - y; break;
    case Q35I_JO_MUL: r = x * y; break;
    case Q35I_JO_DIV: r = x / y; break;
    case Q35I_JO_FLOOR: r = floor(x / y); break;
    default: r = x - y * floor(x / y); break;
    }
    *out = q35i_jv_float(r);
    return Q35_OK;
}

static q35_status equal_parts(q35i_jrun *run, q35i_jv a, q35i_jv b, bool *out)
{
    if (a.kind == Q35I_JV_LIST) {
        *out = a.u.list->n == b.u.list->n;
        for (uint64_t i = 0; *out && i < a.u.list->n; i++)
            Q35_TRY(q35i_jop_equal(run, a.u.list->items[i], b.u.list->items[i], out));
        return Q35_OK;
    }
    *out = a.u.dict->n == b.u.dict->n;
    for (uint64_t i = 0; *out && i < a.u.dict->n; i++) {
        const q35i_jpair *pair = &a.u.dict->pairs[i];
        bool same_place = q35i_jstr_equal(&b.u.dict->pairs[i].key, pair->key.bytes, pair->key.n);
        Q35_TRY(q35i_jrun_step(run, same_place ? pair->key.n : b.u.dict->n * 64));
        const q35i_jv *other =
            same_place ? &b.u.dict->pairs[i].value : q35i_jdict_get(b.u.dict, pair->key.bytes, pair->key.n);
        *out = other != NULL;
        if (other)
            Q35_TRY(q35i_jop_equal(run, pair->value, *other, out));
    }
    return Q35_OK;
}

q35_status q35i_jop_equal(q35i_jrun *run, q35i_jv a, q35i_jv b, bool *out)
{
    q35_status status;
    Q35_TRY(q35i_jrun_step(run, 0));
    if (is_number(a) && is_number(b)) {
        *out = a.kind == Q35I_JV_FLOAT || b.kind == Q35I_JV_FLOAT ? real(a) == real(b) : whole(a) == whole(b);
        return Q35_OK;
    }
    *out = false;
    if (a.kind != b.kind)
        return Q35_OK;
    switch (a.kind) {
    case Q35I_JV_UNDEFINED:
    case Q35I_JV_NONE: *out = true; return Q35_OK;
    case Q35I_JV_STRING:
    case Q35I_JV_LONG:
        *out = q35i_jstr_equal(a.u.s, b.u.s->bytes, b.u.s->n);
        return q35i_jrun_step(run, *out ? a.u.s->n : 0);
    case Q35I_JV_LIST:
    case Q35I_JV_DICT: break;
    default: *out = a.u.dict == b.u.dict; return Q35_OK;
    }
    if (run->depth > MAX_LEVELS)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "values of too many levels, need fewer");
    run->depth++;
    status = equal_parts(run, a, b, out);
    run->depth--;
    return status;
}

q35_status q35i_jop_compare(q35i_jrun *run, q35i_jv a, q35i_jv b, int *order)
{
    if (is_number(a) && is_number(b)) {
        double x = real(a), y = real(b);
        int64_t i = a.kind == Q35I_JV_FLOAT ? 0 : whole(a), k = b.kind == Q35I_JV_FLOAT ? 0 : whole(b);
        bool floats = a.kind == Q35I_JV_FLOAT || b.kind == Q35I_JV_FLOAT;
        *order = floats ? (x > y) - (x < y) : (i > k) - (i < k);
        return Q35_OK;
    }
    if (a.kind != Q35I_JV_STRING || b.kind != Q35I_JV_STRING)
        return no_operation("an order", a, b);
    uint64_t n = a.u.s->n < b.u.s->n ? a.u.s->n : b.u.s->n;
    *order = n > 0 ? memcmp(a.u.s->bytes, b.u.s->bytes, n) : 0;
    if (*order == 0)
        *order = (a.u.s->n > b.u.s->n) - (a.u.s->n < b.u.s->n);
    return q35i_jrun_step(run, n);
}

static q35_status contains(q35i_jrun *run, q35i_jv item, q35i_jv container, bool *out)
{
    uint64_t at;
    *out = false;
    switch (container.kind) {
    case Q35I_JV_UNDEFINED: return Q35_OK;
    case Q35I_JV_LIST:
        for (uint64_t i = 0; !*out && i < container.u.list->n; i++)
            Q35_TRY(q35i_jop_equal(run, item, container.u.list->items[i], out));
        return Q35_OK;
    case Q35I_JV_DICT:
        *out = item.kind == Q35I_JV_STRING && q35i_jdict_get(container.u.dict, item.u.s->bytes, item.u.s->n);
        return q35i_jrun_step(run, container.u.dict->n * 16);
    case Q35I_JV_STRING:
        if (item.kind != Q35I_JV_STRING)
            break;
        Q35_TRY(q35i_jtext_find(run, container.u.s, item.u.s, 0, &at));
        *out = at != UINT64_MAX;
        return Q35_OK;
    default: break;
    }
    return no_operation("in", item, container);
}

static q35_status compute(q35i_jrun *run, q35i_jinja_op op, q35i_jv a, q35i_jv b, q35i_jv *out)
{
    static const char *const signs[] = {"+", "-", "*", "/", "//", "%"};
    const q35i_jstr *left, *right;
    if (op == Q35I_JO_JOIN) {
        Q35_TRY(q35i_jop_text(run, a, &left));
        Q35_TRY(q35i_jop_text(run, b, &right));
        return concat(run, left, right, out);
    }
    if (is_number(a) && is_number(b))
        return arithmetic(op, a, b, out);
    if (op == Q35I_JO_ADD && a.kind == Q35I_JV_STRING && b.kind == Q35I_JV_STRING)
        return add_strings(run, a.u.s, b.u.s, out);
    if (op == Q35I_JO_ADD && a.kind == Q35I_JV_LIST && b.kind == Q35I_JV_LIST)
        return add_lists(run, a.u.list, b.u.list, out);
    return no_operation(signs[op], a, b);
}

q35_status q35i_jop_binary(q35i_jrun *run, q35i_jinja_op op, q35i_jv a, q35i_jv b, q35i_jv *out)
{
    bool truth = false;
    int order;
    if (op <= Q35I_JO_JOIN)
        return compute(run, op, a, b, out);
    if (op == Q35I_JO_EQ || op == Q35I_JO_NE) {
        Q35_TRY(q35i_jop_equal(run, a, b, &truth));
        truth = truth == (op == Q35I_JO_EQ);
    } else if (op == Q35I_JO_IN || op == Q35I_JO_NOT_IN) {
        Q35_TRY(contains(run, a, b, &truth));
        truth = truth == (op == Q35I_JO_IN);
    } else {
        Q35_TRY(q35i_jop_compare(run, a, b, &order));
        truth = op == Q35I_JO_LT   ? order < 0
                : op == Q35I_JO_LE ? order <= 0
                : op == Q35I_JO_GT ? order > 0
                                   : order >= 0;
    }
    *out = q35i_jv_bool(truth);
    return Q35_OK;
}

static q35i_jv loop_member(const q35i_jloop *loop, const q35i_jstr *name)
{
    uint64_t n = loop->items->n, at = loop->at;
    if (q35i_jstr_is(name, "index"))
        return q35i_jv_int((int64_t)at + 1);
    if (q35i_jstr_is(name, "index0"))
        return q35i_jv_int((int64_t)at);
    if (q35i_jstr_is(name, "revindex"))
        return q35i_jv_int((int64_t)(n - at));
    if (q35i_jstr_is(name, "revindex0"))
        return q35i_jv_int((int64_t)(n - at) - 1);
    if (q35i_jstr_is(name, "first"))
        return q35i_jv_bool(at == 0);
    if (q35i_jstr_is(name, "last"))
        return q35i_jv_bool(at + 1 == n);
    if (q35i_jstr_is(name, "length"))
        return q35i_jv_int((int64_t)n);
    if (q35i_jstr_is(name, "previtem") && at > 0)
        return loop->items->items[at - 1];
    if (q35i_jstr_is(name, "nextitem") && at + 1 < n)
        return loop->items->items[at + 1];
    return q35i_jv_undefined();
}

q35_status q35i_jop_member(q35i_jrun *run, q35i_jv object, const q35i_jstr *name, q35i_jv *out)
{
    const q35i_jv *found = NULL;
    if (object.kind == Q35I_JV_UNDEFINED)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "a member of an undefined value, need a defined one");
    if (object.kind == Q35I_JV_LOOP) {
        *out = loop_member(object.u.loop, name);
        return Q35_OK;
    }
    if (object.kind == Q35I_JV_DICT || object.kind == Q35I_JV_SPACE) {
        found = q35i_jdict_get(object.u.dict, name->bytes, name->n);
        Q35_TRY(q35i_jrun_step(run, object.u.dict->n * 16));
    }
    *out = found ? *found : q35i_jv_undefined();
    return Q35_OK;
}

q35_status q35i_jop_index(q35i_jrun *run, q35i_jv object, q35i_jv index, q35i_jv *out)
{
    if (index.kind == Q35I_JV_STRING)
        return q35i_jop_member(run, object, index.u.s, out);
    if (object.kind == Q35I_JV_UNDEFINED)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "an element of an undefined value, need a defined one");
    *out = q35i_jv_undefined();
    if ((object.kind != Q35I_JV_LIST && object.kind != Q35I_JV_STRING) ||
        (index.kind != Q35I_JV_INT && index.kind != Q35I_JV_BOOL))
        return Q35_OK;
    bool list = object.kind == Q35I_JV_LIST;
    if (!list)
        Q35_TRY(q35i_jrun_step(run, object.u.s->n));
    int64_t n = (int64_t)(list ? object.u.list->n : q35i_jstr_length(object.u.s)), i = whole(index);
    i += i < 0 ? n : 0;
    if (i < 0 || i >= n)
        return Q35_OK;
    if (list) {
        *out = object.u.list->items[i];
        return Q35_OK;
    }
    uint64_t from = q35i_jstr_offset(object.u.s, (uint64_t)i), to = q35i_jstr_offset(object.u.s, (uint64_t)i + 1);
    return q35i_jv_part(&run->heap, object.u.s, from, to - from, out);
}

/* A bound of a slice of n elements, from its value; low, high: what it is kept in. */
static q35_status bound(q35i_jv v, int64_t n, int64_t low, int64_t high, int64_t standard, int64_t *out)
{
    if (v.kind != Q35I_JV_NONE && v.kind != Q35I_JV_INT)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "a slice with %s, need integers", q35i_jv_kind_name(v.kind));
    *out = standard;
    if (v.kind == Q35I_JV_INT) {
        *out = v.u.i < 0 ? (v.u.i < -n ? -1 : v.u.i + n) : v.u.i;
        *out = *out < low ? low : *out > high ? high : *out;
    }
    return Q35_OK;
}

q35_status q35i_jop_slice(q35i_jrun *run, q35i_jv object, const q35i_jv part[3], q35i_jv *out)
{
    int64_t step = part[2].kind == Q35I_JV_INT ? part[2].u.i : 1, start = 0, stop = 0, count = 0;
    if (object.kind != Q35I_JV_LIST && object.kind != Q35I_JV_STRING)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "a slice of %s, need a list or a string",
                        q35i_jv_kind_name(object.kind));
    bool list = object.kind == Q35I_JV_LIST;
    int64_t n = (int64_t)(list ? object.u.list->n : q35i_jstr_length(object.u.s));
    if (step == 0 || step > INT32_MAX || step < INT32_MIN || (!list && step != 1))
        return Q35_FAIL(Q35_E_UNSUPPORTED, "a slice of this step, need another one");
    int64_t low = step < 0 ? -1 : 0, high = step < 0 ? n - 1 : n;
    Q35_TRY(bound(part[0], n, low, high, step < 0 ? n - 1 : 0, &start));
    Q35_TRY(bound(part[1], n, low, high, step < 0 ? -1 : n, &stop));
    if (step > 0 && start < stop)
        count = (stop - start - 1) / step + 1;
    if (step < 0 && start > stop)
        count = (start - stop - 1) / -step + 1;
    if (!list) {
        Q35_TRY(q35i_jrun_step(run, 2 * object.u.s->n));
        uint64_t from = q35i_jstr_offset(object.u.s, (uint64_t)start);
        uint64_t to = count > 0 ? q35i_jstr_offset(object.u.s, (uint64_t)stop) : from;
        return q35i_jv_part(&run->heap, object.u.s, from, to - from, out);
    }
    q35i_jlist *made;
    Q35_TRY(q35i_jrun_step(run, (uint64_t)count * 16));
    Q35_TRY(q35i_jlist_make(&run->heap, (uint64_t)count, &made));
    for (int64_t i = 0; i < count; i++)
        made->items[i] = object.u.list->items[start + i * step];
    *out = q35i_jv_list(made);
    return Q35_OK;
}

q35_status q35i_jop_list(q35i_jrun *run, q35i_jv v, const q35i_jlist **out)
{
    q35i_jlist *list;
    uint64_t n = v.kind == Q35I_JV_STRING ? q35i_jstr_length(v.u.s) : v.kind == Q35I_JV_DICT ? v.u.dict->n : 0;
    if (v.kind == Q35I_JV_LIST) {
        *out = v.u.list;
        return Q35_OK;
    }
    if (v.kind != Q35I_JV_UNDEFINED && v.kind != Q35I_JV_STRING && v.kind != Q35I_JV_DICT)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s to go over, need a list, dict or string",
                        q35i_jv_kind_name(v.kind));
    Q35_TRY(q35i_jrun_step(run, n * 64));
    Q35_TRY(q35i_jlist_make(&run->heap, n, &list));
    for (uint64_t i = 0, at = 0; i < n; i++) {
        if (v.kind == Q35I_JV_DICT) {
            list->items[i] = q35i_jv_string(&v.u.dict->pairs[i].key);
            continue;
        }
        uint64_t end = at + 1;
        while (end < v.u.s->n && (v.u.s->bytes[end] & 0xC0) == 0x80)
            end++;
        Q35_TRY(q35i_jv_part(&run->heap, v.u.s, at, end - at, &list->items[i]));
        at = end;
    }
    *out = list;
    return Q35_OK;
}
