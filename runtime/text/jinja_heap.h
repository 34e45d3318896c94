/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory of a chat template, and of one rendering of it: taken in small parts, given back all at once, bounded.
 * One thread at a time. */
#ifndef Q35I_JINJA_HEAP_H
#define Q35I_JINJA_HEAP_H

#include <q35rt/status.h>

#include <stdint.h>

typedef struct q35i_heap_block q35i_heap_block;

typedef struct q35i_heap {
    q35i_heap_block *blocks; /* newest first */
    uint64_t used, size;     /* of the newest block, bytes */
    uint64_t taken, limit;   /* bytes of all */
    q35_status status;       /* of the last failure */
} q35i_heap;

void q35i_heap_init(q35i_heap *heap, uint64_t limit);
void q35i_heap_free(q35i_heap *heap); /* zeroed or half-built ok */

/* Zeroed bytes, aligned for any object. NULL on failure: heap->status is NOMEM, or UNSUPPORTED past the limit. */
void *q35i_heap_take(q35i_heap *heap, uint64_t count, uint64_t size);

#endif
