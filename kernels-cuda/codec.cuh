/* SPDX-License-Identifier: Apache-2.0
 *
 * What a lane does with its part of a T16 tile: load it, and turn it into the registers of the first operand of
 * mma.sync m16n8k32. Codes of pairs go through a table in shared memory that has 32 copies of each entry, one per
 * lane and bank, so that no two lanes meet; an entry is the pair twice, and one byte permutation joins two of
 * them. The table is indexed by a whole byte: a code of 7 bits is found whatever the bit below it is. */
#ifndef Q35_CODEC_CUH
#define Q35_CODEC_CUH

#include "kernels-cuda/prim.cuh"

/* Table of a book, by all `threads` of the block; to be followed by a barrier. spare: bits of a byte below the code. */
Q35_DEVICE void fill_table(shared_span<uint32_t> table, uint64_t book, unsigned spare, unsigned threads)
{
    const uint16_t *pairs = at_constant<uint16_t>(book);
    for (unsigned i = threadIdx.x; i < Q35_CUDA_TABLE_WORDS; i += threads)
        table[i] = (uint32_t)pairs[i / 32 >> spare] * 0x10001u;
}

/* Registers 0 and 1, or 2 and 3, of a step: the pairs of a word's four codes. mine: the lane's copies. A sum of
 * products of bytes takes a byte out, multiplies it by the 128 bytes between entries and adds where the copies
 * begin, all in one instruction. */
Q35_DEVICE void look_up(shared_table mine, uint32_t word, uint32_t &low, uint32_t &high)
{
    uint32_t pair[4];
    Q35_UNROLL
    for (uint32_t i = 0; i < 4; i++)
        pair[i] = mine.at(word, 128u << 8 * i);
    low = byte_permute(pair[0], pair[1], 0x7610);
    high = byte_permute(pair[2], pair[3], 0x7610);
}

struct codec_q35 {
    static constexpr unsigned table_words = Q35_CUDA_TABLE_WORDS, spare_bits = 1, tile_bytes = 896;
    static constexpr bool odd_levels = false;
    uint32_t w[8];

    Q35_METHOD void clear()
    {
        Q35_UNROLL
        for (int i = 0; i < 8; i++)
            w[i] = 0;
    }

    Q35_METHOD void load(const uint8_t *tile, uint32_t lane)
    {
        const uint4 a = load_const16(tile + 16 * lane);
        const uint2 b = load_const8(tile + 512 + 8 * lane);
        w[0] = a.x;
        w[1] = a.y;
        w[2] = a.z;
        w[3] = a.w;
        w[4] = b.x;
        w[5] = b.y;
        w[6] = load_const4(tile + 768 + 4 * lane);
    }

    /* The eighth word is the low bits of the others, shifted and added in one instruction each. */
    Q35_METHOD void prepare()
    {
        w[7] = 0;
        Q35_UNROLL
        for (uint32_t j = 0; j < 7; j++)
            w[7] += (w[j] & 0x01010101u) << (j + 1);
    }

    Q35_METHOD void expand(int s, shared_table mine, uint32_t (&a)[4]) const
    {
        look_up(mine, w[2 * s], a[0], a[1]);
        look_up(mine, w[2 * s + 1], a[2], a[3]);
    }
};

struct codec_q40 {
    static constexpr unsigned table_words = Q35_CUDA_TABLE_WORDS, spare_bits = 0, tile_bytes = 1024;
    static constexpr bool odd_levels = false;
    uint32_t w[8];

    Q35_METHOD void clear()
    {
        Q35_UNROLL
        for (int i = 0; i < 8; i++)
            w[i] = 0;
    }

    Q35_METHOD void load(const uint8_t *tile, uint32_t lane)
    {
        const uint4 a = load_const16(tile + 16 * lane), b = load_const16(tile + 512 + 16 * lane);
        w[0] = a.x;
        w[1] = a.y;
        w[2] = a.z;
        w[3] = a.w;
        w[4] = b.x;
        w[5] = b.y;
        w[6] = b.z;
        w[7] = b.w;
    }

    Q35_METHOD void prepare()
    {
    }

    Q35_METHOD void expand(int s, shared_table mine, uint32_t (&a)[4]) const
    {
        look_up(mine, w[2 * s], a[0], a[1]);
        look_up(mine, w[2 * s + 1], a[2], a[3]);
    }
};

/* Levels 2 c - 63 of codes c: the codes are multiplied, and the sum corrected (level_sum). */
struct codec_q60 {
    static constexpr unsigned table_words = 0, spare_bits = 0, tile_bytes = 1536;
    static constexpr bool odd_levels = true;
    uint32_t w[12];

    Q35_METHOD void clear()
    {
        Q35_UNROLL
        for (int i = 0; i < 12; i++)
            w[i] = 0;
    }

    Q35_METHOD void load(const uint8_t *tile, uint32_t lane)
    {
        Q35_UNROLL
        for (int q = 0; q < 3; q++) {
            const uint4 a = load_const16(tile + 512 * q + 16 * lane);
            w[4 * q] = a.x;
            w[4 * q + 1] = a.y;
            w[4 * q + 2] = a.z;
            w[4 * q + 3] = a.w;
        }
    }

    Q35_METHOD void prepare()
    {
    }

    Q35_METHOD void expand(int s, shared_table, uint32_t (&a)[4]) const
    {
        const uint32_t x = w[3 * s], y = w[3 * s + 1], z = w[3 * s + 2];
        a[0] = x & 0x3f3f3f3fu;
        a[1] = y & 0x3f3f3f3fu;
        a[2] = z & 0x3f3f3f3fu;
        a[3] = (x >> 6 & 0x03030303u) | (y >> 4 & 0x0c0c0c0cu) | (z >> 2 & 0x30303030u);
    }
};

/* Sum of level * q from the sum of products and the sum of q. */
template <typename Codec> static Q35_METHOD int level_sum(int products, int total)
{
    return Codec::odd_levels ? 2 * products - 63 * total : products;
}

/* Tile j of a slice; its scales come first. */
template <typename Codec> static Q35_METHOD const uint8_t *tile_at(const uint8_t *slice, int j)
{
    return slice + Q35_CUDA_T16_HEAD + (int64_t)j * Codec::tile_bytes;
}

#endif
