/* SPDX-License-Identifier: Apache-2.0
 *
 * The tokenizer keys of a tiny model. */
#ifndef Q35T_TINY_TOKENIZER_H
#define Q35T_TINY_TOKENIZER_H

#include "runtime/model/gguf_write.h"

/* Tokens of the tokenizer without unused ones. */
uint32_t q35t_tiny_tokenizer_size(void);

/* Writes tokenizer.* with vocab tokens, at least q35t_tiny_tokenizer_size(). */
q35_status q35t_tiny_tokenizer_write(q35i_gguf_writer *w, uint32_t vocab);

#endif
