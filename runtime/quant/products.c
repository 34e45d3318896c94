/* SPDX-License-Identifier: Apache-2.0
 *
 * Whoever is free takes the next tile. */
#include "runtime/quant/products.h"

#include "runtime/base/pool.h"
#include "runtime/base/size.h"
#include "runtime/quant/linalg.h"

#include <stdatomic.h>

#define TILE_ROWS    192u
#define TILE_COLUMNS 512u

typedef struct job {
    const q35i_products *products;
    uint64_t tokens;
    atomic_uint_least64_t next;
} job;

static void add_tile(const q35i_products *p, uint64_t i, uint64_t j, uint64_t tokens)
{
    uint64_t m = q35i_min(TILE_ROWS, p->m - i), n = q35i_min(TILE_COLUMNS, p->n - j);
    if (p->lower)
        n = q35i_min(n, i + m - j);
    q35i_gemm_tn(m, n, tokens, p->a + i, p->m, p->b + j, p->n, p->sum + i * p->n + j, p->n);
}

static void add_tiles(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    job *a = arg;
    const q35i_products *p = a->products;
    uint64_t number = 0, mine = atomic_fetch_add(&a->next, 1);
    (void)worker;
    (void)n_workers;
    (void)team;
    for (uint64_t i = 0; i < p->m; i += TILE_ROWS)
        for (uint64_t j = 0; j < (p->lower ? q35i_min(p->n, i + TILE_ROWS) : p->n); j += TILE_COLUMNS)
            if (number++ == mine) {
                add_tile(p, i, j, a->tokens);
                mine = atomic_fetch_add(&a->next, 1);
            }
}

void q35i_products_add(const q35i_products *products, uint64_t tokens, q35_pool *pool)
{
    job all = {.products = products, .tokens = tokens};
    q35i_pool_run(pool, add_tiles, &all);
}
