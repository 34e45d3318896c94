/* SPDX-License-Identifier: Apache-2.0
 *
 * Which model and which vocabulary a base file belongs to. */
#define XXH_STATIC_LINKING_ONLY /* for a hash state on the stack */
#include "eval.h"

#include <string.h>
#include <xxhash.h>

#define SAMPLE_BYTES 4096u

static void add_number(XXH3_state_t *state, uint64_t value)
{
    XXH3_64bits_update(state, &value, sizeof value);
}

static void add_text(XXH3_state_t *state, const char *text, uint64_t len)
{
    add_number(state, len);
    XXH3_64bits_update(state, text, (size_t)len);
}

/* Beginning, middle and end: all bytes of a large model would take minutes to read. */
static void add_samples(XXH3_state_t *state, const uint8_t *data, uint64_t bytes)
{
    uint64_t n = bytes < SAMPLE_BYTES ? bytes : SAMPLE_BYTES;
    XXH3_64bits_update(state, data, (size_t)n);
    XXH3_64bits_update(state, data + (bytes - n) / 2, (size_t)n);
    XXH3_64bits_update(state, data + bytes - n, (size_t)n);
}

uint64_t eval_model_hash(const q35_model *model)
{
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    for (uint64_t i = 0; i < q35_model_n_tensors(model); i++) {
        const q35_tensor_info *t = q35_model_tensor_at(model, i);
        add_text(&state, t->name, strlen(t->name));
        add_number(&state, t->dtype);
        for (uint32_t d = 0; d < t->rank; d++)
            add_number(&state, (uint64_t)t->dim[d]);
        if (t->data)
            add_samples(&state, t->data, t->bytes);
    }
    return XXH3_64bits_digest(&state);
}

uint64_t eval_vocab_hash(const q35_tokenizer *tokenizer)
{
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    uint32_t n = q35_tokenizer_n_vocab(tokenizer);
    for (uint32_t id = 0; id < n; id++) {
        uint64_t len = 0;
        const char *piece = q35_tokenizer_is_control(tokenizer, (int32_t)id)
                                ? NULL
                                : q35_tokenizer_piece(tokenizer, (int32_t)id, &len);
        add_text(&state, piece ? piece : "", piece ? len : 0);
    }
    return XXH3_64bits_digest(&state);
}
