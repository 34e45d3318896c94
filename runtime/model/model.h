/* SPDX-License-Identifier: Apache-2.0
 *
 * What the rest of the runtime sees of a model beyond include/q35rt/model.h. */
#ifndef Q35I_MODEL_H
#define Q35I_MODEL_H

#include <q35rt/model.h>

/* Name of the codec of a type that the q35.* keys describe ("pair-row"), NULL for others. Static. */
const char *q35i_codec_name(uint32_t dtype);

/* 16 bytes that change with the files: XXH3-128 of everything but the tensors' bytes, of sizes and of mtimes.
 * False for an overlay and for a model in memory, whose bytes are in no file. */
int q35i_model_fingerprint(const q35_model *model, uint8_t out[16]);

/* A model with the metadata and tensors of `base`, some of which may then be replaced: what a conversion looks at
 * while it goes on. Borrows base until closed. One thread may change it while nobody reads it. */
q35_status q35i_overlay_create(const q35_model *base, q35_model **out);
void q35i_overlay_close(q35_model *overlay); /* NULL ok */

/* What stands for tensor i from now on; info: dtype, bytes, data, rotation and activation count, name and shape
 * stay. data is borrowed until the next replacement of i. info NULL: the base's again. */
void q35i_overlay_replace(q35_model *overlay, uint64_t i, const q35_tensor_info *info);

/* Codebooks of 7- and 8-bit codes, borrowed. */
void q35i_overlay_books(q35_model *overlay, const int8_t (*book)[2], const int8_t (*book8)[2]);

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
