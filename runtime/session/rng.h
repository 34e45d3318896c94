/* SPDX-License-Identifier: Apache-2.0
 *
 * xoshiro256** 1.0 of Blackman and Vigna (2018), seeded with splitmix64 so that any seed, zero too, gives a good
 * state. The same seed gives the same numbers on every machine. One thread at a time. */
#ifndef Q35I_RNG_H
#define Q35I_RNG_H

#include <stdint.h>

typedef struct q35i_rng {
    uint64_t s[4];
} q35i_rng;

static inline q35i_rng q35i_rng_seed(uint64_t seed)
{
    q35i_rng rng;
    for (int i = 0; i < 4; i++) {
        uint64_t z = seed += 0x9E3779B97F4A7C15u;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        rng.s[i] = z ^ z >> 31;
    }
    return rng;
}

static inline uint64_t q35i_rng_rotl(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

static inline uint64_t q35i_rng_next(q35i_rng *rng)
{
    uint64_t *s = rng->s, result = q35i_rng_rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = q35i_rng_rotl(s[3], 45);
    return result;
}

/* Uniform in [0, 1), a multiple of 2^-53. */
static inline double q35i_rng_unit(q35i_rng *rng)
{
    return (double)(q35i_rng_next(rng) >> 11) * 0x1p-53;
}

#endif
