/* SPDX-License-Identifier: Apache-2.0
 *
 * The device primitives that the kernels use, and all of them: threads meeting, exchange within a warp, integer
 * products, copies to shared memory, bits of numbers. Here they are PTX and intrinsics; tests/cuda-emu has the
 * same functions for the host, where the kernels run as ordinary C++.
 *
 * Shared memory is taken in pieces, each with its own bounds, which the emulation checks. What the emulation also
 * checks: all lanes of a warp take part in shuffles, votes and products; all threads of a block in barriers;
 * vectors are aligned; every thread waits for the kernels before, and forms no other address than one of constants
 * until then. */
#ifndef Q35_PRIM_CUH
#define Q35_PRIM_CUH

#include "kernels-cuda/q35_cuda.h"

#define Q35_FULL_WARP 0xffffffffu

/* Tells the compiler that p is not in shared memory, which it cannot know of a number. */
#if defined(Q35_EMULATED)
#define Q35_ASSUME_GLOBAL(p) (void)0
#else
#define Q35_ASSUME_GLOBAL(p) __builtin_assume(__isGlobal(p))
#endif

#if defined(Q35_EMULATED)
#include "emu_device.h"
#else

#define Q35_KERNEL_BLOCKS(threads, blocks) extern "C" __global__ void __launch_bounds__(threads, blocks)
#define Q35_DEVICE                         static __device__ __forceinline__
#define Q35_METHOD                         __device__ __forceinline__
#define Q35_UNROLL                         _Pragma("unroll")
#define Q35_UNROLL_BY(n)                   Q35_UNROLL_BY_(unroll(n))
#define Q35_UNROLL_BY_(x)                  _Pragma(#x)

extern __shared__ uint4 q35_shared_memory[];

template <typename T> struct shared_span {
    T *at;
    __device__ __forceinline__ T &operator[](unsigned i) const
    {
        return at[i];
    }
};

/* A piece that is only read from here on, from element `first`: by its address in shared memory. */
struct shared_table {
    unsigned address;
    __device__ __forceinline__ shared_table(shared_span<uint32_t> s, unsigned first)
        : address((unsigned)__cvta_generic_to_shared(s.at + first))
    {
    }
    /* The element so many bytes on as the products of the four bytes of a and b sum up to. */
    __device__ __forceinline__ uint32_t at(uint32_t a, uint32_t b) const
    {
        uint32_t v;
        asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(__dp4a(a, b, address)));
        return v;
    }
};

/* The next n elements of dynamic shared memory; used: bytes taken so far, a multiple of sizeof(T). */
template <typename T> static __device__ __forceinline__ shared_span<T> shared_take(unsigned &used, unsigned n)
{
    shared_span<T> span = {reinterpret_cast<T *>(reinterpret_cast<char *>(q35_shared_memory) + used)};
    used += n * (unsigned)sizeof(T);
    return span;
}

/* From sm_90 on a kernel may be started while those before it in its stream still run. Lets the next one be so, as
 * soon as there is room for its blocks. */
Q35_DEVICE void let_next_start()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/* Returns when the kernels before have ended and what they wrote can be read. For every thread, since a kernel
 * that ends tells the next one that those before it have, too. */
Q35_DEVICE void wait_for_previous()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/* Only after the wait. */
Q35_DEVICE void want_waited()
{
}

Q35_DEVICE void barrier()
{
    __syncthreads();
}

Q35_DEVICE void sync_warp()
{
    __syncwarp();
}

Q35_DEVICE float shuffle_xor(float v, int mask)
{
    return __shfl_xor_sync(Q35_FULL_WARP, v, mask);
}

/* Lane `from`'s v. */
Q35_DEVICE float shuffle(float v, int from)
{
    return __shfl_sync(Q35_FULL_WARP, v, from);
}

Q35_DEVICE int shuffle_xor(int v, int mask)
{
    return __shfl_xor_sync(Q35_FULL_WARP, v, mask);
}

Q35_DEVICE bool vote_any(bool v)
{
    return __any_sync(Q35_FULL_WARP, v);
}

/* c + the dot product of four int8. */
Q35_DEVICE int dp4a(uint32_t a, uint32_t b, int c)
{
    return __dp4a((int)a, (int)b, c);
}

/* c[16][8] += a[16][32] b[32][8] of int8, a warp's registers holding them as PTX says for m16n8k32. */
Q35_DEVICE void mma_s8(int (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};"
                 : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

/* Starts a copy of 8 bytes to element i of a piece; ends with copy_async_wait. from: 8-byte aligned. */
Q35_DEVICE void copy_async8(shared_span<uint2> to, unsigned i, const void *from)
{
    const unsigned at = (unsigned)__cvta_generic_to_shared(to.at + i);
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(at), "l"(from) : "memory");
}

Q35_DEVICE void copy_async_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/* Returns when at most N of this thread's groups are under way. Others see the bytes after a barrier. */
template <int N> static __device__ __forceinline__ void copy_async_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

/* Loads of what no kernel writes while this one runs, past the first cache. */
Q35_DEVICE uint4 load_const16(const void *p)
{
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.L2::256B.v4.u32 {%0,%1,%2,%3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(p));
    return v;
}

Q35_DEVICE uint2 load_const8(const void *p)
{
    uint2 v;
    asm volatile("ld.global.nc.L1::no_allocate.L2::256B.v2.u32 {%0,%1}, [%2];" : "=r"(v.x), "=r"(v.y) : "l"(p));
    return v;
}

Q35_DEVICE uint32_t load_const4(const void *p)
{
    uint32_t v;
    asm volatile("ld.global.nc.L1::no_allocate.L2::256B.u32 %0, [%1];" : "=r"(v) : "l"(p));
    return v;
}

Q35_DEVICE uint32_t byte_permute(uint32_t a, uint32_t b, uint32_t selector)
{
    return __byte_perm(a, b, selector);
}

Q35_DEVICE float float_of_bits(uint32_t bits)
{
    return __uint_as_float(bits);
}

Q35_DEVICE uint32_t bits_of_float(float v)
{
    return __float_as_uint(v);
}

Q35_DEVICE double double_of_bits(uint64_t bits)
{
    return __longlong_as_double((long long)bits);
}

Q35_DEVICE uint64_t bits_of_double(double v)
{
    return (uint64_t)__double_as_longlong(v);
}

Q35_DEVICE float float_of_half(uint16_t half)
{
    float v;
    asm("cvt.f32.f16 %0, %1;" : "=f"(v) : "h"(half));
    return v;
}

/* Round to nearest even. */
Q35_DEVICE uint16_t half_of_float(float v)
{
    uint16_t half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(v));
    return half;
}

#endif

/* A kernel with blocks of so many threads; with BLOCKS, of which so many fit on a multiprocessor by registers. */
#define Q35_KERNEL(threads) Q35_KERNEL_BLOCKS(threads, 1)

/* What an address field of a parameter struct, and so many bytes, point to: packed weights and books, which no
 * kernel writes. */
template <typename T> Q35_DEVICE const T *at_constant(uint64_t address, int64_t bytes = 0)
{
    const T *p = reinterpret_cast<const T *>(static_cast<uintptr_t>(address) + static_cast<uintptr_t>(bytes));
    Q35_ASSUME_GLOBAL(p);
    return p;
}

/* The same of anything else. */
template <typename T> Q35_DEVICE T *at_address(uint64_t address, int64_t bytes = 0)
{
    want_waited();
    T *p = reinterpret_cast<T *>(static_cast<uintptr_t>(address) + static_cast<uintptr_t>(bytes));
    Q35_ASSUME_GLOBAL(p);
    return p;
}

/* Where a kernel begins that has nothing to do before the wait. */
Q35_DEVICE void begin()
{
    let_next_start();
    wait_for_previous();
}

/* Valid rows of this run. */
Q35_DEVICE int rows_valid(uint64_t rows_at, int capacity)
{
    if (rows_at == 0)
        return capacity;
    const int n = *at_address<const int32_t>(rows_at);
    return n < capacity ? n : capacity;
}

#endif
