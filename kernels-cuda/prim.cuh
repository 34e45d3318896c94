/* SPDX-License-Identifier: Apache-2.0
 *
 * The device primitives that the kernels use, and all of them: threads meeting, exchange within a warp, integer
 * products, copies to shared memory, bits of numbers. Here they are PTX and intrinsics; tests/cuda-emu has the
 * same functions for the host, where the kernels run as ordinary C++.
 *
 * Shared memory is taken in pieces, each with its own bounds, which the emulation checks. What the emulation also
 * checks: all lanes of a warp take part in shuffles, votes and products; all threads of a block in barriers;
 * vectors are aligned; every thread waits for the kernels before, and forms no other address than one of constants
 * until then; of wgmma, what its part below says. */
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

/* wgmma is there on 9.0 and nowhere else, not even on later ones. */
#if defined(Q35_EMULATED) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define Q35_HAS_WGMMA 1
#endif

/* The number that tells wgmma where an operand in rows of 128 bytes lies, in two halves: address in units of 16
 * bytes, and a field that means nothing with this order of units but is 1; 1024 bytes from eight rows to the next
 * eight, in the same units, and the order of units (shared_rows). */
enum { Q35_WGMMA_LOW = 1 << 16, Q35_WGMMA_HIGH = 64 | 1 << 30 };

#if defined(Q35_EMULATED)
#include "emu_device.h"
#else

#define Q35_KERNEL_BLOCKS(threads, blocks) extern "C" __global__ void __launch_bounds__(threads, blocks)
#define Q35_DEVICE                         static __device__ __forceinline__
#define Q35_METHOD                         __device__ __forceinline__
#define Q35_UNROLL                         _Pragma("unroll")
#define Q35_UNROLL_BY(n)                   Q35_UNROLL_BY_(unroll(n))
#define Q35_UNROLL_BY_(x)                  _Pragma(#x)

/* 1024: what wgmma's rows begin at a multiple of. */
extern __shared__ __align__(1024) uint4 q35_shared_memory[];

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

/* d[16][8] = c[16][8] + a[16][32] b[32][8] of int8, a warp's registers holding them as PTX says for m16n8k32. */
Q35_DEVICE void mma_s8(int (&d)[4], const int (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3,
                       uint32_t b0, uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%10,%11,%12,%13};"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1), "r"(c[0]), "r"(c[1]), "r"(c[2]),
                   "r"(c[3]));
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

/* A piece of rows of 128 bytes that wgmma reads: row r has its unit u of 16 bytes at place u ^ r % 8. */
struct shared_rows {
    unsigned address;
    unsigned low; /* half of wgmma_operand of the first row */
};

/* The next n rows, a multiple of 8. */
Q35_DEVICE shared_rows shared_take_rows(unsigned &used, unsigned n)
{
    const unsigned address =
        (unsigned)__cvta_generic_to_shared(reinterpret_cast<char *>(q35_shared_memory) + used);
    used += 128 * n;
    return {address, (address & 0x3ffff) >> 4 | Q35_WGMMA_LOW};
}

/* Starts a copy of 4 bytes to byte `at` of the piece as it lies, or of zeros if there is nothing to copy. */
Q35_DEVICE void copy_async4(const shared_rows &to, unsigned at, const void *from, bool there)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(to.address + at), "l"(from),
                 "r"(there ? 4 : 0)
                 : "memory");
}

/* What this thread has copied or stored to shared memory, and has waited for, wgmma reads after a barrier. */
Q35_DEVICE void fence_for_wgmma()
{
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

#if defined(Q35_HAS_WGMMA)
/* Warpgroups of 128 threads, who take part in all of this together. Products run by themselves, in order, from
 * wgmma_s8 to the wait for their group; until then nobody may touch their registers, nor the rows that they read.
 */

/* 32 bytes of each of 64 rows: from byte `column`, a multiple of 32, and row `first`, a multiple of 8, on. */
typedef uint64_t shared_operand;

Q35_DEVICE shared_operand wgmma_operand(const shared_rows &rows, unsigned first, unsigned column)
{
    shared_operand b;
    asm("mov.b64 %0, {%1, %2};" : "=l"(b) : "r"(rows.low + 8 * first + column / 16), "n"((int)Q35_WGMMA_HIGH));
    return b;
}

/* Before products whose registers were touched since the last ones. */
Q35_DEVICE void wgmma_fence()
{
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

/* c[64][64] = a[64][32] b[32][64], plus c with Adds, of int8: of a and c a warp has 16 rows, in the order of
 * mma_s8; c[4 i ..] are columns 8 i to 8 i + 7. */
template <bool Adds>
static Q35_METHOD void wgmma_s8(int (&c)[32], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, shared_operand b)
{
    asm volatile(
        "{.reg .pred p; setp.ne.b32 p, %37, 0; wgmma.mma_async.sync.aligned.m64n64k32.s32.s8.s8 "
        "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,"
        "%28,%29,%30,%31}, {%32,%33,%34,%35}, %36, p;}"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3]), "+r"(c[4]), "+r"(c[5]), "+r"(c[6]), "+r"(c[7]),
          "+r"(c[8]), "+r"(c[9]), "+r"(c[10]), "+r"(c[11]), "+r"(c[12]), "+r"(c[13]), "+r"(c[14]), "+r"(c[15]),
          "+r"(c[16]), "+r"(c[17]), "+r"(c[18]), "+r"(c[19]), "+r"(c[20]), "+r"(c[21]), "+r"(c[22]), "+r"(c[23]),
          "+r"(c[24]), "+r"(c[25]), "+r"(c[26]), "+r"(c[27]), "+r"(c[28]), "+r"(c[29]), "+r"(c[30]), "+r"(c[31])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "l"(b), "n"(Adds ? 1 : 0));
}

/* Ends a group of products. */
Q35_DEVICE void wgmma_commit()
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

/* Returns when at most N groups are under way. Of the others registers may be written, and rows; results can be
 * read after wgmma_finish. */
template <int N> static Q35_METHOD void wgmma_wait()
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}

/* Returns when all groups are done, c among them. */
template <int N> static Q35_METHOD void wgmma_finish(int (&c)[N][32])
{
    wgmma_wait<0>();
    Q35_UNROLL
    for (int i = 0; i < 32 * N; i++)
        asm volatile("" : "+r"(c[i / 32][i % 32])::"memory");
}
#endif

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

/* The same in place. */
Q35_DEVICE void mma_s8(int (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t b0, uint32_t b1)
{
    const int before[4] = {c[0], c[1], c[2], c[3]};
    mma_s8(c, before, a0, a1, a2, a3, b0, b1);
}

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
