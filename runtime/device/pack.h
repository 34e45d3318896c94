/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights in a device's private layout: packed slice by slice on the pool, kept in one cache file per (model,
 * device layout key), mapped on the next start. A cache file that is truncated, altered or of another model is
 * rebuilt, never trusted: header, sizes and an XXH3 checksum of every entry are checked. A cache that cannot be
 * written costs only the next start. */
#ifndef Q35I_PACK_H
#define Q35I_PACK_H

#include "runtime/device/device.h"

typedef struct q35i_pack_item {
    const char *name;       /* borrowed */
    q35_tensor_desc weight; /* canonical [N][K] */
    const void *data;       /* canonical bytes, rows weight.stride[1] apart */
    q35_layout layout;      /* as layout_query answered */
    const void *packed;     /* out: first byte, aligned to layout.align (at most 64) */
    uint64_t packed_bytes;  /* out */
} q35i_pack_item;

typedef struct q35i_packed q35i_packed; /* owns the packed bytes: a file mapping or memory */

/* model_id: 16 bytes that change with the model file; NULL: nothing is kept on disk. Fills items[i].packed,
 * borrowed until q35i_packed_free. */
q35_status q35i_pack_weights(q35i_device *device, q35_pool *pool, const uint8_t model_id[16],
                             q35i_pack_item *items, uint64_t n_items, q35i_packed **out);
int q35i_packed_from_cache(const q35i_packed *packed);
void q35i_packed_free(q35i_packed *packed); /* NULL ok */

#endif
