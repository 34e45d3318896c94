/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzz target: any bytes as a chat template. A canonical form, when there is one, is bounded by the template's
 * length, and its string marks come in pairs, open before close. */
#include "runtime/base/alloc.h"
#include "runtime/text/jinja_canon.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    q35_string source = {(const char *)data, size};
    int inside = 0;
    char *text;
    if (q35i_jinja_canon(source, &text) != Q35_OK)
        abort();
    if (!text)
        return 0;
    if (strlen(text) > size * 4 + 16)
        abort();
    for (const char *c = text; *c; c++) {
        if ((*c == Q35I_JINJA_OPEN && inside) || (*c == Q35I_JINJA_CLOSE && !inside))
            abort();
        inside = *c == Q35I_JINJA_OPEN || (inside && *c != Q35I_JINJA_CLOSE);
    }
    if (inside)
        abort();
    q35i_free(text);
    return 0;
}
