/* SPDX-License-Identifier: Apache-2.0
 *
 * Seeded random numbers for codebook training: splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom
 * number generators", 2014). The state is one word; any seed is good. */
#ifndef Q35I_RANDOM_H
#define Q35I_RANDOM_H

#include <stdint.h>

static inline uint64_t q35i_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* 0 <= r < 1, 53 bits. */
static inline double q35i_random_unit(uint64_t *state)
{
    return (double)(q35i_random(state) >> 11) * 0x1p-53;
}

/* 0 <= r < n, n > 0. The bias, at most n / 2^64, does not matter here. */
static inline uint64_t q35i_random_below(uint64_t *state, uint64_t n)
{
    return q35i_random(state) % n;
}

#endif
