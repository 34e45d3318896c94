/* SPDX-License-Identifier: Apache-2.0
 *
 * Canonical weights into the layout that linear kernels read: what q35_cuda_pack does on the host, of T16 the
 * other way round. A thread makes whole words, taking the codes that belong there from the rows, so nothing is
 * written twice. It runs once for a weight, so it is short rather than fast. */
#include "kernels-cuda/prim.cuh"

/* The rows of a slice of T16. */
struct slice_rows {
    const uint8_t *first;
    int64_t rs;
    uint32_t n, dtype, n_codes; /* rows there are; codes of each */

    /* The code that holds input i of a row; 0 past its end. */
    Q35_METHOD uint32_t code(uint32_t row, uint32_t i) const
    {
        const uint32_t c = i / q35_cuda_code_weights(dtype);
        if (row >= n || c >= n_codes)
            return 0;
        return q35_cuda_stream_get(first + row * rs + 4, q35_cuda_code_bits(dtype), c);
    }

    /* The same by its place in a tile, whose first input is `from`. */
    Q35_METHOD uint32_t code_at(uint32_t from, uint32_t lane, uint32_t reg, uint32_t byte) const
    {
        const q35_cuda_spot spot = q35_cuda_t16_spot(lane, reg, byte);
        return code(spot.row, from + spot.input);
    }
};

/* Byte b of word w of a lane: words as the layout counts them. */
Q35_DEVICE uint32_t tile_byte(const slice_rows &rows, uint32_t from, uint32_t lane, uint32_t w, uint32_t b)
{
    if (rows.dtype == Q35_DT_Q60_ROW) {
        const uint32_t s = w / 3, part = w % 3;
        const uint32_t split = rows.code_at(from, lane, 4 * s + 3, b);
        return rows.code_at(from, lane, 4 * s + part, b) | (split >> (2 * part) & 3u) << 6;
    }
    const uint32_t c = 4 * w + b;
    const uint32_t code = rows.code_at(from, lane, c / 2, 2 * (c % 2));
    if (rows.dtype == Q35_DT_Q40_ROW)
        return code;
    return code << 1 | (rows.code_at(from, lane, 14 + b / 2, 2 * (b % 2)) >> w & 1u);
}

/* Byte `at` of a slice. */
Q35_DEVICE uint32_t t16_byte(const slice_rows &rows, uint32_t at)
{
    if (at < Q35_CUDA_T16_HEAD) {
        const uint32_t row = at / 4;
        return row < Q35_CUDA_SLICE_ROWS && row < rows.n ? rows.first[row * rows.rs + at % 4] : 0;
    }
    const uint32_t bytes = q35_cuda_tile_bytes(rows.dtype), in_tiles = at - Q35_CUDA_T16_HEAD;
    const uint32_t from = in_tiles / bytes * Q35_CUDA_TILE_K, in = in_tiles % bytes;
    if (rows.dtype == Q35_DT_Q35_ROW && in >= 512) {
        const uint32_t lane = in < 768 ? (in - 512) / 8 : (in - 768) / 4;
        return tile_byte(rows, from, lane, in < 768 ? 4 + in / 4 % 2 : 6, in % 4);
    }
    return tile_byte(rows, from, in % 512 / 16, 4 * (in / 512) + in / 4 % 4, in % 4);
}

Q35_DEVICE uint32_t t16_word(const slice_rows &rows, uint32_t at)
{
    uint32_t word = 0;
    for (uint32_t b = 0; b < 4; b++)
        word |= t16_byte(rows, at + b) << (8 * b);
    return word;
}

Q35_KERNEL(256) q35_pack(const q35_pack_args a)
{
    begin();
    const uint64_t words = q35_cuda_slice_words(&a);
    const int64_t slice = blockIdx.x, row = slice * Q35_CUDA_SLICE_ROWS, left = a.n - row;
    const uint8_t *first = at_address<const uint8_t>(a.rows, row * a.rs_rows);
    const uint32_t n = left < Q35_CUDA_SLICE_ROWS ? (uint32_t)left : (uint32_t)Q35_CUDA_SLICE_ROWS;
    const q35_cuda_rows blocks = {first, a.rs_rows, a.k, n, a.dtype};
    const bool has_blocks = q35_cuda_layout_of(a.dtype) == Q35_CUDA_B16;
    const slice_rows rows = {first, a.rs_rows, n, a.dtype, has_blocks ? 0 : q35_cuda_row_codes(a.dtype, a.k)};
    uint32_t *out = at_address<uint32_t>(a.packed, slice * 4 * (int64_t)words);
    const uint32_t step = 256 * q35_cuda_pack_blocks(&a);
    for (uint64_t w = blockIdx.y * 256 + threadIdx.x; w < words; w += step)
        out[w] = has_blocks ? q35_cuda_blocks_word(&blocks, 4 * w) : t16_word(rows, (uint32_t)(4 * w));
}
