/* SPDX-License-Identifier: Apache-2.0
 *
 * The open model file: opening, closing, look-up. */
#define _DEFAULT_SOURCE
#include "model.h"

#include "gguf.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/path_tail.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

void q35_model_close(q35_model *model)
{
    if (!model)
        return;
    q35i_free(model->tensor_index);
    q35i_free(model->tensors);
    q35i_free(model->meta_index);
    q35i_free(model->meta);
    q35i_free(model->path);
    q35i_file_map_close(&model->map);
    q35i_free(model);
}

static q35_status read_all(q35_model *model)
{
    q35i_cursor c = {model->data, 0, model->bytes};
    Q35_TRY(q35i_gguf_read_header(model, &c));
    Q35_TRY(q35i_gguf_read_meta(model, &c));
    Q35_TRY(q35i_gguf_read_tensors(model, &c));
    return q35i_q35_read(model);
}

/* path and either a map (taken, also on failure) or a borrowed image. */
static q35_status open_bytes(const char *path, q35i_file_map *map, const void *data, uint64_t bytes,
                             q35_model **out)
{
    q35_status status;
    q35_model *model = q35i_calloc(1, sizeof *model);
    if (!model) {
        q35i_file_map_close(map);
        return Q35_E_NOMEM;
    }
    model->map = *map;
    model->data = data;
    model->bytes = bytes;
    model->path = q35i_strndup(path, strlen(path));
    Q35_CHECK_ALLOC_GOTO(model->path, fail);
    Q35_TRY_GOTO(read_all(model), fail);
    *out = model;
    return Q35_OK;
fail:
    q35_model_close(model);
    return q35i_fail_context(status, "%s", q35i_path_tail(path));
}

q35_status q35_model_open(const char *path, q35_model **out)
{
    q35i_file_map map;
    *out = NULL;
    Q35_TRY(q35i_file_map_open(path, &map));
    return open_bytes(path, &map, map.data, map.bytes, out);
}

q35_status q35i_model_open_image(const char *name, const void *data, uint64_t bytes, q35_model **out)
{
    q35i_file_map none = {0};
    *out = NULL;
    return open_bytes(name, &none, data, bytes, out);
}

const char *q35_model_path(const q35_model *model)
{
    return model->path;
}

uint64_t q35_model_file_bytes(const q35_model *model)
{
    return model->bytes;
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

const int8_t (*q35_model_book(const q35_model *model))[2]
{
    return model->book;
}

void q35i_model_fingerprint(const q35_model *model, uint8_t out[16])
{
    struct {
        XXH128_canonical_t head;
        uint64_t bytes;
        int64_t mtime_ns;
    } parts = {.bytes = model->bytes, .mtime_ns = model->map.mtime_ns};
    XXH128_canonical_t whole;
    XXH128_canonicalFromHash(&parts.head, XXH3_128bits(model->data, model->infos_end));
    XXH128_canonicalFromHash(&whole, XXH3_128bits(&parts, sizeof parts));
    memcpy(out, whole.digest, sizeof whole.digest);
}

void q35i_model_drop_pages(const q35_model *model, const q35_tensor_info *tensor)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = (uintptr_t)tensor->data, end = begin + tensor->bytes;
    if (!model->map.data)
        return;
    begin = (begin + page - 1) & ~(page - 1); /* whole pages of this tensor alone */
    end &= ~(page - 1);
    if (begin < end)
        (void)madvise((void *)begin, end - begin, MADV_DONTNEED); /* advice only */
}
