/* SPDX-License-Identifier: Apache-2.0
 *
 * Plugins are other people's code: levels and codes outside the documented range are brought into it, and texts
 * lose their control characters, before they reach a log or a terminal. */
#include "host.h"

#include "runtime/base/alloc.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/pool.h"

#include <stdio.h>

enum { TEXT_CAP = 480 };

static _Thread_local char *capture;
static _Thread_local size_t capture_cap;

void q35i_host_capture(char *text, size_t cap)
{
    capture = text;
    capture_cap = cap;
}

static void copy_line(char *dst, size_t cap, const char *src)
{
    size_t n = 0;
    for (; src && src[n] != '\0' && n + 1 < cap; n++)
        dst[n] = (unsigned char)src[n] < ' ' || src[n] == 0x7f ? ' ' : src[n];
    dst[n] = '\0';
}

static void host_log(int32_t level, const char *msg)
{
    char line[TEXT_CAP];
    level = level < Q35_LOG_ERROR ? Q35_LOG_ERROR : level > Q35_LOG_DEBUG ? Q35_LOG_DEBUG : level;
    copy_line(line, sizeof line, msg);
    if (capture && level <= Q35_LOG_INFO)
        snprintf(capture, capture_cap, "%s", line);
    q35i_log(level, "%s", line);
}

static q35_status host_fail(q35_status code, const char *msg)
{
    char line[TEXT_CAP];
    copy_line(line, sizeof line, msg);
    if (code == Q35_OK)
        return Q35_FAIL(Q35_E_INTERNAL, "plugin failed with status 0: %s", line);
    return Q35_FAIL(code, "%s", line);
}

/* numa is a wish the operating system already grants: a page lands on the node of the worker that touches it
 * first. */
static void *host_alloc(uint64_t bytes, uint64_t align, int32_t numa)
{
    (void)numa;
    if (bytes == 0 || align == 0 || (align & (align - 1)) != 0)
        return NULL;
    return q35i_alloc_aligned(bytes, align);
}

const q35_host *q35i_host_table(void)
{
    static const q35_host table = {.h = {sizeof table, Q35_STRUCT_HOST, NULL},
                                   .abi_major = Q35_ABI_MAJOR,
                                   .abi_minor = Q35_ABI_MINOR,
                                   .log = host_log,
                                   .fail = host_fail,
                                   .alloc = host_alloc,
                                   .free = q35i_free,
                                   .pool_size = q35i_pool_size,
                                   .parallel = q35i_pool_parallel,
                                   .barrier = q35i_pool_barrier,
                                   .now_ns = q35i_now_ns};
    return &table;
}
