/* SPDX-License-Identifier: Apache-2.0
 *
 * Strings with a length beside strings with an end. Pure. */
#ifndef Q35I_TEXT_H
#define Q35I_TEXT_H

#include <q35rt/model.h>

#include <stdbool.h>
#include <string.h>

/* Borrows text. */
static inline q35_string q35i_string_of(const char *text)
{
    return (q35_string){text, strlen(text)};
}

static inline bool q35i_string_is(q35_string s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

#endif
