/* SPDX-License-Identifier: Apache-2.0
 *
 * Instruction sets of this processor, as bits of plugin.h. */
#ifndef Q35I_ISA_H
#define Q35I_ISA_H

#include <stdint.h>

/* Q35_ISA_* that the processor has and the operating system saves the registers of. Pure. */
uint32_t q35i_isa_host(void);

/* "avx2 avx512" for people, "?" for an unknown bit. Returns buf. */
const char *q35i_isa_names(uint32_t isa, char *buf, uint32_t cap);

#endif
