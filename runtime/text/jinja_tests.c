/* SPDX-License-Identifier: Apache-2.0
 *
 * "value is test". */
#include "runtime/text/jinja_run.h"

#include "runtime/base/error.h"

static q35_status whole(q35i_jv v, int64_t *out)
{
    if (v.kind != Q35I_JV_INT && v.kind != Q35I_JV_BOOL)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s for a test of integers, need one", q35i_jv_kind_name(v.kind));
    *out = v.kind == Q35I_JV_INT ? v.u.i : v.u.b;
    return Q35_OK;
}

static q35_status operation(q35i_jrun *run, q35i_jinja_op op, q35i_jv v, q35i_jv argument, bool *out)
{
    q35i_jv truth;
    Q35_TRY(q35i_jop_binary(run, op, v, argument, &truth));
    *out = truth.u.b;
    return Q35_OK;
}

static q35_status divisible(q35i_jv v, int64_t by, int64_t rest, bool *out)
{
    int64_t n = 0;
    Q35_TRY(whole(v, &n));
    if (by == 0)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "division by 0, need another divisor");
    *out = by == -1 || (n % by != 0) == (rest != 0);
    return Q35_OK;
}

static bool is_kind(uint32_t test, q35i_jv v)
{
    q35i_jv_kind k = v.kind;
    bool number = k == Q35I_JV_INT || k == Q35I_JV_LONG;
    switch ((q35i_jtest)test) {
    case Q35I_TEST_BOOLEAN: return k == Q35I_JV_BOOL;
    case Q35I_TEST_DEFINED: return k != Q35I_JV_UNDEFINED;
    case Q35I_TEST_UNDEFINED: return k == Q35I_JV_UNDEFINED;
    case Q35I_TEST_FALSE: return k == Q35I_JV_BOOL && !v.u.b;
    case Q35I_TEST_TRUE: return k == Q35I_JV_BOOL && v.u.b;
    case Q35I_TEST_FLOAT: return k == Q35I_JV_FLOAT;
    case Q35I_TEST_INTEGER: return number;
    case Q35I_TEST_NUMBER: return number || k == Q35I_JV_FLOAT || k == Q35I_JV_BOOL;
    case Q35I_TEST_ITERABLE:
        return k == Q35I_JV_UNDEFINED || k == Q35I_JV_STRING || k == Q35I_JV_LIST || k == Q35I_JV_DICT;
    case Q35I_TEST_SEQUENCE: return k == Q35I_JV_STRING || k == Q35I_JV_LIST || k == Q35I_JV_DICT;
    case Q35I_TEST_MAPPING: return k == Q35I_JV_DICT;
    case Q35I_TEST_NONE: return k == Q35I_JV_NONE;
    default: return k == Q35I_JV_STRING;
    }
}

q35_status q35i_jrun_test(q35i_jrun *run, uint32_t test, q35i_jv v, q35i_jv argument, bool *out)
{
    int64_t by = 0;
    switch ((q35i_jtest)test) {
    case Q35I_TEST_EQUAL: return q35i_jop_equal(run, v, argument, out);
    case Q35I_TEST_NOT_EQUAL: return operation(run, Q35I_JO_NE, v, argument, out);
    case Q35I_TEST_LESS: return operation(run, Q35I_JO_LT, v, argument, out);
    case Q35I_TEST_LESS_EQUAL: return operation(run, Q35I_JO_LE, v, argument, out);
    case Q35I_TEST_GREATER: return operation(run, Q35I_JO_GT, v, argument, out);
    case Q35I_TEST_GREATER_EQUAL: return operation(run, Q35I_JO_GE, v, argument, out);
    case Q35I_TEST_IN: return operation(run, Q35I_JO_IN, v, argument, out);
    case Q35I_TEST_EVEN: return divisible(v, 2, 0, out);
    case Q35I_TEST_ODD: return divisible(v, 2, 1, out);
    case Q35I_TEST_DIVISIBLE: Q35_TRY(whole(argument, &by)); return divisible(v, by, 0, out);
    default: *out = is_kind(test, v); return Q35_OK;
    }
}
