/* SPDX-License-Identifier: Apache-2.0
 *
 * The open model: opening, closing, and what can be asked of it. */
#define _DEFAULT_SOURCE
#define XXH_STATIC_LINKING_ONLY /* for a hash state on the stack */
#include "gguf.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/path_tail.h"

#include <q35rt/blocks.h>

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

void q35_model_close(q35_model *model)
{
    if (!model)
        return;
    for (uint64_t i = 0; i < model->n_tensors; i++)
        q35i_free(model->tensors[i].owned);
    for (uint32_t i = 0; i < model->n_maps; i++)
        q35i_file_map_close(&model->maps[i]);
    if (model->made.entries)
        q35i_meta_list_free(&model->made);
    else
        q35i_free(model->meta);
    q35i_free(model->tensor_index);
    q35i_free(model->tensors);
    q35i_free(model->meta_index);
    q35i_free(model->maps);
    q35i_free(model->path);
    pthread_mutex_destroy(&model->lock);
    q35i_free(model);
}

q35_status q35i_model_add_map(q35_model *model, const char *path, q35i_file_map **out)
{
    q35i_file_map *bigger = q35i_realloc(model->maps, model->n_maps + 1, sizeof *bigger);
    if (!bigger)
        return Q35_E_NOMEM;
    model->maps = bigger;
    *out = &bigger[model->n_maps];
    Q35_TRY(q35i_file_map_open(path, *out));
    model->n_maps++;
    model->file_bytes += (*out)->bytes;
    return Q35_OK;
}

q35_status q35i_model_create(const char *path, q35_model **out)
{
    q35_model *model = q35i_calloc(1, sizeof *model);
    if (!model)
        return Q35_E_NOMEM;
    (void)pthread_mutex_init(&model->lock, NULL); /* default attributes: cannot fail */
    model->path = q35i_strndup(path, strlen(path));
    if (!model->path) {
        q35_model_close(model);
        return Q35_E_NOMEM;
    }
    *out = model;
    return Q35_OK;
}

/* Hands the model out, or closes it and says which it is, unless the message begins with that. */
static q35_status opened(q35_model *model, q35_status status, q35_model **out)
{
    const char *name = q35i_path_tail(model->path);
    if (status == Q35_OK) {
        *out = model;
        return Q35_OK;
    }
    if (strncmp(q35_error_message(), name, strlen(name)) != 0)
        (void)q35i_fail_context(status, "%s", name);
    q35_model_close(model);
    return status;
}

/* One file of a directory that is a model as a whole. */
static int is_part_of_directory(const char *path)
{
    static const char *const endings[] = {".safetensors", ".json"};
    size_t len = strlen(path);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (len > strlen(endings[i]) && strcmp(path + len - strlen(endings[i]), endings[i]) == 0)
            return 1;
    return 0;
}

static q35_status open_path(const char *path, q35_status (*open_folder)(q35_model *model, const char *path),
                            q35_model **out)
{
    struct stat st;
    q35_model *model;
    *out = NULL;
    int there = stat(path, &st) == 0, folder = there && S_ISDIR(st.st_mode);
    if (there && !folder && is_part_of_directory(path))
        return Q35_FAIL(Q35_E_FORMAT, "%s: one file of a model directory, need the directory itself",
                        q35i_path_tail(path));
    Q35_TRY(q35i_model_create(path, &model));
    return opened(model, folder ? open_folder(model, path) : q35i_gguf_open(model, path), out);
}

q35_status q35_model_open(const char *path, q35_model **out)
{
    return open_path(path, q35i_hf_open, out);
}

q35_status q35_model_open_tokenizer(const char *path, q35_model **out)
{
    return open_path(path, q35i_hf_open_tokenizer, out);
}

q35_status q35i_model_open_image(const char *name, const void *data, uint64_t bytes, q35_model **out)
{
    q35_model *model;
    *out = NULL;
    Q35_TRY(q35i_model_create(name, &model));
    q35_status status = q35i_gguf_open_image(model, data, bytes);
    model->file_bytes = bytes;
    return opened(model, status, out);
}

const char *q35_model_path(const q35_model *model)
{
    return model->path;
}

uint64_t q35_model_file_bytes(const q35_model *model)
{
    return model->file_bytes;
}

uint64_t q35_model_n_meta(const q35_model *model)
{
    return model->n_meta;
}

const q35_meta *q35_model_meta_at(const q35_model *model, uint64_t i)
{
    return i < model->n_meta ? &model->meta[i] : NULL;
}

const q35_meta *q35_model_meta(const q35_model *model, const char *key)
{
    return q35i_model_meta(model, (q35_string){key, strlen(key)});
}

uint64_t q35_model_n_tensors(const q35_model *model)
{
    return model->n_tensors;
}

const q35_tensor_info *q35_model_tensor_at(const q35_model *model, uint64_t i)
{
    return i < model->n_tensors ? &model->tensors[i].info : NULL;
}

const q35_tensor_info *q35_model_tensor(const q35_model *model, const char *name)
{
    const q35i_tensor *t = q35i_model_tensor(model, (q35_string){name, strlen(name)});
    return t ? &t->info : NULL;
}

const int8_t (*q35_model_book(const q35_model *model, uint32_t dtype))[2]
{
    return dtype == Q35_DT_Q40_ROW ? model->book8 : q35_book_entries(dtype) ? model->book : NULL;
}

const char *q35_model_format(const q35_model *model)
{
    return model->format;
}

uint64_t q35_model_n_skipped(const q35_model *model, uint64_t *out_bytes)
{
    *out_bytes = model->skipped_bytes;
    return model->n_skipped;
}

int q35i_model_fingerprint(const q35_model *model, uint8_t out[16])
{
    XXH3_state_t state;
    XXH128_canonical_t digest;
    XXH3_128bits_reset(&state);
    for (uint64_t i = 0; i < model->n_meta; i++) {
        const q35_meta *m = &model->meta[i];
        XXH3_128bits_update(&state, m->key.data, (size_t)m->key.len);
        XXH3_128bits_update(&state, m->data, (size_t)q35i_meta_value_bytes(m));
    }
    for (uint64_t i = 0; i < model->n_tensors; i++) {
        const q35i_tensor *t = &model->tensors[i];
        const uint64_t about[8] = {t->info.dtype,
                                   (uint64_t)t->info.dim[0],
                                   (uint64_t)t->info.dim[1],
                                   (uint64_t)t->info.dim[2],
                                   (uint64_t)t->info.dim[3],
                                   t->stored,
                                   t->head_dim,
                                   t->offset};
        XXH3_128bits_update(&state, t->name, strlen(t->name));
        XXH3_128bits_update(&state, about, sizeof about);
        XXH3_128bits_update(&state, &t->scale, sizeof t->scale);
    }
    for (uint32_t i = 0; i < model->n_maps; i++) {
        const int64_t about[2] = {(int64_t)model->maps[i].bytes, model->maps[i].mtime_ns};
        XXH3_128bits_update(&state, about, sizeof about);
    }
    XXH128_canonicalFromHash(&digest, XXH3_128bits_digest(&state));
    memcpy(out, digest.digest, sizeof digest.digest);
    return model->n_maps > 0 && model->base == NULL;
}

void q35i_model_drop_pages(const q35_model *model, const q35_tensor_info *tensor)
{
    const q35i_tensor *t = (const q35i_tensor *)(const void *)tensor; /* info is its first member */
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), bytes = tensor->bytes;
    uintptr_t begin = (uintptr_t)t->bytes, end;
    if (model->n_maps == 0 || t->owned)
        return;
    if (t->stored & Q35I_STORED_F8)
        bytes = bytes / 36 * 32;
    end = begin + bytes;
    begin = (begin + page - 1) & ~(page - 1); /* whole pages of this tensor alone */
    end &= ~(page - 1);
    if (begin < end)
        (void)madvise((void *)begin, end - begin, MADV_DONTNEED); /* advice only */
}
