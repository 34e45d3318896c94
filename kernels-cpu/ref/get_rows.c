/* SPDX-License-Identifier: Apache-2.0
 *
 * Reference GET_ROWS: decodes table rows (canonical layout, any weight dtype) named by ids. A row's last block may
 * reach past K, so it is decoded aside. */
#include "kernels-cpu/kernels_decl.h"

enum { MAX_BLOCK = 256 }; /* weights in the longest block of <q35rt/blocks.h> */

void q35k_get_rows__ref(const int32_t *ids, const q35k_weights *w, float *out, int64_t rs_out, int64_t begin,
                        int64_t end)
{
    q35_dtype_info d = q35_dtype_describe(w->dtype);
    float block[MAX_BLOCK];
    for (int64_t t = begin; t < end; t++) {
        const char *row = (const char *)w->data + ids[t] * w->rs;
        float *out_row = (float *)(void *)((char *)out + t * rs_out);
        for (int64_t i = 0; i < w->k; i += d.block_len) {
            int64_t n = w->k - i < d.block_len ? w->k - i : d.block_len;
            q35_row_block_decode(w->dtype, row, (uint64_t)(i / d.block_len), w->book, block);
            memcpy(out_row + i, block, (size_t)n * sizeof(float));
        }
    }
}
