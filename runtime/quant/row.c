/* SPDX-License-Identifier: Apache-2.0
 *
 * Codes of 6, 7 or 8 bits as one little-endian stream of bits; a row starts with its scale. */
#include "runtime/quant/row.h"

#include "runtime/quant/gaussian.h"

uint8_t q35i_row_zero_code(uint32_t dtype, const int8_t (*book)[2])
{
    int least = INT32_MAX, zero = 0;
    if (dtype == Q35_DT_Q60_ROW)
        return 31; /* level -1 */
    for (int c = 0; c < (int)q35_book_entries(dtype); c++) {
        int norm = book[c][0] * book[c][0] + book[c][1] * book[c][1];
        if (norm < least) {
            least = norm;
            zero = c;
        }
    }
    return (uint8_t)zero;
}

/* n codes of `width` bits, least significant first; bytes left over are untouched. */
static void pack_bits(const uint8_t *codes, uint64_t n, uint32_t width, uint8_t *out)
{
    uint32_t bits = 0, filled = 0;
    for (uint64_t i = 0; i < n; i++) {
        bits |= (codes[i] & ((1u << width) - 1)) << filled;
        for (filled += width; filled >= 8; filled -= 8, bits >>= 8)
            *out++ = (uint8_t)bits;
    }
}

static void unpack_bits(const uint8_t *in, uint64_t n, uint32_t width, uint8_t *codes)
{
    uint32_t bits = 0, filled = 0;
    for (uint64_t i = 0; i < n; i++, filled -= width, bits >>= width) {
        for (; filled < width; filled += 8)
            bits |= (uint32_t)*in++ << filled;
        codes[i] = (uint8_t)(bits & ((1u << width) - 1));
    }
}

static uint32_t code_bits(uint32_t dtype)
{
    return dtype == Q35_DT_Q35_ROW ? 7 : dtype == Q35_DT_Q40_ROW ? 8 : 6;
}

void q35i_row_pack_codes(uint32_t dtype, const uint8_t *codes, uint64_t n, uint8_t zero, uint8_t *out)
{
    q35_dtype_info d = q35_dtype_describe(dtype);
    uint32_t width = code_bits(dtype), per_block = d.block_len / q35i_row_code_weights(dtype);
    uint64_t whole = n / per_block * per_block;
    uint8_t last[8];
    pack_bits(codes, whole, width, out);
    if (whole == n)
        return;
    memset(last, zero, sizeof last);
    memcpy(last, codes + whole, n - whole);
    pack_bits(last, per_block, width, out + whole / per_block * d.block_bytes);
}

void q35i_row_pack(uint32_t dtype, float scale, const uint8_t *codes, uint64_t k, uint8_t *out)
{
    memcpy(out, &scale, sizeof scale);
    q35i_row_pack_codes(dtype, codes, q35i_row_codes(dtype, k),
                        q35i_row_zero_code(dtype, q35i_gaussian_book(dtype)), out + sizeof scale);
}

float q35i_row_unpack(uint32_t dtype, const uint8_t *row, uint64_t k, uint8_t *codes)
{
    float scale;
    memcpy(&scale, row, sizeof scale);
    unpack_bits(row + sizeof scale, q35i_row_codes(dtype, k), code_bits(dtype), codes);
    return scale;
}
