/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading on in a stream of weights, which the products of one or few tokens read once and in order: the hardware
 * alone reaches about half of what memory delivers. How far ahead is best differs. Intel's cores have few buffers
 * for lines on their way to L1, so a request far ahead goes to L2 and a second one near to L1. On Zen 5 the two
 * get in each other's way: 78 % of what plain reads of one core reach, against 97 % with one request into L1. */
#ifndef Q35I_SIMD_STREAM_H
#define Q35I_SIMD_STREAM_H

#include <stdatomic.h>
#include <stdint.h>

/* Bytes; far 0: no request into L2. Set by q35k_table_init; before, as for Intel. */
extern atomic_int q35i_stream_near, q35i_stream_far;

/* Requests what lies ahead of the `bytes` from p on, both known where it is inlined. In this order, for a request
 * into L1 that waits behind those to the memory holds up the loads. */
__attribute__((always_inline)) static inline void q35i_stream_ahead(const void *p, int bytes)
{
    const uintptr_t near = (uintptr_t)p + (uintptr_t)atomic_load_explicit(&q35i_stream_near, memory_order_relaxed);
    const int far = atomic_load_explicit(&q35i_stream_far, memory_order_relaxed);
    for (int i = 0; i < bytes; i += 64)
        __builtin_prefetch((const void *)(near + (uintptr_t)i), 0, 3);
    for (int i = 0; far && i < bytes; i += 64)
        __builtin_prefetch((const void *)((uintptr_t)p + (uintptr_t)(far + i)), 0, 2);
}

/* The same where `rows` (at most 16) rows lie side by side in memory and are read together, `bytes` of each at a
 * time: asks for what the next `rows` rows have where these have `at`, in the order of memory. Rows that are read
 * beside one another are too many streams for the requests near ahead alone: half of the speed. Requests in one
 * burst instead of a loop cost Zen 5 a tenth. */
__attribute__((always_inline)) static inline void q35i_stream_rows_ahead(const uint8_t *const *row, int rows,
                                                                         int64_t rs, int64_t at, int bytes)
{
    enum { NEAR = 272 };
    const uintptr_t next = (uintptr_t)row[0] + (uintptr_t)(rows * (rs + at));
    if (atomic_load_explicit(&q35i_stream_far, memory_order_relaxed) == 0) {
#pragma GCC unroll 1
        for (int i = 0; i < rows * bytes; i += 64)
            __builtin_prefetch((const void *)(next + (uintptr_t)i), 0, 3);
        return;
    }
    for (int r = 0; r < rows; r++)
        __builtin_prefetch((const void *)((uintptr_t)row[r] + (uintptr_t)(at + NEAR)), 0, 3);
#pragma GCC unroll 1
    for (int i = 0; i < rows * bytes; i += 64)
        __builtin_prefetch((const void *)(next + (uintptr_t)i), 0, 2);
}

#endif
