/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops on rows of tokens: RMS_NORM, ADD_RMS_NORM, ROPE, KV_APPEND. */
#include "kernels-cuda/math.cuh"

/* Sixteen sums in double, term i in lane i mod 16, ascending, then the lanes: the order that the op prescribes.
 * The row comes through shared memory in chunks, so that the chains need no loads from far away. */
Q35_KERNEL(256) q35_norm(const q35_norm_args a)
{
    unsigned used = 0;
    const shared_span<double> lane = shared_take<double>(used, 17);
    const shared_span<float> s = shared_take<float>(used, Q35_CUDA_CHUNK);
    const int row = (int)blockIdx.x, tid = (int)threadIdx.x;
    if (row >= rows_valid(a.rows_at, a.n_rows))
        return;
    const float *left = at_address<const float>(a.a, row * a.rs_a);
    const float *right = a.b ? at_address<const float>(a.b, row * a.rs_b) : nullptr;
    const float *w = at_address<const float>(a.w);
    float *sum = a.sum ? at_address<float>(a.sum, row * a.rs_sum) : nullptr;
    float *y = at_address<float>(a.y, row * a.rs_y);

    double chain = 0;
    for (int k0 = 0; k0 < a.k; k0 += Q35_CUDA_CHUNK) {
        const int n = a.k - k0 < Q35_CUDA_CHUNK ? a.k - k0 : (int)Q35_CUDA_CHUNK;
        for (int i = tid; i < n; i += 256) {
            const float v = right ? left[k0 + i] + right[k0 + i] : left[k0 + i];
            s[i] = v;
            if (sum)
                sum[k0 + i] = v;
        }
        barrier();
        if (tid < 16) {
            for (int i = tid; i < n; i += 16)
                chain = fma((double)s[i], (double)s[i], chain); /* the product is exact */
            lane[tid] = chain;
        }
        barrier();
    }
    if (tid == 0) {
        double half[8];
        for (int i = 0; i < 8; i++)
            half[i] = lane[i] + lane[i + 8];
        for (int i = 0; i < 4; i++)
            half[i] = half[i] + half[i + 4];
        const double squares = (half[0] + half[1]) + (half[2] + half[3]);
        lane[16] = 1 / sqrt(squares / (double)a.k + (double)a.eps);
    }
    barrier();
    const double factor = lane[16];
    for (int i = tid; i < a.k; i += 256) {
        /* s still holds a row of one chunk; sum may have replaced a. */
        const float v = a.k <= Q35_CUDA_CHUNK ? s[i] : sum ? sum[i] : right ? left[i] + right[i] : left[i];
        y[i] = (float)((double)v * factor * (double)w[i]);
    }
}

/* A thread has a pair of every head of the block's eight, whose sine and cosine are the same. */
Q35_KERNEL(128) q35_rope(const q35_rope_args a)
{
    const int row = (int)blockIdx.y, first = (int)blockIdx.x * 8;
    if (row >= rows_valid(a.rows_at, a.n_rows))
        return;
    const int position = at_address<const int32_t>(a.positions)[row];
    const int end = first + 8 < a.n_heads ? first + 8 : a.n_heads;
    const float *x = at_address<const float>(a.x, row * a.rs_x);
    float *y = at_address<float>(a.y, row * a.rs_y);
    float factor = 1;
    if (a.temperature_length > 0)
        factor = (float)(1 + (double)a.temperature_beta * log_f64((double)(1 + position / a.temperature_length)));
    for (int i = (int)threadIdx.x; i < a.n_rot / 2; i += 128) {
        double sine, cosine;
        sincos_f64((double)((float)position * at_address<const float>(a.inv_freq)[i]), sine, cosine);
        const float s = (float)sine, c = (float)cosine;
        for (int h = first; h < end; h++) {
            const int e = h * a.head_dim + 2 * i;
            const float even = x[e], odd = x[e + 1];
            y[e] = fmaf(even, c, -(odd * s)) * factor;
            y[e + 1] = fmaf(odd, c, even * s) * factor;
        }
    }
    for (int d = a.n_rot + (int)threadIdx.x; d < a.head_dim; d += 128)
        for (int h = first; h < end; h++)
            y[h * a.head_dim + d] = x[h * a.head_dim + d] * factor;
}

Q35_DEVICE float largest_of_warp(float v)
{
    Q35_UNROLL
    for (int h = 16; h > 0; h /= 2) {
        const float other = shuffle_xor(v, h);
        v = other > v ? other : v;
    }
    return v;
}

/* A warp's lane has one of 32 elements. */
Q35_DEVICE void store_q8_block(float x, uint8_t *block, int lane)
{
    const bool bad = vote_any(!is_finite(x));
    const float top = largest_of_warp(fabsf(x));
    uint16_t scale = half_of_float(top / 127);
    if (scale == 0x7c00)
        scale = 0x7bff;
    if (bad)
        scale = 0x7e00;
    int q = 0;
    if (!bad && scale != 0)
        q = (int)rintf(fminf(fmaxf(x / float_of_half(scale), -127.0f), 127.0f));
    if (lane < 2)
        block[lane] = (uint8_t)(scale >> (8 * lane));
    block[2 + lane] = (uint8_t)q;
}

Q35_DEVICE void store_kv_row(const float *x, uint32_t dtype, int dim, uint8_t *out)
{
    const int tid = (int)threadIdx.x, lane = tid % 32;
    if (dtype == Q35_DT_Q8_0) {
        for (int block = tid / 32; block < dim / 32; block += 4)
            store_q8_block(x[32 * block + lane], out + 34 * block, lane);
        return;
    }
    for (int d = tid; d < dim; d += 128) {
        if (dtype == Q35_DT_F32)
            reinterpret_cast<float *>(out)[d] = x[d];
        else
            reinterpret_cast<uint16_t *>(out)[d] = half_of_float(x[d]);
    }
}

Q35_KERNEL(128) q35_kv_append(const q35_kv_append_args a)
{
    const int g = (int)blockIdx.x, row = (int)blockIdx.y;
    if (row >= rows_valid(a.rows_at, a.n_rows))
        return;
    const int slot = at_address<const int32_t>(a.slots)[row];
    if (slot < 0 || slot / Q35_KV_PAGE >= a.n_pages)
        return;
    const int64_t bytes = a.dtype == Q35_DT_F32   ? 4 * (int64_t)a.head_dim
                          : a.dtype == Q35_DT_F16 ? 2 * (int64_t)a.head_dim
                                                  : (int64_t)a.head_dim / 32 * 34;
    const int64_t at = ((int64_t)(slot / Q35_KV_PAGE) * a.n_kv_heads + g) * Q35_KV_PAGE + slot % Q35_KV_PAGE;
    store_kv_row(at_address<const float>(a.k, row * a.rs_k) + g * a.head_dim, a.dtype, a.head_dim,
                 at_address<uint8_t>(a.cache_k, at * bytes));
    store_kv_row(at_address<const float>(a.v, row * a.rs_v) + g * a.head_dim, a.dtype, a.head_dim,
                 at_address<uint8_t>(a.cache_v, at * bytes));
}
