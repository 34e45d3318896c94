/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of chat templates, with the meaning of Python's. They live in a heap and never change once made, but for
 * the members of a namespace. Every byte of a string knows where it comes from: the template, whose control tokens
 * count, or a message, which is plain text. */
#ifndef Q35I_JINJA_VALUE_H
#define Q35I_JINJA_VALUE_H

#include "runtime/text/jinja_heap.h"

#include <q35rt/model.h>

#include <stdbool.h>

typedef enum q35i_jv_kind {
    Q35I_JV_UNDEFINED,
    Q35I_JV_NONE,
    Q35I_JV_BOOL,
    Q35I_JV_INT,
    Q35I_JV_LONG, /* an integer of more than 64 bits, kept as its digits */
    Q35I_JV_FLOAT,
    Q35I_JV_STRING,
    Q35I_JV_LIST,
    Q35I_JV_DICT,
    Q35I_JV_SPACE, /* namespace() */
    Q35I_JV_LOOP
} q35i_jv_kind;

typedef struct q35i_jstr {
    uint64_t n; /* bytes */
    const char *bytes;
    const uint8_t *marks; /* [n] 1: a byte of the template; NULL: none is */
    bool safe;            /* passed the filter safe: text added to it is escaped for HTML */
} q35i_jstr;

typedef struct q35i_jv q35i_jv;
typedef struct q35i_jlist q35i_jlist;
typedef struct q35i_jdict q35i_jdict;
typedef struct q35i_jloop q35i_jloop;

struct q35i_jv {
    q35i_jv_kind kind;
    union {
        bool b;
        int64_t i;
        double f;
        const q35i_jstr *s; /* also the digits of a long integer */
        const q35i_jlist *list;
        q35i_jdict *dict; /* also of a namespace */
        const q35i_jloop *loop;
    } u;
};

struct q35i_jlist {
    uint64_t n;
    q35i_jv *items;
};

typedef struct q35i_jpair {
    q35i_jstr key;
    q35i_jv value;
} q35i_jpair;

struct q35i_jdict {
    uint64_t n, cap;
    q35i_jpair *pairs; /* in order of insertion */
};

/* State of a for loop, as the variable loop shows it. */
struct q35i_jloop {
    const q35i_jlist *items;
    uint64_t at;
};

static inline q35i_jv q35i_jv_undefined(void)
{
    return (q35i_jv){.kind = Q35I_JV_UNDEFINED};
}

static inline q35i_jv q35i_jv_none(void)
{
    return (q35i_jv){.kind = Q35I_JV_NONE};
}

static inline q35i_jv q35i_jv_bool(bool b)
{
    return (q35i_jv){.kind = Q35I_JV_BOOL, .u.b = b};
}

static inline q35i_jv q35i_jv_int(int64_t i)
{
    return (q35i_jv){.kind = Q35I_JV_INT, .u.i = i};
}

static inline q35i_jv q35i_jv_float(double f)
{
    return (q35i_jv){.kind = Q35I_JV_FLOAT, .u.f = f};
}

static inline q35i_jv q35i_jv_string(const q35i_jstr *s)
{
    return (q35i_jv){.kind = Q35I_JV_STRING, .u.s = s};
}

static inline q35i_jv q35i_jv_list(const q35i_jlist *list)
{
    return (q35i_jv){.kind = Q35I_JV_LIST, .u.list = list};
}

static inline q35i_jv q35i_jv_dict(q35i_jdict *dict)
{
    return (q35i_jv){.kind = Q35I_JV_DICT, .u.dict = dict};
}

/* A string of borrowed bytes without marks. */
q35_status q35i_jv_text(q35i_heap *heap, const char *bytes, uint64_t n, q35i_jv *out);

/* Bytes [from, from + n) of a string, shared with it. */
q35_status q35i_jv_part(q35i_heap *heap, const q35i_jstr *s, uint64_t from, uint64_t n, q35i_jv *out);

q35_status q35i_jlist_make(q35i_heap *heap, uint64_t n, q35i_jlist **out);

/* cap: pairs that will be set. */
q35_status q35i_jdict_make(q35i_heap *heap, uint64_t cap, q35i_jdict **out);
/* Adds or replaces. key: borrowed. */
q35_status q35i_jdict_set(q35i_heap *heap, q35i_jdict *dict, q35i_jstr key, q35i_jv value);
/* Adds a pair that is not there yet, with a literal key. */
q35_status q35i_jdict_put(q35i_heap *heap, q35i_jdict *dict, const char *key, q35i_jv value);
/* NULL: absent. */
const q35i_jv *q35i_jdict_get(const q35i_jdict *dict, const char *key, uint64_t n);

bool q35i_jstr_equal(const q35i_jstr *s, const char *bytes, uint64_t n);
bool q35i_jstr_is(const q35i_jstr *s, const char *literal);

/* "a string", "none" ... */
const char *q35i_jv_kind_name(q35i_jv_kind kind);

bool q35i_jv_truth(q35i_jv v);

/* Characters of a string: bytes that begin one. */
uint64_t q35i_jstr_length(const q35i_jstr *s);
/* Offset of the i-th character, n when it has fewer. */
uint64_t q35i_jstr_offset(const q35i_jstr *s, uint64_t i);

#endif
