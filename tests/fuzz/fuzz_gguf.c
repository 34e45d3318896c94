/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzz target: any bytes as a model file. They must open or end with a sentence; what opens is used to the full
 * and gives the same result when opened again. */
#include "support/sentence.h"
#include "support/walk_model.h"

#include "runtime/model/gguf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t sums[2] = {0, 0};
    for (int round = 0; round < 2; round++) {
        q35_model *model;
        if (q35i_model_open_image("input", data, size, &model) != Q35_OK) {
            if (model || !q35t_error_is_sentence())
                abort();
            return 0;
        }
        sums[round] = q35t_walk_model(model);
        q35_model_close(model);
    }
    if (sums[0] != sums[1])
        abort();
    return 0;
}
