/* SPDX-License-Identifier: Apache-2.0
 *
 * Chains of multiply-adds, as many as hide the instruction's latency; and whole tiles. */
#include "kernels-cpu/peak.h"

#include <immintrin.h>
#include <string.h>

enum { CHAINS = 16, PRODUCTS = 64, TILE_CHAINS = 4, TILE_ROWS = 16, TILE_BYTES = 64 };

uint64_t q35k_peak__avx512(uint64_t rounds)
{
    __m512i sum[CHAINS], a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(5), all = _mm512_setzero_si512();
    for (int c = 0; c < CHAINS; c++)
        sum[c] = _mm512_set1_epi32(c);
    for (uint64_t r = 0; r < rounds; r++)
        for (int c = 0; c < CHAINS; c++)
            sum[c] = _mm512_dpbusd_epi32(sum[c], a, b);
    for (int c = 0; c < CHAINS; c++)
        all = _mm512_xor_si512(all, sum[c]);
    volatile int keep = _mm512_reduce_add_epi32(all); /* or the compiler drops the loop */
    (void)keep;
    return rounds * CHAINS * PRODUCTS;
}

/* Palette 1 of the tile configuration (Intel SDM volume 1, section 18.3). */
typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

__attribute__((target("amx-tile,amx-int8"))) uint64_t q35k_peak__amx(uint64_t rounds)
{
    tile_config config;
    uint8_t data[TILE_ROWS * TILE_BYTES];
    memset(&config, 0, sizeof config);
    memset(data, 1, sizeof data);
    config.palette = 1;
    for (int t = 0; t < 8; t++) {
        config.row_bytes[t] = TILE_BYTES;
        config.rows[t] = TILE_ROWS;
    }
    _tile_loadconfig(&config);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_loadd(4, data, TILE_BYTES);
    _tile_loadd(5, data, TILE_BYTES);
    _tile_loadd(6, data, TILE_BYTES);
    _tile_loadd(7, data, TILE_BYTES);
    for (uint64_t r = 0; r < rounds; r++) {
        _tile_dpbusd(0, 4, 6);
        _tile_dpbusd(1, 4, 7);
        _tile_dpbusd(2, 5, 6);
        _tile_dpbusd(3, 5, 7);
    }
    _tile_stored(0, data, TILE_BYTES);
    _tile_release();
    return rounds * TILE_CHAINS * TILE_ROWS * TILE_ROWS * TILE_BYTES;
}
