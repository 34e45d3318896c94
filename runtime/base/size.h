/* SPDX-License-Identifier: Apache-2.0
 *
 * Overflow-checked size arithmetic. Each returns false, leaving *out alone, when the result does not fit. */
#ifndef Q35I_SIZE_H
#define Q35I_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool q35i_add(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline bool q35i_mul(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

/* align: a power of two. */
static inline bool q35i_align(uint64_t a, uint64_t align, uint64_t *out)
{
    uint64_t sum;
    if (!q35i_add(a, align - 1, &sum))
        return false;
    *out = sum & ~(align - 1);
    return true;
}

static inline uint64_t q35i_div_up(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}

static inline uint64_t q35i_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t q35i_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

#endif
