/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"
#include "runtime/base/error.h"

#include <string.h>

/* Cuts entry, plugin.key=value, at its two marks; 0 when it has no such form. */
static int cut(char *entry, char **key, char **value)
{
    char *dot = strchr(entry, '.'), *equals = dot ? strchr(dot, '=') : NULL;
    if (!equals || dot == entry || equals == dot + 1 || equals[1] == '\0')
        return 0;
    *dot = '\0';
    *equals = '\0';
    *key = dot + 1;
    *value = equals + 1;
    return 1;
}

q35_status q35i_device_options_parse(const char *list, const char *id, q35i_device_options *out)
{
    out->n = 0;
    size_t len = list ? strlen(list) : 0;
    if (len >= sizeof out->text)
        return Q35_FAIL(Q35_E_INVALID, "Q35RT_DEVICE_OPTIONS: %zu bytes, need at most %zu", len,
                        sizeof out->text - 1);
    memcpy(out->text, len ? list : "", len + 1);
    for (char *entry = out->text, *next; *entry; entry = next) {
        char *comma = strchr(entry, ','), *key, *value;
        next = comma ? comma + 1 : entry + strlen(entry);
        if (comma)
            *comma = '\0';
        if (!cut(entry, &key, &value))
            return Q35_FAIL(Q35_E_INVALID, "Q35RT_DEVICE_OPTIONS: entry '%s', need plugin.option=value", entry);
        if (strcmp(entry, id) != 0)
            continue;
        if (out->n == Q35I_MAX_DEVICE_OPTIONS)
            return Q35_FAIL(Q35_E_INVALID, "Q35RT_DEVICE_OPTIONS: option %u of %s, need at most %d", out->n + 1,
                            id, Q35I_MAX_DEVICE_OPTIONS);
        out->keys[out->n] = key;
        out->values[out->n++] = value;
    }
    return Q35_OK;
}
