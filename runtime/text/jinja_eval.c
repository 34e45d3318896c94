/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of expressions. */
#include "runtime/text/jinja_run.h"

#include "runtime/base/error.h"

#include <inttypes.h>

enum { MAX_RECURSION = 400 };

q35_status q35i_jrun_step(q35i_jrun *run, uint64_t bytes)
{
    run->steps += 1 + bytes / 64;
    if (run->steps > run->max_steps)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "takes more than %" PRIu64 " steps, need fewer", run->max_steps);
    return Q35_OK;
}

q35_status q35i_jargs_eval(q35i_jrun *run, const q35i_jnode *list, q35i_jargs *args)
{
    args->n = args->n_keywords = 0;
    for (; list; list = list->next) {
        bool keyword = list->kind == Q35I_JN_KEYWORD;
        if ((keyword ? args->n_keywords : args->n) == Q35I_JARGS)
            return Q35_FAIL(Q35_E_UNSUPPORTED, "more than %d arguments, need fewer", Q35I_JARGS);
        if (keyword) {
            args->keywords[args->n_keywords].name = list->value.u.s;
            Q35_TRY(q35i_jrun_eval(run, list->a, &args->keywords[args->n_keywords++].v));
        } else {
            Q35_TRY(q35i_jrun_eval(run, list, &args->v[args->n++]));
        }
    }
    return Q35_OK;
}

const q35i_jv *q35i_jargs_get(const q35i_jargs *args, uint32_t position, const char *name)
{
    if (position < args->n)
        return &args->v[position];
    for (uint32_t i = 0; i < args->n_keywords; i++)
        if (q35i_jstr_is(args->keywords[i].name, name))
            return &args->keywords[i].v;
    return NULL;
}

static q35_status variable(q35i_jrun *run, uint32_t name, q35i_jv *out)
{
    for (const q35i_jframe *frame = run->frame; frame; frame = frame->parent)
        for (const q35i_jvar *var = frame->vars; var; var = var->next)
            if (var->name == name) {
                *out = var->value;
                return Q35_OK;
            }
    *out = run->globals[name];
    return Q35_OK;
}

static q35_status list(q35i_jrun *run, const q35i_jnode *node, q35i_jv *out)
{
    q35i_jlist *made;
    uint64_t n = 0, i = 0;
    for (const q35i_jnode *item = node->a; item; item = item->next)
        n++;
    Q35_TRY(q35i_jlist_make(&run->heap, n, &made));
    for (const q35i_jnode *item = node->a; item; item = item->next)
        Q35_TRY(q35i_jrun_eval(run, item, &made->items[i++]));
    *out = q35i_jv_list(made);
    return Q35_OK;
}

static q35_status dict(q35i_jrun *run, const q35i_jnode *node, q35i_jv *out)
{
    q35i_jdict *made;
    Q35_TRY(q35i_jdict_make(&run->heap, 4, &made));
    for (const q35i_jnode *pair = node->a; pair; pair = pair->next) {
        q35i_jv key, value;
        Q35_TRY(q35i_jrun_eval(run, pair->a, &key));
        Q35_TRY(q35i_jrun_eval(run, pair->b, &value));
        if (key.kind != Q35I_JV_STRING)
            return Q35_FAIL(Q35_E_UNSUPPORTED, "%s as the key of a dict, need a string",
                            q35i_jv_kind_name(key.kind));
        Q35_TRY(q35i_jrun_step(run, made->n * 16));
        Q35_TRY(q35i_jdict_set(&run->heap, made, *key.u.s, value));
    }
    *out = q35i_jv_dict(made);
    return Q35_OK;
}

static q35_status slice(q35i_jrun *run, const q35i_jnode *node, q35i_jv *out)
{
    const q35i_jnode *const nodes[3] = {node->b, node->c, node->d};
    q35i_jv object, parts[3] = {q35i_jv_none(), q35i_jv_none(), q35i_jv_none()};
    Q35_TRY(q35i_jrun_eval(run, node->a, &object));
    for (int i = 0; i < 3; i++)
        if (nodes[i])
            Q35_TRY(q35i_jrun_eval(run, nodes[i], &parts[i]));
    return q35i_jop_slice(run, object, parts, out);
}

/* Binds the arguments of a call to the parameters, in a frame of its own. */
static q35_status bind(q35i_jrun *run, const q35i_jnode *macro, const q35i_jargs *args, q35i_jframe *frame)
{
    uint32_t position = 0;
    for (const q35i_jnode *parameter = macro->a; parameter; parameter = parameter->next) {
        q35_string name = run->jinja->names[parameter->name];
        q35i_jv v = q35i_jv_undefined();
        bool given = position < args->n;
        if (given)
            v = args->v[position];
        for (uint32_t i = 0; i < args->n_keywords && !given; i++) {
            given = q35i_jstr_equal(args->keywords[i].name, name.data, name.len);
            v = given ? args->keywords[i].v : v;
        }
        run->frame = frame;
        if (!given && parameter->a)
            Q35_TRY(q35i_jrun_eval(run, parameter->a, &v));
        Q35_TRY(q35i_jrun_define(run, parameter->name, v));
        position++;
    }
    if (args->n > position)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%" PRIu32 " arguments for a macro of %" PRIu32, args->n, position);
    return Q35_OK;
}

static q35_status call_macro(q35i_jrun *run, const q35i_jnode *call, q35i_jv *out)
{
    const q35i_jnode *macro = run->macros[call->name];
    q35i_jframe *caller = run->frame, *frame;
    q35i_jargs args;
    if (!macro)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "a macro is called before its definition, need it first");
    Q35_TRY(q35i_jargs_eval(run, call->a, &args));
    frame = q35i_heap_take(&run->heap, 1, sizeof *frame);
    if (!frame)
        return run->heap.status;
    q35_status status = bind(run, macro, &args, frame);
    if (status == Q35_OK) {
        run->frame = frame;
        status = q35i_jrun_capture(run, macro->b, out);
    }
    run->frame = caller;
    run->flow = Q35I_JFLOW_ON;
    return status;
}

static q35_status filter_or_method(q35i_jrun *run, const q35i_jnode *node, q35i_jv *out)
{
    q35i_jv operand;
    q35i_jargs args;
    Q35_TRY(q35i_jrun_eval(run, node->a, &operand));
    Q35_TRY(q35i_jargs_eval(run, node->b, &args));
    return node->kind == Q35I_JN_FILTER ? q35i_jrun_filter(run, node->op, operand, &args, out)
                                        : q35i_jrun_method(run, node->op, operand, &args, out);
}

static q35_status test(q35i_jrun *run, const q35i_jnode *node, q35i_jv *out)
{
    q35i_jv operand, argument = q35i_jv_none();
    bool truth;
    Q35_TRY(q35i_jrun_eval(run, node->a, &operand));
    if (node->b)
        Q35_TRY(q35i_jrun_eval(run, node->b, &argument));
    Q35_TRY(q35i_jrun_test(run, node->op, operand, argument, &truth));
    *out = q35i_jv_bool(truth);
    return Q35_OK;
}

static q35_status minus(q35i_jv v, q35i_jv *out)
{
    if (v.kind == Q35I_JV_FLOAT)
        *out = q35i_jv_float(-v.u.f);
    else if (v.kind == Q35I_JV_INT && v.u.i != INT64_MIN)
        *out = q35i_jv_int(-v.u.i);
    else
        return Q35_FAIL(Q35_E_UNSUPPORTED, "- of %s, need a number", q35i_jv_kind_name(v.kind));
    return Q35_OK;
}

static q35_status binary(q35i_jrun *run, const q35i_jnode *node, q35i_jv *out)
{
    q35i_jv a, b;
    Q35_TRY(q35i_jrun_eval(run, node->a, &a));
    Q35_TRY(q35i_jrun_eval(run, node->b, &b));
    switch (node->kind) {
    case Q35I_JN_BINARY: return q35i_jop_binary(run, (q35i_jinja_op)node->op, a, b, out);
    default: return q35i_jop_index(run, a, b, out);
    }
}

/* and, or, if-else: not all operands are computed. */
static q35_status choice(q35i_jrun *run, const q35i_jnode *node, q35i_jv *out)
{
    Q35_TRY(q35i_jrun_eval(run, node->a, out));
    bool truth = q35i_jv_truth(*out);
    if (node->kind != Q35I_JN_IF_ELSE)
        return truth == (node->kind == Q35I_JN_AND) ? q35i_jrun_eval(run, node->b, out) : Q35_OK;
    *out = q35i_jv_undefined();
    const q35i_jnode *chosen = truth ? node->b : node->c;
    return chosen ? q35i_jrun_eval(run, chosen, out) : Q35_OK;
}

static q35_status compute(q35i_jrun *run, const q35i_jnode *node, q35i_jv *out)
{
    q35i_jv v;
    switch (node->kind) {
    case Q35I_JN_CONST: *out = node->value; return Q35_OK;
    case Q35I_JN_NAME: return variable(run, node->name, out);
    case Q35I_JN_LIST: return list(run, node, out);
    case Q35I_JN_DICT: return dict(run, node, out);
    case Q35I_JN_ATTR:
        Q35_TRY(q35i_jrun_eval(run, node->a, &v));
        return q35i_jop_member(run, v, node->value.u.s, out);
    case Q35I_JN_SLICE: return slice(run, node, out);
    case Q35I_JN_CALL: return node->op ? q35i_jrun_function(run, node, out) : call_macro(run, node, out);
    case Q35I_JN_METHOD:
    case Q35I_JN_FILTER: return filter_or_method(run, node, out);
    case Q35I_JN_TEST: return test(run, node, out);
    case Q35I_JN_NOT:
        Q35_TRY(q35i_jrun_eval(run, node->a, &v));
        *out = q35i_jv_bool(!q35i_jv_truth(v));
        return Q35_OK;
    case Q35I_JN_MINUS: Q35_TRY(q35i_jrun_eval(run, node->a, &v)); return minus(v, out);
    case Q35I_JN_AND:
    case Q35I_JN_OR:
    case Q35I_JN_IF_ELSE: return choice(run, node, out);
    default: return binary(run, node, out);
    }
}

q35_status q35i_jrun_eval(q35i_jrun *run, const q35i_jnode *node, q35i_jv *out)
{
    Q35_TRY(q35i_jrun_step(run, 0));
    if (run->depth >= MAX_RECURSION)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "more than %d levels of calls, need fewer", MAX_RECURSION);
    run->depth++;
    q35_status status = compute(run, node, out);
    run->depth--;
    return status;
}
