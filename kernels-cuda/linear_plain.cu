/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR of Q8_0 weights in their layout, and of float weights as they are stored. Both follow the op's order of
 * f32 operations, which is a chain over the row; rows, tokens and what a chain's terms are made of run side by
 * side. */
#include "kernels-cuda/math.cuh"
#include "kernels-cuda/parts.cuh"

/* A lane has a row and 8 tokens: per block of 32 inputs one exact sum for each, then one fma. */
Q35_KERNEL(128) q35_linear_q8(const q35_linear_args a)
{
    begin();
    const int lane = (int)threadIdx.x % 32, blocks = (a.k + 31) / 32;
    const int valid = rows_valid(a.rows_at, a.n_rows), token0 = (int)blockIdx.y * Q35_CUDA_FEW_TOKENS;
    const linear_slice slice = slice_of<Q35_CUDA_Q8T_ROWS>(a, (int)(blockIdx.x * 4 + threadIdx.x / 32),
                                                           (int64_t)blocks * Q35_CUDA_Q8T_BLOCK);
    if (token0 >= valid || slice.rows == 0)
        return;
    const uint8_t *w = slice.w;
    const int tokens = valid - token0 < Q35_CUDA_FEW_TOKENS ? valid - token0 : (int)Q35_CUDA_FEW_TOKENS;
    float acc[Q35_CUDA_FEW_TOKENS] = {};
    Q35_UNROLL_BY(2)
    for (int b = 0; b < blocks; b++, w += Q35_CUDA_Q8T_BLOCK) {
        const uint4 low = load_const16(w + 16 * lane), high = load_const16(w + 512 + 16 * lane);
        const float scale = float_of_half(reinterpret_cast<const uint16_t *>(w + 1024)[lane]);
        Q35_UNROLL
        for (int t = 0; t < Q35_CUDA_FEW_TOKENS; t++) {
            if (t >= tokens)
                continue;
            const uint8_t *x = at_address<const uint8_t>(a.x, (token0 + t) * a.rs_x + (int64_t)b * 40);
            const uint2 *q = reinterpret_cast<const uint2 *>(x + 8);
            int sum = dp4a(low.y, q[0].y, dp4a(low.x, q[0].x, 0));
            sum = dp4a(low.w, q[1].y, dp4a(low.z, q[1].x, sum));
            sum = dp4a(high.y, q[2].y, dp4a(high.x, q[2].x, sum));
            sum = dp4a(high.w, q[3].y, dp4a(high.z, q[3].x, sum));
            acc[t] = fmaf((float)sum * *reinterpret_cast<const float *>(x), scale, acc[t]);
        }
    }
    if (lane >= slice.rows)
        return;
    Q35_UNROLL
    for (int t = 0; t < Q35_CUDA_FEW_TOKENS; t++)
        if (t < tokens)
            at_address<float>(slice.y, (token0 + t) * slice.rs_y)[lane] = one_nan(acc[t]);
}

Q35_DEVICE float float_weight(const uint8_t *row, uint32_t dtype, int i)
{
    if (dtype == Q35_DT_F32)
        return reinterpret_cast<const float *>(row)[i];
    const uint16_t bits = reinterpret_cast<const uint16_t *>(row)[i];
    return dtype == Q35_DT_F16 ? float_of_half(bits) : float_of_bits((uint32_t)bits << 16);
}

Q35_DEVICE float float_input(const uint8_t *row, uint32_t act, int i)
{
    if (act == Q35_DT_F32)
        return reinterpret_cast<const float *>(row)[i];
    const q35_act_block *block = reinterpret_cast<const q35_act_block *>(row) + i / 32;
    return block->scale * (float)block->q[i % 32];
}

/* A warp has a row. Eight chunks of 256 inputs at a time, each with four chains, input i in chain i mod 4; the
 * chunks' sums are then added in order. */
Q35_KERNEL(128) q35_linear_float(const q35_linear_float_args a)
{
    begin();
    const int lane = (int)threadIdx.x % 32, token = (int)blockIdx.y,
              row = (int)(blockIdx.x * 4 + threadIdx.x / 32);
    if (token >= rows_valid(a.rows_at, a.n_rows) || row >= a.n)
        return;
    const uint8_t *w = at_address<const uint8_t>(a.w, row * a.rs_w);
    const uint8_t *x = at_address<const uint8_t>(a.x, token * a.rs_x);
    float acc = 0;
    for (int k0 = 0; k0 < a.k; k0 += 8 * 256) {
        const int first = k0 + lane / 4 * 256 + lane % 4;
        float sum = 0;
        Q35_UNROLL_BY(4)
        for (int i = first; i < a.k && i < first + 256; i += 4)
            sum = fmaf(float_weight(w, a.dtype, i), float_input(x, a.act, i), sum);
        sum = sum + shuffle_xor(sum, 1);
        sum = sum + shuffle_xor(sum, 2);
        for (int c = 0; c < 8; c++) {
            const float chunk = shuffle(sum, 4 * c);
            if (k0 + 256 * c < a.k)
                acc = acc + chunk;
        }
    }
    if (lane == 0)
        at_address<float>(a.y, token * a.rs_y)[row] = one_nan(acc);
}
