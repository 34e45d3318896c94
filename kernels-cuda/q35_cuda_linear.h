/* SPDX-License-Identifier: Apache-2.0
 *
 * Which kernel a LINEAR takes, and grid and shared memory of its launch: a part of q35_cuda.h, which includes it.
 */
#ifndef Q35_CUDA_LINEAR_H
#define Q35_CUDA_LINEAR_H

/* Kernel for n_tokens of a plan; first: the linear_one of the weights' and the activations' type. wide:
 * linear_wide may be used. */
Q35_CUDA_FN uint32_t q35_cuda_linear_kernel(uint32_t first, int64_t n_tokens, int wide)
{
    return first + (n_tokens <= 1                             ? 0u
                    : n_tokens <= Q35_CUDA_FEW_TOKENS         ? 1u
                    : !wide || n_tokens < Q35_CUDA_WIDE_LEAST ? 2u
                                                              : 3u);
}

/* linear_one of a row type and its activations, linear_q8 or linear_float; Q35_CUDA_N_KERNELS: there is none. */
Q35_CUDA_FN uint32_t q35_cuda_linear_first(uint32_t dtype, uint32_t act)
{
    if (act == Q35_DT_A8_ROW || act == Q35_DT_A8_128) {
        int row = act == Q35_DT_A8_ROW;
        switch (dtype) {
        case Q35_DT_Q35_ROW: return row ? Q35_CUDA_K_linear_one_q35_row : Q35_CUDA_K_linear_one_q35_g128;
        case Q35_DT_Q40_ROW: return row ? Q35_CUDA_K_linear_one_q40_row : Q35_CUDA_K_linear_one_q40_g128;
        case Q35_DT_Q60_ROW: return row ? Q35_CUDA_K_linear_one_q60_row : Q35_CUDA_K_linear_one_q60_g128;
        default: return Q35_CUDA_N_KERNELS;
        }
    }
    if (dtype == Q35_DT_Q8_0 && act == Q35_DT_A8_32)
        return Q35_CUDA_K_linear_q8;
    if ((dtype == Q35_DT_F32 || dtype == Q35_DT_F16 || dtype == Q35_DT_BF16) &&
        (act == Q35_DT_F32 || act == Q35_DT_A8_32))
        return Q35_CUDA_K_linear_float;
    return Q35_CUDA_N_KERNELS;
}

/* Slices of so many output rows that the parts have together. */
Q35_CUDA_FN uint32_t q35_cuda_linear_slices(const q35_linear_args *a, uint32_t rows)
{
    uint32_t slices = 0;
    for (int p = 0; p < Q35_CUDA_PARTS; p++)
        slices += q35_cuda_ceil_div(a->part[p].n, rows);
    return slices;
}

Q35_CUDA_FN q35_cuda_launch q35_cuda_geometry_linear(const q35_linear_args *a, uint32_t variant)
{
    uint32_t table = variant / Q35_CUDA_BOOK * Q35_CUDA_TABLE_WORDS * 4, tokens = (uint32_t)a->n_rows;
    uint32_t slices = q35_cuda_linear_slices(a, Q35_CUDA_T16_ROWS);
    switch (variant % Q35_CUDA_BOOK) {
    case Q35_CUDA_ONE:
        return q35_cuda_launch_make(q35_cuda_ceil_div(slices, Q35_CUDA_BLOCK_ROWS / Q35_CUDA_T16_ROWS), tokens, 1,
                                    table + Q35_CUDA_SLAB * Q35_CUDA_BLOCK_ROWS * 4);
    case Q35_CUDA_FEW:
        return q35_cuda_launch_make(q35_cuda_ceil_div(slices, Q35_CUDA_BLOCK_ROWS / Q35_CUDA_T16_ROWS),
                                    q35_cuda_ceil_div(tokens, Q35_CUDA_FEW_TOKENS), 1,
                                    table + Q35_CUDA_SLAB * Q35_CUDA_BLOCK_ROWS * Q35_CUDA_FEW_TOKENS * 4);
    case Q35_CUDA_MANY:
        return q35_cuda_launch_make(q35_cuda_ceil_div(slices, Q35_CUDA_MANY_ROWS / Q35_CUDA_T16_ROWS),
                                    q35_cuda_ceil_div(tokens, Q35_CUDA_MANY_TOKENS), 1,
                                    table +
                                        Q35_CUDA_MANY_STAGES * Q35_CUDA_MANY_TOKENS * (Q35_CUDA_MANY_STRIDE + 8));
    case Q35_CUDA_WIDE:
        return q35_cuda_launch_make(q35_cuda_ceil_div(slices, Q35_CUDA_WIDE_ROWS / Q35_CUDA_T16_ROWS),
                                    q35_cuda_ceil_div(tokens, Q35_CUDA_WIDE_TOKENS), 1,
                                    table + Q35_CUDA_WIDE_STAGES * Q35_CUDA_WIDE_TOKENS * (Q35_CUDA_TILE_K + 8));
    default: /* linear_q8: a warp has a slice */
        return q35_cuda_launch_make(q35_cuda_ceil_div(q35_cuda_linear_slices(a, Q35_CUDA_Q8T_ROWS), 4),
                                    q35_cuda_ceil_div(tokens, Q35_CUDA_FEW_TOKENS), 1, 0);
    }
}

Q35_CUDA_FN q35_cuda_launch q35_cuda_geometry_linear_float(const q35_linear_float_args *a, uint32_t variant)
{
    (void)variant; /* a warp has a row */
    return q35_cuda_launch_make(q35_cuda_ceil_div(a->n, 4), (uint32_t)a->n_rows, 1, 0);
}

#endif
