/* SPDX-License-Identifier: Apache-2.0
 *
 * What host and plugin promise one another, tested around each call: handles that are alive, plans that are bound,
 * nothing freed that is queued; answers that are whole, stay the same when asked again, and are kept. */
#include "layer.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"

#include <fenv.h>
#include <float.h>
#include <stdio.h>
#include <string.h>

static const q35_plugin *api_of(const q35i_call *c)
{
    return c->layer->real[Q35I_TABLE_PLUGIN];
}

/* Zeros when the slot has no such argument. */
static const void *pointer(const q35i_call *c, const char *name)
{
    static const uint64_t nothing[64];
    const q35i_arg *a = q35i_call_arg(c, name);
    return a && a->at ? a->at : nothing;
}

static uint64_t number(const q35i_call *c, const char *name)
{
    const q35i_arg *a = q35i_call_arg(c, name);
    return a ? a->number : 0;
}

/* The object of an argument that q35i_check_before found. */
static q35i_object *object(const q35i_call *c, const char *name)
{
    static _Thread_local q35i_object unknown;
    const q35i_arg *a = q35i_call_arg(c, name);
    q35i_object *o = a ? q35i_object_find(c->layer, a->type, a->at) : NULL;
    if (o)
        return o;
    unknown = (q35i_object){0};
    return &unknown;
}

/* ---- the host's side ---- */

static q35_status check_idle(const q35i_call *c, const q35i_object *o)
{
    return q35i_object_idle(c->layer, o) ? Q35_OK
                                         : Q35_FAIL(Q35_E_INVALID, "%s%u is used by queued work, need it idle",
                                                    q35i_object_type_name(o->type), o->id);
}

static q35_status check_binding(const q35i_call *c, const q35_binding *b)
{
    if (b->host || q35i_object_find(c->layer, Q35I_OBJECT_BUF, b->buf))
        return Q35_OK;
    return Q35_FAIL(Q35_E_INVALID, b->buf ? "a binding has an unknown or freed buffer"
                                          : "a binding has neither address nor buffer");
}

static q35_status before_bind(q35i_call *c)
{
    const q35i_object *plan = object(c, "plan");
    const q35_binding *bindings = pointer(c, "bindings");
    Q35_TRY(check_idle(c, plan));
    for (uint32_t i = 0; i < plan->n_tensors; i++)
        Q35_TRY(check_binding(c, &bindings[i]));
    return Q35_OK;
}

static q35_status before_run(q35i_call *c)
{
    const q35i_object *plan = object(c, "plan");
    return plan->bound ? Q35_OK : Q35_FAIL(Q35_E_INVALID, "plan%u is not bound", plan->id);
}

static q35_status check_points(const q35i_call *c, const char *list, const char *count)
{
    const q35_point *points = pointer(c, list);
    const q35i_object *queue = object(c, "queue");
    const uint64_t n = number(c, count);
    if (n > 0 && queue->recording)
        return Q35_FAIL(Q35_E_INVALID, "%s of a command that is recorded", list);
    for (uint64_t i = 0; i < n; i++)
        if (!q35i_object_find(c->layer, Q35I_OBJECT_TIMELINE, points[i].timeline))
            return Q35_FAIL(Q35_E_INVALID, "%s: timeline %u is unknown or destroyed", list, (unsigned)i);
    return Q35_OK;
}

static q35_status before_queued(q35i_call *c)
{
    Q35_TRY(check_points(c, "waits", "n_waits"));
    Q35_TRY(check_points(c, "signals", "n_signals"));
    return q35i_call_arg(c, "plan") ? before_run(c) : Q35_OK;
}

static q35_status before_copy(q35i_call *c)
{
    Q35_TRY(check_binding(c, pointer(c, "src")));
    Q35_TRY(check_binding(c, pointer(c, "dst")));
    return before_queued(c);
}

static q35_status before_release(q35i_call *c)
{
    return check_idle(c, object(c, c->args[0].name));
}

static q35_status before_close(q35i_call *c)
{
    for (const q35i_object *o = c->layer->objects; o; o = o->next)
        if (o->parent == c->args[0].at && o->type != Q35I_OBJECT_DEVICE)
            return Q35_FAIL(Q35_E_INVALID, "%s%u of the device is still there", q35i_object_type_name(o->type),
                            o->id);
    return Q35_OK;
}

static q35_status before_shutdown(q35i_call *c)
{
    return c->layer->objects ? Q35_FAIL(Q35_E_INVALID, "%s%u is still there",
                                        q35i_object_type_name(c->layer->objects->type), c->layer->objects->id)
                             : Q35_OK;
}

/* ---- what follows from a call; the lock is taken where objects are touched ---- */

static q35_status after_bind(q35i_call *c)
{
    pthread_mutex_lock(&c->layer->lock);
    object(c, "plan")->bound = c->status == Q35_OK;
    pthread_mutex_unlock(&c->layer->lock);
    return Q35_OK;
}

static void use_binding(q35i_call *c, const q35_binding *b, const q35i_object *queue)
{
    if (b->buf)
        q35i_object_use(c->layer, Q35I_OBJECT_BUF, b->buf, queue);
}

static q35_status after_queued(q35i_call *c)
{
    const q35_point *signals = pointer(c, "signals");
    if (c->status != Q35_OK)
        return Q35_OK;
    pthread_mutex_lock(&c->layer->lock);
    q35i_object *queue = object(c, "queue");
    queue->submission++;
    if (!queue->recording) {
        const q35i_arg *recording = q35i_call_arg(c, "recording"), *plan = q35i_call_arg(c, "plan");
        if (plan)
            q35i_object_use(c->layer, Q35I_OBJECT_PLAN, plan->at, queue);
        if (recording)
            q35i_object_use(c->layer, Q35I_OBJECT_RECORDING, recording->at, queue);
        use_binding(c, pointer(c, "src"), queue);
        use_binding(c, pointer(c, "dst"), queue);
        use_binding(c, pointer(c, "data"), queue);
        for (uint64_t i = 0; i < number(c, "n_signals"); i++)
            q35i_promise_add(c->layer, queue, &signals[i]);
    }
    pthread_mutex_unlock(&c->layer->lock);
    return Q35_OK;
}

static q35_status after_capture(q35i_call *c)
{
    pthread_mutex_lock(&c->layer->lock);
    object(c, "queue")->recording = strcmp(c->slot, "begin") == 0 && c->status == Q35_OK;
    pthread_mutex_unlock(&c->layer->lock);
    return Q35_OK;
}

/* ---- the plugin's side ---- */

static q35_status support_again(const q35i_call *c, q35_support *out)
{
    *out = (q35_support){.h = {sizeof *out, Q35_STRUCT_SUPPORT, NULL}};
    return api_of(c)->op_support((q35_device *)(uintptr_t)pointer(c, "dev"), pointer(c, "region"), out);
}

static q35_status after_support(q35i_call *c)
{
    const q35_support *given = pointer(c, "out");
    q35_support again;
    if (c->status != Q35_OK)
        return Q35_OK;
    if (given->ok > 1)
        return Q35_FAIL(Q35_E_INTERNAL, "ok is %u, need 0 or 1", given->ok);
    if (!memchr(given->reason, '\0', sizeof given->reason))
        return Q35_FAIL(Q35_E_INTERNAL, "the reason does not end");
    if (!given->ok && given->reason[0] == '\0')
        return Q35_FAIL(Q35_E_INTERNAL, "no without a reason");
    if (support_again(c, &again) != Q35_OK || again.ok != given->ok)
        return Q35_FAIL(Q35_E_INTERNAL, "%s first, another answer to the same question then",
                        given->ok ? "yes" : "no");
    return Q35_OK;
}

static q35_status after_compile(q35i_call *c)
{
    const q35_region *region = pointer(c, "region");
    q35_support support;
    char text[256];
    if (c->status == Q35_OK) {
        pthread_mutex_lock(&c->layer->lock);
        q35_plan *const *plan = pointer(c, "out");
        q35i_object *o = q35i_object_find(c->layer, Q35I_OBJECT_PLAN, *plan);
        if (o)
            o->n_tensors = region->n_tensors;
        pthread_mutex_unlock(&c->layer->lock);
        return Q35_OK;
    }
    snprintf(text, sizeof text, "%s", q35_error_message());
    if (c->status == Q35_E_UNSUPPORTED && support_again(c, &support) == Q35_OK && support.ok)
        return Q35_FAIL(Q35_E_UNSUPPORTED, "op_support said yes to a region that is not compiled: %s", text);
    (void)Q35_FAIL(c->status, "%s", text);
    return Q35_OK;
}

static q35_status after_layout(q35i_call *c)
{
    const q35_layout *l = pointer(c, "out");
    if (c->status != Q35_OK || l->layout == 0)
        return Q35_OK;
    if (l->slice_rows == 0 || l->slice_bytes == 0 || l->align == 0 || (l->align & (l->align - 1)) || l->align > 64)
        return Q35_FAIL(
            Q35_E_INTERNAL,
            "layout %u: %llu rows in %llu bytes aligned to %llu, need more than 0, and a power of two up "
            "to 64",
            l->layout, (unsigned long long)l->slice_rows, (unsigned long long)l->slice_bytes,
            (unsigned long long)l->align);
    if (l->reversible && !Q35_HAS_SLOT(api_of(c), q35_plugin, unpack))
        return Q35_FAIL(Q35_E_INTERNAL, "layout %u is reversible, but there is no slot unpack", l->layout);
    return Q35_OK;
}

/* A layout that says it is reversible gives the canonical bytes back. */
static q35_status after_pack(q35i_call *c)
{
    const q35_plugin *api = api_of(c);
    q35_device *dev = (q35_device *)(uintptr_t)pointer(c, "dev");
    const q35_tensor_desc *weight = pointer(c, "weight");
    const uint64_t rows = number(c, "n_rows"), bytes = rows * (uint64_t)weight->stride[1];
    q35_layout layout = {.h = {sizeof layout, Q35_STRUCT_LAYOUT, NULL}};
    if (c->status != Q35_OK || !Q35_HAS_SLOT(api, q35_plugin, unpack) ||
        !Q35_HAS_SLOT(api, q35_plugin, layout_query))
        return Q35_OK;
    for (uint32_t i = 0; layout.layout != number(c, "layout"); i++)
        if (api->layout_query(dev, Q35_OP_LINEAR, weight, i, &layout) != Q35_OK)
            return Q35_OK;
    if (!layout.reversible)
        return Q35_OK;
    uint8_t *back = q35i_alloc_aligned(bytes, 64);
    if (!back)
        return Q35_E_NOMEM;
    memset(back, 0, bytes);
    q35_status status = api->unpack(dev, layout.layout, weight, number(c, "row"), rows, pointer(c, "dst"), back);
    if (status == Q35_OK && memcmp(back, pointer(c, "src"), bytes) != 0)
        status = Q35_FAIL(Q35_E_INTERNAL, "layout %u: rows %llu to %llu unpack to other bytes", layout.layout,
                          (unsigned long long)number(c, "row"), (unsigned long long)(number(c, "row") + rows - 1));
    q35i_free(back);
    return status;
}

static q35_status after_key(q35i_call *c)
{
    uint8_t again[32] = {0};
    q35_device *dev = (q35_device *)(uintptr_t)pointer(c, "dev");
    if (c->status == Q35_OK && (api_of(c)->pack_key(dev, (uint32_t)number(c, "layout"), again) != Q35_OK ||
                                memcmp(again, pointer(c, "out_key"), sizeof again) != 0))
        return Q35_FAIL(Q35_E_INTERNAL, "another key for the same layout when asked again");
    return Q35_OK;
}

/* ---- by slot ---- */

typedef struct hook {
    const char *table, *slot;
    q35_status (*before)(q35i_call *c); /* NULL: nothing beyond what every slot needs */
    q35_status (*after)(q35i_call *c);
} hook;

static const hook hooks[] = {{"plugin", "device_close", before_close, NULL},
                             {"plugin", "op_support", NULL, after_support},
                             {"plugin", "plan_compile", NULL, after_compile},
                             {"plugin", "plan_bind", before_bind, after_bind},
                             {"plugin", "plan_run", before_run, NULL},
                             {"plugin", "plan_submit", before_queued, after_queued},
                             {"plugin", "plan_free", before_release, NULL},
                             {"plugin", "buf_free", before_release, NULL},
                             {"plugin", "copy", before_copy, after_queued},
                             {"plugin", "layout_query", NULL, after_layout},
                             {"plugin", "pack", NULL, after_pack},
                             {"plugin", "pack_key", NULL, after_key},
                             {"plugin", "shutdown", before_shutdown, NULL},
                             {"capture", "begin", NULL, after_capture},
                             {"capture", "end", NULL, after_capture},
                             {"capture", "replay", before_queued, after_queued},
                             {"capture", "free", before_release, NULL},
                             {"collectives", "all_reduce", before_queued, after_queued},
                             {"collectives", "all_gather", before_queued, after_queued}};

static const hook *hook_of(const q35i_call *c)
{
    for (size_t i = 0; i < sizeof hooks / sizeof *hooks; i++)
        if (strcmp(hooks[i].slot, c->slot) == 0 && strcmp(hooks[i].table, c->table) == 0)
            return &hooks[i];
    return NULL;
}

q35_status q35i_check_before(q35i_call *c)
{
    const hook *h = hook_of(c);
    for (uint32_t i = 0; i < c->n_args; i++) {
        const q35i_arg *a = &c->args[i];
        const q35_hdr *hdr = a->at;
        if (a->kind == Q35I_ARG_OBJECT && !q35i_object_find(c->layer, a->type, a->at))
            return Q35_FAIL(Q35_E_INVALID, "%s: a %s that is unknown or released", a->name,
                            q35i_object_type_name(a->type));
        if ((a->kind == Q35I_ARG_STRUCT || a->kind == Q35I_ARG_OUT) && (!hdr || hdr->size < sizeof *hdr))
            return Q35_FAIL(Q35_E_INVALID, "%s: %u bytes, need at least %zu", a->name, hdr ? hdr->size : 0,
                            sizeof *hdr);
        if (a->kind >= Q35I_ARG_OUT && !a->at)
            return Q35_FAIL(Q35_E_INVALID, "%s: none given", a->name);
    }
    return h && h->before ? h->before(c) : Q35_OK;
}

/* Rounding to nearest, and denormals that are not flushed. */
static q35_status check_float_mode(void)
{
    volatile float tiny = FLT_MIN;
    volatile float half = tiny * 0.5f;
    if (fegetround() != FE_TONEAREST)
        return Q35_FAIL(Q35_E_INTERNAL, "the rounding mode was changed");
    if (!(half > 0.0f))
        return Q35_FAIL(Q35_E_INTERNAL, "denormal numbers are flushed to zero now");
    return Q35_OK;
}

static q35_status check_status(const q35i_call *c)
{
    if (c->status == Q35_OK)
        return Q35_OK;
    if (c->status > Q35_E_INTERNAL && c->status >> 16 == 0)
        return Q35_FAIL(Q35_E_INTERNAL, "status %u, which does not exist", c->status);
    if (q35_error_message()[0] == '\0')
        return Q35_FAIL(Q35_E_INTERNAL, "status %u without a text by host->fail", c->status);
    return Q35_OK;
}

q35_status q35i_check_after(q35i_call *c)
{
    const hook *h = hook_of(c);
    Q35_TRY(check_float_mode());
    Q35_TRY(check_status(c));
    for (uint32_t i = 0; i < c->n_args && c->status == Q35_OK; i++) {
        const q35i_arg *a = &c->args[i];
        if (a->kind == Q35I_ARG_NEW && !*(const void *const *)a->at)
            return Q35_FAIL(Q35_E_INTERNAL, "ok, but no %s", q35i_object_type_name(a->type));
        if (a->kind == Q35I_ARG_OUT && memcmp(a->at, &c->before, sizeof c->before) != 0)
            return Q35_FAIL(Q35_E_INTERNAL, "the header of %s was changed", a->name);
    }
    return h && h->after ? h->after(c) : Q35_OK;
}
