/* SPDX-License-Identifier: Apache-2.0
 *
 * Read bandwidth: every worker reads its own contiguous part of a buffer that it touched first, over and over; the
 * best pass counts, since anything else on the machine only slows a pass down. A line is moved whole when a word
 * of it is read, and with one load per line more lines are in flight than with all its words: as many as with
 * vectors of a line's width. */
#define _GNU_SOURCE
#include "place.h"

#include "runtime/base/alloc.h"
#include "runtime/base/clock.h"
#include "runtime/base/pool.h"
#include "topo.h"

#include <stdbool.h>
#include <string.h>

#define MIN_BYTES (UINT64_C(256) << 20)
#define MAX_BYTES (UINT64_C(1) << 30)
#define CACHES    16    /* of which a buffer would fill the last level */
#define GRAIN     4096u /* words per split step: 32 KiB */

typedef struct probe {
    uint64_t *words; /* [n_words] */
    uint64_t n_words, budget_ns;
    uint64_t best_ns; /* written by worker 0 between barriers, as is stop */
    bool stop;
    uint64_t *sums; /* [n_workers], so that the compiler keeps the loads */
} probe;

/* Sums the first word of every cache line. */
static uint64_t sum_lines(const uint64_t *p, uint64_t n)
{
    enum { LINE = 8, SUMS = 8 }; /* words */
    uint64_t s[SUMS] = {0}, i = 0;
    for (; i + LINE * SUMS <= n; i += LINE * SUMS)
        for (uint64_t j = 0; j < SUMS; j++)
            s[j] += p[i + LINE * j];
    for (; i < n; i += LINE)
        s[0] += p[i];
    return s[0] + s[1] + s[2] + s[3] + s[4] + s[5] + s[6] + s[7];
}

static void probe_run(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    probe *p = arg;
    uint64_t begin, end, start = q35i_now_ns();
    q35i_split(p->n_words, GRAIN, worker, n_workers, &begin, &end);
    memset(p->words + begin, 1, (end - begin) * sizeof *p->words);
    do {
        q35i_pool_barrier(team);
        uint64_t pass_start = q35i_now_ns();
        p->sums[worker] += sum_lines(p->words + begin, end - begin);
        q35i_pool_barrier(team);
        if (worker == 0) {
            uint64_t now = q35i_now_ns(), ns = now - pass_start;
            p->best_ns = ns > 0 && ns < p->best_ns ? ns : p->best_ns;
            p->stop = now - start >= p->budget_ns;
        }
        q35i_pool_barrier(team);
    } while (!p->stop);
}

/* A victim cache keeps its part of whatever streams by, and a guest may see less of it than there is: of a buffer
 * of twice its size half came from the cache on such a machine. */
static uint64_t buffer_bytes(void)
{
    q35i_topo topo;
    uint64_t bytes = MIN_BYTES;
    if (q35i_topo_read(&topo) == Q35_OK) {
        bytes = CACHES * topo.l3_bytes;
        q35i_topo_free(&topo);
    }
    return bytes < MIN_BYTES ? MIN_BYTES : bytes > MAX_BYTES ? MAX_BYTES : bytes;
}

double q35i_place_read_gbps(q35_pool *pool, uint32_t ms)
{
    uint64_t bytes = buffer_bytes();
    probe p = {.n_words = bytes / sizeof(uint64_t), .budget_ns = (uint64_t)ms * 1000000u, .best_ns = UINT64_MAX};
    p.words = q35i_alloc_aligned(bytes, 64);
    p.sums = q35i_calloc(q35i_pool_size(pool), sizeof *p.sums);
    if (p.words && p.sums)
        q35i_pool_parallel(pool, probe_run, &p);
    q35i_free(p.words);
    q35i_free(p.sums);
    return p.best_ns == UINT64_MAX ? 0.0 : (double)bytes / (double)p.best_ns;
}
