/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights of the types with one scale per row, for the tests of linear_row and get_rows: codes and codebooks at
 * the ends of their range too, scales of every kind, their decoded values and their tiles. Codes past K in the
 * last block are random: no kernel may let them through.
 */
#include "kernelcheck.h"

#include <kernels-cpu/row16.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

const uint32_t kc_row_types[] = {Q35_DT_Q35_ROW, Q35_DT_Q40_ROW, Q35_DT_Q60_ROW};
const int kc_n_row_types = sizeof kc_row_types / sizeof kc_row_types[0];

/* Magnitude 0 is the largest there is, and the last quarter's the smallest. */
const int8_t (*kc_row_codebook(kc_context *x, uint32_t dtype))[2]
{
    uint32_t n = q35_book_entries(dtype);
    if (n == 0)
        return NULL;
    int8_t(*book)[2] = kc_alloc(x, n * sizeof *book);
    for (uint32_t i = 0; i < n / 4; i++) {
        book[i][0] = (int8_t)kc_below(x, 128);
        book[i][1] = (int8_t)kc_below(x, 128);
    }
    book[0][0] = book[0][1] = 127;
    book[n / 4 - 1][0] = book[n / 4 - 1][1] = 0;
    const int8_t(*magnitudes)[2] = (const int8_t(*)[2])book;
    for (uint32_t i = n / 4; i < n; i++)
        for (int odd = 0; odd < 2; odd++)
            book[i][odd] = q35_book_signed(magnitudes, n, i, odd);
    return magnitudes;
}

static float row_scale(kc_context *x, kc_scales scales, kc_dist dist)
{
    double plain = 1e-3 * (1 + 0.5 * kc_uniform(x));
    if (dist == KC_DIST_NONFINITE && kc_below(x, 4) == 0)
        return kc_random(x) & 1 ? (float)NAN : -(float)INFINITY;
    switch (scales) {
    case KC_SCALES_UNIT: return (float)KC_UNIT_SCALE;
    case KC_SCALES_ZERO: return 0;
    case KC_SCALES_NEGATIVE: return (float)-plain;
    case KC_SCALES_SUBNORMAL: return 0x1p-149f * (float)kc_below(x, 1 << 22);
    case KC_SCALES_ANY: return (float)ldexp(kc_uniform(x), (int)kc_below(x, 60) - 30);
    case KC_SCALES_PLAIN:
    case KC_SCALES_ALL_MIN:
    case KC_SCALES_ALL_MAX:
    case KC_SCALES_COUNT: break;
    }
    return (float)plain;
}

void kc_fill_row_weights(kc_context *x, uint8_t *rows, uint32_t dtype, int64_t n, int64_t k, size_t rs,
                         kc_scales scales, kc_dist dist)
{
    size_t bytes = (size_t)q35_row_bytes(dtype, (uint64_t)k);
    for (int64_t r = 0; r < n; r++) {
        uint8_t *row = rows + (size_t)r * rs;
        float scale = row_scale(x, scales, dist);
        memcpy(row, &scale, sizeof scale);
        for (size_t i = sizeof scale; i < bytes; i++)
            row[i] = scales == KC_SCALES_ALL_MIN ? 0 : scales == KC_SCALES_ALL_MAX ? 0xff : (uint8_t)kc_random(x);
    }
}

void kc_row_levels(uint32_t dtype, const uint8_t *row, int64_t k, const int8_t (*book)[2], int8_t *level)
{
    q35_dtype_info d = q35_dtype_describe(dtype);
    int8_t block[16];
    for (int64_t i = 0; i < k; i += d.block_len) {
        q35_row_levels(dtype, row + d.row_head + i / d.block_len * d.block_bytes, book, block);
        memcpy(level + i, block, (size_t)(k - i < d.block_len ? k - i : d.block_len));
    }
}

uint8_t *kc_row_tiles(kc_context *x, uint32_t dtype, int64_t n, int64_t k, const uint8_t *rows, size_t rs,
                      size_t *bytes)
{
    size_t tile = (size_t)q35k_row16_bytes(dtype, k);
    *bytes = (size_t)((n + 15) / 16) * tile;
    uint8_t *tiles = tile ? kc_alloc(x, *bytes) : NULL;
    for (int64_t r = 0; r < n && tiles; r += 16)
        q35k_row16_pack(dtype, k, n - r < 16 ? n - r : 16, rows + (size_t)r * rs, (int64_t)rs,
                        tiles + (size_t)(r / 16) * tile);
    return tiles;
}

/* Weight i of row r as the byte map of row16.h says. */
static int8_t tile_level(uint32_t dtype, const uint8_t *tile, int64_t r, int64_t i, const int8_t (*book)[2])
{
    const uint8_t *set = tile + Q35K_ROW16_HEAD_BYTES + i / 64 * q35k_row16_set_bytes(dtype) + 4 * r;
    int64_t in_set = i % 64, j = in_set / 8, at = in_set % 8 / 2;
    unsigned code = 0;
    if (dtype == Q35_DT_Q60_ROW) {
        int64_t v = in_set / 4, byte = in_set % 4;
        for (int b = 0; b < 3 && v % 4 == 3; b++)
            code |= (unsigned)(set[64 * (3 * (v / 4) + b) + byte] >> 6) << (2 * b);
        if (v % 4 < 3)
            code = set[64 * (3 * (v / 4) + v % 4) + byte] & 63;
        return (int8_t)(2 * (int)code - 63);
    }
    for (int b = 0; b < 7 && j == 7 && dtype == Q35_DT_Q35_ROW; b++)
        code |= (unsigned)(set[64 * b + at] >> 7) << b;
    if (dtype == Q35_DT_Q40_ROW)
        code = set[64 * j + at];
    else if (j < 7)
        code = set[64 * j + at] & 127;
    return book[code][i % 2];
}

/* Is what the tile says what the rows say, and do the rows return to the byte? */
static bool row_tile_holds(kc_context *x, uint32_t dtype, int64_t n, int64_t k)
{
    size_t rs = (size_t)q35_row_bytes(dtype, (uint64_t)k) + 3, bytes = 0;
    uint8_t *rows = kc_alloc(x, 16 * rs), *back = kc_alloc(x, 16 * rs);
    const int8_t(*book)[2] = kc_row_codebook(x, dtype);
    int8_t *level = kc_alloc(x, (size_t)k);
    kc_fill_row_weights(x, rows, dtype, n, k, rs, KC_SCALES_ANY, KC_DIST_NORMAL);
    const uint8_t *tile = kc_row_tiles(x, dtype, n, k, rows, rs, &bytes);
    q35k_row16_unpack(dtype, k, 16, tile, back, (int64_t)rs);
    for (int64_t r = 0; r < n; r++) {
        kc_row_levels(dtype, rows + (size_t)r * rs, k, book, level);
        for (int64_t i = 0; i < k; i++)
            if (tile_level(dtype, tile, r, i, book) != level[i])
                return false;
    }
    return bytes == q35k_row16_bytes(dtype, k) && memcmp(rows, back, 16 * rs) == 0;
}

bool kc_check_row_tiles(kc_context *x, char *text, size_t size)
{
    for (int i = 0; i < kc_n_row_types; i++) {
        for (int64_t k = 1; k < 700; k += 1 + k / 7) {
            int64_t n = 1 + kc_below(x, 16);
            x->arena_used = 0;
            if (!row_tile_holds(x, kc_row_types[i], n, k)) {
                snprintf(text, size, "%s K=%lld N=%lld does not return from its tile",
                         q35_dtype_describe(kc_row_types[i]).name, (long long)k, (long long)n);
                return false;
            }
        }
    }
    return true;
}
