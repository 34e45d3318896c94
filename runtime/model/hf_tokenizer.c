/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of a directory's tokenizer files is taken. Mistral's releases carry the same vocabulary several times: in
 * a directory with Mistral's own weights their own file comes first, elsewhere tokenizer.json. */
#include "runtime/model/hf_tokenizer.h"
#include "runtime/model/tok_files.h"

#include "runtime/base/error.h"
#include "runtime/base/log.h"

#include <string.h>

typedef q35_status (*reader)(q35i_tok *tok, const char *name, const void *image, uint64_t bytes);

typedef struct candidate {
    const char *name;
    reader read;
} candidate;

/* By preference beside Mistral's weights; elsewhere tokenizer.json comes first. */
static const candidate candidates[] = {
    {"tekken.json", q35i_tok_read_tekken},         {"tokenizer.model.v15", q35i_tok_read_model},
    {"tokenizer.model.v13", q35i_tok_read_model},  {"tokenizer.model.v11", q35i_tok_read_model},
    {"tokenizer.model.v7m1", q35i_tok_read_model}, {"tokenizer.model.v7", q35i_tok_read_model},
    {"tokenizer.model.v3", q35i_tok_read_model},   {"tokenizer.model.v2", q35i_tok_read_model},
    {"tokenizer.model.v1", q35i_tok_read_model},   {"tokenizer.json", q35i_tok_read_json},
    {"tokenizer.model", q35i_tok_read_model},
};
enum { N_CANDIDATES = sizeof candidates / sizeof *candidates };

/* Mistral's weights under their own names. */
static q35_status is_mistral(const char *dir, bool *out)
{
    bool params, weights, index;
    Q35_TRY(q35i_tok_file_exists(dir, "params.json", &params));
    Q35_TRY(q35i_tok_file_exists(dir, "consolidated.safetensors", &weights));
    Q35_TRY(q35i_tok_file_exists(dir, "consolidated.safetensors.index.json", &index));
    *out = params || weights || index;
    return Q35_OK;
}

/* The best of the files that are there, NULL: none. */
static q35_status choose(const char *dir, const candidate **out)
{
    bool mistral, there[N_CANDIDATES];
    *out = NULL;
    Q35_TRY(is_mistral(dir, &mistral));
    for (int i = 0; i < N_CANDIDATES; i++) {
        Q35_TRY(q35i_tok_file_exists(dir, candidates[i].name, &there[i]));
        bool first = !*out || (!mistral && candidates[i].read == q35i_tok_read_json);
        if (there[i] && first)
            *out = &candidates[i];
    }
    for (int i = 0; i < N_CANDIDATES; i++)
        if (there[i] && &candidates[i] != *out)
            q35i_log(Q35_LOG_INFO, "%s: tokenizer from %s, not from %s", dir, (*out)->name, candidates[i].name);
    return Q35_OK;
}

q35_status q35i_hf_tokenizer(const char *dir, uint64_t n_embeddings, q35i_meta_list *out)
{
    q35i_tok tok = {0};
    q35i_tok_file file = {0};
    const candidate *taken;
    q35_status status = Q35_OK;
    Q35_TRY(choose(dir, &taken));
    if (!taken)
        return Q35_OK;
    Q35_TRY_GOTO(q35i_tok_file_open(&file, dir, taken->name), done);
    Q35_TRY_GOTO(taken->read(&tok, file.path, file.map.data, file.map.bytes), done);
    Q35_TRY_GOTO(q35i_tok_read_template_beside(&tok, dir), done);
    if (taken->read != q35i_tok_read_tekken)
        Q35_TRY_GOTO(q35i_tok_read_beside(&tok, dir), done);
    status = q35i_tok_write(&tok, n_embeddings, out);
done:
    q35i_tok_free(&tok);
    q35i_tok_file_close(&file);
    return status;
}
