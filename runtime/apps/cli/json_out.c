/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON on standard output. */
#include "json_out.h"

#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Length of the well-formed UTF-8 sequence at s (1..4), 0 when there is none. Unicode 15, table 3-7. */
static size_t utf8_length(const unsigned char *s, uint64_t left)
{
    static const struct {
        unsigned char first_lo, first_hi, second_lo, second_hi, len;
    } forms[] = {{0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
                 {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
                 {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (s[0] < forms[i].first_lo || s[0] > forms[i].first_hi)
            continue;
        if (forms[i].len > left || (forms[i].len > 1 && (s[1] < forms[i].second_lo || s[1] > forms[i].second_hi)))
            return 0;
        for (size_t k = 2; k < forms[i].len; k++)
            if ((s[k] & 0xc0) != 0x80)
                return 0;
        return forms[i].len;
    }
    return 0;
}

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
