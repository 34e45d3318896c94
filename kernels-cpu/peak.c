/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of units. */
#include "kernels-cpu/peak.h"

#include "kernels-cpu/kernels.h"

#include <stddef.h>

#if defined(__x86_64__)

static const q35k_peak peaks[] = {{"AVX2", Q35K_CPU_AVX2, q35k_peak__avx2},
                                  {"AVX-VNNI", Q35K_CPU_AVXVNNI, q35k_peak__avx_vnni},
                                  {"VNNI", Q35K_CPU_AVX512, q35k_peak__avx512},
                                  {"AMX-INT8", Q35K_CPU_AMX, q35k_peak__amx}};
enum { N_PEAKS = sizeof peaks / sizeof *peaks };

const q35k_peak *q35k_peak_at(uint32_t features, uint32_t i)
{
    /* Wider units do all that narrower ones do. */
    uint32_t first = features & Q35K_CPU_AVX512 ? 2 : 0;
    for (uint32_t p = first; p < N_PEAKS; p++)
        if ((peaks[p].features & ~features) == 0 && i-- == 0)
            return &peaks[p];
    return NULL;
}

#else

const q35k_peak *q35k_peak_at(uint32_t features, uint32_t i)
{
    (void)features;
    (void)i;
    return NULL;
}

#endif
