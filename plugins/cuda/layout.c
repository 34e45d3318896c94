/* SPDX-License-Identifier: Apache-2.0
 *
 * Weight layouts: the ones of q35_cuda_layout.h, packed on the host slice by slice. */
#include "cuda.h"

#include <string.h>

/* Part of every pack key: raise it whenever the bytes of a slice change. */
#define LAYOUT_REVISION 3u

q35_status q35i_cuda_layout_query(q35_device *dev, uint32_t op, const q35_tensor_desc *weight, uint32_t i,
                                  q35_layout *out)
{
    (void)dev;
    uint64_t bytes = 0;
    if (weight && op == Q35_OP_LINEAR && weight->rank == 2 && weight->dim[0] > 0 && weight->dim[0] <= INT32_MAX)
        bytes = q35_cuda_slice_bytes(weight->dtype, weight->dim[0]);
    if (bytes == 0 || i > 0)
        return q35p_fail(Q35_E_RANGE, "cuda layout %u: need one below %d", i, bytes != 0);
    const q35_layout layout = {.h = {sizeof layout, Q35_STRUCT_LAYOUT, NULL},
                               .layout = q35_cuda_layout_of(weight->dtype),
                               .reversible = q35_cuda_layout_of(weight->dtype) == Q35_CUDA_T16,
                               .slice_rows = Q35_CUDA_SLICE_ROWS,
                               .slice_bytes = bytes,
                               .align = 64};
    q35p_answer(&out->h, &layout.h);
    return Q35_OK;
}

static q35_status check_slice(uint32_t layout, const q35_tensor_desc *weight, uint64_t row, uint64_t n_rows)
{
    return q35p_check_slice(&q35i_cuda_rules, "cuda pack", layout, weight, row, n_rows, Q35_CUDA_SLICE_ROWS);
}

q35_status q35i_cuda_pack(q35_device *dev, uint32_t layout, const q35_tensor_desc *weight, uint64_t row,
                          uint64_t n_rows, const void *src, void *dst)
{
    (void)dev;
    q35_status status = check_slice(layout, weight, row, n_rows);
    if (status == Q35_OK)
        q35_cuda_pack(weight->dtype, weight->dim[0], (int64_t)n_rows, src, weight->stride[1], dst);
    return status;
}

q35_status q35i_cuda_unpack(q35_device *dev, uint32_t layout, const q35_tensor_desc *weight, uint64_t row,
                            uint64_t n_rows, const void *src, void *dst)
{
    (void)dev;
    q35_status status = check_slice(layout, weight, row, n_rows);
    if (status == Q35_OK && layout != Q35_CUDA_T16)
        return q35p_fail(Q35_E_UNSUPPORTED, "cuda unpack: layout %u is not reversible", layout);
    if (status == Q35_OK)
        q35_cuda_unpack(weight->dtype, weight->dim[0], (int64_t)n_rows, src, dst, weight->stride[1]);
    return status;
}

q35_status q35i_cuda_pack_key(q35_device *dev, uint32_t layout, uint8_t out_key[32])
{
    (void)dev;
    if (layout != Q35_CUDA_T16 && layout != Q35_CUDA_B16)
        return q35p_fail(Q35_E_INVALID, "cuda pack key: layout %u, need %d or %d", layout, (int)Q35_CUDA_T16,
                         (int)Q35_CUDA_B16);
    const uint32_t words[2] = {LAYOUT_REVISION, layout};
    memset(out_key, 0, 32);
    memcpy(out_key, "cuda " Q35I_CUDA_VERSION, sizeof "cuda " Q35I_CUDA_VERSION);
    memcpy(out_key + 24, words, sizeof words);
    return Q35_OK;
}
