/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions that chat templates call. strftime_now gives the local time of the rendering. */
#define _POSIX_C_SOURCE 200809L
#include "runtime/text/jinja_run.h"

#include "runtime/base/error.h"
#include "runtime/model/quote.h"

#include <stdio.h>

enum { MAX_RANGE = 100000 };

static q35_status fail_with(q35i_jrun *run, const q35i_jargs *args)
{
    const q35i_jstr *text = NULL;
    if (args->n != 1)
        return Q35_FAIL(Q35_E_INVALID, "the template refuses the conversation");
    Q35_TRY(q35i_jop_text(run, args->v[0], &text));
    char line[161];
    uint64_t n = text->n < sizeof line - 1 ? text->n : sizeof line - 1;
    for (uint64_t i = 0; i < n; i++)
        line[i] = text->bytes[i] >= ' ' && text->bytes[i] <= '~' ? text->bytes[i] : '?';
    line[n] = '\0';
    return Q35_FAIL(Q35_E_INVALID, "%s%s", line, n < text->n ? "..." : "");
}

static q35_status range(q35i_jrun *run, const q35i_jargs *args, q35i_jv *out)
{
    int64_t bounds[3] = {0, 0, 1};
    uint64_t n = 0;
    for (uint32_t i = 0; i < args->n && i < 3; i++) {
        if (args->v[i].kind != Q35I_JV_INT || args->v[i].u.i > INT32_MAX || args->v[i].u.i < INT32_MIN)
            return Q35_FAIL(Q35_E_UNSUPPORTED, "range of such a bound, need integers of 32 bits");
        bounds[args->n == 1 ? 1 : i] = args->v[i].u.i;
    }
    int64_t from = bounds[0], to = bounds[1], step = bounds[2];
    if (step > 0 && from < to)
        n = (uint64_t)((to - from - 1) / step) + 1;
    if (step < 0 && from > to)
        n = (uint64_t)((from - to - 1) / -step) + 1;
    if (args->n < 1 || args->n > 3 || step == 0 || n > MAX_RANGE)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "range of so many numbers, need at most %d", MAX_RANGE);
    q35i_jlist *list;
    Q35_TRY(q35i_jrun_step(run, n * 16));
    Q35_TRY(q35i_jlist_make(&run->heap, n, &list));
    for (uint64_t i = 0; i < n; i++)
        list->items[i] = q35i_jv_int(from + (int64_t)i * step);
    *out = q35i_jv_list(list);
    return Q35_OK;
}

/* namespace(a=1), dict(a=1) */
static q35_status members(q35i_jrun *run, const q35i_jnode *call, q35i_jv *out)
{
    q35i_jdict *dict;
    Q35_TRY(q35i_jdict_make(&run->heap, 4, &dict));
    for (const q35i_jnode *node = call->a; node; node = node->next) {
        q35i_jv v;
        if (node->kind != Q35I_JN_KEYWORD)
            return Q35_FAIL(Q35_E_UNSUPPORTED, "an argument without a name, need names");
        Q35_TRY(q35i_jrun_eval(run, node->a, &v));
        Q35_TRY(q35i_jrun_step(run, dict->n * 16));
        Q35_TRY(q35i_jdict_set(&run->heap, dict, *node->value.u.s, v));
    }
    *out = q35i_jv_dict(dict);
    if (call->op == Q35I_FUNCTION_NAMESPACE)
        out->kind = Q35I_JV_SPACE;
    return Q35_OK;
}

/* One conversion of strftime in the C locale; 0: not known. */
static int convert(char c, const struct tm *t, char *out, size_t size)
{
    static const char *const months[] = {"January", "February", "March",     "April",   "May",      "June",
                                         "July",    "August",   "September", "October", "November", "December"};
    static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};
    const char *month = months[t->tm_mon % 12], *day = days[t->tm_wday % 7];
    int hour = t->tm_hour % 12 == 0 ? 12 : t->tm_hour % 12;
    switch (c) {
    case 'Y': return snprintf(out, size, "%04d", t->tm_year + 1900);
    case 'y': return snprintf(out, size, "%02d", t->tm_year % 100);
    case 'm': return snprintf(out, size, "%02d", t->tm_mon + 1);
    case 'd': return snprintf(out, size, "%02d", t->tm_mday);
    case 'e': return snprintf(out, size, "%2d", t->tm_mday);
    case 'j': return snprintf(out, size, "%03d", t->tm_yday + 1);
    case 'H': return snprintf(out, size, "%02d", t->tm_hour);
    case 'I': return snprintf(out, size, "%02d", hour);
    case 'M': return snprintf(out, size, "%02d", t->tm_min);
    case 'S': return snprintf(out, size, "%02d", t->tm_sec);
    case 'p': return snprintf(out, size, "%s", t->tm_hour < 12 ? "AM" : "PM");
    case 'B': return snprintf(out, size, "%s", month);
    case 'b': return snprintf(out, size, "%.3s", month);
    case 'A': return snprintf(out, size, "%s", day);
    case 'a': return snprintf(out, size, "%.3s", day);
    case '%': return snprintf(out, size, "%%");
    default: return 0;
    }
}

static q35_status strftime_now(q35i_jrun *run, const q35i_jargs *args, q35i_jv *out)
{
    struct tm now;
    q35i_jout text = {0};
    q35_status status = Q35_OK;
    if (args->n != 1 || args->v[0].kind != Q35I_JV_STRING || !localtime_r(&run->now, &now))
        return Q35_FAIL(Q35_E_UNSUPPORTED, "strftime_now without a format, need one");
    const q35i_jstr *format = args->v[0].u.s;
    for (uint64_t i = 0; i < format->n; i++) {
        char part[24];
        if (format->bytes[i] != '%' || i + 1 == format->n) {
            Q35_TRY_GOTO(q35i_jout_add(&text, format->bytes + i, 1, NULL), done);
            continue;
        }
        int n = convert(format->bytes[++i], &now, part, sizeof part);
        if (n <= 0) {
            status = Q35_FAIL(Q35_E_UNSUPPORTED, "strftime_now: uses '%%%s', which is not known here",
                              q35i_quote((q35_string){format->bytes + i, 1}).text);
            goto done;
        }
        Q35_TRY_GOTO(q35i_jout_add(&text, part, (uint64_t)n, NULL), done);
    }
    Q35_TRY_GOTO(q35i_jrun_step(run, text.n), done);
    Q35_TRY_GOTO(q35i_jout_string(&text, 0, &run->heap, out), done);
done:
    q35i_jout_free(&text);
    return status;
}

q35_status q35i_jrun_function(q35i_jrun *run, const q35i_jnode *call, q35i_jv *out)
{
    q35i_jargs args;
    if (call->op == Q35I_FUNCTION_NAMESPACE || call->op == Q35I_FUNCTION_DICT)
        return members(run, call, out);
    Q35_TRY(q35i_jargs_eval(run, call->a, &args));
    switch ((q35i_jfunction)call->op) {
    case Q35I_FUNCTION_RAISE: return fail_with(run, &args);
    case Q35I_FUNCTION_RANGE: return range(run, &args, out);
    default: return strftime_now(run, &args, out);
    }
}
