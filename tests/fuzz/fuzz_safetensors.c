/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzz target: any bytes as a safetensors file; and as header and data with a zero byte between them, so that
 * changes reach beyond the length in front. What is read covers the data once, and every tensor has a name. */
#include "support/sentence.h"

#include "runtime/model/safetensors.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const uint8_t *data, size_t size)
{
    q35i_safetensors list = {0};
    if (q35i_safetensors_read(&list, data, size) == Q35_OK) {
        uint64_t covered = 0, header;
        for (uint64_t i = 0; i < list.n; i++) {
            const q35i_safetensor *t = &list.tensors[i];
            covered += t->end - t->begin;
            if (t->begin > t->end || t->end > size || t->rank > Q35I_SAFETENSORS_RANK || t->name[0] == '\0')
                abort();
        }
        memcpy(&header, data, sizeof header);
        if (covered != size - sizeof header - header)
            abort();
    } else if (!q35t_error_is_sentence()) {
        abort();
    }
    q35i_safetensors_free(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    const uint64_t header = zero ? (uint64_t)(zero - data) : size;
    const size_t behind = zero ? size - header - 1 : 0, total = sizeof header + header + behind;
    check(data, size);
    uint8_t *file = malloc(total);
    if (!file)
        abort();
    memcpy(file, &header, sizeof header);
    if (header)
        memcpy(file + sizeof header, data, header);
    if (behind)
        memcpy(file + sizeof header + header, zero + 1, behind);
    check(file, total);
    free(file);
    return 0;
}
