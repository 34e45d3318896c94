/* SPDX-License-Identifier: Apache-2.0
 *
 * Mock driver: memory. Device memory is host memory that only the driver and the kernels touch; fresh, it is
 * garbage. */
#define _GNU_SOURCE
#include "mock.h"

#include <stdlib.h>
#include <string.h>

enum { POISON = 0xa5, ALIGN = 256 };

typedef struct block {
    struct block *next;
    char *data;
    size_t bytes;
    int device; /* -1: pinned host memory */
} block;

static block *blocks;
static uint64_t used[MOCK_MAX_DEVICES];

static const block *find(int device, const char *address, size_t bytes)
{
    for (const block *b = blocks; b; b = b->next)
        if (b->device == device && address >= b->data && bytes <= b->bytes &&
            (size_t)(address - b->data) <= b->bytes - bytes)
            return b;
    return NULL;
}

int mock_is_device(const struct CUctx_st *context, q35i_cu_address address, size_t bytes)
{
    return find(context->device, (const char *)(uintptr_t)address, bytes) != NULL;
}

int mock_is_pinned(const void *address, size_t bytes)
{
    return find(-1, address, bytes) != NULL;
}

static block *add(int device, size_t bytes)
{
    block *b = malloc(sizeof *b);
    void *data = NULL;
    if (!b || posix_memalign(&data, ALIGN, bytes) != 0) {
        free(b);
        return NULL;
    }
    memset(data, POISON, bytes);
    *b = (block){blocks, data, bytes, device};
    blocks = b;
    return b;
}

static q35i_cu_result remove_block(int device, const char *data)
{
    for (block **link = &blocks; *link; link = &(*link)->next) {
        block *b = *link;
        if (b->device != device || b->data != data)
            continue;
        *link = b->next;
        if (device >= 0) {
            used[device] -= b->bytes;
            mock_counts.bytes_in_use -= b->bytes;
        }
        free(b->data);
        free(b);
        return 0;
    }
    return Q35I_CU_INVALID_VALUE;
}

q35i_cu_result cuMemGetInfo_v2(size_t *available, size_t *total)
{
    q35i_cu_result error;
    pthread_mutex_lock(&mock_lock);
    const struct CUctx_st *context = mock_context(&error);
    if (context) {
        *total = (size_t)mock_fault.memory_mib << 20;
        *available = *total > used[context->device] ? *total - used[context->device] : 0;
    }
    pthread_mutex_unlock(&mock_lock);
    return error;
}

q35i_cu_result cuMemAlloc_v2(q35i_cu_address *address, size_t bytes)
{
    q35i_cu_result error;
    if (mock_capturing)
        return MOCK_CAPTURE_UNSUPPORTED;
    pthread_mutex_lock(&mock_lock);
    const struct CUctx_st *context = mock_context(&error);
    if (context && bytes == 0) {
        error = Q35I_CU_INVALID_VALUE;
    } else if (context) {
        const uint64_t total = mock_fault.memory_mib << 20;
        block *b = NULL;
        mock_counts.allocations++;
        if (mock_counts.allocations != mock_fault.oom_at && bytes <= total &&
            used[context->device] <= total - bytes)
            b = add(context->device, bytes);
        error = b ? 0 : Q35I_CU_OUT_OF_MEMORY;
        if (b) {
            used[context->device] += bytes;
            mock_counts.bytes_in_use += bytes;
            *address = (uintptr_t)b->data;
        }
    }
    pthread_mutex_unlock(&mock_lock);
    return error;
}

/* Works in a context that failed, too: what it held is gone with it. */
q35i_cu_result cuMemFree_v2(q35i_cu_address address)
{
    q35i_cu_result error;
    pthread_mutex_lock(&mock_lock);
    const struct CUctx_st *context = mock_context(&error);
    for (int d = 0; d < MOCK_MAX_DEVICES && !context; d++)
        if (mock_contexts[d].dead && remove_block(d, (const char *)(uintptr_t)address) == 0)
            break;
    if (context)
        error = remove_block(context->device, (const char *)(uintptr_t)address);
    pthread_mutex_unlock(&mock_lock);
    return error;
}

q35i_cu_result cuMemHostAlloc(void **address, size_t bytes, unsigned int flags)
{
    q35i_cu_result error;
    pthread_mutex_lock(&mock_lock);
    if (mock_context(&error)) {
        block *b = flags == 0 && bytes > 0 ? add(-1, bytes) : NULL;
        error = b ? 0 : Q35I_CU_INVALID_VALUE;
        if (b) {
            *address = b->data;
            mock_counts.objects++;
        }
    }
    pthread_mutex_unlock(&mock_lock);
    return error;
}

q35i_cu_result cuMemFreeHost(void *address)
{
    pthread_mutex_lock(&mock_lock);
    q35i_cu_result error = remove_block(-1, address);
    if (error == 0)
        mock_counts.objects--;
    pthread_mutex_unlock(&mock_lock);
    return error;
}
