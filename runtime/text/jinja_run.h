/* SPDX-License-Identifier: Apache-2.0
 *
 * One rendering of a chat template. Bounded in steps, memory, output and depth, so any template ends. The
 * functions that compute leave out the line in their messages; statements add it. One thread at a time. */
#ifndef Q35I_JINJA_RUN_H
#define Q35I_JINJA_RUN_H

#include "runtime/text/jinja_ast.h"
#include "runtime/text/jinja_out.h"

#include <time.h>

typedef struct q35i_jvar {
    struct q35i_jvar *next;
    uint32_t name;
    q35i_jv value;
} q35i_jvar;

/* Variables of a loop's turn or a macro's call. */
typedef struct q35i_jframe {
    struct q35i_jframe *parent; /* NULL: the template's own variables are around it */
    q35i_jvar *vars;
} q35i_jframe;

typedef enum q35i_jflow { Q35I_JFLOW_ON, Q35I_JFLOW_BREAK, Q35I_JFLOW_CONTINUE } q35i_jflow;

typedef struct q35i_jrun {
    const q35i_jinja *jinja;
    q35i_heap heap;
    q35i_jout *out;            /* what is written goes there */
    uint64_t steps, max_steps; /* about one per node computed, and one per 64 bytes copied or compared */
    uint32_t depth;
    bool located; /* the error record names a line */
    q35i_jv globals[Q35I_JINJA_NAMES];
    const q35i_jnode *macros[Q35I_JINJA_NAMES]; /* NULL: not defined yet */
    q35i_jframe *frame;                         /* NULL: outside of loops and macros */
    q35i_jflow flow;
    time_t now; /* for strftime_now */
} q35i_jrun;

/* bytes: of the messages; the limits grow with them. run: zeroed. */
void q35i_jrun_init(q35i_jrun *run, const q35i_jinja *jinja, q35i_jout *out, uint64_t bytes);
void q35i_jrun_free(q35i_jrun *run); /* zeroed or half-built ok */

void q35i_jrun_set(q35i_jrun *run, const char *name, q35i_jv value);

/* Writes the text. INVALID: the template raised an exception; UNSUPPORTED: a limit, or an operation on values that
 * do not have it. */
q35_status q35i_jrun_go(q35i_jrun *run);

/* ---- parts ---- */

q35_status q35i_jrun_step(q35i_jrun *run, uint64_t bytes);

q35_status q35i_jrun_eval(q35i_jrun *run, const q35i_jnode *node, q35i_jv *out);
q35_status q35i_jrun_body(q35i_jrun *run, const q35i_jnode *first);
/* What fn writes, as a string. */
q35_status q35i_jrun_capture(q35i_jrun *run, const q35i_jnode *body, q35i_jv *out);
q35_status q35i_jrun_define(q35i_jrun *run, uint32_t name, q35i_jv value);

enum { Q35I_JARGS = 8 };

typedef struct q35i_jargs {
    uint32_t n, n_keywords;
    q35i_jv v[Q35I_JARGS];
    struct {
        const q35i_jstr *name;
        q35i_jv v;
    } keywords[Q35I_JARGS];
} q35i_jargs;

q35_status q35i_jargs_eval(q35i_jrun *run, const q35i_jnode *list, q35i_jargs *args);
/* The argument at a position or of a name, NULL: not given. */
const q35i_jv *q35i_jargs_get(const q35i_jargs *args, uint32_t position, const char *name);

q35_status q35i_jop_binary(q35i_jrun *run, q35i_jinja_op op, q35i_jv a, q35i_jv b, q35i_jv *out);
q35_status q35i_jop_equal(q35i_jrun *run, q35i_jv a, q35i_jv b, bool *out);
/* *order: below, equal to or above 0. */
q35_status q35i_jop_compare(q35i_jrun *run, q35i_jv a, q35i_jv b, int *order);
q35_status q35i_jop_index(q35i_jrun *run, q35i_jv object, q35i_jv index, q35i_jv *out);
q35_status q35i_jop_member(q35i_jrun *run, q35i_jv object, const q35i_jstr *name, q35i_jv *out);
/* start, stop, step: none where left out. */
q35_status q35i_jop_slice(q35i_jrun *run, q35i_jv object, const q35i_jv part[3], q35i_jv *out);
/* Elements of a list, keys of a dict, characters of a string. */
q35_status q35i_jop_list(q35i_jrun *run, q35i_jv v, const q35i_jlist **out);
/* str(v) */
q35_status q35i_jop_text(q35i_jrun *run, q35i_jv v, const q35i_jstr **out);

q35_status q35i_jrun_filter(q35i_jrun *run, uint32_t filter, q35i_jv v, const q35i_jargs *args, q35i_jv *out);
q35_status q35i_jrun_test(q35i_jrun *run, uint32_t test, q35i_jv v, q35i_jv argument, bool *out);
q35_status q35i_jrun_method(q35i_jrun *run, uint32_t method, q35i_jv object, const q35i_jargs *args, q35i_jv *out);
q35_status q35i_jrun_function(q35i_jrun *run, const q35i_jnode *call, q35i_jv *out);

/* Keys, values or pairs of both. */
q35_status q35i_jdict_list(q35i_jrun *run, const q35i_jdict *dict, bool keys, bool values, q35i_jv *out);

/* Strings, for filters and methods. */
typedef enum q35i_jcase { Q35I_JCASE_LOWER, Q35I_JCASE_UPPER, Q35I_JCASE_TITLE, Q35I_JCASE_CAPITAL } q35i_jcase;
q35_status q35i_jtext_case(q35i_jrun *run, const q35i_jstr *s, q35i_jcase to, q35i_jv *out);
/* set: characters to strip, NULL: white space. sides: bit 0 the left, bit 1 the right. */
q35_status q35i_jtext_strip(q35i_jrun *run, const q35i_jstr *s, const q35i_jstr *set, uint32_t sides,
                            q35i_jv *out);
/* most: below 0: all. */
q35_status q35i_jtext_replace(q35i_jrun *run, const q35i_jstr *s, const q35i_jstr *old, const q35i_jstr *by,
                              int64_t most, q35i_jv *out);
q35_status q35i_jtext_join(q35i_jrun *run, const q35i_jlist *list, const q35i_jstr *between, q35i_jv *out);
/* Offset of the first occurrence at or after `from`, UINT64_MAX for none. Linear time. */
q35_status q35i_jtext_find(q35i_jrun *run, const q35i_jstr *s, const q35i_jstr *what, uint64_t from,
                           uint64_t *out);
/* For HTML. */
q35_status q35i_jtext_escape(q35i_jrun *run, const q35i_jstr *s, q35i_jv *out);

#endif
