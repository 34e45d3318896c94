/* SPDX-License-Identifier: Apache-2.0
 *
 * first_layers MODEL OUT N: its first N layers, between the same embedding and head. Real shapes for tests in
 * which a layer more proves nothing. */
#include "support/rewrite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char count[] = ".block_count";

/* The key that tells the number of layers. */
static int find_count(const q35_model *model, char *out, size_t cap)
{
    for (uint64_t i = 0; i < q35_model_n_meta(model); i++) {
        const q35_string key = q35_model_meta_at(model, i)->key;
        const size_t end = sizeof count - 1;
        if (key.len >= end && key.len < cap && memcmp(key.data + key.len - end, count, end) == 0) {
            snprintf(out, cap, "%.*s", (int)key.len, key.data);
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    char key[64];
    q35_model *model = NULL;
    if (argc != 4 || atoi(argv[3]) < 1) {
        fprintf(stderr, "usage: first_layers MODEL OUT N\n");
        return 2;
    }
    const uint32_t n = (uint32_t)atoi(argv[3]);
    q35_status status = q35_model_open(argv[1], &model);
    if (status == Q35_OK && !find_count(model, key, sizeof key)) {
        fprintf(stderr, "first_layers: %s has no key *%s\n", argv[1], count);
        return 1;
    }
    const q35t_change change = {.set_key = key, .type = Q35_META_U32, .number = n, .layers = n};
    if (status == Q35_OK)
        status = q35t_rewrite(model, argv[2], &change);
    if (status != Q35_OK)
        fprintf(stderr, "first_layers: %s\n", q35_error_message());
    q35_model_close(model);
    return status != Q35_OK;
}
