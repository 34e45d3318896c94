/* SPDX-License-Identifier: Apache-2.0
 *
 * Fibers: a stack each, and a switch that saves what a call must keep. AddressSanitizer is told of every switch.
 */
#ifndef Q35_EMU_FIBER_H
#define Q35_EMU_FIBER_H

#include <stddef.h>

struct emu_fiber {
    void *sp;    /* where it stopped */
    char *stack; /* lowest address */
    size_t stack_bytes;
    void *fake_stack; /* AddressSanitizer's */
};

/* Makes f begin at entry when it is switched to next. colour spreads stacks over cache sets. entry never returns.
 */
void emu_fiber_begin(emu_fiber *f, void (*entry)(), unsigned colour);

/* From the thread's own stack to f, until f switches back. */
void emu_fiber_resume(emu_fiber *f);

/* From f back to who resumed it. last: f is not resumed any more. */
void emu_fiber_yield(emu_fiber *f, bool last);

/* To be called first by entry. */
void emu_fiber_entered();

/* Memory of a stack that was left in the middle. */
void emu_fiber_forget(emu_fiber *f);

#endif
