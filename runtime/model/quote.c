/* SPDX-License-Identifier: Apache-2.0
 *
 * Text from a file made fit for a one-line message. */
#include "quote.h"

#include <string.h>

static int printable(char c)
{
    return c >= 0x20 && c <= 0x7e;
}

q35i_quoted q35i_quote(q35_string s)
{
    q35i_quoted q;
    uint64_t shown = s.len < 64 ? s.len : 64, i;
    for (i = 0; i < shown; i++)
        q.text[i] = printable(s.data[i]) ? s.data[i] : '?';
    memcpy(q.text + i, shown < s.len ? "..." : "", shown < s.len ? 4 : 1);
    return q;
}

int q35i_is_name(q35_string s)
{
    for (uint64_t i = 0; i < s.len; i++)
        if (!printable(s.data[i]))
            return 0;
    return s.len > 0;
}
