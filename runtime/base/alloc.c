/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include "alloc.h"

#include "error.h"
#include "size.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE (UINT64_C(2) << 20)

static atomic_uint_fast64_t fail_countdown; /* 0: off; 1: every allocation fails */

void q35i_alloc_fail_at(uint64_t n)
{
    atomic_store(&fail_countdown, n);
}

static bool injected_failure(void)
{
    uint_fast64_t n = atomic_load_explicit(&fail_countdown, memory_order_relaxed);
    if (n == 0)
        return false;
    if (n > 1) {
        atomic_store(&fail_countdown, n - 1);
        return false;
    }
    return true;
}

static void *checked(void *ptr, uint64_t bytes)
{
    if (!ptr)
        (void)Q35_FAIL(Q35_E_NOMEM, "out of memory: %llu bytes asked for", (unsigned long long)bytes);
    return ptr;
}

void *q35i_calloc(uint64_t count, uint64_t size)
{
    uint64_t bytes;
    if (!q35i_mul(count, size, &bytes))
        return checked(NULL, UINT64_MAX);
    if (injected_failure())
        return checked(NULL, bytes);
    return checked(calloc(1, bytes ? bytes : 1), bytes);
}

void *q35i_realloc(void *ptr, uint64_t count, uint64_t size)
{
    uint64_t bytes;
    if (!q35i_mul(count, size, &bytes))
        return checked(NULL, UINT64_MAX);
    if (injected_failure())
        return checked(NULL, bytes);
    return checked(realloc(ptr, bytes ? bytes : 1), bytes);
}

void *q35i_alloc_aligned(uint64_t bytes, uint64_t align)
{
    uint64_t rounded;
    void *ptr = NULL;
    if (align < sizeof(void *))
        align = sizeof(void *);
    if (bytes >= HUGE_PAGE)
        align = q35i_max(align, HUGE_PAGE);
    if (!q35i_align(bytes ? bytes : 1, align, &rounded) || injected_failure() ||
        posix_memalign(&ptr, align, rounded) != 0)
        return checked(NULL, bytes);
    if (bytes >= HUGE_PAGE)
        (void)madvise(ptr, rounded, MADV_HUGEPAGE); /* advice only */
    return ptr;
}

void *q35i_alloc_pages(uint64_t bytes)
{
    if (injected_failure())
        return checked(NULL, bytes);
    void *ptr = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ptr == MAP_FAILED)
        return checked(NULL, bytes);
    (void)madvise(ptr, bytes, MADV_HUGEPAGE); /* advice only */
    return ptr;
}

void q35i_free_pages(void *ptr, uint64_t bytes)
{
    if (ptr)
        munmap(ptr, bytes);
}

char *q35i_strndup(const char *text, size_t len)
{
    char *copy = q35i_calloc((uint64_t)len + 1, 1);
    if (copy)
        memcpy(copy, text, len);
    return copy;
}

void q35i_free(void *ptr)
{
    free(ptr);
}

void *q35i_alloc_hook(size_t bytes, void *user)
{
    (void)user;
    return q35i_calloc(1, bytes);
}

void q35i_free_hook(void *ptr, void *user)
{
    (void)user;
    q35i_free(ptr);
}
