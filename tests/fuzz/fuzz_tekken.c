/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzz target: any bytes as tekken.json. */
#include "fuzz/translate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_translate(q35i_tok_read_tekken, "tekken.json", data, size);
    return 0;
}
