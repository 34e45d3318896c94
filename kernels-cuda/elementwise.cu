/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops that touch every element once: SWIGLU, ADD, MUL, SILU, TAKE_ROWS, GET_ROWS, SUM_SQUARES. */
#include "kernels-cuda/block_codec.cuh"
#include "kernels-cuda/math.cuh"

/* y = op(a, b) on the block's 1024 elements of a row. */
template <typename Op> static Q35_METHOD void elementwise(const q35_elementwise_args &a, Op op)
{
    begin();
    const int row = (int)blockIdx.y;
    if (row >= rows_valid(a.rows_at, a.n_rows))
        return;
    const float *left = at_address<const float>(a.a, row * a.rs_a);
    const float *right = at_address<const float>(a.b, row * a.rs_b);
    float *out = at_address<float>(a.y, row * a.rs_y);
    const int first = (int)(blockIdx.x * 1024 + threadIdx.x);
    for (int i = first; i < a.n && i < first + 1024; i += 256)
        out[i] = op(left, right, i);
}

Q35_KERNEL(256) q35_swiglu(const q35_elementwise_args a)
{
    elementwise(a, [](const float *gate, const float *up, int i) { return swiglu_f32(gate[i], up[i]); });
}

Q35_KERNEL(256) q35_add(const q35_elementwise_args a)
{
    elementwise(a, [](const float *left, const float *right, int i) { return left[i] + right[i]; });
}

Q35_KERNEL(256) q35_mul(const q35_elementwise_args a)
{
    elementwise(a, [](const float *left, const float *right, int i) { return left[i] * right[i]; });
}

Q35_KERNEL(256) q35_silu(const q35_elementwise_args a)
{
    elementwise(a, [](const float *left, const float *, int i) { return (float)silu_f64((double)left[i]); });
}

Q35_KERNEL(128) q35_take_rows(const q35_take_rows_args a)
{
    begin();
    const int row = (int)blockIdx.y;
    if (row >= rows_valid(a.rows_at, a.n_rows))
        return;
    const int from = at_address<const int32_t>(a.rows)[row];
    const bool known = from >= 0 && from < a.n;
    const float *x = at_address<const float>(a.x, known ? from * a.rs_x : 0);
    float *y = at_address<float>(a.y, row * a.rs_y);
    const int first = (int)(blockIdx.x * 512 + threadIdx.x);
    for (int i = first; i < a.k && i < first + 512; i += 128)
        y[i] = known ? x[i] : float_of_bits(0x7fc00000u);
}

/* Weight i of a row of a type that has blocks: one rounding of scale * level, one of that plus the minimum. */
Q35_DEVICE float block_weight(const q35_get_rows_args &a, const uint8_t *row, int i)
{
    const q35_cuda_blocks type = q35_cuda_blocks_of(a.dtype);
    const uint32_t e = (uint32_t)i % type.block_len;
    const uint8_t *block = row + (int64_t)((uint32_t)i / type.block_len) * type.block_bytes;
    const part_scale s = part_scale_of(a.dtype, q35_cuda_block_outer(a.dtype, block),
                                       q35_cuda_block_inner(a.dtype, block, e / type.part));
    const float w = s.scale * (float)block_level(a.dtype, at_address<const int8_t>(a.book), block, e);
    return type.has_min ? w + s.min : w;
}

/* Weight i of the row at `row`; rows of weights are aligned to bytes only. */
Q35_DEVICE float weight_of(const q35_get_rows_args &a, const uint8_t *row, int i)
{
    const int8_t *book = at_address<const int8_t>(a.book);
    const uint32_t at = (uint32_t)i;
    const uint8_t *f8 = row + at / 32 * 36;
    switch (a.dtype) {
    case Q35_DT_F32: return float_of_bits(q35_cuda_load32(row + 4 * (int64_t)i));
    case Q35_DT_F16: return float_of_half((uint16_t)q35_cuda_load16(row + 2 * (int64_t)i));
    case Q35_DT_BF16: return float_of_bits(q35_cuda_load16(row + 2 * (int64_t)i) << 16);
    case Q35_DT_F8_32: return float_of_bits(q35_cuda_load32(f8)) * float_of_f8(f8[4 + at % 32]);
    case Q35_DT_Q35_ROW:
        return float_of_bits(q35_cuda_load32(row)) *
               (float)book[2 * q35_cuda_stream_get(row + 4, 7, at / 2) + at % 2];
    case Q35_DT_Q40_ROW:
        return float_of_bits(q35_cuda_load32(row)) * (float)book[2 * (uint32_t)row[4 + at / 2] + at % 2];
    case Q35_DT_Q60_ROW:
        return float_of_bits(q35_cuda_load32(row)) * (float)(2 * (int)q35_cuda_stream_get(row + 4, 6, at) - 63);
    default: return block_weight(a, row, i);
    }
}

Q35_KERNEL(128) q35_get_rows(const q35_get_rows_args a)
{
    begin();
    const int row = (int)blockIdx.y;
    if (row >= rows_valid(a.rows_at, a.n_rows))
        return;
    const int id = at_address<const int32_t>(a.ids)[row];
    const bool known = id >= 0 && id < a.n;
    float *y = at_address<float>(a.y, row * a.rs_y);
    const int first = (int)(blockIdx.x * 512 + threadIdx.x);
    for (int i = first; i < a.k && i < first + 512; i += 128)
        y[i] = known ? weight_of(a, at_address<const uint8_t>(a.table, id * a.rs_table), i)
                     : float_of_bits(0x7fc00000u);
}

Q35_KERNEL(128) q35_sum_squares(const q35_sum_squares_args a)
{
    begin();
    const int i = (int)(blockIdx.x * 128 + threadIdx.x), n = rows_valid(a.rows_at, a.n_rows);
    if (i >= a.k)
        return;
    double sum = 0;
    for (int t = 0; t < n; t++) {
        const double v = (double)at_address<const float>(a.x, t * a.rs_x)[i];
        sum += v * v;
    }
    float *acc = at_address<float>(a.acc);
    acc[i] = (float)((double)acc[i] + sum);
}
