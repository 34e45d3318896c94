/* SPDX-License-Identifier: Apache-2.0
 *
 * A block of threads on the host: every thread a fiber. A fiber runs until its thread must meet others, or ends;
 * then the scheduler takes the next one of the warp, then the next warp, in the order asked for. What threads
 * exchange is done by the scheduler when all who take part have arrived, so an exchange that lacks a thread is
 * seen. */
#ifndef Q35_EMU_RUNTIME_H
#define Q35_EMU_RUNTIME_H

#include "q35_emu.h"

struct emu_index {
    unsigned x, y, z;
};

/* Of the thread that runs. */
struct emu_now {
    emu_index thread, block, block_dim, grid_dim;
    char *shared;
    unsigned shared_bytes;
};
extern emu_now q35_emu_now;

/* The launch fails with this text; does not return. */
[[noreturn]] void q35_emu_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Every thread waits for the kernels before it, which have ended here; want_waited fails a launch whose thread has
 * not. */
void q35_emu_wait_for_previous();
void q35_emu_want_waited();

void q35_emu_barrier();
void q35_emu_sync_warp();
uint32_t q35_emu_shuffle(uint32_t v, unsigned from);
bool q35_emu_vote_any(bool v);
/* a [4], b [2] and c [4] of every lane of the warp. */
void q35_emu_mma_s8(int *c, const uint32_t *a, const uint32_t *b);

/* cp.async: the bytes arrive when they are waited for, and not before. from NULL: zeros. */
void q35_emu_copy_async(void *to, const void *from, unsigned bytes);
/* The same of four bytes for wgmma, to byte `at` of shared memory. */
void q35_emu_copy_row(unsigned at, const void *from);
void q35_emu_copy_commit();
void q35_emu_copy_wait(unsigned pending);

/* wgmma (emu_wgmma.h). An operand: the number that the instruction takes, and the piece that it was made of. */
struct emu_operand {
    uint64_t number;
    unsigned first, last; /* bytes of shared memory, last not included */
};
void q35_emu_fence_rows();
void q35_emu_wgmma_fence();
void q35_emu_wgmma(int *c, const uint32_t *a, const emu_operand &b, bool adds);
void q35_emu_wgmma_commit();
void q35_emu_wgmma_wait(unsigned pending);

enum { EMU_MAX_SHARED = 99 * 1024 };

/* A kernel as the scheduler sees it. */
struct emu_kernel {
    const char *name;
    uint32_t args_bytes, threads; /* threads: of a block, 0: any number */
    void (*call)(const void *args);
};

/* q35_emu_launch of a kernel at hand. */
int q35_emu_run(const emu_kernel &kernel, const void *args, const uint32_t grid[3], const uint32_t block[3],
                uint32_t shared_bytes, const q35_emu_options *options);

#endif
