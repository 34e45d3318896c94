/* SPDX-License-Identifier: Apache-2.0
 *
 * Mock driver: memory. Device memory is host memory that only the driver and the kernels touch; fresh, it is
 * garbage. Some of it the host may touch, too: on an honest device that is all there is to it, on a lying one
 * kernels have another view of it. */
#define _GNU_SOURCE
#include "mock.h"

#include <stdlib.h>
#include <string.h>

enum { POISON = 0xa5, ALIGN = 256 };

typedef enum block_kind { DEVICE, PINNED, MAPPED, MANAGED } block_kind;

typedef struct block {
    struct block *next;
    char *data;
    size_t bytes;
    block_kind kind;
    int device;                     /* -1: PINNED */
    const struct CUctx_st *context; /* in which it was taken */
    /* Of a lying device, NULL before the first kernel: what kernels see of shared memory, and while one runs, what
     * the host sees; behind it, what kernels saw before. */
    char *view;
} block;

static block *blocks;
static uint64_t used[MOCK_MAX_DEVICES];

static int holds(const block *b, const char *address, size_t bytes)
{
    return address >= b->data && bytes <= b->bytes && (size_t)(address - b->data) <= b->bytes - bytes;
}

int mock_is_device(const struct CUctx_st *context, q35i_cu_address address, size_t bytes)
{
    for (const block *b = blocks; b; b = b->next)
        if (b->device == context->device && holds(b, (const char *)(uintptr_t)address, bytes))
            return 1;
    return 0;
}

int mock_may_use(const struct CUctx_st *context, q35i_cu_address address)
{
    for (const block *b = blocks; b; b = b->next)
        if (b->device >= 0 && holds(b, (const char *)(uintptr_t)address, 1))
            return b->device == context->device || (context->reach >> b->device & 1u);
    return 1;
}

int mock_is_pinned(const void *address, size_t bytes)
{
    for (const block *b = blocks; b; b = b->next)
        if ((b->kind == PINNED || b->kind == MAPPED) && holds(b, address, bytes))
            return 1;
    return 0;
}

static block *add(block_kind kind, const struct CUctx_st *context, size_t bytes)
{
    block *b = malloc(sizeof *b);
    void *data = NULL;
    if (!b || posix_memalign(&data, ALIGN, bytes) != 0) {
        free(b);
        return NULL;
    }
    memset(data, POISON, bytes);
    *b = (block){.next = blocks,
                 .data = data,
                 .bytes = bytes,
                 .kind = kind,
                 .device = kind == PINNED ? -1 : context->device,
                 .context = context};
    blocks = b;
    return b;
}

/* Memory that counts as the device's. */
static q35i_cu_result take(block_kind kind, size_t bytes, char **out)
{
    q35i_cu_result error;
    const struct CUctx_st *context = mock_context(&error);
    if (!context)
        return error;
    if (bytes == 0)
        return Q35I_CU_INVALID_VALUE;
    const uint64_t total = mock_fault.memory_mib << 20;
    block *b = NULL;
    mock_counts.allocations++;
    if (mock_counts.allocations != mock_fault.oom_at && bytes <= total && used[context->device] <= total - bytes)
        b = add(kind, context, bytes);
    if (!b)
        return Q35I_CU_OUT_OF_MEMORY;
    used[context->device] += bytes;
    mock_counts.bytes_in_use += bytes;
    *out = b->data;
    return 0;
}

/* Of one of two kinds; device -1: of any. */
static q35i_cu_result give(block_kind a, block_kind b, int device, const char *data)
{
    for (block **link = &blocks; *link; link = &(*link)->next) {
        block *found = *link;
        if (found->data != data || (found->kind != a && found->kind != b) ||
            (device >= 0 && found->device != device))
            continue;
        if (device < 0 && !mock_is_current(found->context))
            return MOCK_INVALID_CONTEXT;
        *link = found->next;
        if (found->device >= 0) {
            used[found->device] -= found->bytes;
            mock_counts.bytes_in_use -= found->bytes;
        } else {
            mock_counts.objects--;
        }
        free(found->data);
        free(found->view);
        free(found);
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
    char *data = NULL;
    if (mock_capturing)
        return MOCK_CAPTURE_UNSUPPORTED;
    pthread_mutex_lock(&mock_lock);
    q35i_cu_result error = take(DEVICE, bytes, &data);
    pthread_mutex_unlock(&mock_lock);
    if (error == 0)
        *address = (uintptr_t)data;
    return error;
}

/* Where the driver gives managed memory that the host may not touch while kernels run, the plugin takes none. */
q35i_cu_result cuMemAllocManaged(q35i_cu_address *address, size_t bytes, unsigned int flags)
{
    char *data = NULL;
    if (mock_capturing)
        return MOCK_CAPTURE_UNSUPPORTED;
    if (flags != Q35I_CU_ATTACH_GLOBAL || mock_fault.integrated != 2)
        return Q35I_CU_INVALID_VALUE;
    pthread_mutex_lock(&mock_lock);
    q35i_cu_result error = take(MANAGED, bytes, &data);
    pthread_mutex_unlock(&mock_lock);
    if (error == 0)
        *address = (uintptr_t)data;
    return error;
}

/* Works in a context that failed, too: what it held is gone with it. */
q35i_cu_result cuMemFree_v2(q35i_cu_address address)
{
    q35i_cu_result error;
    const char *data = (const char *)(uintptr_t)address;
    pthread_mutex_lock(&mock_lock);
    const struct CUctx_st *context = mock_context(&error);
    for (int d = 0; d < MOCK_MAX_DEVICES && !context; d++)
        if (mock_contexts[d].dead && give(DEVICE, MANAGED, d, data) == 0)
            break;
    if (context)
        error = give(DEVICE, MANAGED, context->device, data);
    pthread_mutex_unlock(&mock_lock);
    return error;
}

q35i_cu_result cuMemHostAlloc(void **address, size_t bytes, unsigned int flags)
{
    q35i_cu_result error;
    const struct CUctx_st *context;
    char *data = NULL;
    pthread_mutex_lock(&mock_lock);
    if (flags == Q35I_CU_HOST_ALLOC_MAPPED && mock_fault.integrated == 1) {
        error = take(MAPPED, bytes, &data);
    } else if ((context = mock_context(&error)) != NULL) {
        const block *b = flags == 0 && bytes > 0 ? add(PINNED, context, bytes) : NULL;
        error = b ? 0 : Q35I_CU_INVALID_VALUE;
        data = b ? b->data : NULL;
        mock_counts.objects += b != NULL;
    }
    pthread_mutex_unlock(&mock_lock);
    if (error == 0)
        *address = data;
    return error;
}

q35i_cu_result cuMemHostGetDevicePointer_v2(q35i_cu_address *address, void *host, unsigned int flags)
{
    q35i_cu_result error;
    pthread_mutex_lock(&mock_lock);
    const struct CUctx_st *context = mock_context(&error);
    if (context && (flags != 0 || !mock_is_device(context, (uintptr_t)host, 1)))
        error = Q35I_CU_INVALID_VALUE;
    pthread_mutex_unlock(&mock_lock);
    if (error == 0)
        *address = (uintptr_t)host + (mock_fault.lying == 3 ? ALIGN : 0);
    return error;
}

q35i_cu_result cuMemFreeHost(void *address)
{
    pthread_mutex_lock(&mock_lock);
    q35i_cu_result error = give(PINNED, MAPPED, -1, address);
    pthread_mutex_unlock(&mock_lock);
    return error;
}

/* ---- what a lying device sees */

static void swap(block *b)
{
    for (size_t i = 0; i < b->bytes; i++) {
        const char byte = b->data[i];
        b->data[i] = b->view[i];
        b->view[i] = byte;
    }
}

static void enter(block *b)
{
    if (!b->view) {
        b->view = malloc(2 * b->bytes);
        if (!b->view)
            abort();
        if (mock_fault.lying == 2)
            memcpy(b->view, b->data, b->bytes);
        else
            memset(b->view, POISON, b->bytes);
    }
    memcpy(b->view + b->bytes, b->view, b->bytes);
    swap(b);
}

/* lying 2: what the kernel changed of its view reaches the host. */
static void leave(block *b)
{
    swap(b);
    for (size_t i = 0; i < b->bytes && mock_fault.lying == 2; i++)
        if (b->view[i] != b->view[b->bytes + i])
            b->data[i] = b->view[i];
}

static void each_shared(void (*fn)(block *b), int with_view)
{
    pthread_mutex_lock(&mock_lock);
    for (block *b = blocks; b && (mock_fault.lying == 1 || mock_fault.lying == 2); b = b->next)
        if ((b->kind == MAPPED || b->kind == MANAGED) && (b->view || !with_view))
            fn(b);
    pthread_mutex_unlock(&mock_lock);
}

void mock_enter_kernel(void)
{
    each_shared(enter, 0);
}

void mock_leave_kernel(void)
{
    each_shared(leave, 1);
}
