/* SPDX-License-Identifier: Apache-2.0
 *
 * Self-test kernel of linear_row (broken.h): the AMX kernel with the operands of its product the wrong way round,
 * so that weights count as signed and codes as unsigned. */
#define Q35I_EMULATE_TILES
#define q35k_linear_row__amx swaps_tiles

#include <kernels-cpu/amx/tile_ops.h>

#define q35i_tile_multiply(c, a, b) q35i_tile_multiply(c, b, a)

#include <kernels-cpu/amx/linear_row.c>
