/* SPDX-License-Identifier: Apache-2.0
 *
 * Sharing out work: contiguous parts, and the rows of a LINEAR for few tokens, of which a disturbed core must not
 * hold up the rest. There each worker has one contiguous share, which it takes chunk by chunk, and then takes
 * chunks of others' shares. A cursor's upper half is the run it belongs to, so cursors need no resetting and a
 * worker may help with a step that the owner of the share has not reached yet. Which worker computes a row changes
 * no bit of it. */
#include "plugins/cpu/cpu.h"

#define CHUNK_BYTES     (128 << 10) /* of weights, at least: a call costs about a microsecond */
#define CHUNKS_OF_SHARE 8           /* at most */
#define CHUNK_ROWS      32          /* a multiple of it */

void q35i_cpu_split(int64_t n, int64_t grain, uint32_t worker, uint32_t n_workers, int64_t *begin, int64_t *end)
{
    int64_t grains = (n + grain - 1) / grain;
    int64_t a = grains * worker / n_workers * grain, b = grains * (worker + 1) / n_workers * grain;
    *begin = a < n ? a : n;
    *end = b < n ? b : n;
}

/* The next chunk below limit. */
static bool take(q35i_cpu_cursor *cursor, uint32_t run, int64_t limit, int64_t *chunk)
{
    uint64_t now = atomic_load_explicit(cursor, memory_order_relaxed);
    for (;;) {
        uint64_t next = now >> 32 == run ? now & UINT32_MAX : 0;
        if ((int64_t)next >= limit)
            return false;
        if (atomic_compare_exchange_weak_explicit(cursor, &now, (uint64_t)run << 32 | (next + 1),
                                                  memory_order_relaxed, memory_order_relaxed)) {
            *chunk = (int64_t)next;
            return true;
        }
    }
}

static int64_t chunk_rows(const q35k_weights *w, int64_t share)
{
    int64_t row_bytes = w->layout == Q35K_LAYOUT_CANONICAL ? w->rs : w->rs / Q35I_CPU_TILE_ROWS;
    int64_t rows = CHUNK_BYTES / (row_bytes > 0 ? row_bytes : 1), least = share / CHUNKS_OF_SHARE;
    rows = rows > least ? rows : least;
    return (rows / CHUNK_ROWS + 1) * CHUNK_ROWS;
}

bool q35i_cpu_next_chunk(const q35_plan *plan, const q35i_cpu_step *step, uint32_t worker, uint32_t n_workers,
                         int64_t *begin, int64_t *end)
{
    for (uint32_t i = 0; i < n_workers; i++) {
        uint32_t owner = (worker + i) % n_workers;
        int64_t from, to, chunk;
        q35i_cpu_split(step->weights.n, Q35I_CPU_TILE_ROWS, owner, n_workers, &from, &to);
        int64_t rows = chunk_rows(&step->weights, to - from);
        if (!take(&plan->cursors[(uint64_t)owner * plan->n_cursors + step->cursor], plan->run,
                  (to - from + rows - 1) / rows, &chunk))
            continue;
        *begin = from + chunk * rows;
        *end = *begin + rows < to ? *begin + rows : to;
        return true;
    }
    return false;
}
