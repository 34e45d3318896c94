/* SPDX-License-Identifier: Apache-2.0
 *
 * For functions that are compiled once per instruction set, with __attribute__((target)). */
#ifndef Q35I_VARIANTS_H
#define Q35I_VARIANTS_H

#ifdef __x86_64__
#include <immintrin.h>
#endif

#define INLINE __attribute__((always_inline)) static inline

/* Ends a list of AVX-512's parts: vectors of all 512 bits. */
#ifdef __clang__ /* has no such option in an attribute */
#define WIDE ""
#else
#define WIDE ",prefer-vector-width=512"
#endif

#endif
