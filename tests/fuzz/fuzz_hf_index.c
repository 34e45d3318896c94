/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzz target: any bytes as an index of shards. No name of a file leaves the directory. */
#include "support/sentence.h"

#include "runtime/model/hf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const q35i_hf_index *index)
{
    for (uint32_t i = 0; i < index->n_shards; i++)
        if (strpbrk(index->shards[i], "/\\") || index->shards[i][0] == '.' || strstr(index->shards[i], ".."))
            abort();
    for (uint64_t i = 0; i < index->n; i++)
        if (index->places[i].shard >= index->n_shards ||
            (i > 0 && strcmp(index->places[i - 1].tensor, index->places[i].tensor) >= 0))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    q35i_hf_index index = {0};
    if (q35i_hf_read_index(&index, "index", data, size) == Q35_OK)
        check(&index);
    else if (!q35t_error_is_sentence())
        abort();
    q35i_hf_index_free(&index);
    return 0;
}
