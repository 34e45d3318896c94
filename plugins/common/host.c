/* SPDX-License-Identifier: Apache-2.0 */
#include "plugins/common/host.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LINE = 64, TEXT = 512 };

const q35_host *q35p_host;

q35_status q35p_fail(q35_status code, const char *fmt, ...)
{
    char text[TEXT];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return q35p_host->fail(code, text);
}

void q35p_log(int32_t level, const char *fmt, ...)
{
    char text[TEXT];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    q35p_host->log(level, text);
}

void *q35p_alloc(uint64_t count, uint64_t size)
{
    uint64_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *p = q35p_host->alloc(bytes ? bytes : 1, LINE, -1);
    if (p)
        memset(p, 0, bytes);
    return p;
}

void q35p_free(void *ptr)
{
    if (ptr)
        q35p_host->free(ptr);
}

void q35p_answer(q35_hdr *out, const q35_hdr *filled)
{
    const uint32_t size = filled->size < out->size ? filled->size : out->size;
    if (size > sizeof *out)
        memcpy((char *)out + sizeof *out, (const char *)filled + sizeof *out, size - sizeof *out);
}
