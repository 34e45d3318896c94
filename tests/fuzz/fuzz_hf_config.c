/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzz target: any bytes as config.json and as params.json. They must become metadata or end with a sentence. */
#include "support/sentence.h"

#include "runtime/base/alloc.h"
#include "runtime/model/hf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int mistral = 0; mistral < 2; mistral++) {
        const q35i_hf_sizes sizes = {.ffn = 64, .vocab = 48};
        q35i_meta_list list = {0};
        q35i_hf_facts facts = {0};
        q35_status status = mistral ? q35i_hf_read_params("params.json", data, size, &sizes, &list, &facts)
                                    : q35i_hf_read_config("config.json", data, size, &list, &facts);
        if (status == Q35_OK ? !q35i_meta_list_find(&list, "general.architecture") : !q35t_error_is_sentence())
            abort();
        q35i_free(facts.divisors);
        q35i_meta_list_free(&list);
    }
    return 0;
}
