/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of units. Sources: Intel SDM volume 2A, CPUID leaf 7 (AMX-TILE, AMX-INT8); volume 1, chapter
 * 18 (XCR0 bits 17 and 18); Linux Documentation/arch/x86/xstate.rst (permission to use AMX). */
#define _GNU_SOURCE
#include "kernels-cpu/peak.h"

#include "kernels-cpu/kernels.h"

#include <stddef.h>

#if defined(__x86_64__)

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LEAF7_EDX_AMX = 1 << 24 | 1 << 25, XCR0_TILES = 3 << 17, ARCH_REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };

static int has_amx(void)
{
    uint32_t eax, ebx, ecx, edx, low, high;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || (edx & LEAF7_EDX_AMX) != LEAF7_EDX_AMX)
        return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & XCR0_TILES) != XCR0_TILES)
        return 0;
    return syscall(SYS_arch_prctl, ARCH_REQUEST_PERMISSION, TILE_DATA) == 0;
}

static const q35k_peak peaks[] = {{"AVX2", Q35K_CPU_AVX2, NULL, q35k_peak__avx2},
                                  {"AVX-VNNI", Q35K_CPU_AVXVNNI, NULL, q35k_peak__avx_vnni},
                                  {"VNNI", Q35K_CPU_AVX512, NULL, q35k_peak__avx512},
                                  {"AMX-INT8", Q35K_CPU_AVX512, has_amx, q35k_peak__amx}};
enum { N_PEAKS = sizeof peaks / sizeof *peaks };

const q35k_peak *q35k_peak_at(uint32_t features, uint32_t i)
{
    /* Wider units do all that narrower ones do. */
    uint32_t first = features & Q35K_CPU_AVX512 ? 2 : 0;
    for (uint32_t p = first; p < N_PEAKS; p++)
        if ((peaks[p].features & ~features) == 0 && (!peaks[p].there || peaks[p].there()) && i-- == 0)
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
