/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights for tests of kernels: as they are stored, and in their layout. */
#ifndef EMU_WEIGHTS_H
#define EMU_WEIGHTS_H

#include "emu_case.h"
#include "support/rng.h"

/* Types of weights that share a scale in blocks: all that have the layout B16. */
enum { EMU_BLOCK_TYPES = 14 };
extern const uint32_t emu_block_types[EMU_BLOCK_TYPES];

/* n rows of k weights of any type, without gaps. Row 5 has a NaN among its scales or weights, scales of row 7 are
 * 0. The memory is the case's (emu_memory). */
uint8_t *emu_weights(q35t_rng *rng, uint32_t dtype, int32_t n, int32_t k);

/* The same rows in the layout of their type, as the host packs them. */
uint8_t *emu_packed(uint32_t dtype, int32_t n, int32_t k, const uint8_t *rows);

/* The codebook of a type; of Q35_PAIR any levels. */
const int8_t (*emu_book(q35t_rng *rng, uint32_t dtype))[2];

#endif
