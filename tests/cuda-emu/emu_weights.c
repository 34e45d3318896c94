/* SPDX-License-Identifier: Apache-2.0
 *
 * Random weights: any bits for codes and small scales, ordinary numbers where a scale or a weight is a float. */
#include "emu_weights.h"

#include <math.h>
#include <string.h>

const uint32_t emu_block_types[EMU_BLOCK_TYPES] = {
    Q35_DT_Q35_PAIR, Q35_DT_Q35_SPLIT, Q35_DT_Q4_0, Q35_DT_Q4_1, Q35_DT_Q4_K, Q35_DT_IQ4_NL, Q35_DT_IQ4_XS,
    Q35_DT_Q5_0,     Q35_DT_Q5_1,      Q35_DT_Q5_K, Q35_DT_Q6_K, Q35_DT_Q3_K, Q35_DT_Q2_K,   Q35_DT_Q8_0};

static void put_half(uint8_t *at, float v)
{
    const uint16_t half = q35_f32_to_f16(v);
    memcpy(at, &half, sizeof half);
}

/* Byte of the f16 scale of a block, and of its minimum; -1: it has none. */
static void halves_of(uint32_t dtype, int at[2])
{
    at[0] = dtype == Q35_DT_Q2_K ? 80 : dtype == Q35_DT_Q3_K ? 108 : dtype == Q35_DT_Q6_K ? 208 : 0;
    at[1] = q35_levels_describe(dtype).has_min ? at[0] + 2 : -1;
}

/* Block b of row r. */
static void put_scales(q35t_rng *rng, uint32_t dtype, int32_t r, int64_t b, uint8_t *block)
{
    const float scale = r == 5 && b == 0 ? NAN : r == 7 ? 0 : q35t_rng_signed(rng);
    int at[2];
    if (dtype == Q35_DT_F8_32) {
        memcpy(block, &scale, sizeof scale);
        for (int i = 4; i < 36; i++)
            block[i] ^= (block[i] & 0x7f) == 0x7f && r != 6; /* NaN in row 6 alone */
        return;
    }
    if (q35_levels_describe(dtype).part == 0)
        return;
    halves_of(dtype, at);
    put_half(block + at[0], scale);
    if (at[1] >= 0)
        put_half(block + at[1], r == 7 ? 0 : q35t_rng_signed(rng));
}

static void put_float(q35t_rng *rng, uint32_t dtype, int64_t i, uint8_t *at)
{
    const float v = q35t_rng_signed(rng);
    if (dtype == Q35_DT_F32)
        memcpy(at, &v, sizeof v);
    if (dtype == Q35_DT_F16)
        put_half(at, v);
    if (dtype == Q35_DT_BF16 && i % 3 == 0) {
        at[0] = 0x80;
        at[1] = 0x3f;
    } else if (dtype == Q35_DT_BF16) {
        at[1] &= 0x3f;
    }
}

uint8_t *emu_weights(q35t_rng *rng, uint32_t dtype, int32_t n, int32_t k)
{
    const uint64_t row = q35_row_bytes(dtype, (uint64_t)k);
    const q35_dtype_info d = q35_dtype_describe(dtype);
    uint8_t *w = emu_memory((size_t)n * row, 4);
    for (uint64_t i = 0; i < (uint64_t)n * row; i++)
        w[i] = (uint8_t)q35t_rng_u64(rng);
    for (int32_t r = 0; r < n; r++) {
        uint8_t *at = w + (uint64_t)r * row;
        const float scale = r == 5 ? NAN : r == 7 ? 0 : q35t_rng_signed(rng);
        if (q35_is_row_type(dtype))
            memcpy(at, &scale, sizeof scale);
        for (int64_t b = 0; (uint64_t)b * d.block_bytes < row - d.row_head; b++) {
            put_scales(rng, dtype, r, b, at + d.row_head + (uint64_t)b * d.block_bytes);
            if (d.block_len == 1)
                put_float(rng, dtype, b, at + (uint64_t)b * d.block_bytes);
        }
    }
    return w;
}

uint8_t *emu_packed(uint32_t dtype, int32_t n, int32_t k, const uint8_t *rows)
{
    const uint64_t bytes = q35_cuda_slice_bytes(dtype, k), row = q35_row_bytes(dtype, (uint64_t)k);
    const int32_t slices = (n + Q35_CUDA_SLICE_ROWS - 1) / Q35_CUDA_SLICE_ROWS;
    uint8_t *packed = emu_memory((size_t)slices * bytes, 64);
    for (int32_t s = 0; s < slices; s++) {
        const int32_t first = s * Q35_CUDA_SLICE_ROWS, left = n - first;
        q35_cuda_pack(dtype, k, left < Q35_CUDA_SLICE_ROWS ? left : Q35_CUDA_SLICE_ROWS,
                      rows + (uint64_t)first * row, (int64_t)row, packed + (uint64_t)s * bytes);
    }
    return packed;
}

const int8_t (*emu_book(q35t_rng *rng, uint32_t dtype))[2]
{
    const uint32_t n = q35_book_entries(dtype);
    int8_t(*book)[2] = emu_memory(n ? 2 * n : 2, 2);
    for (uint32_t c = 0; c < n; c++)
        for (int odd = 0; odd < 2; odd++)
            book[c][odd] = (int8_t)q35t_rng_u64(rng);
    if (dtype == Q35_DT_Q35_SPLIT)
        q35_split_book(book);
    if (!q35_is_row_type(dtype))
        return (const int8_t(*)[2])book;
    for (uint32_t c = 0; c < n / 4; c++)
        for (int odd = 0; odd < 2; odd++)
            book[c][odd] &= 127;
    for (uint32_t c = 0; c < n; c++)
        for (int odd = 0; odd < 2; odd++)
            book[c][odd] = q35_book_signed((const int8_t(*)[2])book, n, c, odd);
    return (const int8_t(*)[2])book;
}
