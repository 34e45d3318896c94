/* SPDX-License-Identifier: Apache-2.0
 *
 * Chains of multiply-adds, as many as hide the instructions' latency. */
#include "kernels-cpu/peak.h"

#include <immintrin.h>

enum { CHAINS = 12, PRODUCTS = 32 };

static uint64_t finish(const __m256i *sum, uint64_t rounds)
{
    __m256i all = sum[0];
    for (int c = 1; c < CHAINS; c++)
        all = _mm256_xor_si256(all, sum[c]);
    volatile int keep = _mm256_extract_epi32(all, 0); /* or the compiler drops the loop */
    (void)keep;
    return rounds * CHAINS * PRODUCTS;
}

uint64_t q35k_peak__avx2(uint64_t rounds)
{
    __m256i sum[CHAINS], ones = _mm256_set1_epi16(1), a = _mm256_set1_epi8(3);
    for (int c = 0; c < CHAINS; c++)
        sum[c] = _mm256_set1_epi32(c);
    for (uint64_t r = 0; r < rounds; r++)
        for (int c = 0; c < CHAINS; c++) /* the sum goes in as an operand, so that no product is the same twice */
            sum[c] = _mm256_add_epi32(sum[c], _mm256_madd_epi16(_mm256_maddubs_epi16(a, sum[c]), ones));
    return finish(sum, rounds);
}

__attribute__((target("avxvnni"))) uint64_t q35k_peak__avx_vnni(uint64_t rounds)
{
    __m256i sum[CHAINS], a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(5);
    for (int c = 0; c < CHAINS; c++)
        sum[c] = _mm256_set1_epi32(c);
    for (uint64_t r = 0; r < rounds; r++)
        for (int c = 0; c < CHAINS; c++)
            sum[c] = _mm256_dpbusd_avx_epi32(sum[c], a, b);
    return finish(sum, rounds);
}
