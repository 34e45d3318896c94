/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks of doubling size; a large part gets a block of its own. */
#include "runtime/text/jinja_heap.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"

#include <inttypes.h>
#include <stdalign.h>

struct q35i_heap_block {
    q35i_heap_block *next;
    alignas(max_align_t) unsigned char bytes[];
};

enum { FIRST_BLOCK = 4096, LARGEST_BLOCK = 1 << 20 };

void q35i_heap_init(q35i_heap *heap, uint64_t limit)
{
    *heap = (q35i_heap){.limit = limit};
}

void q35i_heap_free(q35i_heap *heap)
{
    while (heap->blocks) {
        q35i_heap_block *next = heap->blocks->next;
        q35i_free(heap->blocks);
        heap->blocks = next;
    }
    *heap = (q35i_heap){0};
}

static void *fail(q35i_heap *heap, q35_status status)
{
    heap->status = status;
    return NULL;
}

void *q35i_heap_take(q35i_heap *heap, uint64_t count, uint64_t size)
{
    uint64_t bytes, taken, block;
    if (!q35i_mul(count, size, &bytes) || !q35i_align(bytes, alignof(max_align_t), &bytes) ||
        !q35i_add(heap->taken, bytes, &taken) || taken > heap->limit)
        return fail(heap,
                    Q35_FAIL(Q35_E_UNSUPPORTED, "takes more than %" PRIu64 " bytes, need less", heap->limit));
    if (!heap->blocks || heap->size - heap->used < bytes) {
        block = q35i_max(bytes, q35i_min(q35i_max(2 * heap->size, FIRST_BLOCK), LARGEST_BLOCK));
        q35i_heap_block *made = q35i_calloc(1, sizeof *made + block);
        if (!made)
            return fail(heap, Q35_E_NOMEM);
        made->next = heap->blocks;
        heap->blocks = made;
        heap->size = block;
        heap->used = 0;
    }
    void *part = heap->blocks->bytes + heap->used;
    heap->used += bytes;
    heap->taken = taken;
    return part;
}
