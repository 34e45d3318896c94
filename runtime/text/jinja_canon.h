/* SPDX-License-Identifier: Apache-2.0
 *
 * One spelling for all ways to write the same Jinja template. Pure. */
#ifndef Q35I_JINJA_CANON_H
#define Q35I_JINJA_CANON_H

#include <q35rt/model.h>

/* Marks in the canonical form; a template that holds such bytes has none. */
#define Q35I_JINJA_OPEN  '\x01' /* start of a string */
#define Q35I_JINJA_CLOSE '\x02' /* its end */

/* Writes the canonical form of a template: comments and insignificant blanks gone, strings between the marks with
 * escapes resolved, a.b written as a['b'], text outside tags turned into output tags (after the white-space rules
 * that chat templates are rendered with: trim_blocks and lstrip_blocks), and neighbouring outputs and strings
 * joined. *out: NUL-terminated, free with q35i_free; NULL when the template is malformed or uses what this does
 * not know. */
q35_status q35i_jinja_canon(q35_string source, char **out);

#endif
