/* SPDX-License-Identifier: Apache-2.0
 *
 * Eight codes fill seven bytes, so packing goes through a 56-bit word. */
#include "runtime/quant/format.h"

#include <math.h>

void q35i_codes_pack(const uint8_t codes[Q35_GROUP_CODES], uint8_t out[Q35_CODE_BYTES])
{
    for (unsigned word = 0; word < Q35_GROUP_CODES / 8; word++) {
        uint64_t bits = 0;
        for (unsigned i = 0; i < 8; i++)
            bits |= (uint64_t)(codes[8 * word + i] & 127u) << (7 * i);
        for (unsigned i = 0; i < 7; i++)
            out[7 * word + i] = (uint8_t)(bits >> (8 * i));
    }
}

void q35i_codes_unpack(const uint8_t packed[Q35_CODE_BYTES], uint8_t out[Q35_GROUP_CODES])
{
    for (unsigned word = 0; word < Q35_GROUP_CODES / 8; word++) {
        uint64_t bits = 0;
        for (unsigned i = 0; i < 7; i++)
            bits |= (uint64_t)packed[7 * word + i] << (8 * i);
        for (unsigned i = 0; i < 8; i++)
            out[8 * word + i] = (uint8_t)(bits >> (7 * i) & 127u);
    }
}

bool q35i_is_3_5_bit(uint32_t dtype)
{
    return dtype == Q35_DT_Q35_PAIR || dtype == Q35_DT_Q35_SPLIT;
}

bool q35i_is_coded(uint32_t dtype)
{
    return q35i_is_3_5_bit(dtype) || q35_is_row_type(dtype);
}

uint16_t q35i_f16_finite(float f)
{
    uint16_t h = q35_f32_to_f16(f);
    return (h & 0x7fffu) == 0x7c00u ? (uint16_t)(h - 1) : h;
}

void q35i_q8_0_block(const float w[32], uint8_t out[34])
{
    float top = 0;
    for (int i = 0; i < 32; i++)
        top = fmaxf(top, fabsf(w[i]));
    uint16_t d16 = q35i_f16_finite(top / 127);
    float d = q35_f16_to_f32(d16);
    memcpy(out, &d16, sizeof d16);
    for (int i = 0; i < 32; i++) {
        float q = d > 0 ? w[i] / d : 0;
        out[2 + i] = (uint8_t)(int8_t)lrintf(fminf(fmaxf(q, -127), 127));
    }
}
