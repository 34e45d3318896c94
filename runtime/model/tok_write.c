/* SPDX-License-Identifier: Apache-2.0
 *
 * From a translated tokenizer to the keys of GGUF. */
#include "runtime/model/tok_build.h"

#include "runtime/base/error.h"

#include <inttypes.h>
#include <string.h>

static q35_status fill_up(q35i_tok *tok, uint64_t n_embeddings)
{
    if (n_embeddings < tok->n)
        return Q35_FAIL(Q35_E_FORMAT,
                        "%s: %" PRIu32 " tokens for an embedding of %" PRIu64 " rows, need a row per token",
                        tok->name, tok->n, n_embeddings);
    while (tok->n < n_embeddings)
        Q35_TRY(q35i_tok_add_unused(tok));
    return Q35_OK;
}

static q35_status write_text(q35i_meta_list *out, const char *key, const char *text)
{
    return text && *text ? q35i_meta_add_string(out, key, q35i_string_of(text)) : Q35_OK;
}

static q35_status write_flag(q35i_meta_list *out, const char *key, uint8_t said)
{
    return said == Q35I_TOK_UNSAID ? Q35_OK : q35i_meta_add_bool(out, key, said == Q35I_TOK_YES);
}

static q35_status write_ids(const q35i_tok *tok, q35i_meta_list *out)
{
    static const char *const keys[Q35I_TOK_ROLES] = {
        "tokenizer.ggml.bos_token_id",     "tokenizer.ggml.eos_token_id", "tokenizer.ggml.unknown_token_id",
        "tokenizer.ggml.padding_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
    for (int i = 0; i < Q35I_TOK_ROLES; i++)
        if (tok->ids[i] != Q35I_TOK_NONE)
            Q35_TRY(q35i_meta_add_u32(out, keys[i], tok->ids[i]));
    return Q35_OK;
}

q35_status q35i_tok_write(q35i_tok *tok, uint64_t n_embeddings, q35i_meta_list *out)
{
    if (strcmp(tok->model, "llama") == 0 && tok->n_bytes != 256)
        return Q35_FAIL(Q35_E_FORMAT, "%s: %" PRIu32 " tokens of the 256 bytes, need all (byte fallback)",
                        tok->name, tok->n_bytes);
    if (n_embeddings > 0)
        Q35_TRY(fill_up(tok, n_embeddings));
    if (tok->add_bos == Q35I_TOK_YES && tok->ids[Q35I_TOK_BOS] == Q35I_TOK_NONE)
        return Q35_FAIL(Q35_E_FORMAT, "%s: adds a token at the begin and names none, need its name", tok->name);
    Q35_TRY(write_text(out, "tokenizer.ggml.model", tok->model));
    Q35_TRY(write_text(out, "tokenizer.ggml.pre", tok->pre));
    Q35_TRY(q35i_meta_add_strings(out, "tokenizer.ggml.tokens", &tok->tokens));
    Q35_TRY(q35i_meta_add_array(out, "tokenizer.ggml.token_type", Q35_META_I32, tok->types, tok->n));
    if (tok->has_scores)
        Q35_TRY(q35i_meta_add_array(out, "tokenizer.ggml.scores", Q35_META_F32, tok->scores, tok->n));
    if (tok->has_merges)
        Q35_TRY(q35i_meta_add_strings(out, "tokenizer.ggml.merges", &tok->merges));
    Q35_TRY(write_ids(tok, out));
    Q35_TRY(write_flag(out, "tokenizer.ggml.add_bos_token", tok->add_bos));
    Q35_TRY(write_flag(out, "tokenizer.ggml.add_eos_token", tok->add_eos));
    Q35_TRY(write_flag(out, "tokenizer.ggml.add_space_prefix", tok->add_space_prefix));
    Q35_TRY(write_flag(out, "tokenizer.ggml.remove_extra_whitespaces", tok->squeeze_spaces));
    Q35_TRY(write_text(out, "tokenizer.mistral.version", tok->version));
    if (tok->template)
        Q35_TRY(
            q35i_meta_add_string(out, "tokenizer.chat_template", (q35_string){tok->template, tok->template_len}));
    return Q35_OK;
}
