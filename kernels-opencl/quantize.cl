/* SPDX-License-Identifier: Apache-2.0
 *
 * ROTATE and QUANTIZE_ACT, bit for bit the reference's, and the rows of codes as floats that LINEAR reads. A group
 * per token. */

enum { A8_32 = 0x1010, A8_128 = 0x1011 };

/* A row, block by block, through local memory, f32 [width]; y may be x. Local memory comes as an argument: PoCL takes
 * ten times as long to compile an array of this size. */
inline void rotate_row(global const float *x, global const char *signs, global float *y, int k, int width,
                       int inverse, local float *block, int lid)
{
    for (int at = 0, b; at < k; at += b) {
        b = rotation_block(k - at, width);
        const float factor = rotation_factor(b);
        Q35_EACH(i, b)
            block[i] = !inverse && signs[at + i] < 0 ? -x[at + i] : x[at + i];
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int h = 1; h < b; h *= 2) {
            Q35_EACH(i, b / 2) {
                const int low = ((i & ~(h - 1)) << 1) | (i & (h - 1));
                const float u = block[low], v = block[low + h];
                block[low] = u + v;
                block[low + h] = u - v;
            }
            barrier(CLK_LOCAL_MEM_FENCE);
        }
        Q35_EACH(i, b) {
            const float v = b > 1 ? block[i] * factor : block[i];
            y[at + i] = inverse && signs[at + i] < 0 ? -v : v;
        }
        barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    }
}

kernel __attribute__((reqd_work_group_size(Q35_LOCAL, 1, 1))) void
q35_rotate(Q35_IN(x), ulong rs_x, Q35_IN(signs), Q35_OUT(y), ulong rs_y, local float *block, int k, int width,
           int inverse, Q35_ROWS)
{
    const int row = (int)get_group_id(0);
    if (row >= Q35_N_ROWS)
        return;
    rotate_row(Q35_AT(const float, x, row * rs_x), Q35_AT(const char, signs, 0), Q35_AT(float, y, row * rs_y), k,
               width, inverse, block, (int)get_local_id(0));
}

/* Scale and factor of inputs whose largest magnitude has these bits. */
inline float2 scale_of(uint top)
{
    const float amax = as_float(top);
    if (top >= 0x7f800000u)
        return (float2)(as_float(0x7fc00000), 0.0f);
    const float inverse = top == 0 ? 0.0f : divide(127.0f, amax);
    return isfinite(inverse) && inverse != 0 ? (float2)(divide(amax, 127.0f), inverse) : (float2)(0.0f, 0.0f);
}

inline uint top_of(global const float *x, int n)
{
    uint top = 0;
    for (int i = 0; i < n; i++)
        top = max(top, as_uint(x[i]) & 0x7fffffffu);
    return top;
}

/* n codes, then zeros up to `padded`; their sum */
inline int store_codes(global const float *x, int n, int padded, float inverse, global char *q)
{
    int sum = 0;
    for (int i = 0; i < n; i++) {
        const int code = inverse == 0 ? 0 : convert_int(rint(x[i] * inverse));
        q[i] = (char)code;
        sum += code;
    }
    for (int i = n; i < padded; i++)
        q[i] = 0;
    return sum;
}

inline void store_head(global uchar *out, float scale, int sum)
{
    *(global float *)out = scale;
    *(global int *)(out + 4) = sum;
}

/* A8_ROW: one scale for the row, found by all work-items together. */
inline void quantize_row(global const float *x, int k, global uchar *out, local uint *tops, local int *sums, int lid)
{
    const int part = (k + Q35_LOCAL - 1) / Q35_LOCAL, begin = min(lid * part, k), end = min(begin + part, k);
    tops[lid] = top_of(x + begin, end - begin);
    barrier(CLK_LOCAL_MEM_FENCE);
    uint top = 0;
    for (int i = 0; i < Q35_LOCAL; i++)
        top = max(top, tops[i]);
    const float2 s = scale_of(top);
    sums[lid] = store_codes(x + begin, end - begin, end - begin, s.y, (global char *)out + 8 + begin);
    barrier(CLK_LOCAL_MEM_FENCE);
    if (lid != 0)
        return;
    int sum = 0;
    for (int i = 0; i < Q35_LOCAL; i++)
        sum += sums[i];
    store_head(out, s.x, sum);
    for (int i = k; i < (k + 63) / 64 * 64; i++)
        out[8 + i] = 0;
}

/* Rows of activations as LINEAR wants them: floats [T][padded], zeros past the row's end, and where codes have
 * scales (scale, sum) pairs [T][n_heads]. even, odd: factors of inputs (the split book's units). scaled: codes times
 * their scale. */
#define WIDE                                                                                                      \
    global float *wide_x, int padded, global float2 *heads, int n_heads, float even, float odd, int scaled

/* Block u of 32 inputs of a row at px of k codes of a type. */
inline void widen_codes(global const uchar *px, int u, int row, int k, int type, WIDE)
{
    /* within the codes that the row has, its padding included */
    const int unit = type == A8_32 ? 32 : type == A8_128 ? 128 : (k + 63) / 64 * 64;
    const int g = 32 * u / unit, there = 32 * u < (k + unit - 1) / unit * unit;
    global const uchar *head = px + g * (unit + 8);
    global const char *q = (global const char *)head + 8 + 32 * u % unit;
    global float *out = wide_x + (ulong)row * padded + 32 * u;
    const float scale = there ? *(global const float *)head : 0.0f;
    if (there && 32 * u % unit == 0 && g < n_heads)
        heads[(ulong)row * n_heads + g] = (float2)(scale, (float)*(global const int *)(head + 4));
    for (int i = 0; i < 32; i += 2) {
        const float a = there ? (float)q[i] : 0.0f, b = there ? (float)q[i + 1] : 0.0f;
        out[i] = scaled ? scale * a : a * even;
        out[i + 1] = scaled ? scale * b : b * odd;
    }
}

/* padded 0: nobody wants them wide. */
#define QUANTIZE_ARGUMENTS Q35_IN(x), ulong rs_x, Q35_OUT(y), ulong rs_y, int k, int unit, Q35_ROWS, WIDE
#define WIDEN(u, type)                                                                                            \
    widen_codes(Q35_AT(const uchar, y, row * rs_y), u, row, k, type, wide_x, padded, heads, n_heads, even, odd, scaled)

/* A8_ROW */
kernel __attribute__((reqd_work_group_size(Q35_LOCAL, 1, 1))) void q35_quantize_row(QUANTIZE_ARGUMENTS)
{
    local uint tops[Q35_LOCAL];
    local int sums[Q35_LOCAL];
    const int row = (int)get_group_id(0), lid = (int)get_local_id(0);
    if (row < Q35_N_ROWS) {
        quantize_row(Q35_AT(const float, x, row * rs_x), k, Q35_AT(uchar, y, row * rs_y), tops, sums, lid);
        barrier(CLK_GLOBAL_MEM_FENCE);
        Q35_EACH(u, padded / 32)
            WIDEN(u, 0);
    }
}

/* A8_32 and A8_128: unit is 32 or 128. Dimension 0: units, dimension 1: tokens. */
kernel void q35_quantize_units(QUANTIZE_ARGUMENTS)
{
    const int u = (int)get_global_id(0), row = (int)get_global_id(1), n = min(unit, k - u * unit);
    if (row >= Q35_N_ROWS || n <= 0)
        return;
    global const float *px = Q35_AT(const float, x, row * rs_x) + u * unit;
    global uchar *out = Q35_AT(uchar, y, row * rs_y) + u * (unit + 8);
    const float2 s = scale_of(top_of(px, n));
    store_head(out, s.x, store_codes(px, n, unit, s.y, (global char *)out + 8));
    for (int i = u * unit; i < min((u + 1) * unit, padded); i += 32)
        WIDEN(i / 32, unit == 32 ? A8_32 : A8_128);
}

/* Activations of a type, 0: f32, that were not made wide when they were quantised. Dimension 0: blocks of 32 inputs,
 * dimension 1: tokens. */
kernel void q35_widen(Q35_IN(x), ulong rs_x, int k, int type, Q35_ROWS, WIDE)
{
    const int u = (int)get_global_id(0), row = (int)get_global_id(1);
    if (row >= Q35_N_ROWS || 32 * u >= padded)
        return;
    global const uchar *px = Q35_AT(const uchar, x, row * rs_x);
    global float *out = wide_x + (ulong)row * padded + 32 * u;
    if (type != 0) {
        widen_codes(px, u, row, k, type, wide_x, padded, heads, n_heads, even, odd, scaled);
        return;
    }
    for (int i = 0; i < 32; i++)
        out[i] = 32 * u + i < k ? ((global const float *)px)[32 * u + i] : 0.0f;
}
