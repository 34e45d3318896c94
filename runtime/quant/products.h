/* SPDX-License-Identifier: Apache-2.0
 *
 * A sum of outer products over tokens, shared out over a pool in tiles. A tile is one product on one thread: the
 * bits are the same for any pool. */
#ifndef Q35I_PRODUCTS_H
#define Q35I_PRODUCTS_H

#include <q35rt/status.h>

#include <stdbool.h>

typedef struct q35i_products {
    const float *a, *b; /* [tokens][m], [tokens][n] */
    uint64_t m, n;
    float *sum; /* [m][n] */
    bool lower; /* m is n: tiles that hold nothing of the lower triangle are left out */
} q35i_products;

/* sum += a^T b. pool: NULL for the calling thread alone. Needs q35i_linalg_open. */
void q35i_products_add(const q35i_products *products, uint64_t tokens, q35_pool *pool);

#endif
