/* SPDX-License-Identifier: Apache-2.0
 *
 * What the rest of the runtime sees of a model beyond include/q35rt/model.h. */
#ifndef Q35I_MODEL_H
#define Q35I_MODEL_H

#include <q35rt/model.h>

/* 16 bytes that change with the file: XXH3-128 of header, metadata and tensor infos, file size and mtime. */
void q35i_model_fingerprint(const q35_model *model, uint8_t out[16]);

/* Tells the kernel that the pages of this tensor are no longer needed (they can be read again). */
void q35i_model_drop_pages(const q35_model *model, const q35_tensor_info *tensor);

#endif
