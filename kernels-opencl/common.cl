/* SPDX-License-Identifier: Apache-2.0
 *
 * Put in front of every source of this folder. OpenCL C 1.2, the same kernels for both families; what differs are
 * the macros that the host defines:
 *   Q35_CPU    1: a work-item is a core with vectors; 0: one of many lanes
 *   Q35_LOCAL  work-items per group of the kernels where a group shares a row
 *   Q35_FP64   the device has double; without it "wide" is float, and norm, rope and swiglu round more than once
 *   Q35_DIVIDE f32 division is rounded correctly; without it divide() sees to that
 *   Q35_FMA    fma is an instruction
 *
 * The order of operations is the reference's (kernels-cpu), so results have its bits but where a sum of floats is
 * cut into slices. Rows of tensors are addressed by a buffer, the offset of the first byte and a stride in bytes. */
#pragma OPENCL FP_CONTRACT OFF
#pragma OPENCL EXTENSION cl_khr_byte_addressable_store : enable

#if Q35_FP64
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
typedef double wide;
typedef ulong wide_bits;
#else
typedef float wide;
#endif

#define Q35_IN(name)  global const uchar *name##_b, ulong name##_at
#define Q35_OUT(name) global uchar *name##_b, ulong name##_at
#define Q35_AT(type, name, offset) ((global type *)(name##_b + name##_at + (offset)))

/* How many rows of a tensor are valid: kind 0: all `capacity`, else number `kind` of the step's values. */
#define Q35_ROWS global const uchar *step_b, ulong step_at, int rows_kind, int rows_capacity
#define Q35_N_ROWS q35_rows(step_b, step_at, rows_kind, rows_capacity)

inline int q35_rows(global const uchar *step_b, ulong step_at, int kind, int capacity)
{
    return kind == 0 ? capacity : clamp(((global const int *)(step_b + step_at))[kind - 1], 0, capacity);
}

/* i = 0 .. n - 1, shared by the work-items of a group: `lid` is the own one. All go round the same number of times. */
#if Q35_LOCAL == 1
#define Q35_EACH(i, n) for (int i = lid; i < (n); i++)
#else
#define Q35_EACH(i, n)                                                                                            \
    for (int i##_base = 0; i##_base < (n); i##_base += Q35_LOCAL)                                                 \
        for (int i = i##_base + lid, i##_once = 1; i##_once && i < (n); i##_once = 0)
#endif

#if Q35_LOCAL == 1
#define barrier(flags) /* a group of one waits for nobody */
#endif

/* A kernel of many groups whose last one goes on with nodes that are work for one group: Q35_TAIL says which, and
 * row.cl or rope.cl in front of the kernel has them as TAIL_ARGUMENTS, TAIL_LOCALS and TAIL. */
#ifndef Q35_TAIL
#define Q35_TAIL 0
#endif
#if Q35_TAIL
#define WITH_TAIL , global int *done, TAIL_ARGUMENTS
#define DO_TAIL(n_groups)                                                                                         \
    if (q35_is_last(done, n_groups) && Q35_N_ROWS > 0) {                                                          \
        const int row = 0, lid = 0;                                                                               \
        TAIL                                                                                                      \
    }

/* Is the calling group the last of n? It sees then what the others wrote: an atomic operation of x86 is a barrier
 * for memory, and these builtins are for the compiler. done: 0 before and after the kernel. */
inline int q35_is_last(global int *done, int n)
{
    volatile int *count = (volatile int *)(ulong)done;
    if (__sync_add_and_fetch(count, 1) < n)
        return 0;
    *count = 0;
    __sync_synchronize();
    return 1;
}
#else
#define WITH_TAIL
#define TAIL_LOCALS
#define DO_TAIL(n_groups)
#endif

/* Asks for the cache line 8 KiB on, which may lie past the end: OpenCL's prefetch does nothing on PoCL. */
#if Q35_CPU && defined(__x86_64__) && defined(__clang__)
#define FETCH_AHEAD(p) __builtin_prefetch((const void *)((ulong)(p) + 8192))
#else
#define FETCH_AHEAD(p)
#endif

/* First mistake of a run: what, node, row, value, limit. */
#define Q35_FAULT global int *fault, int node

inline void q35_fault(global int *fault, int what, int node, int row, int value, int limit)
{
    if (atomic_cmpxchg((volatile global int *)fault, 0, what) != 0)
        return;
    fault[1] = node;
    fault[2] = row;
    fault[3] = value;
    fault[4] = limit;
}

enum { Q35_BAD_ID = 1, Q35_BAD_POSITION, Q35_BAD_SLOT, Q35_BAD_SEQUENCE, Q35_BAD_PAGE, Q35_BAD_ROW, Q35_BAD_STEP };

/* Correctly rounded a / b of normal numbers. */
inline float divide(float a, float b)
{
#if Q35_DIVIDE
    return a / b;
#elif Q35_FP64
    return (float)((double)a / (double)b);
#else
    const float q = a / b;
    return fma(fma(-q, b, a), 1 / b, q);
#endif
}

inline float load_f32(global const uchar *p)
{
    return as_float((uint)p[0] | (uint)p[1] << 8 | (uint)p[2] << 16 | (uint)p[3] << 24);
}

/* p: a multiple of 2 */
inline float load_f16(global const uchar *p)
{
    return vload_half(0, (global const half *)p);
}

/* As q35_f32_to_f16: to nearest even, the one NaN. */
inline ushort to_f16(float f)
{
    const uint x = as_uint(f), sign = x >> 16 & 0x8000u, a = x & 0x7fffffffu;
    if (a >= 0x7f800000u)
        return (ushort)(sign | 0x7c00u | (a > 0x7f800000u ? 0x200u : 0u));
    if (a >= 0x477ff000u)
        return (ushort)(sign | 0x7c00u);
    if (a < 0x33000000u)
        return (ushort)sign;
    const uint tiny = a < 0x38800000u;
    const uint shift = tiny ? 126u - (a >> 23) : 13u;
    const uint m = tiny ? (a & 0x7fffffu) | 0x800000u : a - 0x38000000u;
    const uint rest = m & ((1u << shift) - 1u), middle = 1u << (shift - 1u);
    uint v = m >> shift;
    v += rest > middle || (rest == middle && (v & 1u)) ? 1u : 0u;
    return (ushort)(sign | v);
}

inline float sum_lanes(float16 v)
{
    const float8 a = v.lo + v.hi;
    const float4 b = a.lo + a.hi;
    return (b.x + b.y) + (b.z + b.w);
}

/* exp of x <= 0 for softmax: q35k_exp of kernels-cpu/series.h */
inline float exp_f32(float x)
{
    const float shifted = fma(x, 1.44269504f, 12582912.0f + 127.0f), n = shifted - (12582912.0f + 127.0f);
    const float r = fma(n, 1.90465421e-9f, fma(n, -0.693147182f, x));
    float p = 0.00138145406f;
    p = fma(p, r, 0.00836874545f);
    p = fma(p, r, 0.041668389f);
    p = fma(p, r, 0.166665211f);
    p = fma(p, r, 0.49999994f);
    p = fma(p, r, 1.0f);
    p = fma(p, r, 1.0f);
    return x < -87.0f ? 0.0f : p * as_float(as_uint(shifted) << 23);
}

#if Q35_FP64
/* q35k_exp_f64: x below -708 or above 709 counts as that. */
inline double exp_wide(double x)
{
    if (isnan(x))
        return x;
    x = clamp(x, -708.0, 709.0);
    const double n = (x * 1.4426950408889634 + 0x1.8p52) - 0x1.8p52;
    const double r = fma(n, -2.3190468138462996e-17, fma(n, -0.6931471805599453, x));
    double p = 1.0 / 6227020800.0;
    p = fma(p, r, 1.0 / 479001600.0);
    p = fma(p, r, 1.0 / 39916800.0);
    p = fma(p, r, 1.0 / 3628800.0);
    p = fma(p, r, 1.0 / 362880.0);
    p = fma(p, r, 1.0 / 40320.0);
    p = fma(p, r, 1.0 / 5040.0);
    p = fma(p, r, 1.0 / 720.0);
    p = fma(p, r, 1.0 / 120.0);
    p = fma(p, r, 1.0 / 24.0);
    p = fma(p, r, 1.0 / 6.0);
    p = fma(p, r, 1.0 / 2.0);
    p = fma(p, r, 1.0);
    p = fma(p, r, 1.0);
    return p * as_double((ulong)((long)n + 1023) << 52);
}
#else
inline float exp_wide(float x)
{
    return exp(x);
}
#endif

inline float silu_times(float a, float b)
{
    return (float)((wide)a / (1 + exp_wide(-(wide)a)) * (wide)b);
}

/* Length of the next block of a rotation when `left` inputs of the row are to do, and its factor 1 / sqrt(b). */
inline int rotation_block(int left, int width)
{
    while (width > left)
        width /= 2;
    return width;
}

inline float rotation_factor(int b)
{
    float factor = 1;
    for (; b >= 4; b /= 4)
        factor *= 0.5f;
    return b == 2 ? factor * 0x1.6a09e6p-1f : factor;
}
