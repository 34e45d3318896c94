/* SPDX-License-Identifier: Apache-2.0
 *
 * Statements of chat templates. A loop's turn and a macro's call have variables of their own: what is set there is
 * gone afterwards; if has none. */
#include "runtime/text/jinja_run.h"

#include "runtime/base/error.h"
#include "runtime/text/jinja_json.h"

#include <inttypes.h>

enum { MAX_BLOCKS = 250, STEPS = 4 << 20, MEMORY = 64 << 20, OUTPUT = 64 << 20 };

void q35i_jrun_init(q35i_jrun *run, const q35i_jinja *jinja, q35i_jout *out, uint64_t bytes)
{
    run->jinja = jinja;
    run->out = out;
    run->max_steps = STEPS + bytes;
    run->now = time(NULL);
    out->limit = OUTPUT + 4 * bytes;
    q35i_heap_init(&run->heap, MEMORY + 32 * bytes);
}

void q35i_jrun_free(q35i_jrun *run)
{
    q35i_heap_free(&run->heap);
}

void q35i_jrun_set(q35i_jrun *run, const char *name, q35i_jv value)
{
    uint32_t i = q35i_jinja_name(run->jinja, name);
    if (i < Q35I_JINJA_NAMES)
        run->globals[i] = value;
}

q35_status q35i_jrun_define(q35i_jrun *run, uint32_t name, q35i_jv value)
{
    if (!run->frame) {
        run->globals[name] = value;
        return Q35_OK;
    }
    for (q35i_jvar *var = run->frame->vars; var; var = var->next)
        if (var->name == name) {
            var->value = value;
            return Q35_OK;
        }
    q35i_jvar *made = q35i_heap_take(&run->heap, 1, sizeof *made);
    if (!made)
        return run->heap.status;
    *made = (q35i_jvar){.next = run->frame->vars, .name = name, .value = value};
    run->frame->vars = made;
    return Q35_OK;
}

q35_status q35i_jrun_capture(q35i_jrun *run, const q35i_jnode *body, q35i_jv *out)
{
    q35i_jout text = {.limit = run->out->limit}, *outer = run->out;
    run->out = &text;
    q35_status status = q35i_jrun_body(run, body);
    run->out = outer;
    if (status == Q35_OK)
        status = q35i_jout_string(&text, 0, &run->heap, out);
    q35i_jout_free(&text);
    return status;
}

static q35_status write(q35i_jrun *run, q35i_jv v)
{
    uint64_t before = run->out->n;
    Q35_TRY(q35i_jv_to_text(v, run->out));
    return q35i_jrun_step(run, run->out->n - before);
}

/* a + b + c: the operands are computed first; when all are plain strings, they are written one by one instead of
 * being put together. */
static q35_status output(q35i_jrun *run, const q35i_jnode *node)
{
    const q35i_jnode *operands[Q35I_JINJA_DEPTH + 1];
    q35i_jv values[Q35I_JINJA_DEPTH + 1];
    uint32_t n = 0;
    bool strings = true;
    const q35i_jnode *left = node->a;
    for (; left->kind == Q35I_JN_BINARY && left->op == Q35I_JO_ADD; left = left->a)
        operands[n++] = left->b;
    operands[n++] = left;
    for (uint32_t i = 0; i < n; i++) {
        Q35_TRY(q35i_jrun_eval(run, operands[n - 1 - i], &values[i]));
        strings = strings && values[i].kind == Q35I_JV_STRING && !values[i].u.s->safe;
    }
    for (uint32_t i = 1; i < n && !strings; i++)
        Q35_TRY(q35i_jop_binary(run, Q35I_JO_ADD, values[0], values[i], &values[0]));
    for (uint32_t i = 0; i < (strings ? n : 1); i++)
        Q35_TRY(write(run, values[i]));
    return Q35_OK;
}

static q35_status if_statement(q35i_jrun *run, const q35i_jnode *node)
{
    for (;;) {
        q35i_jv condition;
        Q35_TRY(q35i_jrun_step(run, 0));
        Q35_TRY(q35i_jrun_eval(run, node->a, &condition));
        if (q35i_jv_truth(condition))
            return q35i_jrun_body(run, node->b);
        if (!node->op)
            return q35i_jrun_body(run, node->c);
        node = node->c;
    }
}

/* One value into one name, or a list into several. */
static q35_status assign(q35i_jrun *run, const q35i_jnode *names, q35i_jv v)
{
    uint64_t n = 0;
    if (!names->next)
        return q35i_jrun_define(run, names->name, v);
    for (const q35i_jnode *name = names; name; name = name->next)
        n++;
    if (v.kind != Q35I_JV_LIST || v.u.list->n != n)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "%s for %" PRIu64 " names, need a list of as many",
                        q35i_jv_kind_name(v.kind), n);
    for (uint64_t i = 0; i < n; i++, names = names->next)
        Q35_TRY(q35i_jrun_define(run, names->name, v.u.list->items[i]));
    return Q35_OK;
}

static q35_status enter_frame(q35i_jrun *run, q35i_jframe *outer)
{
    run->frame = q35i_heap_take(&run->heap, 1, sizeof *run->frame);
    if (!run->frame)
        return run->heap.status;
    run->frame->parent = outer;
    return Q35_OK;
}

/* The elements for which the loop's condition holds. */
static q35_status select_items(q35i_jrun *run, const q35i_jnode *node, const q35i_jlist **items)
{
    q35i_jframe *outer = run->frame;
    q35i_jlist *kept;
    uint64_t n = 0;
    Q35_TRY(q35i_jlist_make(&run->heap, (*items)->n, &kept));
    for (uint64_t i = 0; i < (*items)->n; i++) {
        q35i_jv condition;
        Q35_TRY(enter_frame(run, outer));
        Q35_TRY(assign(run, node->a, (*items)->items[i]));
        Q35_TRY(q35i_jrun_eval(run, node->d->a, &condition));
        if (q35i_jv_truth(condition))
            kept->items[n++] = (*items)->items[i];
    }
    run->frame = outer;
    kept->n = n;
    *items = kept;
    return Q35_OK;
}

static q35_status for_statement(q35i_jrun *run, const q35i_jnode *node)
{
    q35i_jframe *outer = run->frame;
    uint32_t loop_name = q35i_jinja_name(run->jinja, "loop");
    const q35i_jlist *items;
    q35i_jv over;
    Q35_TRY(q35i_jrun_eval(run, node->b, &over));
    Q35_TRY(q35i_jop_list(run, over, &items));
    if (node->d->a)
        Q35_TRY(select_items(run, node, &items));
    if (items->n == 0)
        return q35i_jrun_body(run, node->d->b);
    q35i_jloop *loop = q35i_heap_take(&run->heap, 1, sizeof *loop);
    if (!loop)
        return run->heap.status;
    loop->items = items;
    for (; loop->at < items->n && run->flow != Q35I_JFLOW_BREAK; loop->at++) {
        run->flow = Q35I_JFLOW_ON;
        Q35_TRY(q35i_jrun_step(run, 0));
        Q35_TRY(enter_frame(run, outer));
        if (loop_name < Q35I_JINJA_NAMES)
            Q35_TRY(q35i_jrun_define(run, loop_name, (q35i_jv){.kind = Q35I_JV_LOOP, .u.loop = loop}));
        Q35_TRY(assign(run, node->a, items->items[loop->at]));
        Q35_TRY(q35i_jrun_body(run, node->c));
    }
    run->flow = Q35I_JFLOW_ON;
    run->frame = outer;
    return Q35_OK;
}

static q35_status set_statement(q35i_jrun *run, const q35i_jnode *node)
{
    q35i_jv v, space;
    Q35_TRY(node->kind == Q35I_JN_SET ? q35i_jrun_eval(run, node->b, &v) : q35i_jrun_capture(run, node->b, &v));
    if (node->a->kind != Q35I_JN_ATTR)
        return assign(run, node->a, v);
    Q35_TRY(q35i_jrun_eval(run, node->a->a, &space));
    if (space.kind != Q35I_JV_SPACE)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "a member of %s is set, need a namespace",
                        q35i_jv_kind_name(space.kind));
    Q35_TRY(q35i_jrun_step(run, space.u.dict->n * 16));
    return q35i_jdict_set(&run->heap, space.u.dict, *node->a->value.u.s, v);
}

static q35_status execute(q35i_jrun *run, const q35i_jnode *node)
{
    switch (node->kind) {
    case Q35I_JN_TEXT: return write(run, node->value);
    case Q35I_JN_OUTPUT: return output(run, node);
    case Q35I_JN_IF: return if_statement(run, node);
    case Q35I_JN_FOR: return for_statement(run, node);
    case Q35I_JN_MACRO: run->macros[node->name] = node; return Q35_OK;
    case Q35I_JN_BREAK: run->flow = Q35I_JFLOW_BREAK; return Q35_OK;
    case Q35I_JN_CONTINUE: run->flow = Q35I_JFLOW_CONTINUE; return Q35_OK;
    default: return set_statement(run, node);
    }
}

q35_status q35i_jrun_body(q35i_jrun *run, const q35i_jnode *first)
{
    q35_status status = Q35_OK;
    if (run->depth >= MAX_BLOCKS)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "more than %d levels of calls, need fewer", MAX_BLOCKS);
    run->depth++;
    for (const q35i_jnode *node = first; node && status == Q35_OK && run->flow == Q35I_JFLOW_ON;
         node = node->next) {
        status = q35i_jrun_step(run, 0);
        if (status == Q35_OK)
            status = execute(run, node);
        if (status != Q35_OK && !run->located) {
            run->located = true;
            status = q35i_fail_context(status, "chat template, line %" PRIu32, node->line);
        }
    }
    run->depth--;
    return status;
}

q35_status q35i_jrun_go(q35i_jrun *run)
{
    return q35i_jrun_body(run, run->jinja->body);
}
