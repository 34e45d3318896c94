/* SPDX-License-Identifier: Apache-2.0
 *
 * ROPE and KV_APPEND: a group per token, which may do both. KV_APPEND is compiled for the cache's type, Q35_KV. */

#if Q35_FP64
/* q35k_sincos of kernels-cpu/series.h, a >= 0 */
inline void sine_cosine(double a, float *sine, float *cosine)
{
    const double n = (a * 0.63661977236758134 + 0x1.8p52) - 0x1.8p52;
    const double r = fma(n, -6.123233995736766e-17, fma(n, -1.5707963267948966, a)), z = r * r;
    double s = -1.0 / 1307674368000.0, c = 1.0 / 20922789888000.0;
    s = fma(s, z, 1.0 / 6227020800.0);
    s = fma(s, z, -1.0 / 39916800.0);
    s = fma(s, z, 1.0 / 362880);
    s = fma(s, z, -1.0 / 5040);
    s = fma(s, z, 1.0 / 120);
    s = fma(s, z, -1.0 / 6);
    s = fma(s, z, 1.0);
    c = fma(c, z, -1.0 / 87178291200.0);
    c = fma(c, z, 1.0 / 479001600.0);
    c = fma(c, z, -1.0 / 3628800.0);
    c = fma(c, z, 1.0 / 40320);
    c = fma(c, z, -1.0 / 720);
    c = fma(c, z, 1.0 / 24);
    c = fma(c, z, -1.0 / 2);
    c = fma(c, z, 1.0);
    s = r * s;
    const int quadrant = (int)((long)n & 3);
    const double swapped_s = quadrant & 1 ? c : s, swapped_c = quadrant & 1 ? s : c;
    *sine = (float)(quadrant & 2 ? -swapped_s : swapped_s);
    *cosine = (float)(quadrant == 1 || quadrant == 2 ? -swapped_c : swapped_c);
}
#else
inline void sine_cosine(float a, float *sine, float *cosine)
{
    *sine = sin(a);
    *cosine = cos(a);
}
#endif

inline void rope_row(global const float *x, global const float *freq, int position, global float *y, int n_heads,
                     int head_dim, int n_rot, float beta, int length, int row, Q35_FAULT, int lid)
{
    if (position < 0) {
        q35_fault(fault, Q35_BAD_POSITION, node, row, position, 0x7fffffff);
        return;
    }
    const float factor =
        length == 0 || beta == 0 ? 1.0f : (float)(1 + (wide)beta * log(1 + (wide)(position / length)));
    Q35_EACH(i, n_rot / 2) {
        float s, c;
        sine_cosine((wide)((float)position * freq[i]), &s, &c);
        for (int h = 0; h < n_heads; h++) {
            const int e = h * head_dim + 2 * i;
            const float even = x[e], odd = x[e + 1];
            y[e] = fma(even, c, -(odd * s)) * factor;
            y[e + 1] = fma(odd, c, even * s) * factor;
        }
    }
    const int rest = head_dim - n_rot;
    Q35_EACH(i, n_heads * rest) {
        const int e = i / rest * head_dim + n_rot + i % rest;
        y[e] = x[e] * factor;
    }
}

#define ROPE_ARGUMENTS(n)                                                                                         \
    Q35_IN(x##n), ulong rs_x##n, Q35_IN(inv_freq##n), Q35_IN(positions##n), Q35_OUT(y##n), ulong rs_y##n,         \
        int n_heads##n, int head_dim##n, int n_rot##n, float beta##n, int length##n
#define ROPE_ROW(n, node)                                                                                         \
    rope_row(Q35_AT(const float, x##n, row * rs_x##n), Q35_AT(const float, inv_freq##n, 0),                       \
             *Q35_AT(const int, positions##n, 4 * row), Q35_AT(float, y##n, row * rs_y##n), n_heads##n,           \
             head_dim##n, n_rot##n, beta##n, length##n, row, fault, node, lid);

/* 32 elements as GGUF's Q8_0 */
inline void store_q8(global const float *x, global uchar *out)
{
    uint top = 0;
    for (int i = 0; i < 32; i++)
        top = max(top, as_uint(x[i]) & 0x7fffffffu);
    const bool finite = top < 0x7f800000u;
    ushort scale = finite ? to_f16(divide(as_float(top), 127.0f)) : (ushort)0x7e00;
    if (finite && scale == 0x7c00)
        scale = 0x7bff;
    out[0] = (uchar)(scale & 255);
    out[1] = (uchar)(scale >> 8);
    const float d = load_f16(out);
    for (int i = 0; i < 32; i++) {
        const float q = finite && scale != 0 ? rint(clamp(divide(x[i], d), -127.0f, 127.0f)) : 0.0f;
        out[2 + i] = as_uchar(convert_char(q));
    }
}

/* One row of a head to its place in K or V. */
inline void store_head(global const float *x, int dim, global uchar *out, int lid)
{
#if Q35_KV == 0
    Q35_EACH(d, dim)
        ((global float *)out)[d] = x[d];
#elif Q35_KV == 1
    Q35_EACH(d, dim)
        ((global ushort *)out)[d] = to_f16(x[d]);
#else
    for (int d = 32 * lid; d < dim; d += 32 * Q35_LOCAL)
        store_q8(x + d, out + d / 32 * 34);
#endif
}

inline void append_row(global const float *k, global const float *v, global uchar *cache_k, global uchar *cache_v,
                       int slot, int n_slots, int n_kv_heads, int head_dim, int row_bytes, int row, Q35_FAULT,
                       int lid)
{
    if (slot < 0 || slot >= n_slots) {
        q35_fault(fault, Q35_BAD_SLOT, node, row, slot, n_slots);
        return;
    }
    for (int g = 0; g < n_kv_heads; g++) {
        const ulong at = (((ulong)(slot / 32) * n_kv_heads + g) * 32 + slot % 32) * row_bytes;
        store_head(k + g * head_dim, head_dim, cache_k + at, lid);
        store_head(v + g * head_dim, head_dim, cache_v + at, lid);
    }
}

#define APPEND_ARGUMENTS                                                                                          \
    Q35_IN(k), ulong rs_k, Q35_IN(v), ulong rs_v, Q35_OUT(cache_k), Q35_OUT(cache_v), Q35_IN(slots), int n_slots, \
        int n_kv_heads, int head_dim, int row_bytes
#define APPEND_ROW(node)                                                                                          \
    append_row(Q35_AT(const float, k, row * rs_k), Q35_AT(const float, v, row * rs_v), Q35_AT(uchar, cache_k, 0), \
               Q35_AT(uchar, cache_v, 0), *Q35_AT(const int, slots, 4 * row), n_slots, n_kv_heads, head_dim,      \
               row_bytes, row, fault, node, lid);

/* Two ROPEs and a KV_APPEND of what one of them made: three nodes from `node` on. */
#define ROPE_APPEND_ARGUMENTS ROPE_ARGUMENTS(q), ROPE_ARGUMENTS(k), APPEND_ARGUMENTS, Q35_FAULT
#define ROPE_APPEND                                                                                               \
    ROPE_ROW(q, node)                                                                                             \
    barrier(CLK_GLOBAL_MEM_FENCE);                                                                                \
    ROPE_ROW(k, node + 1)                                                                                         \
    barrier(CLK_GLOBAL_MEM_FENCE);                                                                                \
    APPEND_ROW(node + 2)

#if Q35_TAIL == 4
#define TAIL_ARGUMENTS ROPE_APPEND_ARGUMENTS
#define TAIL_LOCALS
#define TAIL ROPE_APPEND
#else
kernel __attribute__((reqd_work_group_size(Q35_LOCAL, 1, 1))) void
q35_rope(ROPE_ARGUMENTS(q), Q35_ROWS, Q35_FAULT)
{
    const int row = (int)get_group_id(0), lid = (int)get_local_id(0);
    if (row < Q35_N_ROWS)
        ROPE_ROW(q, node)
}

kernel __attribute__((reqd_work_group_size(Q35_LOCAL, 1, 1))) void
q35_kv_append(APPEND_ARGUMENTS, Q35_ROWS, Q35_FAULT)
{
    const int row = (int)get_group_id(0), lid = (int)get_local_id(0);
    if (row < Q35_N_ROWS)
        APPEND_ROW(node)
}

kernel __attribute__((reqd_work_group_size(Q35_LOCAL, 1, 1))) void
q35_rope_append(ROPE_APPEND_ARGUMENTS, Q35_ROWS)
{
    const int row = (int)get_group_id(0), lid = (int)get_local_id(0);
    if (row < Q35_N_ROWS) {
        ROPE_APPEND
    }
}
#endif
