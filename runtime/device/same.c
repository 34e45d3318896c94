/* SPDX-License-Identifier: Apache-2.0 */
#include "same.h"

#include <ctype.h>
#include <string.h>

enum { UUID_DIGITS = 32 };

/* The 32 digits of a uuid in lower case; 0: it has another form. */
static int uuid_digits(const char *text, char out[UUID_DIGITS + 1])
{
    size_t n = 0;
    for (; *text; text++) {
        if (*text == '-')
            continue;
        if (!isxdigit((unsigned char)*text) || n == UUID_DIGITS)
            return 0;
        out[n++] = (char)tolower((unsigned char)*text);
    }
    out[n] = '\0';
    return n == UUID_DIGITS;
}

int q35i_same_device(const q35_device_info *a, const q35_device_info *b)
{
    char x[UUID_DIGITS + 1], y[UUID_DIGITS + 1];
    if (uuid_digits(a->uuid, x) && uuid_digits(b->uuid, y))
        return strcmp(x, y) == 0;
    if (a->uuid[0] && strcmp(a->uuid, b->uuid) == 0)
        return 1;
    return a->pci[0] && strcmp(a->pci, b->pci) == 0;
}
