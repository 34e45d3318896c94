/* SPDX-License-Identifier: Apache-2.0
 *
 * Sharing out work: contiguous parts, and the rows of a LINEAR for few tokens, of which a disturbed core must not
 * hold up the rest. There each worker has one contiguous share, which it takes chunk by chunk, and then takes
 * chunks of others' shares. A chunk is a part of what is left, so that the last ones are small and all workers are
 * done at nearly the same time. A cursor's upper half is the run it belongs to, so cursors need no resetting and a
 * worker may help with a step that the owner of the share has not reached yet. Which worker computes a row changes
 * no bit of it. */
#include "plugins/cpu/cpu.h"

#define CHUNK_BYTES (64 << 10) /* of weights, at least: a call costs about a third of a microsecond */
#define CHUNK_PART  4          /* of what is left */

void q35i_cpu_split(int64_t n, int64_t grain, uint32_t worker, uint32_t n_workers, int64_t *begin, int64_t *end)
{
    int64_t grains = (n + grain - 1) / grain;
    int64_t a = grains * worker / n_workers * grain, b = grains * (worker + 1) / n_workers * grain;
    *begin = a < n ? a : n;
    *end = b < n ? b : n;
}

/* Rows of the next chunk of a share of which `left` (> 0) are left: a multiple of a tile's rows, or all. */
static int64_t chunk_rows(const q35k_weights *w, int64_t left)
{
    int64_t row_bytes = q35i_cpu_row_bytes(w), rows = CHUNK_BYTES / (row_bytes > 0 ? row_bytes : 1);
    int64_t part = left / CHUNK_PART;
    rows = rows > part ? rows : part;
    rows = (rows / Q35I_CPU_TILE_ROWS + 1) * Q35I_CPU_TILE_ROWS;
    return rows < left ? rows : left;
}

/* The next rows, from *begin on, of a share of `rows`; 0: all are taken. */
static int64_t take(q35i_cpu_cursor *cursor, uint32_t run, const q35k_weights *w, int64_t rows, int64_t *begin)
{
    uint64_t now = atomic_load_explicit(cursor, memory_order_relaxed);
    for (;;) {
        int64_t taken = now >> 32 == run ? (int64_t)(now & UINT32_MAX) : 0;
        if (taken >= rows)
            return 0;
        int64_t n = chunk_rows(w, rows - taken);
        if (atomic_compare_exchange_weak_explicit(cursor, &now, (uint64_t)run << 32 | (uint64_t)(taken + n),
                                                  memory_order_relaxed, memory_order_relaxed)) {
            *begin = taken;
            return n;
        }
    }
}

bool q35i_cpu_next_chunk(const q35_plan *plan, const q35i_cpu_step *step, uint32_t worker, uint32_t n_workers,
                         int64_t *begin, int64_t *end)
{
    for (uint32_t i = 0; i < n_workers; i++) {
        uint32_t owner = (worker + i) % n_workers;
        int64_t from, to, at;
        q35i_cpu_split(step->weights.n, Q35I_CPU_TILE_ROWS, owner, n_workers, &from, &to);
        int64_t rows = take(&plan->cursors[(uint64_t)owner * plan->n_cursors + step->cursor], plan->run,
                            &step->weights, to - from, &at);
        if (rows == 0)
            continue;
        *begin = from + at;
        *end = *begin + rows;
        return true;
    }
    return false;
}
