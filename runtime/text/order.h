/* SPDX-License-Identifier: Apache-2.0
 *
 * The order in which SentencePiece tokens are preferred: by score. */
#ifndef Q35I_ORDER_H
#define Q35I_ORDER_H

#include "runtime/text/vocab.h"

/* Reads tokenizer.ggml.scores (f32 or i32): *out is [vocab->n], 0 for the highest score, equal scores have equal
 * numbers. FORMAT when they are missing, of another type or NaN. Free with q35i_free. */
q35_status q35i_order_by_score(const q35i_vocab *vocab, const q35_model *model, uint32_t **out);

#endif
