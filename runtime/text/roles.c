/* SPDX-License-Identifier: Apache-2.0
 *
 * Roles by key of the file, and by spelling where files do not say. */
#include "runtime/text/roles.h"

#include "runtime/base/error.h"

#include <inttypes.h>
#include <string.h>

#define KEY_BOS     "tokenizer.ggml.bos_token_id"
#define KEY_UNKNOWN "tokenizer.ggml.unknown_token_id"
#define KEY_ADD_BOS "tokenizer.ggml.add_bos_token"

/* Id under a key, Q35I_NO_TOKEN when the key is absent. */
static q35_status special_id(const q35i_vocab *vocab, const q35_model *model, const char *key, uint32_t *out)
{
    const q35_meta *meta = q35_model_meta(model, key);
    uint64_t id;
    *out = Q35I_NO_TOKEN;
    if (!meta)
        return Q35_OK;
    if (!q35_meta_u64(meta, &id))
        return Q35_FAIL(Q35_E_FORMAT, "%s: value of type %" PRIu32 " or negative, need a token id", key,
                        meta->type);
    if (id >= vocab->n)
        return Q35_FAIL(Q35_E_FORMAT, "%s: %" PRIu64 ", need less than the %" PRIu32 " tokens of the vocabulary",
                        key, id, vocab->n);
    *out = (uint32_t)id;
    return Q35_OK;
}

static uint32_t special_named(const q35i_vocab *vocab, const char *spelling)
{
    return q35i_vocab_special(vocab, (const uint8_t *)spelling, strlen(spelling));
}

static q35_status flag_stops(q35i_vocab *vocab, const q35_model *model)
{
    static const char *const keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    static const char *const names[] = {"<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>",
                                        "<|eom_id|>"};
    uint32_t id;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        Q35_TRY(special_id(vocab, model, keys[i], &id));
        if (id != Q35I_NO_TOKEN)
            vocab->traits[id] |= Q35I_TOKEN_STOP;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        id = special_named(vocab, names[i]);
        if (id != Q35I_NO_TOKEN)
            vocab->traits[id] |= Q35I_TOKEN_STOP;
    }
    return Q35_OK;
}

static void find_marks(q35_tokenizer *t)
{
    static const char *const names[Q35I_MARKS] = {"[THINK]",  "<think>",      "[/THINK]",
                                                  "</think>", "[TOOL_CALLS]", "<tool_call>"};
    for (size_t i = 0; i < Q35I_MARKS; i++)
        t->marks[i] = special_named(&t->vocab, names[i]);
}

static q35_status read_add_bos(q35_tokenizer *t, const q35_model *model, bool adds_bos)
{
    const q35_meta *meta = q35_model_meta(model, KEY_ADD_BOS);
    int wanted = adds_bos;
    if (meta && !q35_meta_bool(meta, &wanted))
        return Q35_FAIL(Q35_E_FORMAT, "%s: value type %" PRIu32 ", need a bool (7)", KEY_ADD_BOS, meta->type);
    if (meta && wanted && t->bos == Q35I_NO_TOKEN)
        return Q35_FAIL(Q35_E_FORMAT, "%s: true without %s, need the id", KEY_ADD_BOS, KEY_BOS);
    t->add_bos = wanted && t->bos != Q35I_NO_TOKEN;
    return Q35_OK;
}

q35_status q35i_roles_init(q35_tokenizer *t, const q35_model *model, bool adds_bos)
{
    static const char *const other_keys[] = {"tokenizer.ggml.padding_token_id",
                                             "tokenizer.ggml.seperator_token_id"};
    uint32_t id;
    Q35_TRY(flag_stops(&t->vocab, model));
    for (size_t i = 0; i < sizeof other_keys / sizeof *other_keys; i++)
        Q35_TRY(special_id(&t->vocab, model, other_keys[i], &id));
    Q35_TRY(special_id(&t->vocab, model, KEY_UNKNOWN, &t->unknown));
    Q35_TRY(special_id(&t->vocab, model, KEY_BOS, &t->bos));
    find_marks(t);
    return read_add_bos(t, model, adds_bos);
}
