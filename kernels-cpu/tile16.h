/* SPDX-License-Identifier: Apache-2.0
 *
 * Q35K_LAYOUT_TILE16: 16 rows of a 3.5-bit matrix side by side, so that one vector lane is one row. Plain C, no
 * instruction set assumed. Rows 16 i .. 16 i + 15 of a matrix form tile i.
 *
 * Byte map of one tile. K is cut into spans of 256 inputs, one after the other without gaps; a span is a head and
 * up to four sets of 64 inputs (the last span has only the sets that K reaches):
 *
 *   span   head, set 0 .. set n-1                       n = min(4, ceil((k - 256 span) / 64))
 *   head   PAIR   64 bytes   u16 scale[2 groups][16 rows]
 *          SPLIT 128 bytes   u16 {scale[16 rows], offset[16 rows]}[2 groups]       (f16; a group is 128 inputs)
 *   set    448 bytes = 7 vectors of 64 bytes, holding 8 vectors of codes V[0..7]. Byte 4 r + i of V[j] is the
 * 7-bit code of row r, inputs 64 set + 8 j + 2 i and the next. V[0..6] are stored as they are; bit b of V[7] is
 *          bit 7 of the stored vector b. (A 128-entry byte lookup ignores bit 7, so nothing has to be cleared.)
 *
 * A tile is a multiple of 64 bytes. Missing rows have scale, offset and codes 0. Codes of inputs that lie in no
 * set (the second half of a half-used last group) are not stored; unpacking gives 0 for them.
 */
#ifndef Q35K_TILE16_H
#define Q35K_TILE16_H

#include <stdint.h>

#define Q35K_TILE16_SPAN      256 /* inputs per span */
#define Q35K_TILE16_SET       64  /* inputs per set */
#define Q35K_TILE16_SET_BYTES 448

/* Bytes of one tile for rows of k weights; 0: the type has no such layout, or k <= 0. */
uint64_t q35k_tile16_bytes(uint32_t dtype, int64_t k);

/* rows: n_rows (1..16) canonical rows, rs bytes apart. tile: q35k_tile16_bytes, any alignment. */
void q35k_tile16_pack(uint32_t dtype, int64_t k, int64_t n_rows, const void *rows, int64_t rs, void *tile);

/* The inverse: writes whole canonical rows (q35_row_bytes). */
void q35k_tile16_unpack(uint32_t dtype, int64_t k, int64_t n_rows, const void *tile, void *rows, int64_t rs);

/* Bytes of a span's head; 0: no such layout. */
static inline uint32_t q35k_tile16_head_bytes(int split)
{
    return split ? 128 : 64;
}

/* The low 28 bits, four 7-bit codes, to the low 7 bits of four bytes. */
static inline uint32_t q35k_tile16_spread(uint32_t bits)
{
    return (bits & 127u) | (bits << 1 & 127u << 8) | (bits << 2 & 127u << 16) | (bits << 3 & 127u << 24);
}

/* 32 codes of 7 bits (28 bytes) of one row to its lane of a set, and back. lane: byte 4 r of the set's first
 * vector.
 */
void q35k_tile16_pack_set(const uint8_t *codes, uint8_t *lane);
void q35k_tile16_unpack_set(const uint8_t *lane, uint8_t *codes);

#endif
