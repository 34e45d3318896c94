/* SPDX-License-Identifier: Apache-2.0
 *
 * How many int8 products per second the processor can sum up: loops of nothing but the instruction, on registers.
 * Each function runs `rounds` rounds and returns the products it made. One row per unit in q35k_peaks. */
#ifndef Q35K_PEAK_H
#define Q35K_PEAK_H

#include <stdint.h>

typedef uint64_t q35k_peak_fn(uint64_t rounds);

typedef struct q35k_peak {
    const char *name;
    uint32_t features; /* Q35K_CPU_* that it needs */
    q35k_peak_fn *run;
} q35k_peak;

/* i-th unit that may be used with these features (Q35K_CPU_*), slowest first; NULL past the last. */
const q35k_peak *q35k_peak_at(uint32_t features, uint32_t i);

q35k_peak_fn q35k_peak__avx2;     /* vpmaddubsw, vpmaddwd */
q35k_peak_fn q35k_peak__avx_vnni; /* vpdpbusd on ymm registers */
q35k_peak_fn q35k_peak__avx512;   /* vpdpbusd on zmm registers */
q35k_peak_fn q35k_peak__amx;      /* tdpbsud on whole tiles */

#endif
