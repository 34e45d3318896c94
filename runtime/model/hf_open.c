/* SPDX-License-Identifier: Apache-2.0
 *
 * A model in a directory, as it is released: Hugging Face's config.json with safetensors, or Mistral's params.json
 * with consolidated.safetensors. Where both are, they hold the same model, and Hugging Face's is taken. */
#define _GNU_SOURCE
#include "hf.h"

#include "hf_tokenizer.h"
#include "quote.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "tok_files.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CONFIG_BYTES (UINT64_C(4) << 20)
#define MAX_SIZE         (UINT64_C(1) << 24) /* what a tensor may say of a configuration */

static const struct layout {
    const char *format, *config, *single, *index;
} layouts[] = {
    [Q35I_HF_HUGGING_FACE] = {"Hugging Face directory", "config.json", "model.safetensors",
                              "model.safetensors.index.json"},
    [Q35I_HF_MISTRAL] = {"Mistral directory", "params.json", "consolidated.safetensors",
                         "consolidated.safetensors.index.json"},
};
enum { N_LAYOUTS = sizeof layouts / sizeof *layouts };

/* Which of a layout's files are there. */
typedef struct presence {
    bool config, single, index;
} presence;

/* First file of the directory with this ending, "" without one. */
static q35i_quoted find_ending(const char *path, const char *ending)
{
    q35i_quoted found = {""};
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir && found.text[0] == '\0' && (entry = readdir(dir)) != NULL) {
        size_t len = strlen(entry->d_name), tail = strlen(ending);
        if (len > tail && strcmp(entry->d_name + len - tail, ending) == 0)
            found = q35i_quote((q35_string){entry->d_name, len});
    }
    if (dir)
        closedir(dir);
    return found;
}

/* The sentence for a directory that no model can be read from. */
static q35_status refuse(const char *path, const presence have[N_LAYOUTS])
{
    static const char *const pickled[] = {".bin", ".pth", ".pt"};
    const presence *hf = &have[Q35I_HF_HUGGING_FACE], *mistral = &have[Q35I_HF_MISTRAL];
    bool weights = hf->single || hf->index || mistral->single || mistral->index;
    q35i_quoted gguf = find_ending(path, ".gguf");
    if (!weights && gguf.text[0])
        return Q35_FAIL(Q35_E_INVALID, "directory: holds GGUF files, need one of them as the model, such as %s",
                        gguf.text);
    if (weights)
        return Q35_FAIL(Q35_E_FORMAT, "directory: weights without %s, need the configuration that belongs to them",
                        hf->single || hf->index ? "config.json" : "params.json");
    for (size_t i = 0; i < sizeof pickled / sizeof *pickled; i++) {
        q35i_quoted other = find_ending(path, pickled[i]);
        if (other.text[0])
            return Q35_FAIL(Q35_E_UNSUPPORTED, "directory: weights in %s, need them as safetensors", other.text);
    }
    return Q35_FAIL(Q35_E_FORMAT,
                    "directory: %s, need config.json with model.safetensors or its index, or params.json with "
                    "consolidated.safetensors",
                    hf->config || mistral->config ? "a configuration without weights"
                                                  : "no config.json and no params.json");
}

static q35_status choose(const char *path, presence have[N_LAYOUTS], q35i_hf_kind *out)
{
    for (int i = 0; i < N_LAYOUTS; i++) {
        Q35_TRY(q35i_tok_file_exists(path, layouts[i].config, &have[i].config));
        Q35_TRY(q35i_tok_file_exists(path, layouts[i].single, &have[i].single));
        Q35_TRY(q35i_tok_file_exists(path, layouts[i].index, &have[i].index));
    }
    for (int i = 0; i < N_LAYOUTS; i++)
        if (have[i].config && (have[i].single || have[i].index)) {
            *out = (q35i_hf_kind)i;
            return Q35_OK;
        }
    return refuse(path, have);
}

/* Rows of the tensor with this name in any of the files, 0: none. */
static uint32_t find_rows(const q35i_hf_shards *shards, const char *name)
{
    for (uint32_t s = 0; s < shards->n; s++)
        for (uint64_t i = 0; i < shards->shards[s].list.n; i++) {
            const q35i_safetensor *t = &shards->shards[s].list.tensors[i];
            if (strcmp(t->name, name) == 0 && t->rank == 2 && t->shape[0] <= MAX_SIZE)
                return (uint32_t)t->shape[0];
        }
    return 0;
}

static q35_status read_config(q35_model *model, const char *path, q35i_hf_kind kind, const q35i_hf_shards *shards,
                              q35i_hf_facts *facts)
{
    const char *name = layouts[kind].config;
    q35i_tok_file file = {0};
    q35_status status;
    Q35_TRY_GOTO(q35i_tok_file_open(&file, path, name), done);
    if (file.map.bytes > MAX_CONFIG_BYTES) {
        status = Q35_FAIL(Q35_E_FORMAT, "%s: %" PRIu64 " bytes, need at most %" PRIu64, name, file.map.bytes,
                          MAX_CONFIG_BYTES);
    } else if (kind == Q35I_HF_HUGGING_FACE) {
        status = q35i_hf_read_config(name, file.map.data, file.map.bytes, &model->made, facts);
    } else {
        const q35i_hf_sizes sizes = {.ffn = find_rows(shards, "layers.0.feed_forward.w1.weight"),
                                     .vocab = find_rows(shards, "tok_embeddings.weight")};
        status = q35i_hf_read_params(name, file.map.data, file.map.bytes, &sizes, &model->made, facts);
    }
done:
    q35i_tok_file_close(&file);
    return status;
}

/* The directory's own name. */
static q35_status put_name(q35_model *model, const char *path)
{
    char *full = realpath(path, NULL);
    const char *slash = full ? strrchr(full, '/') : NULL;
    q35_string name = {slash ? slash + 1 : path, strlen(slash ? slash + 1 : path)};
    q35_status status = q35i_meta_add_string(&model->made, "general.name", name);
    free(full); /* the C library's */
    return status;
}

static q35_status read_files(q35_model *model, const char *path, q35i_hf_kind kind, const q35i_hf_shards *shards)
{
    q35i_hf_facts facts = {0};
    q35_status status;
    Q35_TRY_GOTO(put_name(model, path), done);
    Q35_TRY_GOTO(read_config(model, path, kind, shards, &facts), done);
    Q35_TRY_GOTO(q35i_hf_build_tensors(model, kind, shards, &facts), done);
    const q35_tensor_info *embedding = q35_model_tensor(model, "token_embd.weight");
    uint64_t rows = embedding && embedding->rank == 2 ? (uint64_t)embedding->dim[1] : 0;
    status = q35i_hf_tokenizer(path, rows, &model->made);
done:
    q35i_free(facts.divisors);
    return status;
}

q35_status q35i_hf_open(q35_model *model, const char *path)
{
    presence have[N_LAYOUTS] = {{0}};
    q35i_hf_kind kind = Q35I_HF_HUGGING_FACE;
    q35i_hf_shards shards = {0};
    Q35_TRY(choose(path, have, &kind));
    model->format = layouts[kind].format;
    q35_status status = have[kind].single ? q35i_hf_open_single(model, path, layouts[kind].single, &shards)
                                          : q35i_hf_open_sharded(model, path, layouts[kind].index, &shards);
    if (status == Q35_OK)
        status = read_files(model, path, kind, &shards);
    q35i_hf_shards_free(&shards);
    Q35_TRY(status);
    if (have[Q35I_HF_HUGGING_FACE].single + have[Q35I_HF_MISTRAL].single == 2)
        q35i_log(Q35_LOG_INFO, "%s: taken from %s, not from %s", path, layouts[0].single, layouts[1].single);
    model->meta = model->made.entries;
    model->n_meta = model->made.n;
    return q35i_model_index_meta(model);
}

q35_status q35i_hf_open_tokenizer(q35_model *model, const char *path)
{
    Q35_TRY(q35i_hf_tokenizer(path, 0, &model->made));
    if (model->made.n == 0)
        return q35i_hf_open(model, path);
    model->format = "directory";
    model->meta = model->made.entries;
    model->n_meta = model->made.n;
    return q35i_model_index_meta(model);
}
