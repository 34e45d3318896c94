/* SPDX-License-Identifier: Apache-2.0
 *
 * Products of warpgroups, and what of shared memory they see. A product is done at once, but its results are held
 * back until they are waited for; until then its registers hold a number that means nothing, and the rows that it
 * reads may not be written. Rows are seen after the thread that copied them has waited for the copy and given up a
 * fence, and the block has met. */
#ifndef Q35_EMU_WGMMA_H
#define Q35_EMU_WGMMA_H

#include "emu_runtime.h"

enum { EMU_WARPGROUP = 128, EMU_MAX_FRESH = 256 };

/* A thread's part of a product. */
struct emu_product {
    int *c; /* [32] */
    uint32_t a[4];
    emu_operand b;
    bool adds;
};

/* What a thread has to do with products. */
struct emu_wgmma {
    bool fenced;      /* registers, since the last group */
    unsigned commits; /* groups ended */
    emu_product now;
    unsigned n_fresh, fresh[EMU_MAX_FRESH]; /* words of shared memory that it has copied, not fenced yet */
};

/* A block begins; it has met at a barrier. */
void emu_wgmma_begin_block();
void emu_wgmma_met();

/* `now` of all threads of warpgroup g, part[128]. On failure returns the thread's number within it and a text. */
int emu_wgmma_multiply(unsigned g, emu_wgmma *const *part, char *why, unsigned cap);

/* Of thread number i, which runs. */
void emu_wgmma_wait(emu_wgmma *me, unsigned i, unsigned pending);
void emu_wgmma_copy_begins(unsigned at);
void emu_wgmma_copied(emu_wgmma *me, unsigned at);
void emu_wgmma_fence_rows(emu_wgmma *me);
void emu_wgmma_ends(unsigned i);

#endif
