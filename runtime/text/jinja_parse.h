/* SPDX-License-Identifier: Apache-2.0
 *
 * Parser of chat templates: what statements and expressions share. One thread at a time. */
#ifndef Q35I_JINJA_PARSE_H
#define Q35I_JINJA_PARSE_H

#include "runtime/text/jinja_ast.h"
#include "runtime/text/jinja_lex.h"

typedef struct q35i_jparser {
    q35i_jinja *jinja;
    q35i_jlexer lexer;
    uint32_t depth;                /* of the parser's own recursion */
    q35i_jnode *calls;             /* of macros, linked through d */
    bool macros[Q35I_JINJA_NAMES]; /* by name: the template defines one */
} q35i_jparser;

/* List under construction. */
typedef struct q35i_jnodes {
    q35i_jnode *first, *last;
} q35i_jnodes;

/* FORMAT: names the current token and what should stand there. */
q35_status q35i_jparse_wrong(const q35i_jparser *p, const char *need);
/* UNSUPPORTED: "filter 'x' is not known here". */
q35_status q35i_jparse_unknown(const q35i_jparser *p, const char *what, q35_string name);

q35_status q35i_jparse_node(q35i_jparser *p, q35i_jnode_kind kind, q35i_jnode *a, q35i_jnode *b, q35i_jnode **out);
/* Another child of a node. */
q35_status q35i_jparse_more(q35i_jparser *p, q35i_jnode *node, q35i_jnode **place, q35i_jnode *child);
void q35i_jparse_append(q35i_jnodes *list, q35i_jnode *node);
/* A level of recursion; leave after success only. */
q35_status q35i_jparse_enter(q35i_jparser *p);

/* Goes past a sign or a word that must stand there. */
q35_status q35i_jparse_expect(q35i_jparser *p, q35i_jtoken_kind kind, const char *text);
q35_status q35i_jparse_accept(q35i_jparser *p, q35i_jtoken_kind kind, const char *text, bool *taken);

/* A variable's name at the place. */
q35_status q35i_jparse_name(q35i_jparser *p, q35i_jnode **out);
/* Template text as a constant. */
q35_status q35i_jparse_text(q35i_jparser *p, q35i_jnode_kind kind, q35_string text, q35i_jnode **out);

/* with_if: "x if y else z" may stand here. */
q35_status q35i_jparse_expression(q35i_jparser *p, bool with_if, q35i_jnode **out);

#endif
