/* SPDX-License-Identifier: Apache-2.0
 *
 * Cuts a row into groups for the codecs. */
#include "runtime/quant/quantise.h"

#include <math.h>

#define LEAST_COST 1e-6f /* of the group's largest: keeps weights on dead channels near their value */

static void load_group(const float *row, const float *importance, uint32_t n, q35i_group *group)
{
    float top = 0;
    group->n = n;
    for (uint32_t i = 0; importance && i < n; i++)
        top = fmaxf(top, importance[i]);
    for (uint32_t i = 0; i < Q35_GROUP; i++) {
        float cost = i >= n ? 0 : top > 0 ? importance[i] / top : 1;
        group->w[i] = i < n ? row[i] : 0;
        group->cost[i] = fmaxf(cost, LEAST_COST);
    }
}

void q35i_quantise_row(uint32_t dtype, const q35i_book *book, const float *row, uint64_t k,
                       const float *importance, void *out)
{
    uint8_t *block = out;
    uint64_t block_bytes = q35_dtype_describe(dtype).block_bytes;
    for (uint64_t i = 0; i < k; i += Q35_GROUP, block += block_bytes) {
        q35i_group group;
        load_group(row + i, importance ? importance + i : NULL, (uint32_t)(k - i < Q35_GROUP ? k - i : Q35_GROUP),
                   &group);
        if (dtype == Q35_DT_Q35_PAIR) {
            q35_pair_block pair;
            q35i_quantise_pair(book, &group, &pair);
            memcpy(block, &pair, sizeof pair);
        } else {
            q35_split_block split;
            q35i_quantise_split(&group, &split);
            memcpy(block, &split, sizeof split);
        }
    }
}
