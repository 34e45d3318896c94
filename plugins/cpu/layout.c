/* SPDX-License-Identifier: Apache-2.0
 *
 * Weight layouts: 3.5-bit weights with scales per group and weights with one scale per row in tiles of 16 rows
 * (kernels-cpu/tile16.h, row16.h) for the linear kernels that read them. A tile depends on its 16 rows alone, so
 * slices pack and unpack in any order. */
#include "kernels-cpu/row16.h"
#include "kernels-cpu/tile16.h"
#include "plugins/cpu/cpu.h"

/* Part of every pack key: raise it whenever the bytes of a tile change. */
#define LAYOUT_REVISION "1"

bool q35i_cpu_reads(const q35_device *dev, uint32_t layout)
{
    return layout == Q35K_LAYOUT_TILE16 ? dev->reads_tile16 : layout == Q35K_LAYOUT_ROW16 && dev->reads_row16;
}

uint64_t q35i_cpu_tile_bytes(uint32_t layout, uint32_t dtype, int64_t k)
{
    return layout == Q35K_LAYOUT_TILE16  ? q35k_tile16_bytes(dtype, k)
           : layout == Q35K_LAYOUT_ROW16 ? q35k_row16_bytes(dtype, k)
                                         : 0;
}

q35_status q35i_cpu_layout_query(q35_device *dev, uint32_t op, const q35_tensor_desc *weight, uint32_t i,
                                 q35_layout *out)
{
    uint32_t row_type = weight && q35_is_row_type(weight->dtype);
    uint32_t id = row_type ? Q35K_LAYOUT_ROW16 : Q35K_LAYOUT_TILE16;
    uint64_t bytes = 0;
    if (weight && op == Q35_OP_LINEAR && weight->rank == 2 && weight->dim[0] > 0 && q35i_cpu_reads(dev, id))
        bytes = q35i_cpu_tile_bytes(id, weight->dtype, weight->dim[0]);
    if (bytes == 0 || i > 0)
        return q35p_fail(Q35_E_RANGE, "cpu layout %u: need one below %d", i, bytes != 0);
    /* Of groups, codes past the last set of 64 inputs are not stored: only rows without such padding come back to
     * the byte. */
    uint32_t reversible = row_type || (weight->dim[0] - 1) % Q35_GROUP >= Q35K_TILE16_SET;
    q35_layout layout = {.h = {sizeof layout, Q35_STRUCT_LAYOUT, NULL},
                         .layout = id,
                         .reversible = reversible,
                         .slice_rows = Q35I_CPU_TILE_ROWS,
                         .slice_bytes = bytes,
                         .align = Q35I_CPU_LINE};
    q35p_answer(&out->h, &layout.h);
    return Q35_OK;
}

q35_status q35i_cpu_pack(q35_device *dev, uint32_t layout, const q35_tensor_desc *weight, uint64_t row,
                         uint64_t n_rows, const void *src, void *dst)
{
    (void)dev;
    q35_status status =
        q35p_check_slice(&q35i_cpu_rules, "cpu pack", layout, weight, row, n_rows, Q35I_CPU_TILE_ROWS);
    if (status != Q35_OK)
        return status;
    if (layout == Q35K_LAYOUT_ROW16)
        q35k_row16_pack(weight->dtype, weight->dim[0], (int64_t)n_rows, src, weight->stride[1], dst);
    else
        q35k_tile16_pack(weight->dtype, weight->dim[0], (int64_t)n_rows, src, weight->stride[1], dst);
    return Q35_OK;
}

q35_status q35i_cpu_unpack(q35_device *dev, uint32_t layout, const q35_tensor_desc *weight, uint64_t row,
                           uint64_t n_rows, const void *src, void *dst)
{
    (void)dev;
    q35_status status =
        q35p_check_slice(&q35i_cpu_rules, "cpu pack", layout, weight, row, n_rows, Q35I_CPU_TILE_ROWS);
    if (status != Q35_OK)
        return status;
    if (layout == Q35K_LAYOUT_ROW16)
        q35k_row16_unpack(weight->dtype, weight->dim[0], (int64_t)n_rows, src, dst, weight->stride[1]);
    else
        q35k_tile16_unpack(weight->dtype, weight->dim[0], (int64_t)n_rows, src, dst, weight->stride[1]);
    return Q35_OK;
}

/* 64-bit FNV-1a (Fowler, Noll, Vo) from a seeded start. */
static uint64_t fnv1a(uint64_t seed, const char *text, uint32_t layout)
{
    uint64_t h = 0xcbf29ce484222325u ^ seed;
    for (; *text; text++)
        h = (h ^ (uint8_t)*text) * 0x100000001b3u;
    for (int i = 0; i < 4; i++)
        h = (h ^ (layout >> (8 * i) & 255u)) * 0x100000001b3u;
    return h;
}

q35_status q35i_cpu_pack_key(q35_device *dev, uint32_t layout, uint8_t out_key[32])
{
    (void)dev;
    if (layout != Q35K_LAYOUT_TILE16 && layout != Q35K_LAYOUT_ROW16)
        return q35p_fail(Q35_E_INVALID, "cpu pack key: layout %u, need %d or %d", layout, (int)Q35K_LAYOUT_TILE16,
                         (int)Q35K_LAYOUT_ROW16);
    for (uint64_t part = 0; part < 4; part++) {
        uint64_t h = fnv1a(part * 0x9e3779b97f4a7c15u, "cpu " Q35I_CPU_VERSION " tile " LAYOUT_REVISION, layout);
        memcpy(out_key + 8 * part, &h, sizeof h);
    }
    return Q35_OK;
}
