/* SPDX-License-Identifier: Apache-2.0
 *
 * What litmus tests of one device and of two have in common. Copies of all sizes and pauses of the host make the
 * delays. */
#ifndef LITMUS_H
#define LITMUS_H

#include "conform.h"

#include <string.h>
#include <time.h>

#define WAIT_NS UINT64_C(3600000000000) /* the case has a deadline of its own */
enum { ROUNDS = 25, BYTES = 1 << 18 };

static inline void pause_a_bit(cf_env *e)
{
    if (kc_random(&e->x) & 1)
        nanosleep(&(struct timespec){0, 1000 * (long)kc_below(&e->x, 400)}, NULL);
}

static inline uint64_t some_bytes(cf_env *e)
{
    return kc_random(&e->x) & 1 ? BYTES : 64;
}

static inline void fill(uint8_t *p, int value)
{
    memset(p, value, BYTES);
}

static inline void want_bytes(const uint8_t *p, uint64_t bytes, int value, const char *what)
{
    for (uint64_t i = 0; i < bytes; i++)
        if (p[i] != value)
            cf_fail("%s: byte %llu is %u, need %d", what, (unsigned long long)i, p[i], value);
}

#endif
