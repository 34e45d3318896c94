/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows with one scale (Q35_DT_Q35_ROW, Q35_DT_Q40_ROW, Q35_DT_Q60_ROW): writing their codes, and plain
 * quantisation, weight by weight or pair by pair. Pure; same bits on every host. Decoding is in
 * include/q35rt/blocks.h. */
#ifndef Q35I_ROW_H
#define Q35I_ROW_H

#include <q35rt/blocks.h>

/* Weights that share a code: 2, or 1 for Q60_ROW. */
static inline uint32_t q35i_row_code_weights(uint32_t dtype)
{
    return dtype == Q35_DT_Q60_ROW ? 1 : 2;
}

/* Codes of a row of k weights, without padding. */
static inline uint64_t q35i_row_codes(uint32_t dtype, uint64_t k)
{
    uint32_t weights = q35i_row_code_weights(dtype);
    return k / weights + (k % weights != 0);
}

/* Levels of a code; Q60_ROW (book unused) has but out[0], out[1] is 0. */
static inline void q35i_row_levels_of(uint32_t dtype, const int8_t (*book)[2], uint8_t code, int8_t out[2])
{
    out[0] = dtype == Q35_DT_Q60_ROW ? (int8_t)(2 * (code & 63) - 63) : book[code][0];
    out[1] = dtype == Q35_DT_Q60_ROW ? 0 : book[code][1];
}

/* Code of the level nearest to 0 of the book (NULL for Q60_ROW), the smallest among equals. */
uint8_t q35i_row_zero_code(uint32_t dtype, const int8_t (*book)[2]);

/* n codes to whole blocks, the last one filled up with `zero`. */
void q35i_row_pack_codes(uint32_t dtype, const uint8_t *codes, uint64_t n, uint8_t zero, uint8_t *out);

/* codes [q35i_row_codes(dtype, k)]; bits above the code's width are ignored. Writes q35_row_bytes(dtype, k) bytes;
 * codes of padding are those of the Gaussian book's (Q60_ROW: the) level nearest to 0. */
void q35i_row_pack(uint32_t dtype, float scale, const uint8_t *codes, uint64_t k, uint8_t *out);

/* The inverse; returns the scale. */
float q35i_row_unpack(uint32_t dtype, const uint8_t *row, uint64_t k, uint8_t *codes);

/* Scale by search and least squares in the weighted metric, nearest codes in it.
 * book        [q35_book_entries(dtype)][2], NULL for Q60_ROW
 * row         f32 [k], finite; what would need a scale above FLT_MAX / 128 saturates
 * importance  f32 [k], >= 0 and finite: what a squared error of each weight costs; NULL: all alike
 * out         q35_row_bytes(dtype, k) bytes
 * Returns the scale, 0 for a row of zeros. */
float q35i_quantise_plain_row(uint32_t dtype, const int8_t (*book)[2], const float *row, uint64_t k,
                              const float *importance, uint8_t *out);

#endif
