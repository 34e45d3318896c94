/* SPDX-License-Identifier: Apache-2.0
 *
 * Talking to the host: errors, log, memory. */
#include "cuda.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const q35_host *q35i_cuda_host;

q35_status q35i_cuda_fail(q35_status code, const char *fmt, ...)
{
    char text[320];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return q35i_cuda_host->fail(code, text);
}

void q35i_cuda_log(int32_t level, const char *fmt, ...)
{
    char text[320];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    q35i_cuda_host->log(level, text);
}

void q35i_cuda_answer(q35_hdr *out, const q35_hdr *filled)
{
    uint32_t size = filled->size < out->size ? filled->size : out->size;
    if (size > sizeof *out)
        memcpy((char *)out + sizeof *out, (const char *)filled + sizeof *out, size - sizeof *out);
}

void *q35i_cuda_calloc(uint64_t count, uint64_t size)
{
    uint64_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *p = q35i_cuda_host->alloc(bytes ? bytes : 1, 64, -1);
    if (p)
        memset(p, 0, bytes);
    return p;
}

void q35i_cuda_free(void *ptr)
{
    if (ptr)
        q35i_cuda_host->free(ptr);
}
