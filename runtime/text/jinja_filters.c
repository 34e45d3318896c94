/* SPDX-License-Identifier: Apache-2.0
 *
 * "value | filter". */
#include "runtime/text/jinja_run.h"

#include "runtime/base/error.h"
#include "runtime/model/quote.h"
#include "runtime/text/jinja_json.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool flag(const q35i_jargs *args, uint32_t position, const char *name)
{
    const q35i_jv *v = q35i_jargs_get(args, position, name);
    return v && q35i_jv_truth(*v);
}

/* The empty string. */
static q35i_jv nothing(void)
{
    static const q35i_jstr empty = {.bytes = ""};
    return q35i_jv_string(&empty);
}

/* a.b.c of a value. */
static q35_status attribute(q35i_jrun *run, q35i_jv v, const q35i_jstr *path, q35i_jv *out)
{
    for (uint64_t from = 0; from <= path->n;) {
        uint64_t to = from;
        while (to < path->n && path->bytes[to] != '.')
            to++;
        const q35i_jstr name = {.n = to - from, .bytes = path->bytes + from};
        Q35_TRY(q35i_jop_member(run, v, &name, &v));
        from = to + 1;
    }
    *out = v;
    return Q35_OK;
}

/* select, reject, selectattr, rejectattr: the test is named by an argument, truth without one. */
static q35_status choose(q35i_jrun *run, const q35i_jlist *list, const q35i_jargs *args, bool by_attribute,
                         bool wanted, q35i_jv *out)
{
    uint32_t at = by_attribute, test = 0;
    q35i_jlist *kept;
    uint64_t n = 0;
    for (uint32_t i = 0; i < at + 1 && i < args->n; i++)
        if (args->v[i].kind != Q35I_JV_STRING)
            return Q35_FAIL(Q35_E_UNSUPPORTED, "a filter with %s, need names", q35i_jv_kind_name(args->v[i].kind));
    if (by_attribute && args->n == 0)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "selectattr without a name, need one");
    if (args->n > at) {
        q35_string name = {args->v[at].u.s->bytes, args->v[at].u.s->n};
        test = q35i_jinja_test(name);
        if (!test)
            return Q35_FAIL(Q35_E_UNSUPPORTED, "uses test '%s', which is not known here", q35i_quote(name).text);
    }
    Q35_TRY(q35i_jlist_make(&run->heap, list->n, &kept));
    for (uint64_t i = 0; i < list->n; i++) {
        q35i_jv v = list->items[i];
        if (by_attribute)
            Q35_TRY(attribute(run, v, args->v[0].u.s, &v));
        bool truth = q35i_jv_truth(v);
        if (test)
            Q35_TRY(q35i_jrun_test(run, test, v, args->n > at + 1 ? args->v[at + 1] : q35i_jv_none(), &truth));
        if (truth == wanted)
            kept->items[n++] = list->items[i];
    }
    kept->n = n;
    *out = q35i_jv_list(kept);
    return Q35_OK;
}

/* map(attribute='name') or map('filter', arguments). */
static q35_status map(q35i_jrun *run, const q35i_jlist *list, const q35i_jargs *args, q35i_jv *out)
{
    const q35i_jv *path = q35i_jargs_get(args, Q35I_JARGS, "attribute"),
                  *standard = q35i_jargs_get(args, Q35I_JARGS, "default");
    q35i_jargs rest = *args;
    q35i_jlist *made;
    uint32_t filter = 0;
    if (!path && args->n > 0 && args->v[0].kind == Q35I_JV_STRING)
        filter = q35i_jinja_filter((q35_string){args->v[0].u.s->bytes, args->v[0].u.s->n});
    if (!filter && !(path && path->kind == Q35I_JV_STRING))
        return Q35_FAIL(Q35_E_UNSUPPORTED, "map without a known filter or attribute, need one");
    if (filter) {
        rest.n--;
        memmove(rest.v, rest.v + 1, rest.n * sizeof *rest.v);
    }
    if (run->depth > 300)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "more levels of map than there may be, need fewer");
    Q35_TRY(q35i_jlist_make(&run->heap, list->n, &made));
    run->depth += 10;
    for (uint64_t i = 0; i < list->n; i++) {
        Q35_TRY(filter ? q35i_jrun_filter(run, filter, list->items[i], &rest, &made->items[i])
                       : attribute(run, list->items[i], path->u.s, &made->items[i]));
        if (standard && made->items[i].kind == Q35I_JV_UNDEFINED)
            made->items[i] = *standard;
    }
    run->depth -= 10;
    *out = q35i_jv_list(made);
    return Q35_OK;
}

/* What a value is sorted by. */
static q35_status sort_key(q35i_jrun *run, q35i_jv v, const q35i_jv *path, bool cased, q35i_jv *out)
{
    *out = v;
    if (path && path->kind == Q35I_JV_STRING)
        Q35_TRY(attribute(run, v, path->u.s, out));
    return out->kind == Q35I_JV_STRING && !cased ? q35i_jtext_case(run, out->u.s, Q35I_JCASE_LOWER, out) : Q35_OK;
}

/* Stable; every comparison is a step, so a long list ends at the limit. */
static q35_status sort(q35i_jrun *run, const q35i_jlist *list, const q35i_jargs *args, q35i_jv *out)
{
    const q35i_jv *path = q35i_jargs_get(args, 2, "attribute");
    bool reverse = flag(args, 0, "reverse"), cased = flag(args, 1, "case_sensitive");
    q35i_jlist *made, *keys;
    Q35_TRY(q35i_jlist_make(&run->heap, list->n, &made));
    Q35_TRY(q35i_jlist_make(&run->heap, list->n, &keys));
    for (uint64_t i = 0; i < list->n; i++) {
        q35i_jv key;
        uint64_t at = i;
        Q35_TRY(sort_key(run, list->items[i], path, cased, &key));
        for (; at > 0; at--) {
            int order;
            Q35_TRY(q35i_jrun_step(run, 0));
            Q35_TRY(q35i_jop_compare(run, key, keys->items[at - 1], &order));
            if (reverse ? order <= 0 : order >= 0)
                break;
            made->items[at] = made->items[at - 1];
            keys->items[at] = keys->items[at - 1];
        }
        made->items[at] = list->items[i];
        keys->items[at] = key;
    }
    *out = q35i_jv_list(made);
    return Q35_OK;
}

static q35_status to_json(q35i_jrun *run, q35i_jv v, const q35i_jargs *args, q35i_jv *out)
{
    char marks[2][8];
    q35i_json_style style = q35i_json_style_default();
    const q35i_jv *indent = q35i_jargs_get(args, 1, "indent"), *separators = q35i_jargs_get(args, 2, "separators");
    q35i_jout text = {.limit = run->out->limit};
    q35_status status;
    style.ascii = flag(args, 0, "ensure_ascii");
    if (flag(args, 3, "sort_keys") || (indent && indent->kind != Q35I_JV_INT && indent->kind != Q35I_JV_NONE) ||
        (indent && indent->kind == Q35I_JV_INT && (indent->u.i < 0 || indent->u.i > 64)))
        return Q35_FAIL(Q35_E_UNSUPPORTED, "tojson with sorted keys or such an indent, need a number of blanks");
    if (indent && indent->kind == Q35I_JV_INT) {
        style.indent = (int)indent->u.i;
        style.comma = ",";
    }
    for (uint64_t i = 0; separators && separators->kind == Q35I_JV_LIST && i < 2; i++) {
        const q35i_jv *part = &separators->u.list->items[i];
        if (separators->u.list->n != 2 || part->kind != Q35I_JV_STRING || part->u.s->n >= sizeof *marks)
            return Q35_FAIL(Q35_E_UNSUPPORTED, "tojson with such separators, need two short strings");
        memcpy(marks[i], part->u.s->bytes, part->u.s->n);
        marks[i][part->u.s->n] = '\0';
        *(i == 0 ? &style.comma : &style.colon) = marks[i];
    }
    Q35_TRY_GOTO(q35i_jv_to_json(v, &style, &text), done);
    Q35_TRY_GOTO(q35i_jrun_step(run, text.n), done);
    Q35_TRY_GOTO(q35i_jout_string(&text, 0, &run->heap, out), done);
done:
    q35i_jout_free(&text);
    return status;
}

static q35_status to_number(q35i_jrun *run, q35i_jv v, const q35i_jargs *args, bool whole, q35i_jv *out)
{
    const q35i_jv *standard = q35i_jargs_get(args, 0, "default");
    const q35i_jstr *s = NULL;
    char text[64] = "", *end = text;
    if (v.kind != Q35I_JV_NONE && v.kind != Q35I_JV_BOOL)
        Q35_TRY(q35i_jop_text(run, v, &s));
    if (s && s->n > 0 && s->n < sizeof text)
        memcpy(text, s->bytes, s->n);
    double f = v.kind == Q35I_JV_BOOL ? v.u.b : strtod(text, &end);
    if (v.kind != Q35I_JV_BOOL && (end == text || *end != '\0'))
        *out = standard ? *standard : whole ? q35i_jv_int(0) : q35i_jv_float(0);
    else if (!whole)
        *out = q35i_jv_float(f);
    else if (v.kind == Q35I_JV_INT)
        *out = v;
    else if (fabs(f) < 9e15)
        *out = q35i_jv_int((int64_t)f);
    else
        return Q35_FAIL(Q35_E_UNSUPPORTED, "int of such a large number, need less");
    return Q35_OK;
}

/* indent(width=4, first=False, blank=False) */
static q35_status indent(q35i_jrun *run, const q35i_jstr *s, const q35i_jargs *args, q35i_jv *out)
{
    const q35i_jv *width = q35i_jargs_get(args, 0, "width");
    bool blank = flag(args, 2, "blank"), pad = flag(args, 1, "first");
    q35i_jout text = {.limit = run->out->limit};
    q35_status status = Q35_OK;
    int64_t n = width && width->kind == Q35I_JV_INT ? width->u.i : 4;
    if (n < 0 || n > 64)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "indent by %" PRId64 ", need 0 to 64", n);
    for (uint64_t at = 0; at < s->n; pad = true) {
        uint64_t end = at;
        while (end < s->n && s->bytes[end] != '\n')
            end++;
        for (int64_t i = 0; i < n && pad && (end > at || blank); i++)
            Q35_TRY_GOTO(q35i_jout_add_literal(&text, " "), done);
        end += end < s->n;
        Q35_TRY_GOTO(q35i_jout_add(&text, s->bytes + at, end - at, s->marks ? s->marks + at : NULL), done);
        Q35_TRY_GOTO(q35i_jrun_step(run, end - at), done);
        at = end;
    }
    Q35_TRY_GOTO(q35i_jout_string(&text, 0, &run->heap, out), done);
done:
    q35i_jout_free(&text);
    return status;
}

static q35_status length(q35i_jrun *run, q35i_jv v, q35i_jv *out)
{
    uint64_t n = 0;
    if (v.kind == Q35I_JV_STRING) {
        Q35_TRY(q35i_jrun_step(run, v.u.s->n));
        n = q35i_jstr_length(v.u.s);
    } else if (v.kind == Q35I_JV_LIST) {
        n = v.u.list->n;
    } else if (v.kind == Q35I_JV_DICT) {
        n = v.u.dict->n;
    } else if (v.kind != Q35I_JV_UNDEFINED) {
        return Q35_FAIL(Q35_E_UNSUPPORTED, "length of %s, need a string, list or dict", q35i_jv_kind_name(v.kind));
    }
    *out = q35i_jv_int((int64_t)n);
    return Q35_OK;
}

static q35_status reverse(q35i_jrun *run, const q35i_jlist *list, q35i_jv *out)
{
    const q35i_jv parts[3] = {q35i_jv_none(), q35i_jv_none(), q35i_jv_int(-1)};
    return q35i_jop_slice(run, q35i_jv_list(list), parts, out);
}

static q35_status join(q35i_jrun *run, const q35i_jlist *list, const q35i_jargs *args, q35i_jv *out)
{
    const q35i_jv *between = q35i_jargs_get(args, 0, "d"), *path = q35i_jargs_get(args, 1, "attribute");
    q35i_jv parts = q35i_jv_list(list);
    if (path && path->kind == Q35I_JV_STRING) {
        q35i_jargs by = {.n_keywords = 1};
        static const q35i_jstr name = {.n = 9, .bytes = "attribute"};
        by.keywords[0].name = &name;
        by.keywords[0].v = *path;
        Q35_TRY(map(run, list, &by, &parts));
    }
    return q35i_jtext_join(run, parts.u.list,
                           between && between->kind == Q35I_JV_STRING ? between->u.s : nothing().u.s, out);
}

/* Filters of what can be gone over. */
static q35_status of_list(q35i_jrun *run, uint32_t filter, q35i_jv v, const q35i_jargs *args, q35i_jv *out)
{
    const q35i_jlist *list = NULL;
    Q35_TRY(q35i_jop_list(run, v, &list));
    switch ((q35i_jfilter)filter) {
    case Q35I_FILTER_FIRST: *out = list->n > 0 ? list->items[0] : q35i_jv_undefined(); return Q35_OK;
    case Q35I_FILTER_LAST: *out = list->n > 0 ? list->items[list->n - 1] : q35i_jv_undefined(); return Q35_OK;
    case Q35I_FILTER_JOIN: return join(run, list, args, out);
    case Q35I_FILTER_MAP: return map(run, list, args, out);
    case Q35I_FILTER_SELECT: return choose(run, list, args, false, true, out);
    case Q35I_FILTER_REJECT: return choose(run, list, args, false, false, out);
    case Q35I_FILTER_SELECTATTR: return choose(run, list, args, true, true, out);
    case Q35I_FILTER_REJECTATTR: return choose(run, list, args, true, false, out);
    case Q35I_FILTER_SORT: return sort(run, list, args, out);
    case Q35I_FILTER_REVERSE:
        Q35_TRY(reverse(run, list, out));
        return v.kind == Q35I_JV_STRING ? q35i_jtext_join(run, out->u.list, nothing().u.s, out) : Q35_OK;
    default: *out = q35i_jv_list(list); return Q35_OK;
    }
}

static q35_status replace(q35i_jrun *run, const q35i_jstr *s, const q35i_jargs *args, q35i_jv *out)
{
    const q35i_jv *most = q35i_jargs_get(args, 2, "count");
    if (args->n < 2 || args->v[0].kind != Q35I_JV_STRING || args->v[1].kind != Q35I_JV_STRING)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "replace without two strings, need them");
    return q35i_jtext_replace(run, s, args->v[0].u.s, args->v[1].u.s,
                              most && most->kind == Q35I_JV_INT ? most->u.i : -1, out);
}

/* The string as it is, from now on safe. */
static q35_status safe(q35i_jrun *run, const q35i_jstr *s, q35i_jv *out)
{
    q35i_jstr *made = q35i_heap_take(&run->heap, 1, sizeof *made);
    if (!made)
        return run->heap.status;
    *made = *s;
    made->safe = true;
    *out = q35i_jv_string(made);
    return Q35_OK;
}

/* Filters of str(value). */
static q35_status of_text(q35i_jrun *run, uint32_t filter, q35i_jv v, const q35i_jargs *args, q35i_jv *out)
{
    const q35i_jstr *s = NULL;
    const q35i_jv *set = q35i_jargs_get(args, 0, "chars");
    Q35_TRY(q35i_jop_text(run, v, &s));
    switch ((q35i_jfilter)filter) {
    case Q35I_FILTER_LOWER: return q35i_jtext_case(run, s, Q35I_JCASE_LOWER, out);
    case Q35I_FILTER_UPPER: return q35i_jtext_case(run, s, Q35I_JCASE_UPPER, out);
    case Q35I_FILTER_TITLE: return q35i_jtext_case(run, s, Q35I_JCASE_TITLE, out);
    case Q35I_FILTER_CAPITALIZE: return q35i_jtext_case(run, s, Q35I_JCASE_CAPITAL, out);
    case Q35I_FILTER_TRIM:
        return q35i_jtext_strip(run, s, set && set->kind == Q35I_JV_STRING ? set->u.s : NULL, 3, out);
    case Q35I_FILTER_INDENT: return indent(run, s, args, out);
    case Q35I_FILTER_REPLACE: return replace(run, s, args, out);
    case Q35I_FILTER_SAFE: return safe(run, s, out);
    case Q35I_FILTER_ESCAPE: Q35_TRY(q35i_jtext_escape(run, s, out)); return safe(run, out->u.s, out);
    default: *out = q35i_jv_string(s); return Q35_OK;
    }
}

static q35_status absolute(q35i_jv v, q35i_jv *out)
{
    if (v.kind != Q35I_JV_FLOAT && (v.kind != Q35I_JV_INT || v.u.i == INT64_MIN))
        return Q35_FAIL(Q35_E_UNSUPPORTED, "abs of %s, need a number", q35i_jv_kind_name(v.kind));
    *out = v.kind == Q35I_JV_FLOAT ? q35i_jv_float(fabs(v.u.f)) : q35i_jv_int(v.u.i < 0 ? -v.u.i : v.u.i);
    return Q35_OK;
}

q35_status q35i_jrun_filter(q35i_jrun *run, uint32_t filter, q35i_jv v, const q35i_jargs *args, q35i_jv *out)
{
    const q35i_jv *standard = q35i_jargs_get(args, 0, "default_value");
    Q35_TRY(q35i_jrun_step(run, 0));
    switch ((q35i_jfilter)filter) {
    case Q35I_FILTER_ABS: return absolute(v, out);
    case Q35I_FILTER_DEFAULT:
        *out = v.kind == Q35I_JV_UNDEFINED || (flag(args, 1, "boolean") && !q35i_jv_truth(v))
                   ? standard ? *standard : nothing()
                   : v;
        return Q35_OK;
    case Q35I_FILTER_FLOAT: return to_number(run, v, args, false, out);
    case Q35I_FILTER_INT: return to_number(run, v, args, true, out);
    case Q35I_FILTER_LENGTH: return length(run, v, out);
    case Q35I_FILTER_TOJSON: return to_json(run, v, args, out);
    case Q35I_FILTER_ITEMS:
        if (v.kind != Q35I_JV_DICT && v.kind != Q35I_JV_UNDEFINED)
            return Q35_FAIL(Q35_E_UNSUPPORTED, "items of %s, need a dict", q35i_jv_kind_name(v.kind));
        return v.kind == Q35I_JV_DICT ? q35i_jdict_list(run, v.u.dict, true, true, out)
                                      : of_list(run, filter, v, args, out);
    case Q35I_FILTER_FIRST:
    case Q35I_FILTER_JOIN:
    case Q35I_FILTER_LAST:
    case Q35I_FILTER_LIST:
    case Q35I_FILTER_MAP:
    case Q35I_FILTER_REJECT:
    case Q35I_FILTER_REJECTATTR:
    case Q35I_FILTER_REVERSE:
    case Q35I_FILTER_SELECT:
    case Q35I_FILTER_SELECTATTR:
    case Q35I_FILTER_SORT: return of_list(run, filter, v, args, out);
    default: return of_text(run, filter, v, args, out);
    }
}
