/* SPDX-License-Identifier: Apache-2.0
 *
 * LINEAR of float weights as they are stored, in the op's order of f32 operations. */
#include "kernels-cuda/block_codec.cuh"
#include "kernels-cuda/math.cuh"

Q35_DEVICE float float_weight(const uint8_t *row, uint32_t dtype, int i)
{
    if (dtype == Q35_DT_F32)
        return reinterpret_cast<const float *>(row)[i];
    if (dtype == Q35_DT_F8_32)
        return *reinterpret_cast<const float *>(row + i / 32 * 36) * float_of_f8(row[i / 32 * 36 + 4 + i % 32]);
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

/* A warp has a row and up to 8 tokens. Eight chunks of 256 inputs at a time, each with four chains, input i in
 * chain i mod 4; the chunks' sums are then added in order. */
Q35_KERNEL(128) q35_linear_float(const q35_linear_float_args a)
{
    begin();
    const int lane = (int)threadIdx.x % 32, token0 = (int)blockIdx.y * Q35_CUDA_FEW_TOKENS,
              row = (int)(blockIdx.x * 4 + threadIdx.x / 32), valid = rows_valid(a.rows_at, a.n_rows);
    if (token0 >= valid || row >= a.n)
        return;
    const int tokens = valid - token0 < Q35_CUDA_FEW_TOKENS ? valid - token0 : (int)Q35_CUDA_FEW_TOKENS;
    const uint8_t *w = at_address<const uint8_t>(a.w, row * a.rs_w);
    const uint8_t *x = at_address<const uint8_t>(a.x, token0 * a.rs_x);
    float acc[Q35_CUDA_FEW_TOKENS] = {};
    for (int k0 = 0; k0 < a.k; k0 += 8 * 256) {
        const int first = k0 + lane / 4 * 256 + lane % 4;
        float sum[Q35_CUDA_FEW_TOKENS] = {};
        Q35_UNROLL_BY(2)
        for (int i = first; i < a.k && i < first + 256; i += 4) {
            const float v = float_weight(w, a.dtype, i);
            Q35_UNROLL
            for (int t = 0; t < Q35_CUDA_FEW_TOKENS; t++)
                if (t < tokens)
                    sum[t] = fmaf(v, float_input(x + t * a.rs_x, a.act, i), sum[t]);
        }
        Q35_UNROLL
        for (int t = 0; t < Q35_CUDA_FEW_TOKENS; t++) {
            sum[t] = sum[t] + shuffle_xor(sum[t], 1);
            sum[t] = sum[t] + shuffle_xor(sum[t], 2);
            for (int c = 0; c < 8; c++) {
                const float chunk = shuffle(sum[t], 4 * c);
                if (k0 + 256 * c < a.k)
                    acc[t] = acc[t] + chunk;
            }
        }
    }
    Q35_UNROLL
    for (int t = 0; t < Q35_CUDA_FEW_TOKENS; t++)
        if (lane == 0 && t < tokens)
            at_address<float>(a.y, (token0 + t) * a.rs_y)[row] = one_nan(acc[t]);
}
