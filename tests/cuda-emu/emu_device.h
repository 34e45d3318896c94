/* SPDX-License-Identifier: Apache-2.0
 *
 * kernels-cuda/prim.cuh for the host: the same functions, on fibers. */
#ifndef Q35_EMU_DEVICE_H
#define Q35_EMU_DEVICE_H

#include "emu_runtime.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define Q35_KERNEL_BLOCKS(threads, blocks) extern "C" void
#define Q35_DEVICE                         static inline
#define Q35_METHOD                         inline
#define Q35_UNROLL
#define Q35_UNROLL_BY(n)

#define threadIdx q35_emu_now.thread
#define blockIdx  q35_emu_now.block

struct alignas(8) uint2 {
    uint32_t x, y;
};
struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};

template <typename T> struct shared_span {
    T *at;
    unsigned n;

    T &operator[](unsigned i) const
    {
        if (i >= n)
            q35_emu_fail("element %u of a piece of shared memory with %u, of %u bytes each", i, n,
                         (unsigned)sizeof(T));
        return at[i];
    }
};

struct shared_table {
    shared_span<uint32_t> span;
    unsigned first;

    shared_table(shared_span<uint32_t> s, unsigned from) : span(s), first(from)
    {
    }

    uint32_t at(uint32_t a, uint32_t b) const
    {
        unsigned offset = 0;
        for (int i = 0; i < 32; i += 8)
            offset += (a >> i & 255) * (b >> i & 255);
        if (offset % sizeof(uint32_t))
            q35_emu_fail("byte %u of shared memory, need a multiple of 4", offset);
        return span[first + offset / (unsigned)sizeof(uint32_t)];
    }
};

template <typename T> static inline shared_span<T> shared_take(unsigned &used, unsigned n)
{
    const unsigned bytes = n * (unsigned)sizeof(T);
    if (used % sizeof(T) || used > q35_emu_now.shared_bytes || bytes > q35_emu_now.shared_bytes - used)
        q35_emu_fail("%u bytes of shared memory after %u, the launch has %u", bytes, used,
                     q35_emu_now.shared_bytes);
    shared_span<T> span = {reinterpret_cast<T *>(q35_emu_now.shared + used), n};
    used += bytes;
    return span;
}

static inline void let_next_start()
{
}

static inline void wait_for_previous()
{
    q35_emu_wait_for_previous();
}

static inline void want_waited()
{
    q35_emu_want_waited();
}

static inline void barrier()
{
    q35_emu_barrier();
}

static inline void sync_warp()
{
    q35_emu_sync_warp();
}

static inline float float_of_bits(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static inline uint32_t bits_of_float(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static inline double double_of_bits(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static inline uint64_t bits_of_double(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static inline int shuffle_xor(int v, int mask)
{
    return (int)q35_emu_shuffle((uint32_t)v, threadIdx.x % 32 ^ (unsigned)mask);
}

static inline float shuffle_xor(float v, int mask)
{
    return float_of_bits(q35_emu_shuffle(bits_of_float(v), threadIdx.x % 32 ^ (unsigned)mask));
}

static inline float shuffle(float v, int from)
{
    return float_of_bits(q35_emu_shuffle(bits_of_float(v), (unsigned)from));
}

static inline bool vote_any(bool v)
{
    return q35_emu_vote_any(v);
}

static inline int dp4a(uint32_t a, uint32_t b, int c)
{
    for (int i = 0; i < 4; i++)
        c += (int8_t)(a >> (8 * i)) * (int8_t)(b >> (8 * i));
    return c;
}

static inline void mma_s8(int (&d)[4], const int (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                          uint32_t b0, uint32_t b1)
{
    const uint32_t a[4] = {a0, a1, a2, a3}, b[2] = {b0, b1};
    memcpy(d, c, sizeof d);
    q35_emu_mma_s8(d, a, b);
}

static inline void copy_async8(shared_span<uint2> to, unsigned i, const void *from)
{
    q35_emu_copy_async(&to[i], from, 8);
}

static inline void copy_async_commit()
{
    q35_emu_copy_commit();
}

template <int N> static inline void copy_async_wait()
{
    q35_emu_copy_wait(N);
}

struct shared_rows {
    unsigned first, last; /* bytes of shared memory */
};
typedef emu_operand shared_operand;

static inline shared_rows shared_take_rows(unsigned &used, unsigned n)
{
    if (used % 1024 || n % 8)
        q35_emu_fail("%u rows for wgmma after %u bytes of shared memory, need multiples of 8 and 1024", n, used);
    const unsigned first = used;
    (void)shared_take<char>(used, 128 * n);
    return {first, used};
}

static inline void copy_async4(const shared_rows &to, unsigned at, const void *from, bool there)
{
    if (at % 4 || at + 4 > to.last - to.first)
        q35_emu_fail("4 bytes at byte %u of rows that have %u", at, to.last - to.first);
    q35_emu_copy_row(to.first + at, there ? from : nullptr);
}

static inline void fence_for_wgmma()
{
    q35_emu_fence_rows();
}

static inline shared_operand wgmma_operand(const shared_rows &rows, unsigned first, unsigned column)
{
    const unsigned low = (rows.first >> 4 | Q35_WGMMA_LOW) + 8 * first + column / 16;
    return {(uint64_t)Q35_WGMMA_HIGH << 32 | low, rows.first, rows.last};
}

static inline void wgmma_fence()
{
    q35_emu_wgmma_fence();
}

template <bool Adds>
static inline void wgmma_s8(int (&c)[32], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                            const shared_operand &b)
{
    const uint32_t a[4] = {a0, a1, a2, a3};
    q35_emu_wgmma(c, a, b, Adds);
}

static inline void wgmma_commit()
{
    q35_emu_wgmma_commit();
}

template <int N> static inline void wgmma_wait()
{
    q35_emu_wgmma_wait(N);
}

template <int N> static inline void wgmma_finish(int (&)[N][32])
{
    q35_emu_wgmma_wait(0);
}

template <typename T> static inline T emu_load(const void *p)
{
    T v;
    if (reinterpret_cast<uintptr_t>(p) % sizeof(T))
        q35_emu_fail("a load of %u bytes from an address that is %u past a multiple", (unsigned)sizeof(T),
                     (unsigned)(reinterpret_cast<uintptr_t>(p) % sizeof(T)));
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint4 load_const16(const void *p)
{
    return emu_load<uint4>(p);
}

static inline uint2 load_const8(const void *p)
{
    return emu_load<uint2>(p);
}

static inline uint32_t load_const4(const void *p)
{
    return emu_load<uint32_t>(p);
}

static inline uint32_t byte_permute(uint32_t a, uint32_t b, uint32_t selector)
{
    const uint64_t bytes = (uint64_t)b << 32 | a;
    uint32_t v = 0;
    for (int i = 0; i < 4; i++)
        v |= (uint32_t)(bytes >> (8 * (selector >> (4 * i) & 7)) & 255) << (8 * i);
    return v;
}

static inline float float_of_half(uint16_t half)
{
    return q35_f16_to_f32(half);
}

static inline uint16_t half_of_float(float v)
{
    return q35_f32_to_f16(v);
}

#endif
