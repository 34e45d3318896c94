/* SPDX-License-Identifier: Apache-2.0
 *
 * A parsed chat template. Immutable after parsing, usable from any thread. */
#ifndef Q35I_JINJA_AST_H
#define Q35I_JINJA_AST_H

#include "runtime/text/jinja_value.h"

enum {
    Q35I_JINJA_NAMES = 256, /* most names of variables */
    Q35I_JINJA_DEPTH = 200  /* most levels of nodes */
};

typedef enum q35i_jnode_kind {
    /* expressions */
    Q35I_JN_CONST,   /* value */
    Q35I_JN_NAME,    /* name */
    Q35I_JN_LIST,    /* a: elements */
    Q35I_JN_DICT,    /* a: PAIRs */
    Q35I_JN_PAIR,    /* a: key, b: value */
    Q35I_JN_ATTR,    /* a: object, value: name */
    Q35I_JN_INDEX,   /* a: object, b: index */
    Q35I_JN_SLICE,   /* a: object, b, c, d: start, stop, step, each may be NULL */
    Q35I_JN_CALL,    /* op: function, or 0 with the macro's name; a: arguments */
    Q35I_JN_METHOD,  /* op: method, a: object, b: arguments */
    Q35I_JN_FILTER,  /* op: filter, a: operand, b: arguments */
    Q35I_JN_TEST,    /* op: test, a: operand, b: argument */
    Q35I_JN_KEYWORD, /* an argument; value: name, a: expression */
    Q35I_JN_NOT,     /* a */
    Q35I_JN_MINUS,   /* a */
    Q35I_JN_BINARY,  /* op: q35i_jinja_op, a, b */
    Q35I_JN_AND,     /* a, b */
    Q35I_JN_OR,      /* a, b */
    Q35I_JN_IF_ELSE, /* a: condition, b: value, c: other value or NULL */
    /* statements */
    Q35I_JN_TEXT,      /* value */
    Q35I_JN_OUTPUT,    /* a */
    Q35I_JN_IF,        /* a: condition, b: body, c: else, or with op 1 the IF of an elif */
    Q35I_JN_FOR,       /* a: NAMEs, b: what to go over, c: body, d: FOR_MORE */
    Q35I_JN_FOR_MORE,  /* a: condition or NULL, b: else or NULL */
    Q35I_JN_SET,       /* a: NAMEs or one ATTR, b: value */
    Q35I_JN_SET_BLOCK, /* a: NAME or ATTR, b: body */
    Q35I_JN_MACRO,     /* name; a: NAMEs with a default in a each, b: body */
    Q35I_JN_BREAK,
    Q35I_JN_CONTINUE
} q35i_jnode_kind;

typedef enum q35i_jinja_op {
    Q35I_JO_ADD,
    Q35I_JO_SUB,
    Q35I_JO_MUL,
    Q35I_JO_DIV,
    Q35I_JO_FLOOR,
    Q35I_JO_MOD,
    Q35I_JO_JOIN, /* ~ */
    Q35I_JO_EQ,
    Q35I_JO_NE,
    Q35I_JO_LT,
    Q35I_JO_LE,
    Q35I_JO_GT,
    Q35I_JO_GE,
    Q35I_JO_IN,
    Q35I_JO_NOT_IN
} q35i_jinja_op;

/* Q35I_FILTER_..., Q35I_TEST_..., Q35I_METHOD_..., Q35I_FUNCTION_...: numbers from 1 on in each. */
#define FILTER_TOO(id, spelling)
#define TEST_TOO(id, spelling, argument)
#define TEST(id, spelling, argument)
#define METHOD(id, spelling)
#define FUNCTION(id, spelling)
#define FILTER(id, spelling) Q35I_FILTER_##id,
typedef enum q35i_jfilter {
    Q35I_FILTER_NONE,
#include "runtime/text/jinja_names.def"
} q35i_jfilter;
#undef FILTER
#undef TEST
#define FILTER(id, spelling)
#define TEST(id, spelling, argument) Q35I_TEST_##id,
typedef enum q35i_jtest {
    Q35I_TEST_NO,
#include "runtime/text/jinja_names.def"
} q35i_jtest;
#undef TEST
#undef METHOD
#define TEST(id, spelling, argument)
#define METHOD(id, spelling) Q35I_METHOD_##id,
typedef enum q35i_jmethod {
    Q35I_METHOD_NONE,
#include "runtime/text/jinja_names.def"
} q35i_jmethod;
#undef METHOD
#undef FUNCTION
#define METHOD(id, spelling)
#define FUNCTION(id, spelling) Q35I_FUNCTION_##id,
typedef enum q35i_jfunction {
    Q35I_FUNCTION_NONE,
#include "runtime/text/jinja_names.def"
} q35i_jfunction;
#undef FILTER
#undef FILTER_TOO
#undef TEST
#undef TEST_TOO
#undef METHOD
#undef FUNCTION

typedef struct q35i_jnode q35i_jnode;
struct q35i_jnode {
    q35i_jnode_kind kind;
    uint32_t op;
    uint32_t line;
    uint32_t name;  /* index into the template's names */
    uint32_t depth; /* levels from here down, of the first of a list: of all of it */
    q35i_jnode *a, *b, *c, *d;
    q35i_jnode *next; /* in a list */
    q35i_jv value;
};

typedef struct q35i_jinja {
    q35i_heap heap;
    q35_string source; /* line ends are \n */
    q35i_jnode *body;
    q35_string names[Q35I_JINJA_NAMES]; /* of variables */
    uint32_t n_names;
} q35i_jinja;

/* FORMAT with the line for what is no template, UNSUPPORTED for what is not known here. jinja: zeroed; freed by
 * the caller, also after a failure. */
q35_status q35i_jinja_parse(q35i_jinja *jinja, q35_string source);
void q35i_jinja_free(q35i_jinja *jinja); /* zeroed or half-built ok */

/* True when the source holds the text. */
bool q35i_jinja_mentions(const q35i_jinja *jinja, const char *text);

/* Number of a test or filter by its name, 0: not known. */
uint32_t q35i_jinja_test(q35_string name);
uint32_t q35i_jinja_filter(q35_string name);

/* Index of a name, Q35I_JINJA_NAMES when the template does not use it. */
uint32_t q35i_jinja_name(const q35i_jinja *jinja, const char *name);

#endif
