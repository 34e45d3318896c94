/* SPDX-License-Identifier: Apache-2.0
 *
 * A layer between the host and a plugin, for any plugin and without its help: Q35RT_PLUGIN_TRACE=FILE writes a
 * line per call, Q35RT_PLUGIN_CHECK=1 tests what both sides promise (layer_check.c). The functions of the layer
 * are generated from the ABI's headers (layer.awk); here is what they share. */
#ifndef Q35I_LAYER_H
#define Q35I_LAYER_H

#include "runtime/device/extension.h"

#include <pthread.h>
#include <stdbool.h>

/* The table to use in place of `api`: api itself unless the environment asks for a layer. The same for the same
 * api. IO: the trace cannot be written; RANGE: too many plugins. */
q35_status q35i_layer_wrap(const q35_plugin *api, const q35_plugin **out);
/* After the plugin's shutdown, before its file is unmapped. Any table that wrap returned. */
void q35i_layer_release(const q35_plugin *table);

/* ---- what the generated functions use ---- */

typedef enum q35i_arg_kind {
    Q35I_ARG_NUMBER,
    Q35I_ARG_POINTER,
    Q35I_ARG_STRUCT,  /* in, with q35_hdr */
    Q35I_ARG_OUT,     /* out, with q35_hdr */
    Q35I_ARG_OUT_U32, /* out */
    Q35I_ARG_OUT_U64, /* out */
    Q35I_ARG_OBJECT,  /* a handle of the plugin */
    Q35I_ARG_NEW      /* out: a new one */
} q35i_arg_kind;

typedef enum q35i_object_type {
    Q35I_OBJECT_NONE,
    Q35I_OBJECT_DEVICE,
    Q35I_OBJECT_PLAN,
    Q35I_OBJECT_BUF,
    Q35I_OBJECT_QUEUE,
    Q35I_OBJECT_TIMELINE,
    Q35I_OBJECT_RECORDING,
    Q35I_OBJECT_COMM,
    Q35I_OBJECT_TYPES
} q35i_object_type;

enum {
    Q35I_TABLE_PLUGIN,
    Q35I_TABLE_MEASURE,
    Q35I_TABLE_ENERGY,
    Q35I_TABLE_PEER,
    Q35I_TABLE_CAPTURE,
    Q35I_TABLE_COLLECTIVES,
    Q35I_TABLES
};

typedef struct q35i_arg {
    const char *name;
    q35i_arg_kind kind;
    q35i_object_type type; /* of OBJECT and NEW */
    uint64_t number;
    const void *at; /* the argument, when it is a pointer */
} q35i_arg;

/* A handle that the plugin gave out and the host has not given back. */
typedef struct q35i_object {
    struct q35i_object *next;
    const void *handle;
    const void *parent; /* the device */
    q35i_object_type type;
    uint32_t id;        /* "plan7": counted per type and plugin */
    uint32_t n_tensors; /* plan: of its region */
    bool bound;         /* plan */
    bool recording;     /* queue: between begin and end */
    /* plan, buf, recording: the last submission that uses it; queue: submissions so far */
    const void *queue;
    uint64_t submission;
} q35i_object;

enum { Q35I_LAYER_POINTS = 64 };

/* Submission n of a queue signals the point. */
typedef struct q35i_promise {
    const void *queue;
    uint64_t submission;
    q35_point point;
} q35i_promise;

typedef struct q35i_layer {
    const void *real[Q35I_TABLES]; /* the plugin's tables, NULL: none; without the first the layer is free */
    bool has_lock;
    pthread_mutex_t lock; /* of what follows */
    q35i_object *objects;
    uint32_t n_objects[Q35I_OBJECT_TYPES]; /* so far */
    q35i_promise promises[Q35I_LAYER_POINTS];
    uint64_t n_promises;
} q35i_layer;

typedef struct q35i_call {
    q35i_layer *layer;
    const char *table, *slot;
    const q35i_arg *args;
    uint32_t n_args;
    q35_status status;  /* of slots that return one */
    const void *result; /* of extension */
    uint64_t begin_ns;
    q35_hdr before; /* of the OUT argument */
    bool refused;   /* the plugin was not called */
    char text[512]; /* the thread's error text before: a call that works leaves it alone */
} q35i_call;

/* False: the call must not reach the plugin; c->status says why. */
bool q35i_call_before(q35i_call *c);
/* Returns the status for the host: the plugin's, or INTERNAL when it did not keep its word. */
q35_status q35i_call_after(q35i_call *c);
const q35_hdr *q35i_layer_extension(q35i_layer *l, const void *real);

/* ---- layer_objects.c; the lock is the caller's ---- */

q35i_object *q35i_object_find(q35i_layer *l, q35i_object_type type, const void *handle); /* NULL: unknown */
/* A new object; NULL: out of memory, or the handle is known. */
q35i_object *q35i_object_add(q35i_layer *l, q35i_object_type type, const void *handle, const void *parent);
void q35i_object_remove(q35i_layer *l, q35i_object_type type, const void *handle);
const char *q35i_object_type_name(q35i_object_type type);
/* Notes that the object is used by the submission just made on the queue. */
void q35i_object_use(q35i_layer *l, q35i_object_type type, const void *handle, const q35i_object *queue);
void q35i_promise_add(q35i_layer *l, const q35i_object *queue, const q35_point *point);
/* Whether nothing queued is known to use the object any more. Asks the plugin's timelines. */
bool q35i_object_idle(q35i_layer *l, const q35i_object *object);

/* ---- layer_check.c ---- */

/* OK, or what the host did wrong. The lock is held. */
q35_status q35i_check_before(q35i_call *c);
/* OK, or what the plugin did wrong. The lock is not held. */
q35_status q35i_check_after(q35i_call *c);

static inline const q35i_arg *q35i_call_arg(const q35i_call *c, const char *name)
{
    for (uint32_t i = 0; i < c->n_args; i++)
        for (const char *a = c->args[i].name, *b = name; *a == *b; a++, b++)
            if (*a == '\0')
                return &c->args[i];
    return NULL;
}

#endif
