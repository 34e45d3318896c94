/* SPDX-License-Identifier: Apache-2.0
 *
 * Text from a file made fit for a one-line message. */
#ifndef Q35I_QUOTE_H
#define Q35I_QUOTE_H

#include <q35rt/model.h>

/* Result of q35i_quote: printable ASCII, NUL-terminated. */
typedef struct q35i_quoted {
    char text[72];
} q35i_quoted;

/* Other bytes become '?', text beyond 64 bytes becomes "...". */
q35i_quoted q35i_quote(q35_string s);

/* 1 when s is not empty and all bytes are printable ASCII (names of keys and tensors). */
int q35i_is_name(q35_string s);

#endif
