/* SPDX-License-Identifier: Apache-2.0
 *
 * How weights lie in device memory: shared by the host, the kernels, their emulation and the tests. Plain C.
 *
 * T16, types with one scale per row. Rows 16 i .. 16 i + 15 are slice i:
 *   f32 scale[16], 64 bytes of zeros, then one tile per 128 inputs, in ascending order.
 * A tile is what one warp multiplies: each lane owns 64 weights, in the order in which mma.sync m16n8k32 takes its
 * first operand. Of lane L, with g = L / 4 and t = L % 4, register r (0..3) of step s (0..3) holds four inputs of
 * one row:
 *   row g + 8 (r % 2), inputs 32 t + 8 s + 4 (r / 2) + 0..3 of the tile
 * so the second operand is 8 neighbouring codes of a token's activations, and a lane reads 32 of them per tile.
 *
 *   Q35_ROW  896 bytes: 32 codes of pairs per lane, code 8 s + 2 r + h being inputs 2 h and 2 h + 1 of (s, r).
 *            Code c < 28 is the high 7 bits of byte c % 4 of word c / 4; code 28 + b has bit j in bit 0 of byte b
 *            of word j. Words 0..3 of lane L are at 16 L, words 4 and 5 at 512 + 8 L, word 6 at 768 + 4 L.
 *   Q40_ROW  1024 bytes: likewise, code c is byte c % 4 of word c / 4. Words 4 q .. 4 q + 3 at 512 q + 16 L.
 *   Q60_ROW  1536 bytes: 64 codes of weights per lane, V[4 s + r] having one in the low 6 bits of each byte. Of
 *            the stored words, 3 s + b (b = 0..2) is V[4 s + b], and its bits 6 and 7 are bits 2 b and 2 b + 1 of
 *            V[4 s + 3]. Words 4 q .. 4 q + 3 at 512 q + 16 L.
 *
 * B16, types with a scale per block: q35_cuda_blocks.h.
 *
 * Missing rows, and inputs past the end of a row, are zero bytes. T16 keeps every byte of a canonical row. */
#ifndef Q35_CUDA_LAYOUT_H
#define Q35_CUDA_LAYOUT_H

#include "kernels-cuda/q35_cuda_blocks.h"

enum {
    Q35_CUDA_CANONICAL = 0,
    Q35_CUDA_T16 = 1,
    Q35_CUDA_B16 = 2,
    Q35_CUDA_T16_HEAD = 128, /* bytes in front of the tiles of T16 */
    Q35_CUDA_MAX_K = 66304   /* longest row of a row type: sums are exact in int32 */
};

/* Layout of a weight type's linear; Q35_CUDA_CANONICAL: as it is stored. */
Q35_CUDA_FN uint32_t q35_cuda_layout_of(uint32_t dtype)
{
    return dtype == Q35_DT_Q35_ROW || dtype == Q35_DT_Q40_ROW || dtype == Q35_DT_Q60_ROW ? Q35_CUDA_T16
           : q35_cuda_blocks_of(dtype).block_len                                         ? Q35_CUDA_B16
                                                                                         : Q35_CUDA_CANONICAL;
}

Q35_CUDA_FN uint32_t q35_cuda_tile_bytes(uint32_t dtype)
{
    return dtype == Q35_DT_Q35_ROW ? 896u : dtype == Q35_DT_Q40_ROW ? 1024u : dtype == Q35_DT_Q60_ROW ? 1536u : 0u;
}

/* Bytes of one slice of 16 rows of k weights; 0: the type has no layout of its own. */
Q35_CUDA_FN uint64_t q35_cuda_slice_bytes(uint32_t dtype, int64_t k)
{
    const q35_cuda_blocks d = q35_cuda_blocks_of(dtype);
    const uint64_t tiles = (uint64_t)((k + Q35_CUDA_TILE_K - 1) / Q35_CUDA_TILE_K);
    if (d.block_len)
        return q35_cuda_blocks_head(d, k) + tiles * q35_cuda_blocks_tile(d);
    const uint64_t tile = q35_cuda_tile_bytes(dtype);
    return tile ? Q35_CUDA_T16_HEAD + tiles * tile : 0;
}

/* Byte of a Q35_ROW or Q40_ROW tile that word w (0..7) of a lane begins with. Word 7 of Q35_ROW is not stored. */
Q35_CUDA_FN uint32_t q35_cuda_pair_word(uint32_t dtype, uint32_t lane, uint32_t w)
{
    if (dtype == Q35_DT_Q40_ROW || w < 4)
        return 512 * (w / 4) + 16 * lane + 4 * (w % 4);
    return w < 6 ? 512 + 8 * lane + 4 * (w - 4) : 768 + 4 * lane;
}

/* Where input i (even for pairs) of row r of a T16 tile is: the lane, and its register (4 s + r) and byte. */
typedef struct q35_cuda_place {
    uint32_t lane, reg, byte;
} q35_cuda_place;

Q35_CUDA_FN q35_cuda_place q35_cuda_t16_place(uint32_t row, uint32_t i)
{
    q35_cuda_place p;
    p.lane = (row % 8) * 4 + i / 32;
    p.reg = 4 * (i % 32 / 8) + 2 * (i % 8 / 4) + row / 8;
    p.byte = i % 4;
    return p;
}

/* The inverse: the row, and the input within the tile, of a byte of a lane's register. */
typedef struct q35_cuda_spot {
    uint32_t row, input;
} q35_cuda_spot;

Q35_CUDA_FN q35_cuda_spot q35_cuda_t16_spot(uint32_t lane, uint32_t reg, uint32_t byte)
{
    q35_cuda_spot s;
    s.row = lane / 4 + 8 * (reg % 2);
    s.input = 32 * (lane % 4) + 8 * (reg / 4) + 4 * (reg % 4 / 2) + byte;
    return s;
}

/* Code of a tile, and its replacement: the pair that starts with input i, or weight i of Q60_ROW. */
Q35_CUDA_FN uint32_t q35_cuda_tile_get(uint32_t dtype, const uint8_t *tile, uint32_t row, uint32_t i)
{
    q35_cuda_place p = q35_cuda_t16_place(row, i);
    uint32_t code = 0;
    if (dtype == Q35_DT_Q60_ROW) {
        uint32_t s = p.reg / 4, b = p.reg % 4;
        for (uint32_t j = 0; j < 3; j++) {
            uint32_t w = 3 * s + j, v = tile[512 * (w / 4) + 16 * p.lane + 4 * (w % 4) + p.byte];
            code |= b == 3 ? v >> 6 << (2 * j) : b == j ? v & 63u : 0;
        }
        return code;
    }
    uint32_t c = 2 * p.reg + p.byte / 2;
    if (dtype == Q35_DT_Q40_ROW || c < 28) {
        code = tile[q35_cuda_pair_word(dtype, p.lane, c / 4) + c % 4];
        return dtype == Q35_DT_Q40_ROW ? code : code >> 1;
    }
    for (uint32_t j = 0; j < 7; j++)
        code |= (tile[q35_cuda_pair_word(dtype, p.lane, j) + c % 4] & 1u) << j;
    return code;
}

/* The tile's code must be 0. */
Q35_CUDA_FN void q35_cuda_tile_put(uint32_t dtype, uint8_t *tile, uint32_t row, uint32_t i, uint32_t code)
{
    q35_cuda_place p = q35_cuda_t16_place(row, i);
    if (dtype == Q35_DT_Q60_ROW) {
        uint32_t s = p.reg / 4, b = p.reg % 4;
        for (uint32_t j = 0; j < 3; j++) {
            uint32_t w = 3 * s + j;
            uint8_t *at = tile + 512 * (w / 4) + 16 * p.lane + 4 * (w % 4) + p.byte;
            *at = (uint8_t)(*at | (b == 3 ? (code >> (2 * j) & 3u) << 6 : b == j ? code : 0));
        }
        return;
    }
    uint32_t c = 2 * p.reg + p.byte / 2;
    if (dtype == Q35_DT_Q40_ROW || c < 28) {
        uint8_t *at = tile + q35_cuda_pair_word(dtype, p.lane, c / 4) + c % 4;
        *at = (uint8_t)(*at | (dtype == Q35_DT_Q40_ROW ? code : code << 1));
        return;
    }
    for (uint32_t j = 0; j < 7; j++) {
        uint8_t *at = tile + q35_cuda_pair_word(dtype, p.lane, j) + c % 4;
        *at = (uint8_t)(*at | (code >> j & 1u));
    }
}

/* Weights that share a code, bits of a code, and codes of a canonical row of k weights. */
Q35_CUDA_FN uint32_t q35_cuda_code_weights(uint32_t dtype)
{
    return dtype == Q35_DT_Q60_ROW ? 1 : 2;
}

Q35_CUDA_FN uint32_t q35_cuda_code_bits(uint32_t dtype)
{
    return dtype == Q35_DT_Q35_ROW ? 7 : dtype == Q35_DT_Q40_ROW ? 8 : 6;
}

Q35_CUDA_FN uint32_t q35_cuda_row_codes(uint32_t dtype, int64_t k)
{
    uint32_t per_block = dtype == Q35_DT_Q35_ROW ? 16 : dtype == Q35_DT_Q40_ROW ? 2 : 4;
    uint32_t blocks = (uint32_t)((k + per_block - 1) / per_block);
    return blocks * per_block / q35_cuda_code_weights(dtype);
}

/* The inverse of q35_cuda_stream_get, where the code is 0. */
Q35_CUDA_FN void q35_cuda_stream_put(uint8_t *stream, uint32_t n, uint32_t c, uint32_t code)
{
    uint32_t bit = n * c, at = bit / 8, shift = bit % 8, v = code << shift;
    stream[at] = (uint8_t)(stream[at] | (v & 255u));
    if (shift + n > 8)
        stream[at + 1] = (uint8_t)(stream[at + 1] | v >> 8);
}

/* n_rows (1 .. 16) canonical rows, rs bytes apart, to a slice of slice_bytes. Types with a layout. */
static inline void q35_cuda_pack(uint32_t dtype, int64_t k, int64_t n_rows, const void *rows, int64_t rs,
                                 void *slice)
{
    uint8_t *out = (uint8_t *)slice;
    const uint64_t bytes = q35_cuda_slice_bytes(dtype, k);
    if (q35_cuda_layout_of(dtype) == Q35_CUDA_B16) {
        const q35_cuda_rows from = {(const uint8_t *)rows, rs, k, (uint32_t)n_rows, dtype};
        for (uint64_t at = 0; at < bytes; at += 4) {
            const uint32_t word = q35_cuda_blocks_word(&from, at);
            memcpy(out + at, &word, sizeof word);
        }
        return;
    }
    memset(out, 0, bytes);
    for (int64_t r = 0; r < n_rows; r++) {
        const uint8_t *row = (const uint8_t *)rows + r * rs;
        uint32_t weights = q35_cuda_code_weights(dtype), bits = q35_cuda_code_bits(dtype);
        memcpy(out + 4 * r, row, 4);
        for (uint32_t c = 0, n = q35_cuda_row_codes(dtype, k); c < n; c++) {
            uint32_t i = c * weights;
            uint8_t *tile = out + Q35_CUDA_T16_HEAD + (i / Q35_CUDA_TILE_K) * q35_cuda_tile_bytes(dtype);
            q35_cuda_tile_put(dtype, tile, (uint32_t)r, i % Q35_CUDA_TILE_K,
                              q35_cuda_stream_get(row + 4, bits, c));
        }
    }
}

/* The inverse, of T16: n_rows whole canonical rows (q35_row_bytes), rs bytes apart. */
static inline void q35_cuda_unpack(uint32_t dtype, int64_t k, int64_t n_rows, const void *slice, void *rows,
                                   int64_t rs)
{
    const uint8_t *in = (const uint8_t *)slice;
    for (int64_t r = 0; r < n_rows; r++) {
        uint8_t *row = (uint8_t *)rows + r * rs;
        memset(row, 0, q35_row_bytes(dtype, (uint64_t)k));
        uint32_t weights = q35_cuda_code_weights(dtype), bits = q35_cuda_code_bits(dtype);
        memcpy(row, in + 4 * r, 4);
        for (uint32_t c = 0, n = q35_cuda_row_codes(dtype, k); c < n; c++) {
            uint32_t i = c * weights;
            const uint8_t *tile = in + Q35_CUDA_T16_HEAD + (i / Q35_CUDA_TILE_K) * q35_cuda_tile_bytes(dtype);
            q35_cuda_stream_put(row + 4, bits, c,
                                q35_cuda_tile_get(dtype, tile, (uint32_t)r, i % Q35_CUDA_TILE_K));
        }
    }
}

#endif
