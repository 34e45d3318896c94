/* SPDX-License-Identifier: Apache-2.0
 *
 * What the rest of the runtime sees of a model beyond include/q35rt/model.h. */
#ifndef Q35I_MODEL_H
#define Q35I_MODEL_H

#include <q35rt/model.h>

/* 16 bytes that change with the files: XXH3-128 of everything but the tensors' bytes, of sizes and of mtimes. */
void q35i_model_fingerprint(const q35_model *model, uint8_t out[16]);

/* Blocks [block, block + n) of a row of a matrix in the byte layout of info->dtype: in the mapped file where they
 * stand there like that, else composed in scratch (n blocks). Any thread. */
const void *q35i_model_blocks(const q35_tensor_info *info, uint64_t row, uint64_t block, uint64_t n,
                              void *scratch);

/* All bytes of a tensor: those of the mapped file, or a copy made on first use, which lives as long as the model.
 * Any thread. NOMEM. */
q35_status q35i_model_bytes(const q35_model *model, const q35_tensor_info *info, const void **out);

/* Tells the kernel that the pages of this tensor are no longer needed (they can be read again). */
void q35i_model_drop_pages(const q35_model *model, const q35_tensor_info *tensor);

#endif
