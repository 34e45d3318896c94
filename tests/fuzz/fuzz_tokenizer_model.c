/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzz target: any bytes as tokenizer.model, of either kind. */
#include "fuzz/translate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_translate(q35i_tok_read_model, "tokenizer.model.v3", data, size);
    return 0;
}
