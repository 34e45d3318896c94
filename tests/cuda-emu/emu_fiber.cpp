/* SPDX-License-Identifier: Apache-2.0
 *
 * Fibers: on x86-64 a switch of a dozen instructions, elsewhere, or with Q35_EMU_UCONTEXT, the C library's
 * contexts, which are slower. */
#include "emu_fiber.h"

#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

static void *home_sp;          /* where the scheduler stopped */
static const void *home_stack; /* and its stack, for AddressSanitizer */
static size_t home_bytes;
static void *home_fake;

static void tell_switch(void **fake, const void *stack, size_t bytes)
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(fake, stack, bytes);
#else
    (void)fake, (void)stack, (void)bytes;
#endif
}

static void tell_switched(void *fake, bool from_home)
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake, from_home ? &home_stack : nullptr, from_home ? &home_bytes : nullptr);
#else
    (void)fake, (void)from_home;
#endif
}

#if defined(__x86_64__) && !defined(Q35_EMU_UCONTEXT)
extern "C" void q35_emu_switch(void **save, void *load);
__asm__(".text\n"
        ".type q35_emu_switch, @function\n"
        "q35_emu_switch:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size q35_emu_switch, .-q35_emu_switch\n");

void emu_fiber_begin(emu_fiber *f, void (*entry)(), unsigned colour)
{
    uintptr_t top = reinterpret_cast<uintptr_t>(f->stack) + f->stack_bytes - colour % 64 * 192;
    void **sp = reinterpret_cast<void **>(top / 16 * 16) - 8; /* six registers, the entry, no return address */
    for (int i = 0; i < 8; i++)
        sp[i] = nullptr;
    sp[6] = reinterpret_cast<void *>(entry);
    f->sp = sp;
    f->fake_stack = nullptr;
}

static void swap(void **save, void *load)
{
    q35_emu_switch(save, load);
}
#else
#include <ucontext.h>

#include <new>

/* A context lies at the low end of its fiber's stack; home's is here. */
static ucontext_t home_context;

void emu_fiber_begin(emu_fiber *f, void (*entry)(), unsigned)
{
    ucontext_t *c = new (f->stack) ucontext_t;
    getcontext(c);
    c->uc_stack.ss_sp = f->stack + 4096;
    c->uc_stack.ss_size = f->stack_bytes - 4096;
    c->uc_link = nullptr;
    makecontext(c, entry, 0);
    f->sp = c;
    f->fake_stack = nullptr;
    home_sp = &home_context;
}

static void swap(void **save, void *load)
{
    swapcontext(static_cast<ucontext_t *>(*save), static_cast<ucontext_t *>(load));
}
#endif

void emu_fiber_resume(emu_fiber *f)
{
    tell_switch(&home_fake, f->stack, f->stack_bytes);
    swap(&home_sp, f->sp);
    tell_switched(home_fake, false);
}

void emu_fiber_yield(emu_fiber *f, bool last)
{
    tell_switch(last ? nullptr : &f->fake_stack, home_stack, home_bytes);
    swap(&f->sp, home_sp);
    tell_switched(f->fake_stack, true);
}

void emu_fiber_entered()
{
    tell_switched(nullptr, true);
}

void emu_fiber_forget(emu_fiber *f)
{
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(f->stack, f->stack_bytes);
#else
    (void)f;
#endif
}
