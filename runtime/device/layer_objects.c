/* SPDX-License-Identifier: Apache-2.0
 *
 * Handles that are alive, and what is queued on them. Lists are walked: a layer is for finding mistakes. */
#include "layer.h"
#include "runtime/base/alloc.h"

q35i_object *q35i_object_find(q35i_layer *l, q35i_object_type type, const void *handle)
{
    for (q35i_object *o = l->objects; o; o = o->next)
        if (o->type == type && o->handle == handle)
            return o;
    return NULL;
}

q35i_object *q35i_object_add(q35i_layer *l, q35i_object_type type, const void *handle, const void *parent)
{
    if (q35i_object_find(l, type, handle))
        return NULL;
    q35i_object *o = q35i_calloc(1, sizeof *o);
    if (!o)
        return NULL;
    *o = (q35i_object){
        .next = l->objects, .handle = handle, .parent = parent, .type = type, .id = ++l->n_objects[type]};
    l->objects = o;
    return o;
}

void q35i_object_remove(q35i_layer *l, q35i_object_type type, const void *handle)
{
    for (q35i_object **link = &l->objects; *link; link = &(*link)->next) {
        q35i_object *o = *link;
        if (o->type != type || o->handle != handle)
            continue;
        *link = o->next;
        q35i_free(o);
        return;
    }
}

const char *q35i_object_type_name(q35i_object_type type)
{
    static const char *const names[Q35I_OBJECT_TYPES] = {"",      "device",   "plan",      "buf",
                                                         "queue", "timeline", "recording", "comm"};
    return names[type];
}

void q35i_object_use(q35i_layer *l, q35i_object_type type, const void *handle, const q35i_object *queue)
{
    q35i_object *o = q35i_object_find(l, type, handle);
    if (!o)
        return;
    o->queue = queue->handle;
    o->submission = queue->submission;
}

void q35i_promise_add(q35i_layer *l, const q35i_object *queue, const q35_point *point)
{
    l->promises[l->n_promises++ % Q35I_LAYER_POINTS] =
        (q35i_promise){.queue = queue->handle, .submission = queue->submission, .point = *point};
}

/* A queue works in order: once a later submission is done, so are the earlier. A failed timeline counts as done,
 * since nothing more happens for it. */
bool q35i_object_idle(q35i_layer *l, const q35i_object *o)
{
    const q35_plugin *api = l->real[Q35I_TABLE_PLUGIN];
    if (!o->queue || !q35i_object_find(l, Q35I_OBJECT_QUEUE, o->queue))
        return true;
    for (uint32_t i = 0; i < Q35I_LAYER_POINTS && i < l->n_promises; i++) {
        const q35i_promise *p = &l->promises[i];
        if (p->queue == o->queue && p->submission >= o->submission &&
            q35i_object_find(l, Q35I_OBJECT_TIMELINE, p->point.timeline) &&
            api->timeline_wait(p->point.timeline, p->point.value, 0) != Q35_E_TIMEOUT)
            return true;
    }
    return false;
}
