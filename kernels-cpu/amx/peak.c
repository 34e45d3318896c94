/* SPDX-License-Identifier: Apache-2.0
 *
 * Four tiles of sums, which hide the instruction's latency. */
#include "kernels-cpu/peak.h"

#include "kernels-cpu/amx/tile_ops.h"

#include <string.h>

enum { CHAINS = 4, PRODUCTS = Q35I_TILE_ROWS * Q35I_TILE_BYTES };

uint64_t q35k_peak__amx(uint64_t rounds)
{
    const q35i_tile_config config = q35i_whole_tiles();
    uint8_t data[Q35I_TILE_BYTES];
    memset(data, 1, sizeof data);
    q35i_tile_configure(&config);
    q35i_tile_zero(0);
    q35i_tile_zero(1);
    q35i_tile_zero(2);
    q35i_tile_zero(3);
    q35i_tile_load(4, data, Q35I_TILE_ROW_BYTES);
    q35i_tile_load(5, data, Q35I_TILE_ROW_BYTES);
    q35i_tile_load(6, data, Q35I_TILE_ROW_BYTES);
    q35i_tile_load(7, data, Q35I_TILE_ROW_BYTES);
    for (uint64_t r = 0; r < rounds; r++) {
        q35i_tile_multiply(0, 4, 6);
        q35i_tile_multiply(1, 4, 7);
        q35i_tile_multiply(2, 5, 6);
        q35i_tile_multiply(3, 5, 7);
    }
    q35i_tile_store(0, data, Q35I_TILE_ROW_BYTES);
    q35i_tile_release();
    return rounds * CHAINS * PRODUCTS;
}
