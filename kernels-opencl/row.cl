/* SPDX-License-Identifier: Apache-2.0
 *
 * RMS_NORM, ADD_RMS_NORM, ROTATE and QUANTIZE_ACT, bit for bit the reference's, and the rows of codes as floats
 * that LINEAR reads. A group per token, which may do a norm or SWIGLU and then the quantising in one kernel. Compiled
 * for Q35_ROTATES: A8_ROW is of rotated inputs. In front of another kernel the same as its tail (common.cl). */

enum { A8_32 = 0x1010, A8_128 = 0x1011 };

/* Squares are summed in 16 lanes as the contract says, whatever the size of the group. */
inline void norm_row(global const float *a, global const float *b, global const float *w, global float *s,
                     global float *y, int k, float eps, int adds, local wide *lanes, int lid)
{
    Q35_EACH(lane, 16) {
        wide sum = 0;
        for (int i = lane; i < k; i += 16) {
            const wide v = adds ? a[i] + b[i] : a[i];
            sum += v * v;
        }
        lanes[lane] = sum;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    wide quarter[4];
    for (int i = 0; i < 4; i++)
        quarter[i] = (lanes[i] + lanes[i + 8]) + (lanes[i + 4] + lanes[i + 12]);
    const wide mean = ((quarter[0] + quarter[1]) + (quarter[2] + quarter[3])) / (wide)k;
    const wide factor = 1 / sqrt(mean + (wide)eps);
    Q35_EACH(i, k) {
        const float v = adds ? a[i] + b[i] : a[i];
        if (adds)
            s[i] = v;
        y[i] = (float)((wide)v * factor * (wide)w[i]);
    }
}

#define NORM_ARGUMENTS                                                                                            \
    Q35_IN(a), ulong rs_a, Q35_IN(b), ulong rs_b, Q35_IN(w), Q35_OUT(s), ulong rs_s, Q35_OUT(x), ulong rs_x,      \
        float eps, int adds
#define NORM_ROW                                                                                                  \
    norm_row(Q35_AT(const float, a, row * rs_a), Q35_AT(const float, b, row * rs_b), Q35_AT(const float, w, 0),   \
             Q35_AT(float, s, row * rs_s), Q35_AT(float, x, row * rs_x), k, eps, adds, lanes, lid);

#if Q35_CPU
/* Sums and differences of the 16 values 1, 2, 4 and 8 apart. */
inline float16 butterflies_of_16(float16 v)
{
    const float4 odd = (float4)(1, -1, 1, -1), high = (float4)(1, 1, -1, -1), one = (float4)(1);
    v = v.s0022446688aaccee + v.s1133557799bbddff * (float16)(odd, odd, odd, odd);
    v = v.s010145458989cdcd + v.s23236767ababefef * (float16)(high, high, high, high);
    v = v.s0123012389ab89ab + v.s45674567cdefcdef * (float16)(one, -one, one, -one);
    return v.s0123456701234567 + v.s89abcdef89abcdef * (float16)(one, one, -one, -one);
}
#endif

/* Sums and differences of values of a block 1, 2, 4 .. b / 2 apart. */
inline void butterflies(local float *block, int b, int lid)
{
    int h = 1;
#if Q35_CPU
    for (int i = 0; b >= 16 && i < b; i += 16)
        vstore16(butterflies_of_16(vload16(0, block + i)), 0, block + i);
    for (h = b >= 16 ? 16 : 1; h >= 16 && h < b; h *= 2)
        for (int i = 0; i < b / 2; i += 16) {
            const int low = ((i & ~(h - 1)) << 1) | (i & (h - 1));
            const float16 u = vload16(0, block + low), v = vload16(0, block + low + h);
            vstore16(u + v, 0, block + low);
            vstore16(u - v, 0, block + low + h);
        }
#endif
    for (; h < b; h *= 2) {
        Q35_EACH(i, b / 2) {
            const int low = ((i & ~(h - 1)) << 1) | (i & (h - 1));
            const float u = block[low], v = block[low + h];
            block[low] = u + v;
            block[low + h] = u - v;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}

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
        butterflies(block, b, lid);
        Q35_EACH(i, b) {
            const float v = b > 1 ? block[i] * factor : block[i];
            y[at + i] = inverse && signs[at + i] < 0 ? -v : v;
        }
        barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    }
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
#define QUANTIZE_ARGUMENTS Q35_OUT(y), ulong rs_y, int k, WIDE
#define WIDEN(u, type)                                                                                            \
    widen_codes(Q35_AT(const uchar, y, row * rs_y), u, row, k, type, wide_x, padded, heads, n_heads, even, odd,   \
                scaled)

/* A8_ROW, from a row at x; rotated: f32 [T][k] of scratch. */
#if Q35_ROTATES
#define ROW_ARGUMENTS QUANTIZE_ARGUMENTS, Q35_IN(signs), global float *rotated, local float *block, int width
#define ROTATE_ROW                                                                                                \
    global float *from = rotated + (ulong)row * k;                                                                \
    rotate_row(Q35_AT(const float, x, row * rs_x), Q35_AT(const char, signs, 0), from, k, width, 0, block, lid);
#else
#define ROW_ARGUMENTS QUANTIZE_ARGUMENTS
#define ROTATE_ROW global const float *from = Q35_AT(const float, x, row * rs_x);
#endif
#define QUANTIZE_ROW                                                                                              \
    ROTATE_ROW                                                                                                    \
    quantize_row(from, k, Q35_AT(uchar, y, row * rs_y), tops, sums, lid);                                         \
    barrier(CLK_GLOBAL_MEM_FENCE);                                                                                \
    Q35_EACH(u, padded / 32)                                                                                      \
        WIDEN(u, 0);

#define SWIGLU_ARGUMENTS Q35_IN(a), ulong rs_a, Q35_IN(b), ulong rs_b, Q35_OUT(x), ulong rs_x
inline void swiglu_row(global const float *a, global const float *b, global float *x, int k, int lid)
{
    Q35_EACH(i, k)
        x[i] = silu_times(a[i], b[i]);
}

/* A QUANTIZE_ACT to A8_ROW, alone or with the node that makes its x: RMS_NORM, ADD_RMS_NORM or SWIGLU. */
#define QUANTIZE_LOCALS                                                                                           \
    local uint tops[Q35_LOCAL];                                                                                   \
    local int sums[Q35_LOCAL];
#define NORM_QUANTIZE                                                                                             \
    NORM_ROW                                                                                                      \
    barrier(CLK_GLOBAL_MEM_FENCE);                                                                                \
    QUANTIZE_ROW
#define SWIGLU_QUANTIZE                                                                                           \
    swiglu_row(Q35_AT(const float, a, row * rs_a), Q35_AT(const float, b, row * rs_b),                            \
               Q35_AT(float, x, row * rs_x), k, lid);                                                             \
    barrier(CLK_GLOBAL_MEM_FENCE);                                                                                \
    QUANTIZE_ROW

#if Q35_TAIL == 1
#define TAIL_ARGUMENTS Q35_IN(x), ulong rs_x, ROW_ARGUMENTS
#define TAIL_LOCALS    QUANTIZE_LOCALS
#define TAIL           QUANTIZE_ROW
#elif Q35_TAIL == 2
#define TAIL_ARGUMENTS NORM_ARGUMENTS, ROW_ARGUMENTS
#define TAIL_LOCALS    local wide lanes[16]; QUANTIZE_LOCALS
#define TAIL           NORM_QUANTIZE
#elif Q35_TAIL == 3
#define TAIL_ARGUMENTS SWIGLU_ARGUMENTS, ROW_ARGUMENTS
#define TAIL_LOCALS    QUANTIZE_LOCALS
#define TAIL           SWIGLU_QUANTIZE
#else
kernel __attribute__((reqd_work_group_size(Q35_LOCAL, 1, 1))) void
q35_quantize_row(Q35_IN(x), ulong rs_x, ROW_ARGUMENTS, Q35_ROWS)
{
    QUANTIZE_LOCALS
    const int row = (int)get_group_id(0), lid = (int)get_local_id(0);
    if (row < Q35_N_ROWS) {
        QUANTIZE_ROW
    }
}

kernel __attribute__((reqd_work_group_size(Q35_LOCAL, 1, 1))) void
q35_norm_quantize(NORM_ARGUMENTS, ROW_ARGUMENTS, Q35_ROWS)
{
    local wide lanes[16];
    QUANTIZE_LOCALS
    const int row = (int)get_group_id(0), lid = (int)get_local_id(0);
    if (row < Q35_N_ROWS) {
        NORM_QUANTIZE
    }
}

kernel __attribute__((reqd_work_group_size(Q35_LOCAL, 1, 1))) void
q35_swiglu_quantize(SWIGLU_ARGUMENTS, ROW_ARGUMENTS, Q35_ROWS)
{
    QUANTIZE_LOCALS
    const int row = (int)get_group_id(0), lid = (int)get_local_id(0);
    if (row < Q35_N_ROWS) {
        SWIGLU_QUANTIZE
    }
}

kernel __attribute__((reqd_work_group_size(Q35_LOCAL, 1, 1))) void q35_norm(NORM_ARGUMENTS, int k, Q35_ROWS)
{
    local wide lanes[16];
    const int row = (int)get_group_id(0), lid = (int)get_local_id(0);
    if (row < Q35_N_ROWS)
        NORM_ROW
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

/* A8_32 and A8_128: unit is 32 or 128. Dimension 0: units, dimension 1: tokens. */
kernel void q35_quantize_units(Q35_IN(x), ulong rs_x, QUANTIZE_ARGUMENTS, int unit, Q35_ROWS)
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
#endif
