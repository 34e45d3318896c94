/* SPDX-License-Identifier: Apache-2.0
 *
 * Which kernel a LINEAR takes, and grid and shared memory of its launch: a part of q35_cuda.h, which includes it.
 */
#ifndef Q35_CUDA_LINEAR_H
#define Q35_CUDA_LINEAR_H

/* linear_one or linear_few of the types of weights and activations, or linear_float; Q35_CUDA_N_KERNELS: there is
 * none. */
Q35_CUDA_FN uint32_t q35_cuda_linear_first(uint32_t dtype, uint32_t act)
{
    const int row = act == Q35_DT_A8_ROW, blocks = act == Q35_DT_A8_32;
    switch (dtype) {
    case Q35_DT_F32:
    case Q35_DT_F16:
    case Q35_DT_BF16:
    case Q35_DT_F8_32: return blocks || act == Q35_DT_F32 ? Q35_CUDA_K_linear_float : Q35_CUDA_N_KERNELS;
    default: break;
    }
    if (row || act == Q35_DT_A8_128) {
        switch (dtype) {
        case Q35_DT_Q35_ROW: return row ? Q35_CUDA_K_linear_one_q35_row : Q35_CUDA_K_linear_one_q35_g128;
        case Q35_DT_Q40_ROW: return row ? Q35_CUDA_K_linear_one_q40_row : Q35_CUDA_K_linear_one_q40_g128;
        case Q35_DT_Q60_ROW: return row ? Q35_CUDA_K_linear_one_q60_row : Q35_CUDA_K_linear_one_q60_g128;
        default: return Q35_CUDA_N_KERNELS;
        }
    }
    switch (blocks ? dtype : 0xffffffffu) {
    case Q35_DT_Q35_PAIR: return Q35_CUDA_K_linear_few_pair;
    case Q35_DT_Q35_SPLIT: return Q35_CUDA_K_linear_few_split;
    case Q35_DT_Q4_0: return Q35_CUDA_K_linear_few_s4;
    case Q35_DT_Q4_1:
    case Q35_DT_Q4_K: return Q35_CUDA_K_linear_few_u4;
    case Q35_DT_IQ4_NL:
    case Q35_DT_IQ4_XS: return Q35_CUDA_K_linear_few_iq4;
    case Q35_DT_Q5_0: return Q35_CUDA_K_linear_few_s5;
    case Q35_DT_Q5_1:
    case Q35_DT_Q5_K: return Q35_CUDA_K_linear_few_u5;
    case Q35_DT_Q6_K: return Q35_CUDA_K_linear_few_s6;
    case Q35_DT_Q3_K: return Q35_CUDA_K_linear_few_s3;
    case Q35_DT_Q2_K: return Q35_CUDA_K_linear_few_u2;
    case Q35_DT_Q8_0: return Q35_CUDA_K_linear_few_s8;
    default: return Q35_CUDA_N_KERNELS;
    }
}

/* Can linears of this first kernel make a product? Those with one scale per row can. */
Q35_CUDA_FN int q35_cuda_linear_makes_product(uint32_t first)
{
    return first < Q35_CUDA_K_linear_few_pair;
}

/* Kernel for n_tokens of a plan; first: q35_cuda_linear_first of packed weights. wide: linear_wide may be used. */
Q35_CUDA_FN uint32_t q35_cuda_linear_kernel(uint32_t first, int64_t n_tokens, int wide)
{
    const int by_rows = q35_cuda_linear_makes_product(first);
    if (wide && by_rows && n_tokens >= Q35_CUDA_WIDE_LEAST)
        return first + 3;
    return first + (by_rows && n_tokens > 1) + (n_tokens > Q35_CUDA_FEW_TOKENS);
}

/* Slices of so many output rows that the parts have together. */
Q35_CUDA_FN uint32_t q35_cuda_linear_slices(const q35_linear_args *a, uint32_t rows)
{
    uint32_t slices = 0;
    for (int p = 0; p < Q35_CUDA_PARTS; p++)
        slices += q35_cuda_ceil_div(a->part[p].n, rows);
    return slices;
}

/* Columns of mma that hold tokens where a plan has so many. */
Q35_CUDA_FN uint32_t q35_cuda_few_columns(int32_t n_tokens)
{
    return n_tokens < Q35_CUDA_FEW_TOKENS ? (uint32_t)n_tokens : (uint32_t)Q35_CUDA_FEW_TOKENS;
}

/* What multiplying warps of B16 leave, twice; units: of four parts each in a tile. */
Q35_CUDA_FN uint32_t q35_cuda_kept_bytes(int32_t n_tokens, uint32_t units)
{
    const uint32_t columns = q35_cuda_few_columns(n_tokens);
    return 2 * Q35_CUDA_FEW_WARPS * units * (columns * Q35_CUDA_KEPT_STRIDE * 16 + 4 * (32 + columns) * 4);
}

Q35_CUDA_FN q35_cuda_launch q35_cuda_geometry_linear(const q35_linear_args *a, uint32_t variant)
{
    uint32_t table = variant / Q35_CUDA_BOOK * Q35_CUDA_TABLE_WORDS * 4, tokens = (uint32_t)a->n_rows;
    uint32_t slices = q35_cuda_linear_slices(a, Q35_CUDA_SLICE_ROWS);
    switch (variant % Q35_CUDA_HALVES) {
    case Q35_CUDA_ONE:
        return q35_cuda_launch_make(q35_cuda_ceil_div(slices, Q35_CUDA_BLOCK_ROWS / Q35_CUDA_SLICE_ROWS), tokens,
                                    1, table + Q35_CUDA_SLAB * Q35_CUDA_BLOCK_ROWS * 4);
    case Q35_CUDA_FEW:
        return q35_cuda_launch_make(q35_cuda_ceil_div(slices, Q35_CUDA_BLOCK_ROWS / Q35_CUDA_SLICE_ROWS),
                                    q35_cuda_ceil_div(tokens, Q35_CUDA_FEW_TOKENS), 1,
                                    table + Q35_CUDA_SLAB * Q35_CUDA_BLOCK_ROWS * Q35_CUDA_FEW_TOKENS * 4);
    case Q35_CUDA_MANY:
        return q35_cuda_launch_make(q35_cuda_ceil_div(slices, Q35_CUDA_MANY_ROWS / Q35_CUDA_SLICE_ROWS),
                                    q35_cuda_ceil_div(tokens, Q35_CUDA_MANY_TOKENS), 1,
                                    table +
                                        Q35_CUDA_MANY_STAGES * Q35_CUDA_MANY_TOKENS * (Q35_CUDA_MANY_STRIDE + 8));
    case Q35_CUDA_WIDE:
        return q35_cuda_launch_make(q35_cuda_ceil_div(slices, Q35_CUDA_WIDE_ROWS / Q35_CUDA_SLICE_ROWS),
                                    q35_cuda_ceil_div(tokens, Q35_CUDA_WIDE_TOKENS), 1,
                                    table + Q35_CUDA_WIDE_STAGES * Q35_CUDA_WIDE_TOKENS * (Q35_CUDA_TILE_K + 8));
    case Q35_CUDA_BLOCKS + Q35_CUDA_FEW:
        return q35_cuda_launch_make(slices, q35_cuda_ceil_div(tokens, Q35_CUDA_FEW_TOKENS), 1,
                                    table + q35_cuda_kept_bytes(a->n_rows, variant & Q35_CUDA_HALVES ? 2 : 1));
    default:
        return q35_cuda_launch_make(q35_cuda_ceil_div(slices, Q35_CUDA_MANY_ROWS / Q35_CUDA_SLICE_ROWS),
                                    q35_cuda_ceil_div(tokens, Q35_CUDA_MANY_TOKENS), 1,
                                    table + Q35_CUDA_MANY_STAGES * Q35_CUDA_MANY_TOKENS * Q35_CUDA_MANY_BLOCKS);
    }
}

Q35_CUDA_FN q35_cuda_launch q35_cuda_geometry_linear_float(const q35_linear_float_args *a, uint32_t variant)
{
    (void)variant; /* a warp has a row */
    return q35_cuda_launch_make(q35_cuda_ceil_div(a->n, 4), q35_cuda_ceil_div(a->n_rows, Q35_CUDA_FEW_TOKENS), 1,
                                0);
}

#endif
