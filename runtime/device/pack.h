/* SPDX-License-Identifier: Apache-2.0
 *
 * Weights in a device's private layout: packed slice by slice on the pool, kept in one cache file per (model,
 * list of weights, device layout key, host), mapped on the next start. A cache file that is truncated, altered or
 * of something else is rebuilt, never trusted; when its bytes are read to know that: pack_cache.h. A cache that
 * cannot be written costs only the next start. */
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

/* The file that the weights come from. */
typedef struct q35i_pack_model {
    uint8_t id[16];   /* changes with the file */
    const char *path; /* borrowed */
    /* The canonical bytes of an item are not needed any more. From the calling thread; may be NULL. */
    void (*done)(void *user, const q35i_pack_item *item);
    void *user;
} q35i_pack_model;

typedef struct q35i_packed q35i_packed; /* owns the packed bytes: a file mapping or memory */

/* model NULL: nothing is kept on disk, as with a device whose keep_packed is 0. Fills items[i].packed, borrowed
 * until q35i_packed_free. */
q35_status q35i_pack_weights(q35i_device *device, q35_pool *pool, const q35i_pack_model *model,
                             q35i_pack_item *items, uint64_t n_items, q35i_packed **out);
int q35i_packed_from_cache(const q35i_packed *packed);
void q35i_packed_free(q35i_packed *packed); /* NULL ok */

#endif
