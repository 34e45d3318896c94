/* SPDX-License-Identifier: Apache-2.0
 *
 * Canonical rows of the types with one scale per row to 16-row tiles and back (byte map: row16.h), one row of one
 * set at a time. */
#include "kernels-cpu/row16.h"

#include "kernels-cpu/tile16.h"

#include <q35rt/blocks.h>

#define ROWS 16

static int64_t sets_of(int64_t k)
{
    return k / Q35K_ROW16_SET + (k % Q35K_ROW16_SET != 0);
}

uint64_t q35k_row16_bytes(uint32_t dtype, int64_t k)
{
    uint32_t set = q35k_row16_set_bytes(dtype);
    return set == 0 || k <= 0 ? 0 : Q35K_ROW16_HEAD_BYTES + (uint64_t)sets_of(k) * set;
}

/* The low 24 bits, four 6-bit codes, to the low 6 bits of four bytes. */
static uint32_t spread6(uint32_t bits)
{
    return (bits & 63u) | (bits << 2 & 63u << 8) | (bits << 4 & 63u << 16) | (bits << 6 & 63u << 24);
}

static uint32_t gather6(uint32_t lane)
{
    return (lane & 63u) | (lane >> 2 & 63u << 6) | (lane >> 4 & 63u << 12) | (lane >> 6 & 63u << 18);
}

/* codes: 48 bytes. */
static void pack_set6(const uint8_t *codes, uint8_t *lane)
{
    for (int g = 0; g < 4; g++, codes += 12) {
        uint32_t v[4];
        for (int j = 0; j < 4; j++)
            v[j] = spread6((uint32_t)codes[3 * j] | (uint32_t)codes[3 * j + 1] << 8 |
                           (uint32_t)codes[3 * j + 2] << 16);
        for (int b = 0; b < 3; b++) {
            uint32_t stored = v[b] | (v[3] >> (2 * b) & 0x03030303u) << 6;
            memcpy(lane + 64 * (3 * g + b), &stored, 4);
        }
    }
}

static void unpack_set6(const uint8_t *lane, uint8_t *codes)
{
    for (int g = 0; g < 4; g++) {
        uint32_t v[4] = {0};
        for (int b = 0; b < 3; b++) {
            memcpy(&v[b], lane + 64 * (3 * g + b), 4);
            v[3] |= (v[b] >> 6 & 0x03030303u) << (2 * b);
        }
        for (int j = 0; j < 4; j++, codes += 3) {
            uint32_t bits = gather6(v[j] & 0x3f3f3f3fu);
            memcpy(codes, &bits, 3);
        }
    }
}

static void pack_set8(const uint8_t *codes, uint8_t *lane)
{
    for (int j = 0; j < 8; j++)
        memcpy(lane + 64 * j, codes + 4 * j, 4);
}

static void unpack_set8(const uint8_t *lane, uint8_t *codes)
{
    for (int j = 0; j < 8; j++)
        memcpy(codes + 4 * j, lane + 64 * j, 4);
}

static void pack_set(uint32_t dtype, const uint8_t *codes, uint8_t *lane)
{
    if (dtype == Q35_DT_Q35_ROW)
        q35k_tile16_pack_set(codes, lane);
    else if (dtype == Q35_DT_Q40_ROW)
        pack_set8(codes, lane);
    else
        pack_set6(codes, lane);
}

static void unpack_set(uint32_t dtype, const uint8_t *lane, uint8_t *codes)
{
    if (dtype == Q35_DT_Q35_ROW)
        q35k_tile16_unpack_set(lane, codes);
    else if (dtype == Q35_DT_Q40_ROW)
        unpack_set8(lane, codes);
    else
        unpack_set6(lane, codes);
}

/* Bytes of set s in a row whose codes have `bytes`; set_bytes: those of a whole set. */
static size_t bytes_of_set(uint64_t bytes, int64_t s, uint32_t set_bytes)
{
    uint64_t left = bytes - (uint64_t)s * set_bytes;
    return left < set_bytes ? (size_t)left : set_bytes;
}

void q35k_row16_pack(uint32_t dtype, int64_t k, int64_t n_rows, const void *rows, int64_t rs, void *tile)
{
    uint64_t bytes = q35k_row16_bytes(dtype, k);
    if (bytes == 0)
        return;
    memset(tile, 0, bytes);
    uint32_t tile_set = q35k_row16_set_bytes(dtype), row_set = tile_set / ROWS;
    uint64_t code_bytes = q35_row_bytes(dtype, (uint64_t)k) - 4;
    for (int64_t r = 0; r < n_rows && r < ROWS; r++) {
        const uint8_t *row = (const uint8_t *)rows + r * rs;
        uint8_t *lane = (uint8_t *)tile + 4 * r;
        memcpy(lane, row, 4);
        for (int64_t s = 0; s < sets_of(k); s++) {
            uint8_t codes[48] = {0};
            memcpy(codes, row + 4 + s * row_set, bytes_of_set(code_bytes, s, row_set));
            pack_set(dtype, codes, lane + Q35K_ROW16_HEAD_BYTES + s * tile_set);
        }
    }
}

void q35k_row16_unpack(uint32_t dtype, int64_t k, int64_t n_rows, const void *tile, void *rows, int64_t rs)
{
    if (q35k_row16_bytes(dtype, k) == 0)
        return;
    uint32_t tile_set = q35k_row16_set_bytes(dtype), row_set = tile_set / ROWS;
    uint64_t code_bytes = q35_row_bytes(dtype, (uint64_t)k) - 4;
    for (int64_t r = 0; r < n_rows && r < ROWS; r++) {
        uint8_t *row = (uint8_t *)rows + r * rs;
        const uint8_t *lane = (const uint8_t *)tile + 4 * r;
        memcpy(row, lane, 4);
        for (int64_t s = 0; s < sets_of(k); s++) {
            uint8_t codes[48];
            unpack_set(dtype, lane + Q35K_ROW16_HEAD_BYTES + s * tile_set, codes);
            memcpy(row + 4 + s * row_set, codes, bytes_of_set(code_bytes, s, row_set));
        }
    }
}
