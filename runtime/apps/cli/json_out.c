/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON on standard output. */
#include "json_out.h"

#include "cli.h"
#include "utf8_length.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

json_t *json_text_n(const char *text, uint64_t len)
{
    char *clean = malloc((size_t)(3 * len + 1));
    if (!clean)
        return NULL;
    uint64_t n = 0;
    for (uint64_t i = 0; i < len;) {
        size_t step = utf8_length((const unsigned char *)text + i, len - i);
        if (step) {
            memcpy(clean + n, text + i, step);
            n += step;
        } else {
            memcpy(clean + n, "\xef\xbf\xbd", 3);
            n += 3;
        }
        i += step ? step : 1;
    }
    json_t *value = json_stringn(clean, (size_t)n);
    free(clean);
    return value;
}

json_t *json_text(const char *text)
{
    return json_text_n(text, strlen(text));
}

json_t *json_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

int json_out(json_t *value)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(value);
    if (!text)
        return cli_fail(CLI_EXIT_NOFIT, "json output: out of memory");
    int rc = cli_write_out(text, strlen(text));
    if (rc == 0)
        rc = cli_write_out("\n", 1);
    free(text);
    return rc;
}
