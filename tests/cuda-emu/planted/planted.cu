/* SPDX-License-Identifier: Apache-2.0
 *
 * What goes wrong in kernels, small: 96 threads, 256 bytes of shared memory. */
#include "kernels-cuda/prim.cuh"
#include "planted.h"

Q35_DEVICE uint32_t *out_of(const q35_planted_args &a)
{
    return at_address<uint32_t>(a.out);
}

/* Nothing is wrong with this one: every thread hands a number to the next warp's. */
Q35_KERNEL(96) q35_sound(const q35_planted_args a)
{
    begin();
    unsigned used = 0;
    const shared_span<uint16_t> s = shared_take<uint16_t>(used, 96);
    s[threadIdx.x] = (uint16_t)threadIdx.x;
    barrier();
    const int v = s[(threadIdx.x + 32) % 96];
    out_of(a)[threadIdx.x] = (uint32_t)(v + shuffle_xor(v, 1));
}

/* The last to write wins. */
Q35_KERNEL(96) q35_race(const q35_planted_args a)
{
    begin();
    out_of(a)[threadIdx.x % 2] = threadIdx.x;
}

Q35_KERNEL(96) q35_no_barrier(const q35_planted_args a)
{
    begin();
    unsigned used = 0;
    const shared_span<uint16_t> s = shared_take<uint16_t>(used, 96);
    s[threadIdx.x] = (uint16_t)threadIdx.x;
    out_of(a)[threadIdx.x] = s[(threadIdx.x + 32) % 96];
}

/* A warp's sum through shared memory, whose lanes do not wait for each other. */
Q35_KERNEL(96) q35_no_sync_warp(const q35_planted_args a)
{
    begin();
    unsigned used = 0;
    const shared_span<uint16_t> s = shared_take<uint16_t>(used, 96);
    s[threadIdx.x] = (uint16_t)threadIdx.x;
    sync_warp();
    for (unsigned h = 16; h > 0; h /= 2)
        if (threadIdx.x % 32 < h)
            s[threadIdx.x] = (uint16_t)(s[threadIdx.x] + s[threadIdx.x + h]);
    out_of(a)[threadIdx.x] = s[threadIdx.x];
}

/* Reads what cp.async may not have brought yet. */
Q35_KERNEL(96) q35_no_wait(const q35_planted_args a)
{
    begin();
    unsigned used = 0;
    const shared_span<uint2> s = shared_take<uint2>(used, 32);
    if (threadIdx.x < 32)
        copy_async8(s, threadIdx.x, at_address<const uint2>(a.in) + threadIdx.x);
    copy_async_commit();
    copy_async_wait<1>();
    barrier();
    out_of(a)[threadIdx.x] = s[threadIdx.x % 32].x;
}

/* Shared memory that nobody has written. */
Q35_KERNEL(96) q35_unwritten(const q35_planted_args a)
{
    begin();
    unsigned used = 0;
    const shared_span<uint16_t> s = shared_take<uint16_t>(used, 96);
    if (threadIdx.x != 50)
        s[threadIdx.x] = 1;
    barrier();
    out_of(a)[threadIdx.x] = s[95 - threadIdx.x];
}

Q35_KERNEL(96) q35_one_too_far(const q35_planted_args a)
{
    begin();
    unsigned used = 0;
    const shared_span<uint32_t> s = shared_take<uint32_t>(used, 32), t = shared_take<uint32_t>(used, 32);
    if (threadIdx.x < 32)
        s[threadIdx.x] = t[threadIdx.x] = 0;
    barrier();
    out_of(a)[threadIdx.x] = s[threadIdx.x % 32 + 1];
}

Q35_KERNEL(96) q35_shared_too_small(const q35_planted_args a)
{
    begin();
    unsigned used = 0;
    const shared_span<uint32_t> s = shared_take<uint32_t>(used, 32), t = shared_take<uint32_t>(used, 33);
    s[threadIdx.x % 32] = t[threadIdx.x % 32] = 0;
    out_of(a)[threadIdx.x] = 0;
}

Q35_KERNEL(96) q35_lane_ended(const q35_planted_args a)
{
    begin();
    if (threadIdx.x == 40)
        return;
    out_of(a)[threadIdx.x] = (uint32_t)shuffle_xor((int)threadIdx.x, 1);
}

Q35_KERNEL(96) q35_lane_elsewhere(const q35_planted_args a)
{
    begin();
    if (threadIdx.x % 32 < 16)
        sync_warp();
    else
        out_of(a)[threadIdx.x] = (uint32_t)shuffle_xor((int)threadIdx.x, 1);
}

Q35_KERNEL(96) q35_thread_ended(const q35_planted_args a)
{
    begin();
    if (threadIdx.x >= 64)
        return;
    barrier();
    out_of(a)[threadIdx.x] = 1;
}

Q35_KERNEL(96) q35_half_warp_waits(const q35_planted_args a)
{
    begin();
    if (threadIdx.x % 32 >= 16)
        barrier();
    out_of(a)[threadIdx.x] = (uint32_t)shuffle_xor((int)threadIdx.x, 1);
}

Q35_KERNEL(96) q35_misaligned(const q35_planted_args a)
{
    begin();
    out_of(a)[threadIdx.x] = load_const16(at_address<const uint32_t>(a.in) + 1).x;
}

Q35_KERNEL(96) q35_no_wait_for_previous(const q35_planted_args a)
{
    if (threadIdx.x == 70)
        return;
    begin();
    out_of(a)[threadIdx.x] = 1;
}

/* Reads what the kernel before may still write. */
Q35_KERNEL(96) q35_too_early(const q35_planted_args a)
{
    const uint32_t in = at_constant<uint32_t>(a.in)[0] + at_address<const uint32_t>(a.in)[1];
    begin();
    out_of(a)[threadIdx.x] = in;
}
