/* SPDX-License-Identifier: Apache-2.0
 *
 * x86-64: CPUID leaves 1 and 7 (Intel SDM volume 2, CPUID) and XCR0 for what the system saves (volume 1, 13.3).
 * AArch64: the kernel's capability words (Documentation/arch/arm64/elf_hwcaps). */
#include "isa.h"

#include <q35rt/plugin.h>

#include <stdio.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

#define BIT(n) (1u << (n))

static uint64_t read_xcr0(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

uint32_t q35i_isa_host(void)
{
    const uint32_t osxsave = BIT(27), fma_f16c_avx = BIT(12) | BIT(29) | BIT(28);
    const uint32_t avx512 = BIT(16) | BIT(30) | BIT(31) | BIT(17); /* F, BW, VL, DQ */
    const uint64_t ymm = 0x6, zmm = 0xe6;                          /* SSE, AVX; opmask, ZMM 0-15 high, ZMM 16-31 */
    uint32_t a, b, c, d, isa = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & osxsave))
        return 0;
    uint64_t xcr0 = read_xcr0();
    int has_avx = (c & fma_f16c_avx) == fma_f16c_avx && (xcr0 & ymm) == ymm;
    if (!has_avx || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & BIT(5)))
        return 0;
    isa = Q35_ISA_AVX2;
    if ((xcr0 & zmm) == zmm && (b & avx512) == avx512) {
        isa |= Q35_ISA_AVX512;
        isa |= c & BIT(11) ? (uint32_t)Q35_ISA_VNNI : 0;
        isa |= c & BIT(1) ? (uint32_t)Q35_ISA_VBMI : 0;
    }
    return isa;
}

#elif defined(__aarch64__)
#include <sys/auxv.h>

uint32_t q35i_isa_host(void)
{
    const unsigned long asimd = 1ul << 1, asimddp = 1ul << 20, i8mm = 1ul << 13;
    unsigned long caps = getauxval(AT_HWCAP), caps2 = getauxval(AT_HWCAP2);
    return (caps & asimd ? (uint32_t)Q35_ISA_NEON : 0) | (caps & asimddp ? (uint32_t)Q35_ISA_DOTPROD : 0) |
           (caps2 & i8mm ? (uint32_t)Q35_ISA_I8MM : 0);
}

#else
uint32_t q35i_isa_host(void)
{
    return 0;
}
#endif

const char *q35i_isa_names(uint32_t isa, char *buf, uint32_t cap)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {{Q35_ISA_AVX2, "avx2"},       {Q35_ISA_AVX512, "avx512"}, {Q35_ISA_VNNI, "avx512vnni"},
                 {Q35_ISA_VBMI, "avx512vbmi"}, {Q35_ISA_NEON, "neon"},     {Q35_ISA_DOTPROD, "dotprod"},
                 {Q35_ISA_I8MM, "i8mm"}};
    if (cap > 0)
        buf[0] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t len = strlen(buf);
        if (isa & names[i].bit)
            snprintf(buf + len, cap - len, "%s%s", len > 0 ? " " : "", names[i].name);
        isa &= ~names[i].bit;
    }
    if (isa != 0) {
        size_t len = strlen(buf);
        snprintf(buf + len, cap - len, "%sbits 0x%x unknown here", len > 0 ? " " : "", isa);
    }
    return buf;
}
