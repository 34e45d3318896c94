/* SPDX-License-Identifier: Apache-2.0
 *
 * What a lane does with its part of a B16 tile (q35_cuda_blocks.h): load it, turn codes into the registers of the
 * first operand of mma.sync m16n8k32, and scales into floats. Where levels may be negative, codes go to the high
 * bits of a byte, which makes them levels times a power of two without more work; sums are divided by it when they
 * become floats. */
#ifndef Q35_BLOCK_CODEC_CUH
#define Q35_BLOCK_CODEC_CUH

#include "kernels-cuda/codec.cuh"

/* The lane's 2 Bits words of a plane. */
template <int Bits> static Q35_METHOD void load_plane(uint32_t (&w)[2 * Bits], const uint8_t *plane, uint32_t lane)
{
    if constexpr (Bits == 1) {
        const uint2 v = load_const8(plane + 8 * lane);
        w[0] = v.x;
        w[1] = v.y;
    } else {
        Q35_UNROLL
        for (uint32_t q = 0; q < Bits / 2; q++) {
            const uint4 v = load_const16(plane + 512 * q + 16 * lane);
            w[4 * q] = v.x;
            w[4 * q + 1] = v.y;
            w[4 * q + 2] = v.z;
            w[4 * q + 3] = v.w;
        }
    }
}

/* The bits that register v has in a plane, from bit `to` on of each byte. */
template <int Bits> static Q35_METHOD uint32_t plane_bits(const uint32_t (&w)[2 * Bits], int v, int to)
{
    const int from = v * Bits % 8;
    const uint32_t word = w[v * Bits / 8], mask = 0x01010101u * (((1u << Bits) - 1u) << to);
    return (from > to ? word >> (from - to) : word << (to - from)) & mask;
}

/* Codes that are levels, in one plane. */
template <int Base, bool Signed> struct codec_plane {
    static constexpr unsigned table_words = 0, spare_bits = 0;
    static constexpr int level_shift = Signed ? 8 - Base : 0; /* codes are levels times 1 << level_shift */
    uint32_t base[2 * Base];

    Q35_METHOD void load(const uint8_t *tile, uint32_t lane)
    {
        load_plane<Base>(base, tile, lane);
    }

    Q35_METHOD void prepare()
    {
    }

    Q35_METHOD void expand(int s, shared_table, uint32_t (&a)[4]) const
    {
        Q35_UNROLL
        for (int r = 0; r < 4; r++)
            a[r] = plane_bits<Base>(base, 4 * s + r, level_shift);
    }
};

/* The same in two planes. */
template <int Base, int Extra, bool Signed> struct codec_planes {
    static constexpr unsigned table_words = 0, spare_bits = 0;
    static constexpr int level_shift = Signed ? 8 - Base - Extra : 0;
    uint32_t base[2 * Base], extra[2 * Extra];

    Q35_METHOD void load(const uint8_t *tile, uint32_t lane)
    {
        load_plane<Base>(base, tile, lane);
        load_plane<Extra>(extra, tile + 256 * Base, lane);
    }

    Q35_METHOD void prepare()
    {
    }

    Q35_METHOD void expand(int s, shared_table, uint32_t (&a)[4]) const
    {
        Q35_UNROLL
        for (int r = 0; r < 4; r++)
            a[r] = plane_bits<Base>(base, 4 * s + r, Signed ? 8 - Base : 0) |
                   plane_bits<Extra>(extra, 4 * s + r, Signed ? level_shift : Base);
    }
};

/* Level c of IQ4_NL and IQ4_XS is byte c % 4 of word c / 4. */
#define Q35_IQ4_WORDS 0xbfad9881u, 0xf6eaddcfu, 0x26190d01u, 0x71594535u

/* Codes of IQ4_NL and IQ4_XS: a permutation of bytes looks up in 8 levels, so two and a choice between them. */
struct codec_iq4 : codec_plane<4, false> {
    Q35_METHOD void expand(int s, shared_table, uint32_t (&a)[4]) const
    {
        const uint32_t level[4] = {Q35_IQ4_WORDS};
        Q35_UNROLL
        for (int r = 0; r < 4; r++) {
            const uint32_t codes = base[2 * s + r / 2] >> (16 * (r % 2)), at = codes & 0x7777u;
            const uint32_t which = (codes >> 1 & 0x4444u) | 0x3210u;
            a[r] = byte_permute(byte_permute(level[0], level[1], at), byte_permute(level[2], level[3], at), which);
        }
    }
};

/* Codes of pairs, looked up in their book. */
struct codec_pair : codec_q35 {
    static constexpr int level_shift = 0;
};

/* Codes of pairs in q35_split_book: 7 times the high four bits, 15 times the low three. */
struct codec_split : codec_q35 {
    static constexpr unsigned table_words = 0;
    static constexpr int level_shift = 0;

    Q35_METHOD void expand(int s, shared_table, uint32_t (&a)[4]) const
    {
        Q35_UNROLL
        for (int i = 0; i < 2; i++) {
            const uint32_t word = w[2 * s + i], even = (word >> 4 & 0x0f0f0f0fu) * 7,
                           odd = (word >> 1 & 0x07070707u) * 15;
            a[2 * i] = byte_permute(even, odd, 0x5140);
            a[2 * i + 1] = byte_permute(even, odd, 0x7362);
        }
    }
};

/* Level of weight e of a canonical block. book: that of Q35_PAIR. */
Q35_DEVICE int block_level(uint32_t dtype, const int8_t *book, const uint8_t *block, uint32_t e)
{
    const q35_cuda_blocks type = q35_cuda_blocks_of(dtype);
    const uint32_t code = q35_cuda_block_code(dtype, block, e), iq4[4] = {Q35_IQ4_WORDS};
    const uint32_t low = byte_permute(iq4[0], iq4[1], code & 7u), high = byte_permute(iq4[2], iq4[3], code & 7u);
    switch (dtype) {
    case Q35_DT_Q35_PAIR: return book[2 * code + e % 2];
    case Q35_DT_Q35_SPLIT: return (int)(e % 2 ? 15 * (code & 7u) : 7 * (code >> 3));
    case Q35_DT_IQ4_NL:
    case Q35_DT_IQ4_XS: return (int8_t)(code < 8 ? low : high);
    default: return (int)code - (type.is_signed ? 1 << (type.base + type.extra - 1) : 0);
    }
}

/* FP8 e4m3fn: 256 times the f16 of the same bits, but for NaN. */
Q35_DEVICE float float_of_f8(uint32_t bits)
{
    const uint32_t half = (bits & 0x80u) << 8 | (bits & 0x7fu) << 7;
    return (bits & 0x7fu) == 0x7fu ? float_of_bits(0x7fc00000u) : 256 * float_of_half((uint16_t)half);
}

/* ------------------------------------------------------------------ scales */

struct part_scale {
    float scale, min; /* min: of types that have minima */
};

/* Scale and minimum of a part from what its block has (q35_cuda_block_outer) and what it has of its own. */
Q35_DEVICE part_scale part_scale_of(uint32_t dtype, uint32_t outer, uint32_t inner)
{
    const float d = float_of_half((uint16_t)outer), dmin = float_of_half((uint16_t)(outer >> 16));
    switch (dtype) {
    case Q35_DT_Q35_PAIR: return {d, 0};
    case Q35_DT_Q35_SPLIT: return {d, dmin};
    case Q35_DT_Q4_1:
    case Q35_DT_Q5_1: return {float_of_half((uint16_t)inner), float_of_half((uint16_t)(inner >> 16))};
    case Q35_DT_Q3_K:
    case Q35_DT_Q6_K:
    case Q35_DT_IQ4_XS: return {d * (float)(int8_t)inner, 0};
    case Q35_DT_Q2_K: return {d * (float)(inner & 15u), 0 - dmin * (float)(inner >> 4 & 15u)};
    case Q35_DT_Q4_K:
    case Q35_DT_Q5_K: return {d * (float)(inner & 255u), 0 - dmin * (float)(inner >> 8 & 255u)};
    default: return {float_of_half((uint16_t)inner), 0};
    }
}

/* What a lane has of a tile's scales, as stored: of the parts of step t, of rows g and g + 8. */
struct lane_scales {
    uint32_t inner[2], outer[2];

    /* Of tile j of a slice, which is at `tile`. */
    template <uint32_t Type> Q35_METHOD void load(const uint8_t *slice, const uint8_t *tile, int j, uint32_t lane)
    {
        constexpr q35_cuda_blocks type = q35_cuda_blocks_of(Type);
        const uint8_t *own = tile + q35_cuda_blocks_codes(type);
        inner[0] = inner[1] = outer[0] = outer[1] = 0;
        if constexpr (type.inner == 32) {
            const uint2 v = load_const8(own + 8 * lane);
            inner[0] = v.x;
            inner[1] = v.y;
        } else if constexpr (type.inner * 32 == type.part * 16) {
            inner[0] = load_const4(own + 4 * lane);
        } else if constexpr (type.inner == 8) {
            inner[0] = reinterpret_cast<const uint16_t *>(own)[lane];
        }
        Q35_UNROLL
        for (uint32_t r = 0; r < 2; r++) {
            const uint32_t block = (uint32_t)j * Q35_CUDA_TILE_K / type.block_len,
                           at = Q35_CUDA_SLICE_ROWS * block + lane / 4 + 8 * r;
            if constexpr (type.outer == 2)
                outer[r] = reinterpret_cast<const uint16_t *>(slice)[at];
            else if constexpr (type.outer == 4)
                outer[r] = load_const4(slice + 4 * (uint64_t)at);
        }
    }

    /* Of part h of the step, row g (r = 0) or g + 8. */
    template <uint32_t Type> Q35_METHOD part_scale get(int r, int h) const
    {
        constexpr int bits = (int)q35_cuda_blocks_of(Type).inner, parts = 32 / (int)q35_cuda_blocks_of(Type).part;
        const uint32_t own = bits == 32 ? inner[r] : inner[0] >> (bits * (parts * r + h));
        return part_scale_of(Type, outer[r], own);
    }
};

/* A slice of a kernel's weights, which are of type A or of type B: these differ in their scales alone. */
template <uint32_t A, uint32_t B> struct packed_blocks {
    static constexpr int step_parts = 32 / (int)q35_cuda_blocks_of(A).part;
    static constexpr bool has_min = q35_cuda_blocks_of(A).has_min != 0;
    static_assert(q35_cuda_blocks_of(A).part == q35_cuda_blocks_of(B).part, "");
    static_assert(q35_cuda_blocks_of(A).has_min == q35_cuda_blocks_of(B).has_min, "");
    bool is_b;
    const uint8_t *at; /* NULL: there is none */
    int64_t head;

    Q35_METHOD static int64_t bytes(uint32_t dtype, int k)
    {
        return (int64_t)q35_cuda_slice_bytes(dtype == A ? A : B, k);
    }

    Q35_METHOD packed_blocks(const uint8_t *slice, uint32_t dtype, int k) : is_b(A != B && dtype != A), at(slice)
    {
        head = (int64_t)q35_cuda_blocks_head(q35_cuda_blocks_of(is_b ? B : A), k);
    }

    template <typename Codec> Q35_METHOD void load(Codec &codes, lane_scales &scales, int j, uint32_t lane) const
    {
        constexpr uint32_t a = q35_cuda_blocks_tile(q35_cuda_blocks_of(A)),
                           b = q35_cuda_blocks_tile(q35_cuda_blocks_of(B));
        const uint8_t *tile = at + head + (int64_t)j * (is_b ? b : a);
        codes.load(tile, lane);
        if (is_b)
            scales.load<B>(at, tile, j, lane);
        else
            scales.load<A>(at, tile, j, lane);
    }

    Q35_METHOD part_scale scale(const lane_scales &scales, int r, int h) const
    {
        return is_b ? scales.get<B>(r, h) : scales.get<A>(r, h);
    }
};

#endif
