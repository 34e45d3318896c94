/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops on rows of tokens: RMS_NORM, ADD_RMS_NORM, ROPE, KV_APPEND, and the latter two in one. */
#include "kernels-cuda/norm.cuh"

Q35_KERNEL(256) q35_norm(const q35_norm_args a)
{
    begin();
    unsigned used = 0;
    const int row = (int)blockIdx.x;
    if (row >= rows_valid(a.rows_at, a.n_rows))
        return;
    const norm_row r = take_norm_row(a, row, used);
    for (int i = (int)threadIdx.x; i < a.k; i += 256)
        norm_value(r, i);
}

/* Heads first .. end - 1 of a row, put(element, value) for each element. A thread has a pair of every head, whose
 * sine and cosine are the same. */
template <typename Put>
static Q35_METHOD void rope_heads(const q35_rope_args &a, int row, int first, int end, Put put)
{
    const int position = at_address<const int32_t>(a.positions)[row];
    const float *x = at_address<const float>(a.x, row * a.rs_x);
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
            put(e, fmaf(even, c, -(odd * s)) * factor);
            put(e + 1, fmaf(odd, c, even * s) * factor);
        }
    }
    for (int d = a.n_rot + (int)threadIdx.x; d < a.head_dim; d += 128)
        for (int h = first; h < end; h++)
            put(h * a.head_dim + d, x[h * a.head_dim + d] * factor);
}

/* ROPE of the heads of the block'th block of a row. */
Q35_DEVICE void rope_block(const q35_rope_args &a, int row, int block)
{
    const int first = block * Q35_CUDA_ROPE_HEADS, left = a.n_heads - first;
    float *y = at_address<float>(a.y, row * a.rs_y);
    rope_heads(a, row, first, first + (left < Q35_CUDA_ROPE_HEADS ? left : (int)Q35_CUDA_ROPE_HEADS),
               [y](int e, float v) { y[e] = v; });
}

Q35_KERNEL(128) q35_rope(const q35_rope_args a)
{
    begin();
    const int row = (int)blockIdx.y;
    if (row < rows_valid(a.rows_at, a.n_rows))
        rope_block(a, row, (int)blockIdx.x);
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

/* Elements value(0) .. value(dim - 1) to a row of a cache. */
template <typename Value> static Q35_METHOD void store_kv_row(Value value, uint32_t dtype, int dim, uint8_t *out)
{
    const int tid = (int)threadIdx.x, lane = tid % 32;
    if (dtype == Q35_DT_Q8_0) {
        for (int block = tid / 32; block < dim / 32; block += 4)
            store_q8_block(value(32 * block + lane), out + 34 * block, lane);
        return;
    }
    for (int d = tid; d < dim; d += 128) {
        if (dtype == Q35_DT_F32)
            reinterpret_cast<float *>(out)[d] = value(d);
        else
            reinterpret_cast<uint16_t *>(out)[d] = half_of_float(value(d));
    }
}

/* Head g of a token's keys, key(0) .. key(head_dim - 1), and of its values into the cache. */
template <typename Key> static Q35_METHOD void append_head(const q35_kv_append_args &a, int row, int g, Key key)
{
    const int slot = at_address<const int32_t>(a.slots)[row];
    if (slot < 0 || slot / Q35_KV_PAGE >= a.n_pages)
        return;
    const int64_t bytes = a.dtype == Q35_DT_F32   ? 4 * (int64_t)a.head_dim
                          : a.dtype == Q35_DT_F16 ? 2 * (int64_t)a.head_dim
                                                  : (int64_t)a.head_dim / 32 * 34;
    const int64_t at = ((int64_t)(slot / Q35_KV_PAGE) * a.n_kv_heads + g) * Q35_KV_PAGE + slot % Q35_KV_PAGE;
    const float *v = at_address<const float>(a.v, row * a.rs_v) + g * a.head_dim;
    store_kv_row(key, a.dtype, a.head_dim, at_address<uint8_t>(a.cache_k, at * bytes));
    store_kv_row([v](int d) { return v[d]; }, a.dtype, a.head_dim, at_address<uint8_t>(a.cache_v, at * bytes));
}

Q35_KERNEL(128) q35_kv_append(const q35_kv_append_args a)
{
    begin();
    const int g = (int)blockIdx.x, row = (int)blockIdx.y;
    if (row >= rows_valid(a.rows_at, a.n_rows))
        return;
    const float *k = at_address<const float>(a.k, row * a.rs_k) + g * a.head_dim;
    append_head(a, row, g, [k](int d) { return k[d]; });
}

/* The first blocks turn queries; then a block has a head of keys, which stays in shared memory until it is
 * stored. */
Q35_KERNEL(128) q35_rope_append(const q35_rope_append_args a)
{
    begin();
    unsigned used = 0;
    const shared_span<float> key = shared_take<float>(used, (unsigned)a.kv.head_dim);
    const int row = (int)blockIdx.y, of_queries = (int)q35_cuda_ceil_div(a.q.n_heads, Q35_CUDA_ROPE_HEADS);
    const int g = (int)blockIdx.x - of_queries;
    if (row >= rows_valid(a.q.rows_at, a.q.n_rows))
        return;
    if (g < 0) {
        rope_block(a.q, row, (int)blockIdx.x);
        return;
    }
    float *y = a.k.y ? at_address<float>(a.k.y, row * a.k.rs_y) : nullptr;
    const int first = g * a.kv.head_dim;
    rope_heads(a.k, row, g, g + 1, [y, key, first](int e, float v) {
        key[(unsigned)(e - first)] = v;
        if (y)
            y[e] = v;
    });
    barrier();
    append_head(a.kv, row, g, [key](int d) { return key[(unsigned)d]; });
}
