/* SPDX-License-Identifier: Apache-2.0
 *
 * A tokenizer from a model file: which kind it is, its tables, its special ids, and the public calls that read
 * them. */
#include "runtime/text/tokenizer.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/model/quote.h"
#include "runtime/text/encode.h"

#include <inttypes.h>
#include <string.h>

#define KEY_MODEL   "tokenizer.ggml.model"
#define KEY_PRE     "tokenizer.ggml.pre"
#define KEY_BOS     "tokenizer.ggml.bos_token_id"
#define KEY_ADD_BOS "tokenizer.ggml.add_bos_token"

static q35_status string_value(const q35_model *model, const char *key, q35_string *out)
{
    const q35_meta *meta = q35_model_meta(model, key);
    if (!meta)
        return Q35_FAIL(Q35_E_FORMAT, "%s: missing, need a string", key);
    if (!q35_meta_string(meta, out))
        return Q35_FAIL(Q35_E_FORMAT, "%s: value type %" PRIu32 ", need a string (8)", key, meta->type);
    return Q35_OK;
}

static bool is_text(q35_string s, const char *text)
{
    return strlen(text) == s.len && memcmp(text, s.data, s.len) == 0;
}

static q35_status check_kind(const q35_model *model)
{
    q35_string kind;
    Q35_TRY(string_value(model, KEY_MODEL, &kind));
    if (is_text(kind, "gpt2"))
        return Q35_OK;
    return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: '%s'%s, need gpt2 (byte-level BPE)", KEY_MODEL, q35i_quote(kind).text,
                    is_text(kind, "llama") ? " (SentencePiece)" : "");
}

static q35_status create_splitter(q35_tokenizer *t, const q35_model *model)
{
    q35_string pre = {"gpt-2", 5}; /* files from before the key was introduced */
    if (q35_model_meta(model, KEY_PRE))
        Q35_TRY(string_value(model, KEY_PRE, &pre));
    else
        q35i_log(Q35_LOG_INFO, "%s: missing, gpt-2 assumed", KEY_PRE);
    return q35i_splitter_create(pre, &t->splitter);
}

/* Id under a key, Q35I_NO_TOKEN when the key is absent. */
static q35_status special_id(const q35_tokenizer *t, const q35_model *model, const char *key, uint32_t *out)
{
    const q35_meta *meta = q35_model_meta(model, key);
    uint64_t id;
    *out = Q35I_NO_TOKEN;
    if (!meta)
        return Q35_OK;
    if (!q35_meta_u64(meta, &id))
        return Q35_FAIL(Q35_E_FORMAT, "%s: value of type %" PRIu32 " or negative, need a token id", key,
                        meta->type);
    if (id >= t->vocab.n)
        return Q35_FAIL(Q35_E_FORMAT, "%s: %" PRIu64 ", need less than the %" PRIu32 " tokens of the vocabulary",
                        key, id, t->vocab.n);
    *out = (uint32_t)id;
    return Q35_OK;
}

static q35_status read_special_ids(q35_tokenizer *t, const q35_model *model)
{
    static const char *const stop_keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                            "tokenizer.ggml.eom_token_id"};
    static const char *const stop_names[] = {"<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>"};
    static const char *const other_keys[] = {"tokenizer.ggml.unknown_token_id", "tokenizer.ggml.padding_token_id",
                                             "tokenizer.ggml.seperator_token_id"};
    uint32_t id;
    for (size_t i = 0; i < sizeof stop_keys / sizeof *stop_keys; i++) {
        Q35_TRY(special_id(t, model, stop_keys[i], &id));
        if (id != Q35I_NO_TOKEN)
            t->vocab.traits[id] |= Q35I_TOKEN_STOP;
    }
    for (size_t i = 0; i < sizeof stop_names / sizeof *stop_names; i++) {
        id = q35i_vocab_special(&t->vocab, (const uint8_t *)stop_names[i], strlen(stop_names[i]));
        if (id != Q35I_NO_TOKEN)
            t->vocab.traits[id] |= Q35I_TOKEN_STOP;
    }
    for (size_t i = 0; i < sizeof other_keys / sizeof *other_keys; i++)
        Q35_TRY(special_id(t, model, other_keys[i], &id));
    return special_id(t, model, KEY_BOS, &t->bos);
}

static q35_status read_add_bos(q35_tokenizer *t, const q35_model *model)
{
    const q35_meta *meta = q35_model_meta(model, KEY_ADD_BOS);
    int wanted = q35i_splitter_adds_bos(t->splitter);
    if (meta && !q35_meta_bool(meta, &wanted))
        return Q35_FAIL(Q35_E_FORMAT, "%s: value type %" PRIu32 ", need a bool (7)", KEY_ADD_BOS, meta->type);
    if (meta && wanted && t->bos == Q35I_NO_TOKEN)
        return Q35_FAIL(Q35_E_FORMAT, "%s: true without %s, need the id", KEY_ADD_BOS, KEY_BOS);
    t->add_bos = wanted && t->bos != Q35I_NO_TOKEN;
    return Q35_OK;
}

/* Tokens of U+FFFD; none when its own bytes lack tokens. */
static q35_status find_replacement(q35_tokenizer *t)
{
    static const uint8_t bytes[3] = {0xEF, 0xBF, 0xBD};
    q35i_bpe work = {0};
    q35_status status = Q35_OK;
    Q35_TRY_GOTO(q35i_bpe_merge(&work, &t->vocab, &t->merges, bytes, sizeof bytes), done);
    for (uint32_t i = 0; i != UINT32_MAX; i = work.symbols[i].next)
        t->replacement[t->n_replacement++] = work.symbols[i].id;
    for (uint32_t i = 0; i < t->n_replacement; i++) {
        if (t->replacement[i] == Q35I_NO_TOKEN)
            t->n_replacement = 0;
    }
done:
    q35i_bpe_free(&work);
    return status;
}

q35_status q35_tokenizer_create(const q35_model *model, q35_tokenizer **out)
{
    q35_status status = Q35_OK;
    *out = NULL;
    Q35_TRY(check_kind(model));
    q35_tokenizer *t = q35i_calloc(1, sizeof *t);
    if (!t)
        return Q35_E_NOMEM;
    Q35_TRY_GOTO(create_splitter(t, model), fail);
    Q35_TRY_GOTO(q35i_vocab_init(&t->vocab, model), fail);
    Q35_TRY_GOTO(q35i_merges_init(&t->merges, &t->vocab, model), fail);
    Q35_TRY_GOTO(q35i_chat_format_init(&t->chat, model), fail);
    Q35_TRY_GOTO(read_special_ids(t, model), fail);
    Q35_TRY_GOTO(read_add_bos(t, model), fail);
    Q35_TRY_GOTO(find_replacement(t), fail);
    *out = t;
    return Q35_OK;
fail:
    q35_tokenizer_destroy(t);
    return status;
}

void q35_tokenizer_destroy(q35_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    q35i_vocab_free(&tokenizer->vocab);
    q35i_merges_free(&tokenizer->merges);
    q35i_chat_format_free(&tokenizer->chat);
    q35i_splitter_destroy(tokenizer->splitter);
    q35i_free(tokenizer);
}

q35_status q35_tokenizer_encode(const q35_tokenizer *tokenizer, const char *text, uint64_t len, uint32_t flags,
                                int32_t **out_ids, uint64_t *out_n)
{
    q35i_encoder encoder = {0};
    q35_status status = Q35_OK;
    *out_ids = NULL;
    *out_n = 0;
    if (!text && len > 0)
        return Q35_FAIL(Q35_E_INVALID, "text: null with a length of %" PRIu64 ", need bytes", len);
    if (flags & ~(uint32_t)(Q35_ENCODE_SPECIAL | Q35_ENCODE_BOS))
        return Q35_FAIL(Q35_E_INVALID, "encode flags: 0x%" PRIx32 ", need a combination of 0x%x", flags,
                        Q35_ENCODE_SPECIAL | Q35_ENCODE_BOS);
    Q35_TRY_GOTO(q35i_encoder_init(&encoder, tokenizer), done);
    if ((flags & Q35_ENCODE_BOS) && tokenizer->add_bos)
        Q35_TRY_GOTO(q35i_encoder_id(&encoder, tokenizer->bos), done);
    if (len > 0)
        Q35_TRY_GOTO(q35i_encoder_text(&encoder, text, len, (flags & Q35_ENCODE_SPECIAL) != 0), done);
    q35i_encoder_take(&encoder, out_ids, out_n);
done:
    q35i_encoder_free(&encoder);
    return status;
}

void q35_tokens_free(int32_t *ids)
{
    q35i_free(ids);
}

const char *q35_tokenizer_piece(const q35_tokenizer *tokenizer, int32_t id, uint64_t *out_len)
{
    *out_len = 0;
    if (id < 0 || (uint32_t)id >= tokenizer->vocab.n)
        return NULL;
    return (const char *)q35i_vocab_piece(&tokenizer->vocab, (uint32_t)id, out_len);
}

uint32_t q35_tokenizer_n_vocab(const q35_tokenizer *tokenizer)
{
    return tokenizer->vocab.n;
}

int q35_tokenizer_is_control(const q35_tokenizer *tokenizer, int32_t id)
{
    return id >= 0 && (uint32_t)id < tokenizer->vocab.n &&
           q35i_vocab_kind(&tokenizer->vocab, (uint32_t)id) == Q35I_TOKEN_CONTROL;
}

int q35_tokenizer_is_stop(const q35_tokenizer *tokenizer, int32_t id)
{
    return id >= 0 && (uint32_t)id < tokenizer->vocab.n && (tokenizer->vocab.traits[id] & Q35I_TOKEN_STOP) != 0;
}

int32_t q35_tokenizer_bos(const q35_tokenizer *tokenizer)
{
    return tokenizer->bos == Q35I_NO_TOKEN ? -1 : (int32_t)tokenizer->bos;
}
