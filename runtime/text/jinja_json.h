/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON in and out, as Python's json module reads and writes it, and Python's own spelling of values. */
#ifndef Q35I_JINJA_JSON_H
#define Q35I_JINJA_JSON_H

#include "runtime/text/jinja_out.h"

/* Value of a JSON text; strings are copied. FORMAT for malformed JSON; name: for messages. Of keys that occur
 * twice, the last counts. */
q35_status q35i_jv_from_json(q35i_heap *heap, const char *name, const char *text, uint64_t n, q35i_jv *out);

typedef struct q35i_json_style {
    int indent;  /* below 0: on one line */
    bool ascii;  /* other characters as \uXXXX */
    bool python; /* strings, none, true and numbers as Python's repr */
    const char *comma, *colon;
} q35i_json_style;

/* As json.dumps does by default, but for ensure_ascii, which is off. */
q35i_json_style q35i_json_style_default(void);

/* Appends the value; UNSUPPORTED for one that JSON has no form of, or with too many levels. */
q35_status q35i_jv_to_json(q35i_jv v, const q35i_json_style *style, q35i_jout *out);

/* Appends str(value). */
q35_status q35i_jv_to_text(q35i_jv v, q35i_jout *out);

#endif
