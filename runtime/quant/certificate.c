/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/quant/certificate.h"

#include <math.h>
#include <xxhash.h>

q35i_row_error q35i_row_error_of(uint32_t dtype, const int8_t (*book)[2], const void *blocks, const float *row,
                                 uint64_t k)
{
    q35i_row_error sum = {0};
    float decoded[Q35_GROUP];
    uint64_t block_len = q35_dtype_describe(dtype).block_len;
    for (uint64_t g = 0; g < k; g += block_len) {
        q35_row_block_decode(dtype, blocks, g / block_len, book, decoded);
        for (uint64_t i = g; i < k && i < g + block_len; i++) {
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
