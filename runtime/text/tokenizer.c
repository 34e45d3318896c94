/* SPDX-License-Identifier: Apache-2.0
 *
 * A tokenizer from a model file: which kind it is, its tables, its special ids, and the public calls that read
 * them. */
#include "runtime/text/tokenizer.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/model/quote.h"
#include "runtime/model/text.h"
#include "runtime/text/encode.h"
#include "runtime/text/order.h"
#include "runtime/text/roles.h"

#include <inttypes.h>
#include <string.h>

#define KEY_MODEL "tokenizer.ggml.model"
#define KEY_PRE   "tokenizer.ggml.pre"
#define EMBEDDING "token_embd.weight"

static q35_status string_value(const q35_model *model, const char *key, q35_string *out)
{
    const q35_meta *meta = q35_model_meta(model, key);
    if (!meta)
        return Q35_FAIL(Q35_E_FORMAT, "%s: missing, need a string", key);
    if (!q35_meta_string(meta, out))
        return Q35_FAIL(Q35_E_FORMAT, "%s: value type %" PRIu32 ", need a string (8)", key, meta->type);
    return Q35_OK;
}

static q35_status read_kind(const q35_model *model, bool *out_pieces)
{
    q35_string kind;
    if (!q35_model_meta(model, KEY_MODEL))
        return Q35_FAIL(Q35_E_FORMAT,
                        "%s: missing, the model has no tokenizer, need one (--ids and --no-calibration "
                        "go without)",
                        KEY_MODEL);
    Q35_TRY(string_value(model, KEY_MODEL, &kind));
    *out_pieces = q35i_string_is(kind, "llama");
    if (*out_pieces || q35i_string_is(kind, "gpt2"))
        return Q35_OK;
    return Q35_FAIL(Q35_E_UNSUPPORTED, "%s: '%s', need gpt2 (byte-level BPE) or llama (SentencePiece BPE)",
                    KEY_MODEL, q35i_quote(kind).text);
}

/* A model whose embedding has other rows than the vocabulary has tokens came with the wrong one. */
static q35_status check_embedding(const q35_tokenizer *t, const q35_model *model)
{
    const q35_tensor_info *embedding = q35_model_tensor(model, EMBEDDING);
    if (!embedding || (embedding->rank >= 2 && embedding->dim[1] == (int64_t)t->vocab.n))
        return Q35_OK;
    return Q35_FAIL(Q35_E_FORMAT, "tokenizer.ggml.tokens: %" PRIu32 " tokens, need %" PRId64 " (rows of %s)",
                    t->vocab.n, embedding->rank >= 2 ? embedding->dim[1] : 1, EMBEDDING);
}

/* Files of this kind were made with the wrong name: Tekken's own third token gives them away. */
static bool is_mislabelled_tekken(const q35i_vocab *vocab, q35_string pre)
{
    static const char inst[] = "[INST]";
    enum { INST_ID = 3 };
    uint64_t len;
    if (!q35i_string_is(pre, "pixtral") || vocab->n <= INST_ID)
        return false;
    const uint8_t *piece = q35i_vocab_piece(vocab, INST_ID, &len);
    return q35i_vocab_kind(vocab, INST_ID) == Q35I_TOKEN_CONTROL && len == sizeof inst - 1 &&
           memcmp(piece, inst, len) == 0;
}

static q35_status create_splitter(q35_tokenizer *t, const q35_model *model)
{
    q35_string pre = {"gpt-2", 5}; /* files from before the key was introduced */
    if (q35_model_meta(model, KEY_PRE))
        Q35_TRY(string_value(model, KEY_PRE, &pre));
    else
        q35i_log(Q35_LOG_INFO, "%s: missing, gpt-2 assumed", KEY_PRE);
    if (is_mislabelled_tekken(&t->vocab, pre)) {
        q35i_log(Q35_LOG_WARN, "%s: pixtral, but the vocabulary is Tekken's: tekken is used", KEY_PRE);
        pre = (q35_string){"tekken", 6};
    }
    return q35i_splitter_create(pre, &t->splitter);
}

static q35_status init_bytes(q35_tokenizer *t, const q35_model *model)
{
    Q35_TRY(create_splitter(t, model));
    t->whole_pieces = q35i_splitter_whole_pieces(t->splitter) || !t->rules.merges;
    return q35i_roles_init(t, model, q35i_splitter_adds_bos(t->splitter));
}

static q35_status init_pieces(q35_tokenizer *t, const q35_model *model)
{
    if (!t->rules.merges)
        Q35_TRY(q35i_order_by_score(&t->vocab, model, &t->order));
    t->rules.order = t->order;
    Q35_TRY(q35i_pieces_rules_init(&t->pieces, &t->vocab, model));
    return q35i_roles_init(t, model, true);
}

/* Tokens of U+FFFD; none when its own bytes lack tokens. */
static q35_status find_replacement(q35_tokenizer *t)
{
    static const uint8_t bytes[3] = {0xEF, 0xBF, 0xBD};
    q35i_bpe work = {0};
    q35_status status = Q35_OK;
    Q35_TRY_GOTO(q35i_bpe_merge(&work, &t->rules, bytes, sizeof bytes), done);
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
    bool pieces;
    *out = NULL;
    Q35_TRY(read_kind(model, &pieces));
    q35_tokenizer *t = q35i_calloc(1, sizeof *t);
    if (!t)
        return Q35_E_NOMEM;
    Q35_TRY_GOTO(q35i_vocab_init(&t->vocab, model, pieces), fail);
    Q35_TRY_GOTO(check_embedding(t, model), fail);
    Q35_TRY_GOTO(q35i_merges_init(&t->merges, &t->vocab, model), fail);
    t->rules = (q35i_bpe_rules){.vocab = &t->vocab, .merges = t->merges.list ? &t->merges : NULL};
    Q35_TRY_GOTO(pieces ? init_pieces(t, model) : init_bytes(t, model), fail);
    Q35_TRY_GOTO(q35i_chat_format_init(&t->chat, model, &t->vocab), fail);
    if (!pieces)
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
    q35i_pieces_rules_free(&tokenizer->pieces);
    q35i_free(tokenizer->order);
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

uint32_t q35_tokenizer_mark(const q35_tokenizer *tokenizer, int32_t id)
{
    for (uint32_t i = 0; id >= 0 && i < Q35I_MARKS; i++)
        if (tokenizer->marks[i] == (uint32_t)id)
            return 1 + i / 2;
    return Q35_MARK_NONE;
}
