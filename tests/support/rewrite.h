/* SPDX-License-Identifier: Apache-2.0
 *
 * Copies a model file with one thing changed. */
#ifndef Q35T_REWRITE_H
#define Q35T_REWRITE_H

#include <q35rt/model.h>

typedef struct q35t_change {
    const char *drop_key; /* metadata left out; NULL: none */
    const char *set_key;  /* metadata added (or replaced); NULL: none */
    uint32_t type;        /* of set_key: U32, I32, F32, BOOL, STRING, or ARRAY (of two U32) */
    double number;
    const char *text;
    uint32_t layers;         /* tensors of the first so many are kept (set_key is then .block_count); 0: all */
    const char *drop_tensor; /* NULL: none */
    const char *add_tensor;  /* added or replaced by zeros (F32: ones); NULL: none */
    uint32_t dtype, rank;
    int64_t dim[2];
} q35t_change;

q35_status q35t_rewrite(const q35_model *from, const char *path, const q35t_change *change);

#endif
