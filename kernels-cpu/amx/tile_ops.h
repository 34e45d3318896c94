/* SPDX-License-Identifier: Apache-2.0
 *
 * The AMX instructions that kernels use: eight tiles, 0..7, of 16 rows of 64 bytes each. Tile numbers are
 * literals. Sources: Intel SDM volume 1, chapter 18; volume 2, TDPBSUD, TDPBSSD, LDTILECFG.
 *
 * Compilers do not all see what memory the instructions read: gcc 12 takes LDTILECFG to read 8 bytes of its 64,
 * and TILELOADD none. So each is preceded by a fence for the compiler, which costs no instruction.
 *
 * With Q35I_EMULATE_TILES defined the same operations are plain C, for tests on machines without AMX. */
#ifndef Q35I_AMX_TILE_OPS_H
#define Q35I_AMX_TILE_OPS_H

#include <stdint.h>

enum { Q35I_TILE_ROWS = 16, Q35I_TILE_ROW_BYTES = 64, Q35I_TILE_BYTES = 1024 };

/* Memory operand of LDTILECFG, palette 1. */
typedef struct q35i_tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} q35i_tile_config;

/* All eight tiles whole. */
static inline q35i_tile_config q35i_whole_tiles(void)
{
    q35i_tile_config config = {.palette = 1};
    for (int t = 0; t < 8; t++) {
        config.row_bytes[t] = Q35I_TILE_ROW_BYTES;
        config.rows[t] = Q35I_TILE_ROWS;
    }
    return config;
}

#ifdef Q35I_EMULATE_TILES

#include "kernels-cpu/amx/tile_emulated.h"

#else

#include <immintrin.h>

/* What was stored before, where p points to too, is in memory. */
static inline __attribute__((always_inline)) void q35i_tile_fence(const void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

/* The tiles' shapes; all become zero. They belong to the thread until q35i_tile_release. */
static inline __attribute__((always_inline)) void q35i_tile_configure(const q35i_tile_config *config)
{
    q35i_tile_fence(config);
    _tile_loadconfig(config);
}

#define q35i_tile_release() _tile_release()
#define q35i_tile_zero(c)   _tile_zero(c)

/* Row i of a tile is the 64 bytes at p + i * stride. */
#define q35i_tile_load(tile, p, stride)                                                                           \
    do {                                                                                                          \
        q35i_tile_fence(p);                                                                                       \
        _tile_loadd(tile, p, stride);                                                                             \
    } while (0)
#define q35i_tile_store(tile, p, stride)   _tile_stored(tile, p, stride)

/* c[i][j] += the sum over k = 0..63 of a[i][k], signed, times byte 4 j + k % 4 of row k / 4 of b, unsigned, in
 * int32. */
#define q35i_tile_multiply(c, a, b)        _tile_dpbsud(c, a, b)

/* The same, b signed, too. */
#define q35i_tile_multiply_signed(c, a, b) _tile_dpbssd(c, a, b)

#endif

#endif
