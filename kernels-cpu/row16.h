/* SPDX-License-Identifier: Apache-2.0
 *
 * Q35K_LAYOUT_ROW16: 16 rows of a type with one scale per row side by side, so that one vector lane is one row.
 * Plain C, no instruction set assumed. Rows 16 i .. 16 i + 15 of a matrix form tile i.
 *
 * Byte map of one tile: f32 scale[16], then one set after the other without gaps, each 64 inputs of the 16 rows.
 * A set is vectors of 64 bytes; byte 4 r + i of a vector belongs to row r.
 *
 *   Q35_ROW 448 bytes: the set of kernels-cpu/tile16.h, 7 vectors that hold 8 of 7-bit codes.
 *   Q40_ROW 512 bytes: byte 4 r + i of vector j is the code of inputs 64 set + 8 j + 2 i and the next.
 *   Q60_ROW 768 bytes: 12 vectors that hold 16, V[0..15]; byte 4 r + i of V[j] is the 6-bit code of input 64 set +
 *           4 j + i. For g = 0..3, V[4 g + b], b = 0..2, are the low 6 bits of stored vector 3 g + b, and bits 2 b
 *           and 2 b + 1 of V[4 g + 3] are its bits 6 and 7.
 *
 * A tile is a multiple of 64 bytes. Missing rows have scale and codes 0, as have codes of blocks past the row's
 * end. Every byte of a canonical row is kept, so unpacking restores it.
 */
#ifndef Q35K_ROW16_H
#define Q35K_ROW16_H

#include <q35rt/plugin.h>

#include <stdint.h>

#define Q35K_ROW16_HEAD_BYTES 64
#define Q35K_ROW16_SET        64 /* inputs per set */

/* Where input i of a chunk is, when decoded codes of pairs are left as a lookup gives them, and those of single
 * weights are brought into the same order: vector 2 j has inputs 8 j, + 2, + 4, + 6 of each row, vector 2 j + 1
 * the odd ones between. */
typedef struct q35i_place {
    int vector, byte;
} q35i_place;

static inline q35i_place q35i_sorted_place(int i)
{
    return (q35i_place){i / 8 * 2 + i % 2, i % 8 / 2};
}

/* Bytes of one set; 0: the type has no such layout. */
static inline uint32_t q35k_row16_set_bytes(uint32_t dtype)
{
    switch (dtype) {
    case Q35_DT_Q35_ROW: return 448;
    case Q35_DT_Q40_ROW: return 512;
    case Q35_DT_Q60_ROW: return 768;
    default: return 0;
    }
}

/* Bytes of one tile for rows of k weights; 0: the type has no such layout, or k <= 0. */
uint64_t q35k_row16_bytes(uint32_t dtype, int64_t k);

/* rows: n_rows (1..16) canonical rows, rs bytes apart. tile: q35k_row16_bytes, any alignment. */
void q35k_row16_pack(uint32_t dtype, int64_t k, int64_t n_rows, const void *rows, int64_t rs, void *tile);

/* The inverse: writes whole canonical rows (q35_row_bytes). */
void q35k_row16_unpack(uint32_t dtype, int64_t k, int64_t n_rows, const void *tile, void *rows, int64_t rs);

#endif
