/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/quant/certificate.h"

#include <math.h>
#include <xxhash.h>

q35i_row_error q35i_row_error_of(uint32_t dtype, const int8_t (*book)[2], const void *blocks, const float *row,
                                 uint64_t k)
{
    q35i_row_error sum = {0};
    const uint8_t *block = blocks;
    uint64_t block_bytes = q35_dtype_describe(dtype).block_bytes;
    for (uint64_t g = 0; g < k; g += Q35_GROUP, block += block_bytes) {
        float decoded[Q35_GROUP];
        q35_block_decode(dtype, block, book, decoded);
        for (uint64_t i = g; i < k && i < g + Q35_GROUP; i++) {
            double w = (double)row[i], e = fabs(w - (double)decoded[i - g]);
            sum.largest = fmax(sum.largest, e);
            sum.squares += e * e;
            sum.weight_squares += w * w;
        }
    }
    return sum;
}

void q35i_row_error_add(q35i_row_error *sum, const q35i_row_error *row)
{
    sum->largest = fmax(sum->largest, row->largest);
    sum->squares += row->squares;
    sum->weight_squares += row->weight_squares;
}

double q35i_row_error_relative(const q35i_row_error *sum)
{
    return sum->weight_squares > 0 ? sum->squares / sum->weight_squares : 0;
}

uint64_t q35i_checksum(const void *data, uint64_t bytes)
{
    return XXH3_64bits(data, (size_t)bytes);
}
