/* SPDX-License-Identifier: Apache-2.0
 *
 * What the processor offers and the operating system saves. Sources: Intel SDM volume 2A, CPUID leaves 1 and 7;
 * volume 1, section 14.3 (detection of AVX and AVX-512 through OSXSAVE and XCR0) and chapter 18 (AMX); Linux
 * Documentation/arch/x86/xstate.rst (permission to use AMX); for AArch64 the kernel's
 * Documentation/arch/arm64/elf_hwcaps, which names only what it also saves. */
#define _GNU_SOURCE
#include "kernels-cpu/kernels.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    LEAF1_ECX_NEEDED = 1 << 12 | 1 << 27 | 1 << 28 | 1 << 29, /* FMA, OSXSAVE, AVX, F16C */
    LEAF7_EBX_AVX2 = 1 << 5,
    LEAF7_ECX_AVX512 = 1 << 1 | 1 << 11, /* VBMI, VNNI */
    LEAF7_EDX_AMX = 1 << 24 | 1 << 25,   /* TILE, INT8 */
    LEAF7_1_EAX_AVXVNNI = 1 << 4,        /* subleaf 1 */
    XCR0_YMM = 0x06,                     /* SSE and upper halves of YMM */
    XCR0_ZMM = 0xe6,                     /* ... and opmask, upper halves of ZMM0-15, ZMM16-31 */
    XCR0_TILES = 3 << 17,                /* configuration and data */
    STATE_TILE_DATA = 18,
    ARCH_GET_PERMITTED = 0x1022,
    ARCH_REQUEST_PERMISSION = 0x1023
};
#define LEAF7_EBX_AVX512 (1u << 16 | 1u << 17 | 1u << 30 | 1u << 31) /* F, DQ, BW, VL */

static bool has_all(uint32_t value, uint32_t bits)
{
    return (value & bits) == bits;
}

/* XCR0, low half. Legal only when CPUID reports OSXSAVE. */
static uint32_t read_xcr0(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* The processor has AMX, and the system saves its state for those whom it permits to use it. */
static bool amx_exists(void)
{
    uint32_t eax, ebx, ecx, edx;
    return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && has_all(ecx, LEAF1_ECX_NEEDED) &&
           has_all(read_xcr0(), XCR0_TILES) && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) &&
           has_all(edx, LEAF7_EDX_AMX);
}

static bool amx_permitted(void)
{
    uint64_t permitted = 0;
    return syscall(SYS_arch_prctl, ARCH_GET_PERMITTED, &permitted) == 0 && permitted >> STATE_TILE_DATA & 1;
}

int q35k_cpu_request_amx(void)
{
    if (!amx_exists() || syscall(SYS_arch_prctl, ARCH_REQUEST_PERMISSION, STATE_TILE_DATA) == 0)
        return 0;
    return errno;
}

uint32_t q35k_cpu_features(void)
{
    uint32_t eax, ebx, ecx, edx, found = 0;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !has_all(ecx, LEAF1_ECX_NEEDED))
        return 0;
    uint32_t saved = read_xcr0();
    if (!has_all(saved, XCR0_YMM) || !__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
        return 0;
    if (has_all(ebx, LEAF7_EBX_AVX2))
        found |= Q35K_CPU_AVX2;
    if (found && has_all(saved, XCR0_ZMM) && has_all(ebx, LEAF7_EBX_AVX512) && has_all(ecx, LEAF7_ECX_AVX512))
        found |= Q35K_CPU_AVX512;
    if (found & Q35K_CPU_AVX512 && amx_exists() && amx_permitted())
        found |= Q35K_CPU_AMX;
    if (found && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && has_all(eax, LEAF7_1_EAX_AVXVNNI))
        found |= Q35K_CPU_AVXVNNI;
    return found;
}

/* CPUID leaf 0: "AuthenticAMD" in EBX, EDX, ECX (AMD64 Architecture Programmer's Manual volume 3, appendix E). */
int q35k_cpu_is_amd(void)
{
    uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid(0, &eax, &ebx, &ecx, &edx) && ebx == 0x68747541 && edx == 0x69746e65 && ecx == 0x444d4163;
}

#elif defined(__aarch64__)

#include <sys/auxv.h>

enum { HWCAP_ADVANCED_SIMD = 1 << 1, HWCAP_DOTPROD = 1 << 20, HWCAP2_INT8_MATRIX = 1 << 13 };

uint32_t q35k_cpu_features(void)
{
    unsigned long caps = getauxval(AT_HWCAP), caps2 = getauxval(AT_HWCAP2);
    uint32_t found = 0;
    if (caps & HWCAP_ADVANCED_SIMD)
        found |= Q35K_CPU_NEON;
    if (found && caps & HWCAP_DOTPROD)
        found |= Q35K_CPU_NEON_DOT;
    if (found & Q35K_CPU_NEON_DOT && caps2 & HWCAP2_INT8_MATRIX)
        found |= Q35K_CPU_NEON_I8MM;
    return found;
}

#else

uint32_t q35k_cpu_features(void)
{
    return 0;
}

#endif

#if !defined(__x86_64__)

int q35k_cpu_request_amx(void)
{
    return 0;
}

int q35k_cpu_is_amd(void)
{
    return 0;
}

#endif
