/* SPDX-License-Identifier: Apache-2.0 */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char record[512];

const char *q35_status_name(q35_status status)
{
    switch (status) {
#define NAME(name, value, text)                                                                                   \
    case value: return #name;
        Q35_STATUS_MAP(NAME)
#undef NAME
    default: return "?";
    }
}

const char *q35_error_message(void)
{
    return record;
}

q35_status q35i_fail(q35_status code, const char *fmt, ...)
{
    char text[sizeof record]; /* arguments may point into the record */
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    memcpy(record, text, sizeof record);
    return code;
}

q35_status q35i_fail_context(q35_status code, const char *fmt, ...)
{
    char text[sizeof record];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n >= 0 && (size_t)n + 2 < sizeof text) /* what does not fit is cut */
        snprintf(text + n, sizeof text - (size_t)n, ": %.*s", (int)(sizeof text - (size_t)n - 3), record);
    memcpy(record, text, sizeof record);
    return code;
}
