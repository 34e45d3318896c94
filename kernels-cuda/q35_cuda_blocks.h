/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights that share a scale in blocks: what a canonical row has where, and how they lie in device memory. Shared
 * by the host and the kernels, of which each packs with the function below. Plain C.
 *
 * B16, all types with levels but the row types. Rows 16 i .. 16 i + 15 are slice i:
 *   what a block has for all its parts (`outer`): [block][row], `outer` bytes each, up to a multiple of 128 bytes;
 *   then one tile per 128 inputs, in ascending order.
 * A tile is what one warp multiplies: each lane owns 64 codes, in the order in which mma.sync m16n8k32 takes its
 * first operand. Of lane L, with g = L / 4 and t = L % 4, register r (0..3) of step s (0..3) holds four inputs of
 * one row:
 *   row g + 8 (r % 2), inputs 32 s + 8 t + 4 (r / 2) + 0..3 of the tile
 * so a step is a block of 32 inputs, and what is left of a row's sum is within a step. In the tile come:
 *   the codes, in one or two planes of `base` and `extra` bits. In a plane of B bits, register v = 4 s + r takes B
 *   bits from v B % 8 on of each byte of word v B / 8. Words 4 q .. 4 q + 3 of lane L are at 512 q + 16 L, of a
 *   plane of one bit at 8 L. Levels that may be negative are two's complement with their high bits in the first
 *   plane, others have their low bits there. Of IQ4_NL and IQ4_XS, nibble b of half v % 2 of word v / 2 is byte b
 *   of register v; codes of pairs lie as those of Q35_ROW do (q35_cuda_layout.h).
 *   what a part has of its own (`inner`): of each lane, the parts of step t of row g, then of row g + 8.
 *
 * Missing rows, and inputs past the end of a row, are zero bits. */
#ifndef Q35_CUDA_BLOCKS_H
#define Q35_CUDA_BLOCKS_H

#include <q35rt/blocks.h>

#if defined(__CUDACC__)
#define Q35_CUDA_FN static __host__ __device__ inline
#else
#define Q35_CUDA_FN static inline
#endif
#if defined(__cplusplus)
#define Q35_CUDA_CONSTANT_FN Q35_CUDA_FN constexpr
#else
#define Q35_CUDA_CONSTANT_FN Q35_CUDA_FN
#endif

enum {
    Q35_CUDA_TILE_K = 128,    /* inputs per tile */
    Q35_CUDA_SLICE_ROWS = 16, /* rows per slice */
    Q35_CUDA_PAIR_TILE = 896  /* bytes of a tile's codes of pairs */
};

/* A type in B16. block_len 0: it is not one of them. */
typedef struct q35_cuda_blocks {
    uint32_t block_len, block_bytes; /* of canonical blocks */
    uint32_t base, extra;            /* bits of a code in either plane; base 7: codes of pairs */
    uint32_t is_signed, has_min;     /* levels may be negative; parts have minima */
    uint32_t part;                   /* weights of a part: 32 or 16 */
    uint32_t outer, inner;           /* bytes per block, bits per part */
} q35_cuda_blocks;

Q35_CUDA_CONSTANT_FN q35_cuda_blocks q35_cuda_blocks_of(uint32_t dtype)
{
    q35_cuda_blocks none = {0, 0, 0, 0, 0, 0, 0, 0, 0};
    switch (dtype) {
#define Q35_CUDA_BLOCKS_ROW(type, len, bytes, base, extra, is_signed, has_min, part, outer, inner)                \
    case type: {                                                                                                  \
        q35_cuda_blocks d = {len, bytes, base, extra, is_signed, has_min, part, outer, inner};                    \
        return d;                                                                                                 \
    }
        Q35_CUDA_BLOCKS_ROW(Q35_DT_Q35_PAIR, 128, 58, 7, 0, 1, 0, 32, 2, 0)
        Q35_CUDA_BLOCKS_ROW(Q35_DT_Q35_SPLIT, 128, 60, 7, 0, 0, 1, 32, 4, 0)
        Q35_CUDA_BLOCKS_ROW(Q35_DT_Q8_0, 32, 34, 8, 0, 1, 0, 32, 0, 16)
        Q35_CUDA_BLOCKS_ROW(Q35_DT_Q4_0, 32, 18, 4, 0, 1, 0, 32, 0, 16)
        Q35_CUDA_BLOCKS_ROW(Q35_DT_Q4_1, 32, 20, 4, 0, 0, 1, 32, 0, 32)
        Q35_CUDA_BLOCKS_ROW(Q35_DT_Q5_0, 32, 22, 4, 1, 1, 0, 32, 0, 16)
        Q35_CUDA_BLOCKS_ROW(Q35_DT_Q5_1, 32, 24, 4, 1, 0, 1, 32, 0, 32)
        Q35_CUDA_BLOCKS_ROW(Q35_DT_IQ4_NL, 32, 18, 4, 0, 0, 0, 32, 0, 16)
        Q35_CUDA_BLOCKS_ROW(Q35_DT_IQ4_XS, 256, 136, 4, 0, 0, 0, 32, 2, 8)
        Q35_CUDA_BLOCKS_ROW(Q35_DT_Q2_K, 256, 84, 2, 0, 0, 1, 16, 4, 8)
        Q35_CUDA_BLOCKS_ROW(Q35_DT_Q3_K, 256, 110, 2, 1, 1, 0, 16, 2, 8)
        Q35_CUDA_BLOCKS_ROW(Q35_DT_Q4_K, 256, 144, 4, 0, 0, 1, 32, 4, 16)
        Q35_CUDA_BLOCKS_ROW(Q35_DT_Q5_K, 256, 176, 4, 1, 0, 1, 32, 4, 16)
        Q35_CUDA_BLOCKS_ROW(Q35_DT_Q6_K, 256, 210, 4, 2, 1, 0, 16, 2, 8)
#undef Q35_CUDA_BLOCKS_ROW
    default: return none;
    }
}

/* Bytes of the codes of a tile, of all of a tile, and in front of the tiles of a slice of rows of k weights. */
Q35_CUDA_CONSTANT_FN uint32_t q35_cuda_blocks_codes(q35_cuda_blocks d)
{
    return d.base == 7 ? (uint32_t)Q35_CUDA_PAIR_TILE : 256 * (d.base + d.extra);
}

Q35_CUDA_CONSTANT_FN uint32_t q35_cuda_blocks_tile(q35_cuda_blocks d)
{
    return q35_cuda_blocks_codes(d) + 256 * d.inner / d.part;
}

Q35_CUDA_CONSTANT_FN uint64_t q35_cuda_blocks_head(q35_cuda_blocks d, int64_t k)
{
    return ((uint64_t)((k + d.block_len - 1) / d.block_len) * Q35_CUDA_SLICE_ROWS * d.outer + 127) / 128 * 128;
}

/* ------------------------------------------------------------------ canonical blocks, which are aligned to bytes
 */

Q35_CUDA_FN uint32_t q35_cuda_load16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

Q35_CUDA_FN uint32_t q35_cuda_load32(const uint8_t *p)
{
    return q35_cuda_load16(p) | q35_cuda_load16(p + 2) << 16;
}

/* n bits of v, from bit `from` on. */
Q35_CUDA_FN uint32_t q35_cuda_field(uint32_t v, uint32_t from, uint32_t n)
{
    return v >> from & ((1u << n) - 1u);
}

/* Code c of a stream of codes of n bits: bits c * n .. of little-endian bytes. */
Q35_CUDA_FN uint32_t q35_cuda_stream_get(const uint8_t *stream, uint32_t n, uint32_t c)
{
    uint32_t bit = n * c, at = bit / 8, shift = bit % 8, v = stream[at];
    if (shift + n > 8)
        v |= (uint32_t)stream[at + 1] << 8;
    return v >> shift & ((1u << n) - 1u);
}

/* Nibble e of neighbours; of 32 in 16 bytes, the low ones first; of 64 in 32 bytes, likewise. */
Q35_CUDA_FN uint32_t q35_cuda_next_nibble(const uint8_t *qs, uint32_t e)
{
    return q35_cuda_field(qs[e / 2], e % 2 * 4, 4);
}

Q35_CUDA_FN uint32_t q35_cuda_nibble(const uint8_t *qs, uint32_t e)
{
    return q35_cuda_field(qs[e % 16], e / 16 * 4, 4);
}

Q35_CUDA_FN uint32_t q35_cuda_k_nibble(const uint8_t *qs, uint32_t e)
{
    return q35_cuda_field(qs[32 * (e / 64) + e % 32], e / 32 % 2 * 4, 4);
}

/* Two bits e of a Q2_K or Q3_K block. */
Q35_CUDA_FN uint32_t q35_cuda_crumb(const uint8_t *qs, uint32_t e)
{
    return q35_cuda_field(qs[32 * (e / 128) + e % 32], e / 32 % 4 * 2, 2);
}

/* Bit e of consecutive bytes; bit e / 32 of byte e % 32. */
Q35_CUDA_FN uint32_t q35_cuda_bit(const uint8_t *bits, uint32_t e)
{
    return q35_cuda_field(bits[e / 8], e % 8, 1);
}

Q35_CUDA_FN uint32_t q35_cuda_k_bit(const uint8_t *bits, uint32_t e)
{
    return q35_cuda_field(bits[e % 32], e / 32, 1);
}

/* Six bits e of a Q6_K block. */
Q35_CUDA_FN uint32_t q35_cuda_k_six(const uint8_t *b, uint32_t e)
{
    const uint32_t half = e / 128, quarter = e / 32 % 4, l = e % 32;
    const uint32_t low = q35_cuda_field(b[64 * half + 32 * (quarter % 2) + l], quarter / 2 * 4, 4);
    return low | q35_cuda_field(b[128 + 32 * half + l], 2 * quarter, 2) << 4;
}

/* Code of weight e of a block, or of its pair. A level is the code, less half the codes there are where levels may
 * be negative; or what the code stands for. */
Q35_CUDA_FN uint32_t q35_cuda_block_code(uint32_t dtype, const uint8_t *b, uint32_t e)
{
    switch (dtype) {
    case Q35_DT_Q35_PAIR: return q35_cuda_stream_get(b + 2, 7, e / 2);
    case Q35_DT_Q35_SPLIT: return q35_cuda_stream_get(b + 4, 7, e / 2);
    case Q35_DT_Q8_0: return b[2 + e] ^ 128u;
    case Q35_DT_Q4_0:
    case Q35_DT_IQ4_NL: return q35_cuda_nibble(b + 2, e);
    case Q35_DT_Q4_1: return q35_cuda_nibble(b + 4, e);
    case Q35_DT_Q5_0: return q35_cuda_nibble(b + 6, e) | q35_cuda_bit(b + 2, e) << 4;
    case Q35_DT_Q5_1: return q35_cuda_nibble(b + 8, e) | q35_cuda_bit(b + 4, e) << 4;
    case Q35_DT_IQ4_XS: return q35_cuda_nibble(b + 8 + 16 * (e / 32), e % 32);
    case Q35_DT_Q2_K: return q35_cuda_crumb(b + 16, e);
    case Q35_DT_Q3_K: return q35_cuda_crumb(b + 32, e) | q35_cuda_k_bit(b, e) << 2;
    case Q35_DT_Q4_K: return q35_cuda_k_nibble(b + 16, e);
    case Q35_DT_Q5_K: return q35_cuda_k_nibble(b + 48, e) | q35_cuda_k_bit(b + 16, e) << 4;
    case Q35_DT_Q6_K: return q35_cuda_k_six(b, e);
    default: return 0;
    }
}

/* What a block has for all its parts, and what part p has of its own. */
Q35_CUDA_FN uint32_t q35_cuda_block_outer(uint32_t dtype, const uint8_t *b)
{
    switch (dtype) {
    case Q35_DT_Q35_PAIR:
    case Q35_DT_IQ4_XS: return q35_cuda_load16(b);
    case Q35_DT_Q3_K: return q35_cuda_load16(b + 108);
    case Q35_DT_Q6_K: return q35_cuda_load16(b + 208);
    case Q35_DT_Q2_K: return q35_cuda_load32(b + 80);
    case Q35_DT_Q35_SPLIT:
    case Q35_DT_Q4_K:
    case Q35_DT_Q5_K: return q35_cuda_load32(b);
    default: return 0;
    }
}

/* Q3_K and IQ4_XS: the scale, less 32, as a byte. Q4_K and Q5_K: a byte of scale, a byte of minimum. */
Q35_CUDA_FN uint32_t q35_cuda_block_inner(uint32_t dtype, const uint8_t *b, uint32_t p)
{
    const uint8_t *six = b + 4, *three = b + 96; /* 6-bit fields of Q4_K and Q5_K, and of Q3_K */
    uint32_t v;
    switch (dtype) {
    case Q35_DT_Q8_0:
    case Q35_DT_Q4_0:
    case Q35_DT_Q5_0:
    case Q35_DT_IQ4_NL: return q35_cuda_load16(b);
    case Q35_DT_Q4_1:
    case Q35_DT_Q5_1: return q35_cuda_load32(b);
    case Q35_DT_IQ4_XS:
        v = q35_cuda_next_nibble(b + 4, p) | q35_cuda_field(q35_cuda_load16(b + 2), 2 * p, 2) << 4;
        return (v - 32u) & 255u;
    case Q35_DT_Q2_K: return b[p];
    case Q35_DT_Q3_K:
        v = q35_cuda_field(three[p % 8], p / 8 * 4, 4) | q35_cuda_field(three[8 + p % 4], p / 4 * 2, 2) << 4;
        return (v - 32u) & 255u;
    case Q35_DT_Q6_K: return b[192 + p];
    case Q35_DT_Q4_K:
    case Q35_DT_Q5_K:
        if (p < 4)
            return q35_cuda_field(six[p], 0, 6) | q35_cuda_field(six[p + 4], 0, 6) << 8;
        v = q35_cuda_field(six[p + 4], 4, 4) | q35_cuda_field(six[p], 6, 2) << 4;
        return q35_cuda_field(six[p + 4], 0, 4) | q35_cuda_field(six[p - 4], 6, 2) << 4 | v << 8;
    default: return 0;
    }
}

/* ------------------------------------------------------------------ packing */

/* The canonical rows of a slice. */
typedef struct q35_cuda_rows {
    const uint8_t *first;
    int64_t rs, k;
    uint32_t n, dtype; /* rows there are */
} q35_cuda_rows;

/* The block that has input i of a row, and which of its weights that is; NULL: there is none. */
Q35_CUDA_FN const uint8_t *q35_cuda_block_at(const q35_cuda_rows *rows, const q35_cuda_blocks *d, uint32_t row,
                                             int64_t i, uint32_t *e)
{
    *e = (uint32_t)(i % d->block_len);
    if (row >= rows->n || i - *e >= rows->k)
        return NULL;
    return rows->first + row * rows->rs + i / d->block_len * d->block_bytes;
}

/* Byte `byte` of register v of a lane, unpacked: two's complement where levels may be negative. from: the tile's
 * first input. */
Q35_CUDA_FN uint32_t q35_cuda_tile_code(const q35_cuda_rows *rows, const q35_cuda_blocks *d, int64_t from,
                                        uint32_t lane, uint32_t v, uint32_t byte)
{
    const uint32_t row = lane / 4 + 8 * (v % 2), at = 32 * (v / 4) + 8 * (lane % 4) + 4 * (v % 4 / 2) + byte;
    uint32_t e;
    const uint8_t *block = q35_cuda_block_at(rows, d, row, from + at, &e);
    if (!block)
        return 0;
    const uint32_t code = q35_cuda_block_code(rows->dtype, block, e);
    return d->is_signed && d->base != 7 ? code ^ 1u << (d->base + d->extra - 1) : code;
}

/* Word w of a lane in a plane of so many bits. */
Q35_CUDA_FN uint32_t q35_cuda_plane_word(const q35_cuda_rows *rows, const q35_cuda_blocks *d, int64_t from,
                                         uint32_t lane, uint32_t w, uint32_t bits, int is_base)
{
    const uint32_t by_half = rows->dtype == Q35_DT_IQ4_NL || rows->dtype == Q35_DT_IQ4_XS, per = 8 / bits;
    const uint32_t down = d->is_signed ? (is_base ? d->extra : 0) : (is_base ? 0 : d->base);
    uint32_t word = 0;
    for (uint32_t i = 0; i < 32 / bits; i++) {
        const uint32_t v = by_half ? 2 * w + i / 4 : w * per + i % per, byte = by_half ? i % 4 : i / per;
        const uint32_t code = q35_cuda_tile_code(rows, d, from, lane, v, byte);
        word |= (code >> down & ((1u << bits) - 1u)) << (i * bits);
    }
    return word;
}

/* Word w of a lane of codes of pairs: byte b has code 4 w + b in its high 7 bits, and bit w of code 28 + b. */
Q35_CUDA_FN uint32_t q35_cuda_pairs_word(const q35_cuda_rows *rows, const q35_cuda_blocks *d, int64_t from,
                                         uint32_t lane, uint32_t w)
{
    uint32_t word = 0;
    for (uint32_t b = 0; b < 4; b++) {
        const uint32_t c = 4 * w + b, split = 28 + b;
        const uint32_t code = q35_cuda_tile_code(rows, d, from, lane, c / 2, 2 * (c % 2));
        const uint32_t last = q35_cuda_tile_code(rows, d, from, lane, split / 2, 2 * (split % 2));
        word |= (code << 1 | (last >> w & 1u)) << (8 * b);
    }
    return word;
}

/* The word at byte `at` of what a tile's parts have of their own. */
Q35_CUDA_FN uint32_t q35_cuda_inner_word(const q35_cuda_rows *rows, const q35_cuda_blocks *d, int64_t from,
                                         uint32_t at)
{
    const uint32_t per_row = 32 / d->part;
    uint32_t word = 0, e;
    for (uint32_t i = 0; i < 32 / d->inner; i++) {
        const uint32_t entry = at * 8 / d->inner + i, lane = entry / (2 * per_row), n = entry % (2 * per_row);
        const int64_t input = from + 32 * (lane % 4) + d->part * (n % per_row);
        const uint8_t *block = q35_cuda_block_at(rows, d, lane / 4 + 8 * (n / per_row), input, &e);
        if (block)
            word |= q35_cuda_block_inner(rows->dtype, block, e / d->part) << (i * d->inner);
    }
    return word;
}

Q35_CUDA_FN uint32_t q35_cuda_outer_word(const q35_cuda_rows *rows, const q35_cuda_blocks *d, uint64_t at)
{
    uint32_t word = 0, e;
    for (uint32_t i = 0; i < 4 / d->outer; i++) {
        const uint64_t entry = at / d->outer + i;
        const int64_t input = (int64_t)(entry / Q35_CUDA_SLICE_ROWS) * d->block_len;
        const uint8_t *block = q35_cuda_block_at(rows, d, (uint32_t)(entry % Q35_CUDA_SLICE_ROWS), input, &e);
        if (block)
            word |= q35_cuda_block_outer(rows->dtype, block) << (8 * i * d->outer);
    }
    return word;
}

/* The word at byte `at` of a slice in B16. */
Q35_CUDA_FN uint32_t q35_cuda_blocks_word(const q35_cuda_rows *rows, uint64_t at)
{
    const q35_cuda_blocks d = q35_cuda_blocks_of(rows->dtype);
    const uint64_t head = q35_cuda_blocks_head(d, rows->k);
    if (at < head)
        return q35_cuda_outer_word(rows, &d, at);
    const uint32_t bytes = q35_cuda_blocks_tile(d), codes = q35_cuda_blocks_codes(d), first = 256 * d.base;
    const int64_t from = (int64_t)((at - head) / bytes) * Q35_CUDA_TILE_K;
    const uint32_t in = (uint32_t)((at - head) % bytes);
    if (in >= codes)
        return q35_cuda_inner_word(rows, &d, from, in - codes);
    if (d.base == 7) {
        const uint32_t lane = in < 512 ? in / 16 : in < 768 ? (in - 512) / 8 : (in - 768) / 4;
        return q35_cuda_pairs_word(rows, &d, from, lane, in < 512 ? in / 4 % 4 : in < 768 ? 4 + in / 4 % 2 : 6);
    }
    if (in < first)
        return q35_cuda_plane_word(rows, &d, from, in % 512 / 16, 4 * (in / 512) + in / 4 % 4, d.base, 1);
    const uint32_t lane_bytes = 8 * d.extra, past = in - first;
    return q35_cuda_plane_word(rows, &d, from, past / lane_bytes, past % lane_bytes / 4, d.extra, 0);
}

#endif
