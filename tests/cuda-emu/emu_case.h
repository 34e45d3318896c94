/* SPDX-License-Identifier: Apache-2.0
 *
 * One launch of a kernel, or two that follow each other, against expected bytes: on the emulation, in every order
 * of threads, with outputs that start as given and end where the next page may not be touched. */
#ifndef EMU_CASE_H
#define EMU_CASE_H

#include "kernels-cpu/kernels.h"
#include "kernels-cuda/q35_cuda.h"
#include "q35_emu.h"

#include <stddef.h>

enum { EMU_OUTPUTS = 4 };

/* What a kernel writes: where in its struct the address goes, the bytes before and after. */
typedef struct emu_output {
    uint64_t *field;
    const void *initial, *expected; /* initial NULL: a pattern, which must be left where nothing is written */
    size_t bytes;
    int floats;     /* f32: any NaN equals any NaN */
    uint64_t *also; /* a second field that gets the address: in place; or NULL */
} emu_output;

typedef struct emu_case {
    char what[160];
    uint32_t kernels[2];
    int n_kernels, n_outputs;
    void *args; /* the struct of both kernels */
    emu_output outputs[EMU_OUTPUTS];
} emu_case;

/* Fails the test with the case's name, the order and the first difference. */
void emu_check(const emu_case *c);

/* bytes of memory at an address that is a multiple of align; what follows the last byte, rounded up to align,
 * cannot be touched. Filled with the pattern of outputs. */
void *emu_memory(size_t bytes, size_t align);
uint64_t emu_address(const void *p);

/* Gives all of emu_memory back. */
void emu_release(void);

/* The pattern, for what is expected of an output that is not written everywhere. */
void emu_fill(void *p, size_t bytes);

/* An i32 in guarded memory: what rows_at names. */
uint64_t emu_count(int32_t n);

/* Reference kernels. */
const q35k_table *emu_reference(void);

#endif
