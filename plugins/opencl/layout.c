/* SPDX-License-Identifier: Apache-2.0
 *
 * The one private layout of weights, for LINEAR: tiles of 16 rows (tile.c). */
#include "plugins/opencl/opencl.h"

#include <string.h>

/* Part of every pack key: raise it whenever the bytes of a tile change. */
#define LAYOUT_REVISION "2"

q35_status q35i_cl_layout_query(q35_device *dev, uint32_t op, const q35_tensor_desc *weight, uint32_t i,
                                q35_layout *out)
{
    uint64_t bytes = 0;
    (void)dev;
    if (weight && op == Q35_OP_LINEAR && weight->rank == 2 && weight->dim[0] > 0 && weight->dim[0] < INT32_MAX)
        bytes = q35i_cl_tile_bytes(weight->dtype, weight->dim[0]);
    if (bytes == 0 || i > 0)
        return q35p_fail(Q35_E_RANGE, "opencl layout %u: need one below %d", i, bytes != 0);
    const q35_layout layout = {.h = {sizeof layout, Q35_STRUCT_LAYOUT, NULL},
                               .layout = Q35I_CL_LAYOUT_TILE,
                               .reversible = q35i_cl_tile_reversible(weight->dtype, weight->dim[0]),
                               .slice_rows = Q35I_CL_TILE_ROWS,
                               .slice_bytes = bytes,
                               .align = 64};
    q35p_answer(&out->h, &layout.h);
    return Q35_OK;
}

q35_status q35i_cl_pack(q35_device *dev, uint32_t layout, const q35_tensor_desc *weight, uint64_t row,
                        uint64_t n_rows, const void *src, void *dst)
{
    (void)dev;
    q35_status status =
        q35p_check_slice(&q35i_cl_rules, "opencl pack", layout, weight, row, n_rows, Q35I_CL_TILE_ROWS);
    if (status == Q35_OK)
        q35i_cl_tile_pack(weight->dtype, weight->dim[0], (int64_t)n_rows, src, weight->stride[1], dst);
    return status;
}

q35_status q35i_cl_unpack(q35_device *dev, uint32_t layout, const q35_tensor_desc *weight, uint64_t row,
                          uint64_t n_rows, const void *src, void *dst)
{
    (void)dev;
    q35_status status =
        q35p_check_slice(&q35i_cl_rules, "opencl pack", layout, weight, row, n_rows, Q35I_CL_TILE_ROWS);
    if (status != Q35_OK)
        return status;
    if (!q35i_cl_tile_reversible(weight->dtype, weight->dim[0]))
        return q35p_fail(Q35_E_UNSUPPORTED, "opencl unpack: tiles of %s do not keep its bytes",
                         q35_dtype_describe(weight->dtype).name);
    q35i_cl_tile_unpack(weight->dtype, weight->dim[0], (int64_t)n_rows, src, dst, weight->stride[1]);
    return Q35_OK;
}

q35_status q35i_cl_pack_key(q35_device *dev, uint32_t layout, uint8_t out_key[32])
{
    static const char text[] = "opencl " Q35I_CL_VERSION " tile " LAYOUT_REVISION;
    (void)dev;
    if (layout != Q35I_CL_LAYOUT_TILE)
        return q35p_fail(Q35_E_INVALID, "opencl pack key: layout %u, need %d", layout, (int)Q35I_CL_LAYOUT_TILE);
    memset(out_key, 0, 32);
    q35i_cl_hash(out_key, text, sizeof text);
    memcpy(out_key + 16, text, 16);
    return Q35_OK;
}
