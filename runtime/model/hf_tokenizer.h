/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokenizer files of model directories, translated into the tokenizer.* keys of GGUF: tekken.json (Mistral),
 * tokenizer.json (Hugging Face tokenizers, byte-level or Metaspace BPE), tokenizer.model (SentencePiece BPE, or
 * Llama 3's list of ranks). */
#ifndef Q35I_HF_TOKENIZER_H
#define Q35I_HF_TOKENIZER_H

#include "runtime/model/tok_build.h"

/* Adds the keys of the tokenizer in a directory, nothing when it has none. n_embeddings: rows of the embedding
 * matrix, 0 unknown: the vocabulary is filled up to them with unused tokens; FORMAT when it has more. FORMAT,
 * UNSUPPORTED: something in a file that would change the tokens and is wrong, or not understood. */
q35_status q35i_hf_tokenizer(const char *dir, uint64_t n_embeddings, q35i_meta_list *out);

/* One file's image each. name: for messages, and where its end says the version of Mistral's tokenizer
 * (tokenizer.model.v3). tok: zeroed; to be freed by the caller, also after a failure. */
q35_status q35i_tok_read_tekken(q35i_tok *tok, const char *name, const void *image, uint64_t bytes);
q35_status q35i_tok_read_json(q35i_tok *tok, const char *name, const void *image, uint64_t bytes);
q35_status q35i_tok_read_model(q35i_tok *tok, const char *name, const void *image, uint64_t bytes);

/* Parts of q35i_tok_read_model. */
q35_status q35i_tok_read_sentencepiece(q35i_tok *tok, const char *name, const void *image, uint64_t bytes);
q35_status q35i_tok_read_ranks(q35i_tok *tok, const char *name, const void *image, uint64_t bytes);

/* What the small files beside a vocabulary say: the chat template (chat_template.jinja, tokenizer_config.json,
 * chat_template.json); tokens and flags (tokenizer_config.json, special_tokens_map.json, generation_config.json).
 */
q35_status q35i_tok_read_template_beside(q35i_tok *tok, const char *dir);
q35_status q35i_tok_read_beside(q35i_tok *tok, const char *dir);

#endif
