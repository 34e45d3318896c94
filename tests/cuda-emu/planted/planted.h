/* SPDX-License-Identifier: Apache-2.0
 *
 * Kernels with a defect each, which the emulation must report or make visible: `out` is u32 [n]. */
#ifndef PLANTED_H
#define PLANTED_H

#include <stdint.h>

typedef struct q35_planted_args {
    uint64_t out, in;
    int32_t n, reserved;
} q35_planted_args;

/* PLANTED(name, found): by an error with this text in it; NULL: by results that depend on the order of threads. */
#define PLANTED_KERNELS(PLANTED)                                                                                  \
    PLANTED(sound, "")                                                                                            \
    PLANTED(race, NULL)                                                                                           \
    PLANTED(no_barrier, NULL)                                                                                     \
    PLANTED(no_sync_warp, NULL)                                                                                   \
    PLANTED(no_wait, NULL)                                                                                        \
    PLANTED(unwritten, "")                                                                                        \
    PLANTED(one_too_far, "element 32 of a piece of shared memory with 32")                                        \
    PLANTED(shared_too_small, "bytes of shared memory after 128, the launch has 256")                             \
    PLANTED(lane_ended, "shuffle of a warp without thread 40, which has ended")                                   \
    PLANTED(lane_elsewhere, "sync_warp of a warp without thread 16, which is in shuffle")                         \
    PLANTED(thread_ended, "barrier without thread 64, which has ended")                                           \
    PLANTED(half_warp_waits, "shuffle of a warp without thread 16, which is at a barrier")                        \
    PLANTED(misaligned, "a load of 16 bytes from an address that is 4 past a multiple")                           \
    PLANTED(no_wait_for_previous, "ends without a wait for the kernels before")                                   \
    PLANTED(too_early, "an address of what other kernels may write, before the wait for them")

/* Those of planted_wgmma.cu, with 128 threads and 8 KiB of shared memory. */
#define PLANTED_WGMMA_KERNELS(PLANTED)                                                                            \
    PLANTED(wg_sound, "")                                                                                         \
    PLANTED(wg_read_early, "")                                                                                    \
    PLANTED(wg_no_wait, "ends with products of wgmma under way")                                                  \
    PLANTED(wg_written_early, "a register of wgmma was written while it was under way")                           \
    PLANTED(wg_no_row_fence, "of shared memory, which was not copied, fenced and met for")                        \
    PLANTED(wg_fenced_too_soon, "of shared memory, which was not copied, fenced and met for")                     \
    PLANTED(wg_no_barrier, "of shared memory, which was not copied, fenced and met for")                          \
    PLANTED(wg_overwritten, "of shared memory written while wgmma reads it")                                      \
    PLANTED(wg_no_fence, "wgmma without a fence of registers before")                                             \
    PLANTED(wg_thread_ended, "wgmma of a warpgroup without thread 70, which has ended")                           \
    PLANTED(wg_thread_elsewhere, "wgmma of a warpgroup without thread 96, which is at a barrier")                 \
    PLANTED(wg_past_end, "of shared memory, its rows are 0 to 8191")                                              \
    PLANTED(wg_other_rows, "wgmma of other rows than the warpgroup's first thread")

#ifdef __cplusplus
extern "C" {
#endif
/* As q35_emu_launch, with one block of the kernel's threads, and 256 bytes of shared memory where not said
 * otherwise.
 */
int q35_planted_launch(const char *name, const q35_planted_args *args, uint32_t order, uint64_t seed, char *error,
                       uint64_t error_len);
#ifdef __cplusplus
}
#endif
#endif
