/* SPDX-License-Identifier: Apache-2.0
 *
 * Arena offsets. Replicas are placed by decreasing size, each into the tightest gap among the already placed ones
 * that are alive at the same time. */
#include "graph/plan.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/size.h"

#include <stdlib.h>

#define ARENA_ALIGN 64

static int by_size(const void *a, const void *b)
{
    const q35i_replica *x = *(q35i_replica *const *)a, *y = *(q35i_replica *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->tensor < y->tensor ? -1 : x->tensor > y->tensor;
}

static int by_offset(const void *a, const void *b)
{
    const q35i_replica *x = *(q35i_replica *const *)a, *y = *(q35i_replica *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static uint64_t padded(const q35i_replica *r)
{
    return (r->bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

/* Lowest tightest gap for r among n neighbours (alive with it, sorted by offset). */
static uint64_t best_gap(q35i_replica *const *neighbours, uint32_t n, uint64_t bytes)
{
    uint64_t end = 0, best = UINT64_MAX, best_slack = UINT64_MAX;
    for (uint32_t i = 0; i < n; i++) {
        if (neighbours[i]->offset > end) {
            uint64_t gap = neighbours[i]->offset - end;
            if (gap >= bytes && gap - bytes < best_slack) {
                best = end;
                best_slack = gap - bytes;
            }
        }
        end = q35i_max(end, neighbours[i]->offset + padded(neighbours[i]));
    }
    return best != UINT64_MAX ? best : end;
}

/* Largest number of bytes alive at one position, per memory. */
static void lower_bound(q35i_schedule *s)
{
    for (uint32_t i = 0; i < s->n_replicas; i++) {
        uint64_t alive = 0;
        uint32_t memory = s->replicas[i].memory, at = s->replicas[i].first;
        for (uint32_t j = 0; j < s->n_replicas; j++)
            if (s->replicas[j].memory == memory && s->replicas[j].first <= at && s->replicas[j].last >= at)
                alive += padded(&s->replicas[j]);
        s->bound_bytes[memory] = q35i_max(s->bound_bytes[memory], alive);
    }
}

q35_status q35i_pass_memory(q35i_schedule *schedule)
{
    q35_status status = Q35_OK;
    uint32_t n = schedule->n_replicas;
    q35i_replica **order = q35i_calloc(n, sizeof(q35i_replica *));
    q35i_replica **neighbours = q35i_calloc(n, sizeof(q35i_replica *));
    Q35_CHECK_ALLOC_GOTO(order, done);
    Q35_CHECK_ALLOC_GOTO(neighbours, done);
    for (uint32_t i = 0; i < n; i++)
        order[i] = &schedule->replicas[i];
    qsort(order, n, sizeof(q35i_replica *), by_size);
    for (uint32_t i = 0; i < n; i++) {
        q35i_replica *r = order[i];
        uint32_t n_near = 0;
        for (uint32_t j = 0; j < i; j++)
            if (order[j]->memory == r->memory && order[j]->first <= r->last && r->first <= order[j]->last)
                neighbours[n_near++] = order[j];
        qsort(neighbours, n_near, sizeof(q35i_replica *), by_offset);
        r->offset = best_gap(neighbours, n_near, padded(r));
        uint64_t *arena = &schedule->arena_bytes[r->memory];
        *arena = q35i_max(*arena, r->offset + padded(r));
    }
    lower_bound(schedule);
done:
    q35i_free(order);
    q35i_free(neighbours);
    return status;
}
