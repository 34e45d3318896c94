/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts that single tokens play: beginning of a sequence, end of a turn, unknown, marks in generated text. */
#ifndef Q35I_ROLES_H
#define Q35I_ROLES_H

#include "runtime/text/tokenizer.h"

/* Reads the ids among the keys tokenizer.ggml.* into bos, unknown, add_bos and marks, and flags the stop tokens of
 * the vocabulary. adds_bos: what a file that does not say wants. FORMAT for ids outside the vocabulary. */
q35_status q35i_roles_init(q35_tokenizer *t, const q35_model *model, bool adds_bos);

#endif
