/* SPDX-License-Identifier: Apache-2.0
 *
 * Putting a layer around a plugin's table, and what happens around each call: checks, the call, checks, a line of
 * the trace. */
#define _GNU_SOURCE
#include "layer.h"

#include "runtime/base/clock.h"
#include "runtime/base/env.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "layer_generated.h"

enum { LINE_CAP = 1024 };

static pthread_mutex_t layers_lock = PTHREAD_MUTEX_INITIALIZER;
static int checks, trace_fd = -1;
static uint64_t trace_begin_ns;
static q35_plugin plugin_tables[N_LAYERS];
static q35_measure measure_tables[N_LAYERS];
static q35_energy energy_tables[N_LAYERS];
static q35_peer peer_tables[N_LAYERS];
static q35_capture capture_tables[N_LAYERS];
static q35_collectives collectives_tables[N_LAYERS];

/* ---- the trace ---- */

typedef struct trace_line {
    char text[LINE_CAP];
    size_t len;
} trace_line;

Q35_PRINTF(2, 3) static void add(trace_line *line, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line->text + line->len, LINE_CAP - line->len, fmt, args);
    va_end(args);
    line->len = n < 0 ? line->len : line->len + (size_t)n < LINE_CAP ? line->len + (size_t)n : LINE_CAP - 1;
}

static void add_object(trace_line *line, q35i_layer *l, q35i_object_type type, const void *handle)
{
    const q35i_object *o = q35i_object_find(l, type, handle);
    if (o)
        add(line, "%s%" PRIu32, q35i_object_type_name(type), o->id);
    else
        add(line, "%s", handle ? "unknown" : "none");
}

/* Structs that say more than that they are there. */
static void add_struct(trace_line *line, const q35_hdr *h)
{
    const void *at = h;
    const q35_support *support = at;
    const q35_region *region = at;
    if (h->type == Q35_STRUCT_SUPPORT && support->ok)
        add(line, "yes");
    else if (h->type == Q35_STRUCT_SUPPORT)
        add(line, "no: %.127s", support->reason);
    else if (h->type == Q35_STRUCT_REGION && region->n_nodes == 1)
        add(line, "op %" PRIu32, region->nodes[0]->op);
    else if (h->type == Q35_STRUCT_REGION)
        add(line, "%" PRIu32 " nodes", region->n_nodes);
    else if (h->type == Q35_STRUCT_COST)
        add(line, "%" PRIu64 " ns", ((const q35_cost *)at)->ns);
    else
        add(line, "struct %" PRIu32 " of %" PRIu32 " bytes", h->type, h->size);
}

static void add_argument(trace_line *line, const q35i_call *c, const q35i_arg *a)
{
    uint32_t u32;
    uint64_t u64;
    add(line, "%s=", a->name);
    if (a->kind == Q35I_ARG_NUMBER)
        add(line, "%" PRIu64, a->number);
    else if (!a->at)
        add(line, "none");
    else if (a->kind == Q35I_ARG_OBJECT)
        add_object(line, c->layer, a->type, a->at);
    else if (a->kind == Q35I_ARG_NEW && c->status == Q35_OK)
        add_object(line, c->layer, a->type, *(const void *const *)a->at);
    else if (a->kind == Q35I_ARG_OUT_U32 && c->status == Q35_OK)
        add(line, "%" PRIu32, *(const uint32_t *)memcpy(&u32, a->at, sizeof u32));
    else if (a->kind == Q35I_ARG_OUT_U64 && c->status == Q35_OK)
        add(line, "%" PRIu64, *(const uint64_t *)memcpy(&u64, a->at, sizeof u64));
    else if (a->kind == Q35I_ARG_STRUCT || (a->kind == Q35I_ARG_OUT && c->status == Q35_OK))
        add_struct(line, a->at);
    else
        add(line, "%s", a->kind == Q35I_ARG_POINTER ? "given" : "unset");
}

/* The lock is held: handles that the call releases still have their names. */
static void trace(const q35i_call *c, uint64_t ns)
{
    trace_line line = {.len = 0};
    const q35_plugin *api = c->layer->real[Q35I_TABLE_PLUGIN];
    add(&line, "%" PRIu64 " %s %s.%s(", (c->begin_ns - trace_begin_ns) / 1000, api->id, c->table, c->slot);
    for (uint32_t i = 0; i < c->n_args; i++) {
        add(&line, "%s", i ? ", " : "");
        add_argument(&line, c, &c->args[i]);
    }
    add(&line, ") %" PRIu32 " %" PRIu64 " ns", c->status, ns);
    if (c->status != Q35_OK)
        add(&line, ": %.300s", q35_error_message());
    line.text[line.len] = '\n';
    if (write(trace_fd, line.text, line.len + 1) < 0)
        trace_fd = -1; /* a full disk ends the trace, not the run */
}

/* ---- calls ---- */

/* Where the plugin's answer was not what it promised, or the host's question was none. */
static q35_status complain(const q35i_call *c, q35_status status, const char *who)
{
    const q35_plugin *api = c->layer->real[Q35I_TABLE_PLUGIN];
    q35i_fail_context(status, "check: %s: plugin %s: %s.%s", who, api->id, c->table, c->slot);
    q35i_log(Q35_LOG_ERROR, "%s", q35_error_message());
    return status;
}

static bool releases(const q35i_call *c)
{
    return c->n_args == 1 && c->args[0].kind == Q35I_ARG_OBJECT &&
           (strstr(c->slot, "free") || strstr(c->slot, "destroy") || strstr(c->slot, "close"));
}

bool q35i_call_before(q35i_call *c)
{
    q35_status status = Q35_OK;
    for (uint32_t i = 0; i < c->n_args; i++)
        if (c->args[i].kind == Q35I_ARG_OUT && c->args[i].at)
            memcpy(&c->before, c->args[i].at, sizeof c->before);
    if (checks) {
        pthread_mutex_lock(&c->layer->lock);
        status = q35i_check_before(c);
        pthread_mutex_unlock(&c->layer->lock);
    }
    c->begin_ns = q35i_now_ns();
    if (status == Q35_OK) {
        if (checks) {
            snprintf(c->text, sizeof c->text, "%s", q35_error_message());
            (void)Q35_FAIL(Q35_E_INTERNAL, "%s", "");
        }
        return true;
    }
    c->status = complain(c, status, "host");
    c->refused = true;
    return false;
}

/* Objects made and released by a call. */
static void follow(const q35i_call *c)
{
    const void *device = NULL;
    if (c->n_args > 0 && c->args[0].kind == Q35I_ARG_OBJECT) {
        const q35i_object *first = q35i_object_find(c->layer, c->args[0].type, c->args[0].at);
        device = first && first->type != Q35I_OBJECT_DEVICE ? first->parent : c->args[0].at;
    }
    for (uint32_t i = 0; i < c->n_args; i++)
        if (c->args[i].kind == Q35I_ARG_NEW && c->status == Q35_OK && *(const void *const *)c->args[i].at)
            (void)q35i_object_add(c->layer, c->args[i].type, *(const void *const *)c->args[i].at, device);
}

q35_status q35i_call_after(q35i_call *c)
{
    const uint64_t ns = q35i_now_ns() - c->begin_ns;
    if (c->refused)
        return c->status;
    pthread_mutex_lock(&c->layer->lock);
    follow(c);
    if (trace_fd >= 0)
        trace(c, ns);
    if (releases(c))
        q35i_object_remove(c->layer, c->args[0].type, c->args[0].at);
    pthread_mutex_unlock(&c->layer->lock);
    if (!checks)
        return c->status;
    q35_status status = q35i_check_after(c);
    if (status != Q35_OK)
        return complain(c, status, "plugin");
    if (c->status == Q35_OK)
        (void)Q35_FAIL(Q35_E_INTERNAL, "%s", c->text);
    return c->status;
}

/* ---- tables ---- */

/* Copies what the plugin's table and ours have in common; the rest stays absent. */
static void copy_table(void *table, uint32_t bytes, const q35_hdr *real)
{
    memset(table, 0, bytes);
    memcpy(table, real, real->size < bytes ? real->size : bytes);
    ((q35_hdr *)table)->size = real->size < bytes ? real->size : bytes;
}

#define WRAP(kind, KIND)                                                                                          \
    (copy_table(&kind##_tables[which], sizeof kind##_tables[which], real), l->real[Q35I_TABLE_##KIND] = real,     \
     fill_##kind(which, &kind##_tables[which], real), &kind##_tables[which].h)

const q35_hdr *q35i_layer_extension(q35i_layer *l, const void *real)
{
    const uint32_t which = (uint32_t)(l - layers);
    const q35_hdr *h = real, *wrapped = real;
    if (!h || h->size < sizeof *h)
        return h;
    pthread_mutex_lock(&l->lock); /* the same bytes each time: readers of an earlier answer see no change */
    switch (h->type) {
    case Q35_STRUCT_MEASURE:
        wrapped = l->real[Q35I_TABLE_MEASURE] ? &measure_tables[which].h : WRAP(measure, MEASURE);
        break;
    case Q35_STRUCT_ENERGY:
        wrapped = l->real[Q35I_TABLE_ENERGY] ? &energy_tables[which].h : WRAP(energy, ENERGY);
        break;
    case Q35_STRUCT_PEER: wrapped = l->real[Q35I_TABLE_PEER] ? &peer_tables[which].h : WRAP(peer, PEER); break;
    case Q35_STRUCT_CAPTURE:
        wrapped = l->real[Q35I_TABLE_CAPTURE] ? &capture_tables[which].h : WRAP(capture, CAPTURE);
        break;
    case Q35_STRUCT_COLLECTIVES:
        wrapped = l->real[Q35I_TABLE_COLLECTIVES] ? &collectives_tables[which].h : WRAP(collectives, COLLECTIVES);
        break;
    default: break; /* unknown here: the plugin's own */
    }
    pthread_mutex_unlock(&l->lock);
    return wrapped;
}

/* What the environment asks for; once per process. */
static q35_status open_trace(void)
{
    static int asked;
    const char *check = q35i_env("Q35RT_PLUGIN_CHECK"), *file = q35i_env("Q35RT_PLUGIN_TRACE");
    if (asked)
        return Q35_OK;
    if (check && strcmp(check, "0") != 0 && strcmp(check, "1") != 0)
        return Q35_FAIL(Q35_E_INVALID, "Q35RT_PLUGIN_CHECK: '%s' found, 0 or 1 needed", check);
    checks = check && *check == '1';
    if (file) {
        trace_fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (trace_fd < 0)
            return Q35_FAIL(Q35_E_IO, "Q35RT_PLUGIN_TRACE: cannot write %.300s: %s", file, strerror(errno));
        trace_begin_ns = q35i_now_ns();
    }
    asked = 1;
    return Q35_OK;
}

static q35_status wrap(const q35_plugin *api, const q35_plugin **out)
{
    Q35_TRY(open_trace());
    if (!checks && trace_fd < 0)
        return Q35_OK;
    uint32_t which = 0, unused = N_LAYERS;
    for (; which < N_LAYERS && layers[which].real[Q35I_TABLE_PLUGIN] != api; which++)
        if (!layers[which].real[Q35I_TABLE_PLUGIN] && unused == N_LAYERS)
            unused = which;
    if (which == N_LAYERS && unused == N_LAYERS)
        return Q35_FAIL(Q35_E_RANGE, "plugin %s: %d plugins are traced or checked, which is all that can be",
                        api->id, (int)N_LAYERS);
    if (which == N_LAYERS) {
        q35i_layer *l = &layers[which = unused];
        const void *real = api;
        if (!l->has_lock)
            pthread_mutex_init(&l->lock, NULL);
        l->has_lock = true;
        (void)WRAP(plugin, PLUGIN);
    }
    *out = &plugin_tables[which];
    return Q35_OK;
}

q35_status q35i_layer_wrap(const q35_plugin *api, const q35_plugin **out)
{
    *out = api;
    pthread_mutex_lock(&layers_lock);
    q35_status status = wrap(api, out);
    pthread_mutex_unlock(&layers_lock);
    return status;
}

void q35i_layer_release(const q35_plugin *table)
{
    pthread_mutex_lock(&layers_lock);
    for (uint32_t which = 0; which < N_LAYERS; which++) {
        q35i_layer *l = &layers[which];
        if (table != &plugin_tables[which])
            continue;
        while (l->objects)
            q35i_object_remove(l, l->objects->type, l->objects->handle);
        memset(l->real, 0, sizeof l->real);
        memset(l->n_objects, 0, sizeof l->n_objects);
        l->n_promises = 0;
    }
    pthread_mutex_unlock(&layers_lock);
}
