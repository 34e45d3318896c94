/* SPDX-License-Identifier: Apache-2.0
 *
 * QUANTIZE_ACT, alone and after a norm, and ROTATE: one block has a row, or a chunk of it, in shared memory.
 * Blocks of the rotation are cut from the row in decreasing powers of two, so those of at least 2 h inputs cover
 * the first K - K mod 2 h of it; a chunk is a multiple of the widest block. */
#include "kernels-cuda/norm.cuh"

/* Length of the rotation's block that input i of k lies in. */
Q35_DEVICE uint32_t rotation_block(uint32_t i, uint32_t k, uint32_t width)
{
    while (i >= (k & ~(width - 1)))
        width /= 2;
    return width;
}

/* Factor of inputs, (float)(1 / sqrt(length of their block)): made anew only where another block begins. */
struct rotation_factor {
    uint32_t block = 0;
    float factor = 0;

    Q35_METHOD float scaled(float x, uint32_t i, uint32_t k, uint32_t width)
    {
        const uint32_t b = rotation_block(i, k, width);
        if (b != block) {
            block = b;
            factor = (float)(1 / sqrt((double)b));
        }
        return b > 1 ? x * factor : x;
    }
};

/* Butterflies over the n inputs in s that begin at input k0 of a row of k; width is a power of two. Ends with a
 * barrier. */
Q35_DEVICE void butterflies(shared_span<float> s, uint32_t n, uint32_t k0, uint32_t k, uint32_t width)
{
    for (uint32_t h = 1; h < width; h *= 2) {
        const uint32_t covered = k & ~(2 * h - 1), end = covered <= k0 ? 0 : covered - k0 < n ? covered - k0 : n;
        for (uint32_t pair = threadIdx.x; pair < end / 2; pair += 256) {
            const uint32_t i = 2 * pair - (pair & (h - 1));
            const float low = s[i], high = s[i + h];
            s[i] = low + high;
            s[i + h] = low - high;
        }
        barrier();
    }
}

/* Inputs k0 .. k0 + n of a row to shared memory, rotated where there are signs. Input i is what input.value(i,
 * raw) makes of raw, input.load(i), both by thread i mod 256; it may be in s[i] before. */
template <typename Input>
static Q35_METHOD void load_rotated(shared_span<float> s, const Input &input, const int8_t *signs, uint32_t n,
                                    uint32_t k0, uint32_t k, uint32_t width)
{
    for (uint32_t first = threadIdx.x; first < n; first += 256 * ROW_BATCH) {
        float raw[ROW_BATCH] = {};
        bool minus[ROW_BATCH] = {};
        Q35_UNROLL
        for (uint32_t j = 0; j < ROW_BATCH; j++) {
            const uint32_t i = first + 256 * j;
            if (i < n)
                raw[j] = input.load(k0 + i);
            if (i < n && signs)
                minus[j] = signs[k0 + i] < 0;
        }
        Q35_UNROLL
        for (uint32_t j = 0; j < ROW_BATCH; j++) {
            const uint32_t i = first + 256 * j;
            if (i >= n)
                continue;
            const float x = input.value(k0 + i, raw[j]);
            s[i] = minus[j] ? -x : x;
        }
    }
    barrier();
    if (!signs)
        return;
    butterflies(s, n, k0, k, width);
    rotation_factor factor;
    for (uint32_t i = threadIdx.x; i < n; i += 256)
        s[i] = factor.scaled(s[i], k0 + i, k, width);
    barrier();
}

Q35_KERNEL(256) q35_rotate(const q35_rotate_args a)
{
    begin();
    unsigned used = 0;
    const shared_span<float> s = shared_take<float>(used, Q35_CUDA_CHUNK);
    const int row = (int)blockIdx.y;
    if (row >= rows_valid(a.rows_at, a.n_rows))
        return;
    const uint32_t k = (uint32_t)a.k, k0 = blockIdx.x * Q35_CUDA_CHUNK;
    const uint32_t n = k - k0 < Q35_CUDA_CHUNK ? k - k0 : (uint32_t)Q35_CUDA_CHUNK;
    const float *x = at_address<const float>(a.x, row * a.rs_x);
    const int8_t *signs = at_address<const int8_t>(a.signs);
    float *y = at_address<float>(a.y, row * a.rs_y);
    for (uint32_t i = threadIdx.x; i < n; i += 256)
        s[i] = !a.inverse && signs[k0 + i] < 0 ? -x[k0 + i] : x[k0 + i];
    barrier();
    butterflies(s, n, k0, k, a.width);
    rotation_factor factor;
    for (uint32_t i = threadIdx.x; i < n; i += 256) {
        const float v = factor.scaled(s[i], k0 + i, k, a.width);
        y[k0 + i] = a.inverse && signs[k0 + i] < 0 ? -v : v;
    }
}

/* Scale of codes with the largest magnitude `top`, and what inputs are multiplied by; 0, 0: all codes are 0. */
typedef struct code_scale {
    float scale, inverse;
} code_scale;

Q35_DEVICE code_scale scale_of(float top, bool bad)
{
    const float inverse = 127.0f / top;
    code_scale c = {top / 127.0f, inverse};
    if (bad || top == 0 || !is_finite(inverse)) {
        c.scale = bad ? float_of_bits(0x7fc00000u) : 0;
        c.inverse = 0;
    }
    return c;
}

Q35_DEVICE int code_of(float x, code_scale c)
{
    return c.inverse == 0 ? 0 : (int)rintf(x * c.inverse);
}

/* Largest magnitude and sum over a warp, and whether anything is not finite. */
typedef struct extremes {
    float top;
    bool bad;
} extremes;

Q35_DEVICE extremes warp_extremes(extremes e)
{
    e.bad = vote_any(e.bad);
    Q35_UNROLL
    for (int h = 16; h > 0; h /= 2) {
        const float other = shuffle_xor(e.top, h);
        e.top = other > e.top ? other : e.top;
    }
    return e;
}

Q35_DEVICE extremes take_input(extremes e, float x)
{
    const float magnitude = fabsf(x);
    e.bad = e.bad || !is_finite(x);
    e.top = magnitude > e.top ? magnitude : e.top;
    return e;
}

Q35_DEVICE int warp_sum(int v)
{
    Q35_UNROLL
    for (int h = 16; h > 0; h /= 2)
        v += shuffle_xor(v, h);
    return v;
}

/* A8_32 and A8_128: a warp has a group at a time. Codes past the end of the row are 0. */
Q35_DEVICE void quantize_groups(shared_span<float> s, uint32_t n, uint32_t unit, uint8_t *out)
{
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32, per_lane = unit / 32;
    for (uint32_t g = warp; g < (n + unit - 1) / unit; g += 8) {
        uint8_t *head = out + (int64_t)g * (8 + unit);
        extremes e = {0, false};
        for (uint32_t j = 0; j < per_lane; j++) {
            const uint32_t i = g * unit + 32 * j + lane;
            e = take_input(e, i < n ? s[i] : 0);
        }
        e = warp_extremes(e);
        const code_scale c = scale_of(e.top, e.bad);
        int sum = 0;
        for (uint32_t j = 0; j < per_lane; j++) {
            const uint32_t i = g * unit + 32 * j + lane;
            const int code = i < n ? code_of(s[i], c) : 0;
            head[8 + 32 * j + lane] = (uint8_t)code;
            sum += code;
        }
        sum = warp_sum(sum);
        if (lane == 0) {
            *reinterpret_cast<float *>(head) = c.scale;
            *reinterpret_cast<int32_t *>(head + 4) = sum;
        }
    }
}

/* A row of inputs as load_rotated takes them; s: room for a chunk, warps: for 16. One that fits into shared memory
 * is rotated once, a longer one once for its scale and once for its codes. */
template <typename Input>
static Q35_METHOD void quantize_row(const q35_quantize_args &a, int row, shared_span<int> warps,
                                    shared_span<float> s, const Input &input)
{
    const uint32_t k = (uint32_t)a.k, chunk = (uint32_t)a.chunk, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int8_t *signs = a.signs ? at_address<const int8_t>(a.signs) : nullptr;
    uint8_t *y = at_address<uint8_t>(a.y, row * a.rs_y);
    if (a.dtype != Q35_DT_A8_ROW) {
        const uint32_t unit = a.dtype == Q35_DT_A8_128 ? 128 : 32;
        for (uint32_t k0 = 0; k0 < k; k0 += chunk) {
            const uint32_t n = k - k0 < chunk ? k - k0 : chunk;
            load_rotated(s, input, signs, n, k0, k, a.width);
            quantize_groups(s, n, unit, y + (int64_t)(k0 / unit) * (8 + unit));
            barrier();
        }
        return;
    }
    extremes e = {0, false};
    for (uint32_t k0 = 0; k0 < k; k0 += chunk) {
        const uint32_t n = k - k0 < chunk ? k - k0 : chunk;
        barrier();
        load_rotated(s, input, signs, n, k0, k, a.width);
        for (uint32_t i = threadIdx.x; i < n; i += 256)
            e = take_input(e, s[i]);
    }
    e = warp_extremes(e);
    if (lane == 0)
        warps[warp] = (int)bits_of_float(e.bad ? float_of_bits(0x7f800000u) : e.top);
    barrier();
    e.top = 0;
    for (uint32_t i = 0; i < 8; i++)
        e = take_input(e, float_of_bits((uint32_t)warps[i]));
    const code_scale c = scale_of(e.top, e.bad);
    int sum = 0;
    for (uint32_t k0 = 0; k0 < k; k0 += chunk) {
        const uint32_t n = k - k0 < chunk ? k - k0 : chunk;
        if (k > chunk) {
            barrier();
            load_rotated(s, input, signs, n, k0, k, a.width);
        }
        for (uint32_t i = threadIdx.x; i < (n + 63) / 64 * 64; i += 256) {
            const int code = i < n ? code_of(s[i], c) : 0;
            y[8 + (int64_t)k0 + i] = (uint8_t)code;
            sum += code;
        }
    }
    sum = warp_sum(sum);
    if (lane == 0)
        warps[8 + warp] = sum;
    barrier();
    if (threadIdx.x == 0) {
        sum = 0;
        for (uint32_t i = 0; i < 8; i++)
            sum += warps[8 + i];
        *reinterpret_cast<float *>(y) = c.scale;
        *reinterpret_cast<int32_t *>(y + 4) = sum;
    }
}

/* A row as it is in memory. */
struct plain_input {
    const float *x;

    Q35_METHOD float load(uint32_t i) const
    {
        return x[i];
    }

    Q35_METHOD float value(uint32_t, float raw) const
    {
        return raw;
    }
};

Q35_KERNEL(256) q35_quantize(const q35_quantize_args a)
{
    begin();
    unsigned used = 0;
    const shared_span<int> warps = shared_take<int>(used, 16);
    const shared_span<float> s = shared_take<float>(used, (unsigned)a.chunk);
    const int row = (int)blockIdx.x;
    if (row >= rows_valid(a.rows_at, a.n_rows))
        return;
    const plain_input input = {at_address<const float>(a.x, row * a.rs_x)};
    quantize_row(a, row, warps, s, input);
}

/* A norm's result, of a row that is all in shared memory. */
struct normed_input {
    norm_row r;

    Q35_METHOD float load(uint32_t i) const
    {
        return r.w[i];
    }

    Q35_METHOD float value(uint32_t i, float w) const
    {
        const float y = norm_value(r, r.s[i], w);
        if (r.y)
            r.y[i] = y;
        return y;
    }
};

Q35_KERNEL(256) q35_norm_quantize(const q35_norm_quantize_args a)
{
    begin();
    unsigned used = 0;
    const shared_span<double> lane = shared_take<double>(used, 17);
    const shared_span<int> warps = shared_take<int>(used, 16);
    const shared_span<float> s = shared_take<float>(used, (unsigned)a.quantize.chunk);
    const int row = (int)blockIdx.x;
    if (row >= rows_valid(a.norm.rows_at, a.norm.n_rows))
        return;
    const normed_input input = {take_norm_row(a.norm, row, lane, s, a.quantize.chunk)};
    quantize_row(a.quantize, row, warps, s, input);
}
