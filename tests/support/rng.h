/* SPDX-License-Identifier: Apache-2.0
 *
 * Seeded numbers for tests: xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators,
 * scrambled", 2016). The same seed gives the same numbers everywhere. */
#ifndef Q35T_RNG_H
#define Q35T_RNG_H

#include <stdint.h>

typedef struct q35t_rng {
    uint64_t state; /* not 0 */
} q35t_rng;

/* Any seed; neighbouring seeds give unrelated streams. */
static inline q35t_rng q35t_rng_seed(uint64_t seed)
{
    uint64_t z = seed + UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return (q35t_rng){z ? z : 1};
}

static inline uint64_t q35t_rng_u64(q35t_rng *r)
{
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return r->state * UINT64_C(0x2545f4914f6cdd1d);
}

/* 0 .. n-1, n > 0. */
static inline uint64_t q35t_rng_below(q35t_rng *r, uint64_t n)
{
    return q35t_rng_u64(r) % n;
}

/* Uniform in [-1, 1). */
static inline float q35t_rng_signed(q35t_rng *r)
{
    return (float)((double)(q35t_rng_u64(r) >> 11) * 0x1p-52 - 1.0);
}

#endif
