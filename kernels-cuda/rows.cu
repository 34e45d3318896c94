/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops on rows of tokens: RMS_NORM, ADD_RMS_NORM, ROPE, KV_APPEND, and the latter two in one. */
#include "kernels-cuda/norm.cuh"

Q35_KERNEL(256) q35_norm(const q35_norm_args a)
{
    begin();
    unsigned used = 0;
    const shared_span<double> lane = shared_take<double>(used, 17);
    const shared_span<float> s = shared_take<float>(used, Q35_CUDA_CHUNK);
    const int row = (int)blockIdx.x;
    if (row >= rows_valid(a.rows_at, a.n_rows))
        return;
    const norm_row r = take_norm_row(a, row, lane, s, Q35_CUDA_CHUNK);
    for (int first = (int)threadIdx.x; first < a.k; first += 256 * ROW_BATCH) {
        float v[ROW_BATCH] = {}, w[ROW_BATCH] = {};
        Q35_UNROLL
        for (int j = 0; j < ROW_BATCH; j++) {
            const int i = first + 256 * j;
            if (i >= a.k)
                continue;
            /* s still holds a row of one chunk; sum may have replaced a. */
            v[j] = a.k <= Q35_CUDA_CHUNK ? s[(unsigned)i]
                   : r.sum               ? r.sum[i]
                   : r.right             ? r.left[i] + r.right[i]
                                         : r.left[i];
            w[j] = r.w[i];
        }
        Q35_UNROLL
        for (int j = 0; j < ROW_BATCH; j++)
            if (first + 256 * j < a.k)
                r.y[first + 256 * j] = norm_value(r, v[j], w[j]);
    }
}

/* The n heads of a row from `first` on, at most Heads, put(element, value) for each element. A thread has a pair
 * of every head, whose sine and cosine are the same; it loads all of them before it stores any, since nothing else
 * hides the way to memory. */
template <int Heads, typename Put>
static Q35_METHOD void rope_heads(const q35_rope_args &a, int row, int first, int n, Put put)
{
    const int position = at_address<const int32_t>(a.positions)[row];
    const float *x = at_address<const float>(a.x, row * a.rs_x);
    float factor = 1;
    if (a.temperature_length > 0)
        factor = (float)(1 + (double)a.temperature_beta * log_f64((double)(1 + position / a.temperature_length)));
    for (int i = (int)threadIdx.x; i < a.n_rot / 2; i += 128) {
        const int at = first * a.head_dim + 2 * i;
        float even[Heads] = {}, odd[Heads] = {};
        Q35_UNROLL
        for (int h = 0; h < Heads; h++) {
            if (h >= n)
                continue;
            even[h] = x[at + h * a.head_dim];
            odd[h] = x[at + h * a.head_dim + 1];
        }
        double sine, cosine;
        sincos_f64((double)((float)position * at_address<const float>(a.inv_freq)[i]), sine, cosine);
        const float s = (float)sine, c = (float)cosine;
        Q35_UNROLL
        for (int h = 0; h < Heads; h++) {
            if (h >= n)
                continue;
            put(at + h * a.head_dim, fmaf(even[h], c, -(odd[h] * s)) * factor);
            put(at + h * a.head_dim + 1, fmaf(odd[h], c, even[h] * s) * factor);
        }
    }
    for (int d = a.n_rot + (int)threadIdx.x; d < a.head_dim; d += 128)
        for (int h = first; h < first + n; h++)
            put(h * a.head_dim + d, x[h * a.head_dim + d] * factor);
}

/* ROPE of the heads of the block'th block of a row. */
Q35_DEVICE void rope_block(const q35_rope_args &a, int row, int block)
{
    constexpr int Heads = Q35_CUDA_ROPE_HEADS;
    const int first = block * Heads, left = a.n_heads - first;
    float *y = at_address<float>(a.y, row * a.rs_y);
    rope_heads<Heads>(a, row, first, left < Heads ? left : Heads, [y](int e, float v) { y[e] = v; });
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

/* Head g of a token's keys or values, value(0) .. value(head_dim - 1), into their cache. */
template <typename Value>
static Q35_METHOD void append_head(const q35_kv_append_args &a, uint64_t cache, int row, int g, Value value)
{
    const int slot = at_address<const int32_t>(a.slots)[row];
    if (slot < 0 || slot / Q35_KV_PAGE >= a.n_pages)
        return;
    const int64_t bytes = a.dtype == Q35_DT_F32   ? 4 * (int64_t)a.head_dim
                          : a.dtype == Q35_DT_F16 ? 2 * (int64_t)a.head_dim
                                                  : (int64_t)a.head_dim / 32 * 34;
    const int64_t at = ((int64_t)(slot / Q35_KV_PAGE) * a.n_kv_heads + g) * Q35_KV_PAGE + slot % Q35_KV_PAGE;
    store_kv_row(value, a.dtype, a.head_dim, at_address<uint8_t>(cache, at * bytes));
}

/* From memory, where `of` is a.k or a.v. */
Q35_DEVICE void append_from(const q35_kv_append_args &a, uint64_t of, int64_t rs, uint64_t cache, int row, int g)
{
    const float *x = at_address<const float>(of, row * rs) + g * a.head_dim;
    append_head(a, cache, row, g, [x](int d) { return x[d]; });
}

/* A block has a head of keys or of values. */
Q35_KERNEL(128) q35_kv_append(const q35_kv_append_args a)
{
    begin();
    const int g = (int)blockIdx.x, row = (int)blockIdx.y;
    if (row >= rows_valid(a.rows_at, a.n_rows))
        return;
    if (g < a.n_kv_heads)
        append_from(a, a.k, a.rs_k, a.cache_k, row, g);
    else
        append_from(a, a.v, a.rs_v, a.cache_v, row, g - a.n_kv_heads);
}

/* The first blocks turn queries; then a block has a head of keys, which stays in shared memory until it is stored,
 * or of values. */
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
    if (g >= a.kv.n_kv_heads) {
        append_from(a.kv, a.kv.v, a.kv.rs_v, a.kv.cache_v, row, g - a.kv.n_kv_heads);
        return;
    }
    float *y = a.k.y ? at_address<float>(a.k.y, row * a.k.rs_y) : nullptr;
    const int first = g * a.kv.head_dim;
    rope_heads<1>(a.k, row, g, 1, [y, key, first](int e, float v) {
        key[(unsigned)(e - first)] = v;
        if (y)
            y[e] = v;
    });
    barrier();
    append_head(a.kv, a.kv.cache_k, row, g, [key](int d) { return key[(unsigned)d]; });
}
