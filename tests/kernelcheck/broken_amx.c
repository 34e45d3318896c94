/* SPDX-License-Identifier: Apache-2.0
 *
 * Self-test kernel of linear_row (broken.h): the AMX kernel with the other product, TDPBUSD for TDPBSUD, so that
 * weights count as signed and codes as unsigned. */
#define Q35I_EMULATE_TILES
#define q35k_linear_row__amx swaps_signs
#define q35k_pack_act__amx   swaps_signs_pack_act

#include <kernels-cpu/amx/tile_ops.h>

static inline void multiply_other_signs(int c, int a, int b)
{
    q35i_emulated_tile *sum = q35i_emulated_at(c), codes = *q35i_emulated_at(a), weights = *q35i_emulated_at(b);
    for (int i = 0; i < q35i_emulated.config.rows[c]; i++)
        for (int k = 0; k < Q35I_TILE_ROW_BYTES; k++)
            for (int j = 0; j < Q35I_TILE_ROW_BYTES / 4; j++)
                sum->dword[i][j] += codes.byte[i][k] * (int8_t)weights.byte[k / 4][4 * j + k % 4];
}

#define q35i_tile_multiply(c, a, b) multiply_other_signs(c, a, b)

#include <kernels-cpu/amx/linear_row.c>
