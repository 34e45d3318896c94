/* SPDX-License-Identifier: Apache-2.0
 *
 * Thread pool: workers pinned to cores, woken once per parallel region, barriers inside a region. Waiting spins
 * for a few microseconds and then parks, and parks at once when there are more workers than usable CPUs. Work is
 * split by worker index only, so results cannot depend on timing. The type q35_pool is the ABI's. */
#ifndef Q35I_POOL_H
#define Q35I_POOL_H

#include <q35rt/status.h>

/* n_workers 0: one per CPU of the affinity mask. cpus: logical CPU (OS index) of each worker, usually from
 * q35i_place_usable_cores, or NULL for no pinning. Worker 0 is the caller of q35i_pool_parallel and is not pinned.
 */
q35_status q35i_pool_create(uint32_t n_workers, const int32_t *cpus, q35_pool **out);
void q35i_pool_destroy(q35_pool *pool);

uint32_t q35i_pool_size(const q35_pool *pool);

/* As q35_host.parallel and q35_host.barrier. One caller at a time per pool. Allocates nothing. */
void q35i_pool_parallel(q35_pool *pool, void (*fn)(void *, uint32_t, uint32_t, q35_team *), void *arg);
void q35i_pool_barrier(q35_team *team);

/* The same; without a pool (NULL) on the calling thread alone. */
static inline void q35i_pool_run(q35_pool *pool, void (*fn)(void *, uint32_t, uint32_t, q35_team *), void *arg)
{
    if (pool)
        q35i_pool_parallel(pool, fn, arg);
    else
        fn(arg, 0, 1, NULL);
}

/* Rows [begin, end) of n for a worker: contiguous, in multiples of grain, the same for equal arguments. */
static inline void q35i_split(uint64_t n, uint64_t grain, uint32_t worker, uint32_t n_workers, uint64_t *begin,
                              uint64_t *end)
{
    uint64_t chunks = (n + grain - 1) / grain;
    uint64_t a = chunks * worker / n_workers * grain, b = chunks * (worker + 1) / n_workers * grain;
    *begin = a < n ? a : n;
    *end = b < n ? b : n;
}

#endif
