/* SPDX-License-Identifier: Apache-2.0
 *
 * Chains of multiply-adds, as many as hide the instruction's latency. */
#include "kernels-cpu/peak.h"

#include <immintrin.h>

enum { CHAINS = 16, PRODUCTS = 64 };

uint64_t q35k_peak__avx512(uint64_t rounds)
{
    __m512i sum[CHAINS], a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(5), all = _mm512_setzero_si512();
    for (int c = 0; c < CHAINS; c++)
        sum[c] = _mm512_set1_epi32(c);
    for (uint64_t r = 0; r < rounds; r++)
        for (int c = 0; c < CHAINS; c++)
            sum[c] = _mm512_dpbusd_epi32(sum[c], a, b);
    for (int c = 0; c < CHAINS; c++)
        all = _mm512_xor_si512(all, sum[c]);
    volatile int keep = _mm512_reduce_add_epi32(all); /* or the compiler drops the loop */
    (void)keep;
    return rounds * CHAINS * PRODUCTS;
}
