/* SPDX-License-Identifier: Apache-2.0
 *
 * Text with marks, growing: what a template writes, and strings while they are put together. */
#ifndef Q35I_JINJA_OUT_H
#define Q35I_JINJA_OUT_H

#include "runtime/text/jinja_value.h"

typedef struct q35i_jout {
    char *bytes;
    uint8_t *marks; /* as in q35i_jstr */
    uint64_t n, cap;
    uint64_t limit; /* bytes, 0: none */
} q35i_jout;        /* zeroed: empty */

void q35i_jout_free(q35i_jout *out);

/* marks: NULL for text of a message. */
q35_status q35i_jout_add(q35i_jout *out, const char *bytes, uint64_t n, const uint8_t *marks);
q35_status q35i_jout_add_string(q35i_jout *out, const q35i_jstr *s);
/* Counts as text of a message. */
q35_status q35i_jout_add_literal(q35i_jout *out, const char *text);

/* A copy of bytes [from, n) in the heap. */
q35_status q35i_jout_string(const q35i_jout *out, uint64_t from, q35i_heap *heap, q35i_jv *result);

#endif
