/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading ahead of a barrier. While workers wait for each other, or one of them works alone on a token's row, the
 * memory would do nothing; and weights, unlike activations, are known beforehand. */
#include "plugins/cpu/cpu.h"

/* Into L2 before each barrier: what the memory delivers in two microseconds; and at most, of one LINEAR. */
#define AHEAD_BYTES (32 << 10)
#define AHEAD_LIMIT (256 << 10)

void q35i_cpu_read_ahead(const q35_plan *plan, uint32_t index, uint32_t worker, uint32_t n_workers,
                         q35i_cpu_ahead *ahead)
{
    const uint32_t next = plan->steps[index].next_linear;
    int64_t from, to;
    if (next >= plan->n_steps || !q35i_cpu_takes_chunks(plan, &plan->steps[next], n_workers))
        return;
    const q35k_weights *w = &plan->steps[next].weights;
    if (ahead->linear != next)
        *ahead = (q35i_cpu_ahead){.linear = next};
    q35i_cpu_split(w->n, Q35I_CPU_TILE_ROWS, worker, n_workers, &from, &to);
    const char *share = (const char *)w->data + from * q35i_cpu_row_bytes(w);
    int64_t end = (to - from) * q35i_cpu_row_bytes(w), most = ahead->bytes + AHEAD_BYTES;
    end = end < most ? end : most;
    end = end < AHEAD_LIMIT ? end : AHEAD_LIMIT;
    for (; ahead->bytes < end; ahead->bytes += Q35I_CPU_LINE)
        __builtin_prefetch(share + ahead->bytes, 0, 2);
}
