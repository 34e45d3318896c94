/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing the 3.5-bit block types of include/q35rt/blocks.h (docs/formats.md), and Q8_0. Reading is there. Pure.
 */
#ifndef Q35I_FORMAT_H
#define Q35I_FORMAT_H

#include <q35rt/blocks.h>

#include <stdbool.h>

/* 64 codes of 7 bits to and from 56 bytes, code i at bits 7i .. 7i+6 of the little-endian bit stream. Bit 7 of a
 * code is ignored. */
void q35i_codes_pack(const uint8_t codes[Q35_GROUP_CODES], uint8_t out[Q35_CODE_BYTES]);
void q35i_codes_unpack(const uint8_t packed[Q35_CODE_BYTES], uint8_t out[Q35_GROUP_CODES]);

/* Q35_DT_Q35_PAIR or Q35_DT_Q35_SPLIT. */
bool q35i_is_3_5_bit(uint32_t dtype);

/* These and the row types: what the q35.* keys describe. */
bool q35i_is_coded(uint32_t dtype);

/* Nearest finite f16: what would round to infinity becomes 65504. */
uint16_t q35i_f16_finite(float f);

/* 32 finite weights to a Q8_0 block of 34 bytes: d = largest |w| / 127 as f16, q = w / d rounded to even. */
void q35i_q8_0_block(const float w[32], uint8_t out[34]);

#endif
