/* SPDX-License-Identifier: Apache-2.0
 *
 * A product by wgmma, and what goes wrong around it: 128 threads, 64 rows of shared memory. */
#include "kernels-cuda/prim.cuh"
#include "planted.h"

enum fault {
    WG_SOUND,
    WG_NO_WAIT,
    WG_READ_EARLY,
    WG_WRITTEN_EARLY,
    WG_NO_ROW_FENCE,
    WG_FENCED_TOO_SOON,
    WG_NO_BARRIER,
    WG_OVERWRITTEN,
    WG_NO_FENCE,
    WG_THREAD_ENDED,
    WG_THREAD_ELSEWHERE,
    WG_PAST_END,
    WG_OTHER_ROWS
};

template <fault Fault> static Q35_METHOD void multiply_rows(const q35_planted_args &a)
{
    begin();
    unsigned used = 0;
    const shared_rows rows = shared_take_rows(used, 64);
    const uint32_t *in = at_address<const uint32_t>(a.in);
    for (unsigned i = 0; i < 16; i++)
        copy_async4(rows, 4 * (threadIdx.x + 128 * i), in + (threadIdx.x + i) % 96, i > 0);
    copy_async_commit();
    if (Fault == WG_FENCED_TOO_SOON)
        fence_for_wgmma();
    copy_async_wait<0>();
    if (Fault != WG_NO_ROW_FENCE && Fault != WG_FENCED_TOO_SOON)
        fence_for_wgmma();
    if (Fault != WG_NO_BARRIER)
        barrier();
    if (Fault == WG_THREAD_ENDED && threadIdx.x == 70)
        return;
    if (Fault == WG_THREAD_ELSEWHERE && threadIdx.x >= 96)
        barrier();
    int sums[1][32] = {};
    if (Fault != WG_NO_FENCE)
        wgmma_fence();
    const unsigned first = Fault == WG_PAST_END ? 8 : 0;
    const unsigned column = Fault == WG_OTHER_ROWS && threadIdx.x == 5 ? 64 : 32;
    wgmma_s8<true>(sums[0], 1 + threadIdx.x, 2, 3, 4, wgmma_operand(rows, first, column));
    wgmma_commit();
    wgmma_wait<1>();
    if (Fault == WG_OVERWRITTEN)
        copy_async4(rows, 4 * threadIdx.x, in, true);
    uint32_t sum = 0;
    for (int i = 0; Fault == WG_READ_EARLY && i < 32; i++)
        sum += (uint32_t)sums[0][i];
    if (Fault == WG_WRITTEN_EARLY && threadIdx.x == 9)
        sums[0][31] = 0;
    if (Fault != WG_NO_WAIT)
        wgmma_finish<1>(sums);
    for (int i = 0; Fault != WG_READ_EARLY && i < 32; i++)
        sum += (uint32_t)sums[0][i];
    at_address<uint32_t>(a.out)[threadIdx.x] = sum;
}

#define PLANT(name, fault)                                                                                        \
    Q35_KERNEL(128) q35_##name(const q35_planted_args a)                                                          \
    {                                                                                                             \
        multiply_rows<fault>(a);                                                                                  \
    }

PLANT(wg_sound, WG_SOUND)
PLANT(wg_no_wait, WG_NO_WAIT)
PLANT(wg_read_early, WG_READ_EARLY)
PLANT(wg_written_early, WG_WRITTEN_EARLY)
PLANT(wg_no_row_fence, WG_NO_ROW_FENCE)
PLANT(wg_fenced_too_soon, WG_FENCED_TOO_SOON)
PLANT(wg_no_barrier, WG_NO_BARRIER)
PLANT(wg_overwritten, WG_OVERWRITTEN)
PLANT(wg_no_fence, WG_NO_FENCE)
PLANT(wg_thread_ended, WG_THREAD_ENDED)
PLANT(wg_thread_elsewhere, WG_THREAD_ELSEWHERE)
PLANT(wg_past_end, WG_PAST_END)
PLANT(wg_other_rows, WG_OTHER_ROWS)
