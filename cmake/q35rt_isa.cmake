# SPDX-License-Identifier: Apache-2.0
# The one place where an instruction-set folder maps to compiler flags. Kernels of a folder run only after a CPUID
# (or HWCAP) check, so the rest of the build stays at the baseline.
set(Q35RT_ISA_FLAGS_avx2 -mavx2 -mfma -mf16c)
set(Q35RT_ISA_FLAGS_avxvnni -mavx2 -mfma -mf16c -mavxvnni)
set(Q35RT_ISA_FLAGS_avx512 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vbmi -mavx512vnni -mfma -mf16c
                           -mprefer-vector-width=512)
set(Q35RT_ISA_FLAGS_amx ${Q35RT_ISA_FLAGS_avx512} -mamx-tile -mamx-int8)
# neon/<op>.c is ARMv8.0, neon/<op>_dot.c and neon/<op>_i8mm.c ask for more.
set(Q35RT_ISA_FLAGS_neon_dot -march=armv8.2-a+dotprod)
set(Q35RT_ISA_FLAGS_neon_i8mm -march=armv8.2-a+dotprod+i8mm)
