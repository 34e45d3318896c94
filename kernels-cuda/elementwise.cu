/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops that touch every element once: SWIGLU, ADD, MUL, SILU, TAKE_ROWS, GET_ROWS, SUM_SQUARES. */
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

Q35_DEVICE uint32_t load_u16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

/* n little-endian bytes, n <= 4; rows of weights are aligned to bytes only. */
Q35_DEVICE uint32_t load_bytes(const uint8_t *p, int n)
{
    uint32_t v = 0;
    for (int i = 0; i < n; i++)
        v |= (uint32_t)p[i] << (8 * i);
    return v;
}

/* Code c of a stream of codes of n bits. */
Q35_DEVICE uint32_t stream_code(const uint8_t *stream, int n, int c)
{
    const int bit = n * c, shift = bit % 8;
    return load_bytes(stream + bit / 8, shift + n > 8 ? 2 : 1) >> shift & ((1u << n) - 1u);
}

/* Weight i of the row at `row`, canonical layout: scale * level is one rounding. */
Q35_DEVICE float weight_of(const q35_get_rows_args &a, const uint8_t *row, int i)
{
    const int8_t *book = at_address<const int8_t>(a.book);
    const uint8_t *block = row + i / 32 * 34;
    switch (a.dtype) {
    case Q35_DT_F32: return float_of_bits(load_bytes(row + 4 * (int64_t)i, 4));
    case Q35_DT_F16: return float_of_half((uint16_t)load_u16(row + 2 * (int64_t)i));
    case Q35_DT_BF16: return float_of_bits(load_u16(row + 2 * (int64_t)i) << 16);
    case Q35_DT_Q8_0: return float_of_half((uint16_t)load_u16(block)) * (float)(int8_t)block[2 + i % 32];
    case Q35_DT_Q35_ROW:
        return float_of_bits(load_bytes(row, 4)) * (float)book[2 * stream_code(row + 4, 7, i / 2) + i % 2];
    case Q35_DT_Q40_ROW:
        return float_of_bits(load_bytes(row, 4)) * (float)book[2 * (uint32_t)row[4 + i / 2] + (uint32_t)i % 2];
    default: return float_of_bits(load_bytes(row, 4)) * (float)(2 * (int)stream_code(row + 4, 6, i) - 63);
    }
}

/* Weight i of row r of a Q8_0 table in its layout. */
Q35_DEVICE float weight_of_q8t(const q35_get_rows_args &a, int r, int i)
{
    const uint8_t *block = at_address<const uint8_t>(a.table, (int64_t)q35_cuda_slice_bytes(Q35_DT_Q8_0, a.k) *
                                                                  (r / Q35_CUDA_Q8T_ROWS)) +
                           i / 32 * Q35_CUDA_Q8T_BLOCK;
    const int lane = r % Q35_CUDA_Q8T_ROWS, e = i % 32;
    return float_of_half((uint16_t)load_u16(block + 1024 + 2 * lane)) *
           (float)(int8_t)block[512 * (e / 16) + 16 * lane + e % 16];
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
        y[i] = !known                     ? float_of_bits(0x7fc00000u)
               : a.layout == Q35_CUDA_Q8T ? weight_of_q8t(a, id, i)
                                          : weight_of(a, at_address<const uint8_t>(a.table, id * a.rs_table), i);
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
