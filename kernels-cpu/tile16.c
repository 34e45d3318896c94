/* SPDX-License-Identifier: Apache-2.0
 *
 * Canonical rows of the 3.5-bit types to 16-row tiles and back (byte map: tile16.h). 28 bits of a row are four
 * codes, which spread to the four bytes of one lane.
 */
#include "kernels-cpu/tile16.h"

#include <q35rt/blocks.h>

#define ROWS 16

static int64_t sets_of(int64_t k)
{
    return k / Q35K_TILE16_SET + (k % Q35K_TILE16_SET != 0);
}

static int has_layout(uint32_t dtype)
{
    return dtype == Q35_DT_Q35_PAIR || dtype == Q35_DT_Q35_SPLIT;
}

uint64_t q35k_tile16_bytes(uint32_t dtype, int64_t k)
{
    if (!has_layout(dtype) || k <= 0)
        return 0;
    uint64_t spans = (uint64_t)(k / Q35K_TILE16_SPAN + (k % Q35K_TILE16_SPAN != 0));
    return spans * q35k_tile16_head_bytes(dtype == Q35_DT_Q35_SPLIT) +
           (uint64_t)sets_of(k) * Q35K_TILE16_SET_BYTES;
}

/* The inverse of q35k_tile16_spread. */
static uint32_t gather4(uint32_t lane)
{
    return (lane & 127u) | (lane >> 1 & 127u << 7) | (lane >> 2 & 127u << 14) | (lane >> 3 & 127u << 21);
}

void q35k_tile16_pack_set(const uint8_t *codes, uint8_t *lane)
{
    uint32_t v[8];
    for (int i = 0; i < 4; i++) {
        uint64_t bits = 0;
        memcpy(&bits, codes + 7 * i, 7);
        v[2 * i] = q35k_tile16_spread((uint32_t)bits & 0xfffffffu);
        v[2 * i + 1] = q35k_tile16_spread((uint32_t)(bits >> 28) & 0xfffffffu);
    }
    for (int b = 0; b < 7; b++) {
        uint32_t stored = v[b] | (v[7] >> b & 0x01010101u) << 7;
        memcpy(lane + 64 * b, &stored, 4);
    }
}

void q35k_tile16_unpack_set(const uint8_t *lane, uint8_t *codes)
{
    uint32_t v[8];
    v[7] = 0;
    for (int b = 0; b < 7; b++) {
        memcpy(&v[b], lane + 64 * b, 4);
        v[7] |= (v[b] >> 7 & 0x01010101u) << b;
    }
    for (int i = 0; i < 4; i++) {
        uint64_t bits = (uint64_t)gather4(v[2 * i]) | (uint64_t)gather4(v[2 * i + 1]) << 28;
        memcpy(codes + 7 * i, &bits, 7);
    }
}

/* Where the pieces of group g of a row are, in the tile and in the row. */
typedef struct group_place {
    uint8_t *head,
        *sets;  /* head: scale of row 0; offset of row 0 lies 32 bytes on. sets: first set of the group */
    int64_t at; /* byte of the group's block in the row */
    int n_sets; /* 1 or 2 */
} group_place;

static group_place place_group(uint32_t dtype, int64_t k, int64_t g, uint8_t *tile)
{
    int split = dtype == Q35_DT_Q35_SPLIT;
    int64_t head = q35k_tile16_head_bytes(split), full = head + 4 * Q35K_TILE16_SET_BYTES;
    uint8_t *span = tile + g / 2 * full;
    group_place p = {
        .head = span + (g & 1) * (split ? 64 : 32),
        .sets = span + head + (g & 1) * 2 * Q35K_TILE16_SET_BYTES,
        .at = g * (int64_t)(split ? sizeof(q35_split_block) : sizeof(q35_pair_block)),
        .n_sets = sets_of(k) - 2 * g >= 2 ? 2 : 1,
    };
    return p;
}

static int64_t groups_of(int64_t k)
{
    return k / Q35_GROUP + (k % Q35_GROUP != 0);
}

void q35k_tile16_pack(uint32_t dtype, int64_t k, int64_t n_rows, const void *rows, int64_t rs, void *tile)
{
    uint64_t bytes = q35k_tile16_bytes(dtype, k);
    if (bytes == 0)
        return;
    memset(tile, 0, bytes);
    int n_halves = dtype == Q35_DT_Q35_SPLIT ? 2 : 1;
    for (int64_t g = 0; g < groups_of(k); g++) {
        group_place p = place_group(dtype, k, g, tile);
        for (int64_t r = 0; r < n_rows && r < ROWS; r++) {
            const uint8_t *block = (const uint8_t *)rows + r * rs + p.at;
            for (int h = 0; h < n_halves; h++)
                memcpy(p.head + 32 * h + 2 * r, block + 2 * h, 2);
            for (int s = 0; s < p.n_sets; s++)
                q35k_tile16_pack_set(block + 2 * n_halves + 28 * s, p.sets + s * Q35K_TILE16_SET_BYTES + 4 * r);
        }
    }
}

void q35k_tile16_unpack(uint32_t dtype, int64_t k, int64_t n_rows, const void *tile, void *rows, int64_t rs)
{
    if (q35k_tile16_bytes(dtype, k) == 0)
        return;
    int n_halves = dtype == Q35_DT_Q35_SPLIT ? 2 : 1;
    for (int64_t g = 0; g < groups_of(k); g++) {
        /* Read only here; the offsets are shared with the packer. */
        group_place p = place_group(dtype, k, g, (uint8_t *)(uintptr_t)tile);
        for (int64_t r = 0; r < n_rows && r < ROWS; r++) {
            uint8_t *block = (uint8_t *)rows + r * rs + p.at;
            for (int h = 0; h < n_halves; h++)
                memcpy(block + 2 * h, p.head + 32 * h + 2 * r, 2);
            memset(block + 2 * n_halves, 0, Q35_CODE_BYTES);
            for (int s = 0; s < p.n_sets; s++)
                q35k_tile16_unpack_set(p.sets + s * Q35K_TILE16_SET_BYTES + 4 * r, block + 2 * n_halves + 28 * s);
        }
    }
}
