/* SPDX-License-Identifier: Apache-2.0
 *
 * A GGUF model: one file, or several named -00001-of-0000N.gguf of which the first is given. The first file's
 * metadata is the model's; the others say only which part they are. */
#include "gguf.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/path_tail.h"

#include <stdio.h>

#define MAX_PARTS    4096u
#define PART_FORMAT  "-%05u-of-%05u.gguf"
#define SUFFIX_BYTES (sizeof "-00001-of-00002.gguf" - 1)

/* Reads one image; its tensors are appended to the model. *meta is the caller's to free. */
static q35_status read_image(q35_model *model, const void *data, uint64_t bytes, q35_meta **meta, uint64_t *n_meta)
{
    q35i_gguf gguf = {.data = data, .bytes = bytes};
    q35i_cursor c = {data, 0, bytes};
    Q35_TRY(q35i_gguf_read_header(&gguf, &c));
    q35_status status = q35i_gguf_read_meta(&gguf, &c);
    *meta = gguf.meta;
    *n_meta = gguf.n_meta;
    Q35_TRY(status);
    q35i_tensor *bigger = q35i_realloc(model->tensors, model->n_tensors + gguf.n_tensors, sizeof *bigger);
    if (!bigger)
        return Q35_E_NOMEM;
    model->tensors = bigger;
    gguf.tensors = bigger + model->n_tensors;
    memset(gguf.tensors, 0, gguf.n_tensors * sizeof *gguf.tensors);
    Q35_TRY(q35i_gguf_read_tensors(&gguf, &c));
    model->n_tensors += gguf.n_tensors;
    return Q35_OK;
}

static q35_status read_first(q35_model *model, const void *data, uint64_t bytes)
{
    model->data = data;
    model->bytes = bytes;
    model->format = "GGUF";
    Q35_TRY(read_image(model, data, bytes, &model->meta, &model->n_meta));
    return q35i_model_index_meta(model);
}

/* Tensors of a vision tower in the same file go to the end of the array, where nobody looks at them. */
static void skip_vision(q35_model *model)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < model->n_tensors; i++) {
        q35i_tensor t = model->tensors[i];
        if (q35i_is_vision_name(t.name)) {
            model->n_skipped++;
            model->skipped_bytes += t.info.bytes;
        } else {
            model->tensors[n++] = t;
        }
    }
    model->n_tensors = n;
}

static q35_status finish(q35_model *model)
{
    skip_vision(model);
    for (uint64_t i = 0; i < model->n_tensors; i++)
        model->tensors[i].info.name = model->tensors[i].name;
    Q35_TRY(q35i_model_index_tensors(model));
    return q35i_q35_read(model);
}

/* Value of an integer key, fallback when it is absent. */
static q35_status read_count(const q35_meta *meta, uint64_t n, const char *key, uint64_t fallback, uint64_t *out)
{
    *out = fallback;
    for (uint64_t i = 0; i < n; i++)
        if (meta[i].key.len == strlen(key) && memcmp(meta[i].key.data, key, meta[i].key.len) == 0 &&
            !q35_meta_u64(&meta[i], out))
            return Q35_FAIL(Q35_E_FORMAT, "%s: type %s, need an unsigned integer", key,
                            q35i_meta_type_name(meta[i].type));
    return Q35_OK;
}

/* A further part of a split model: its own numbers must say so. */
static q35_status read_part(q35_model *model, const char *path, uint64_t no, uint64_t count)
{
    q35_meta *meta = NULL;
    uint64_t n_meta = 0, value;
    q35i_file_map *map;
    q35_status status;
    Q35_TRY(q35i_model_add_map(model, path, &map));
    Q35_TRY_GOTO(read_image(model, map->data, map->bytes, &meta, &n_meta), done);
    Q35_TRY_GOTO(read_count(meta, n_meta, "split.no", UINT64_MAX, &value), done);
    if (value != no)
        status = Q35_FAIL(Q35_E_FORMAT, "split.no: %lld, need %llu", (long long)value, (unsigned long long)no);
    if (status == Q35_OK)
        status = read_count(meta, n_meta, "split.count", 0, &value);
    if (status == Q35_OK && value != count)
        status = Q35_FAIL(Q35_E_FORMAT, "split.count: %llu, need %llu as in the first part",
                          (unsigned long long)value, (unsigned long long)count);
done:
    q35i_free(meta);
    return status == Q35_OK ? Q35_OK : q35i_fail_context(status, "%s", q35i_path_tail(path));
}

/* Checks that the given file is the first of `count` by its own word and by its name. */
static q35_status check_first(const q35_model *model, uint64_t count)
{
    char want[SUFFIX_BYTES + 8];
    uint64_t no;
    size_t len = strlen(model->path);
    Q35_TRY(read_count(model->meta, model->n_meta, "split.no", 0, &no));
    if (count > MAX_PARTS || no >= count)
        return Q35_FAIL(Q35_E_FORMAT,
                        "split.count: %llu with split.no %llu, need at most %u parts, numbered from 0",
                        (unsigned long long)count, (unsigned long long)no, MAX_PARTS);
    if (no != 0)
        return Q35_FAIL(Q35_E_INVALID,
                        "split.no: part %llu of a model in %llu files, need the first one (-00001-of-%05llu.gguf)",
                        (unsigned long long)no + 1, (unsigned long long)count, (unsigned long long)count);
    snprintf(want, sizeof want, PART_FORMAT, 1u, (unsigned)count);
    if (len < SUFFIX_BYTES || strcmp(model->path + len - SUFFIX_BYTES, want) != 0)
        return Q35_FAIL(Q35_E_FORMAT,
                        "file name: the first of %llu parts, need a name that ends in %s to find the others",
                        (unsigned long long)count, want);
    return Q35_OK;
}

static q35_status read_parts(q35_model *model, uint64_t count)
{
    uint64_t total;
    q35_status status = Q35_OK;
    Q35_TRY(check_first(model, count));
    Q35_TRY(read_count(model->meta, model->n_meta, "split.tensors.count", 0, &total));
    size_t stem = strlen(model->path) - SUFFIX_BYTES;
    char *path = q35i_calloc(stem + SUFFIX_BYTES + 8, 1);
    if (!path)
        return Q35_E_NOMEM;
    memcpy(path, model->path, stem);
    for (uint64_t no = 1; no < count && status == Q35_OK; no++) {
        snprintf(path + stem, SUFFIX_BYTES + 8, PART_FORMAT, (unsigned)no + 1, (unsigned)count);
        status = read_part(model, path, no, count);
    }
    q35i_free(path);
    Q35_TRY(status);
    if (model->n_tensors != total)
        return Q35_FAIL(Q35_E_FORMAT, "split.tensors.count: %llu, need %llu, what the %llu parts hold",
                        (unsigned long long)total, (unsigned long long)model->n_tensors,
                        (unsigned long long)count);
    model->format = "GGUF in several files";
    return Q35_OK;
}

q35_status q35i_gguf_open(q35_model *model, const char *path)
{
    q35i_file_map *map;
    uint64_t count;
    Q35_TRY(q35i_model_add_map(model, path, &map));
    Q35_TRY(read_first(model, map->data, map->bytes));
    Q35_TRY(read_count(model->meta, model->n_meta, "split.count", 1, &count));
    if (count > 1)
        Q35_TRY(read_parts(model, count));
    return finish(model);
}

q35_status q35i_gguf_open_image(q35_model *model, const void *data, uint64_t bytes)
{
    uint64_t count;
    Q35_TRY(read_first(model, data, bytes));
    Q35_TRY(read_count(model->meta, model->n_meta, "split.count", 1, &count));
    if (count > 1)
        return Q35_FAIL(Q35_E_UNSUPPORTED,
                        "split.count: one part of a model in %llu files, need a model in one file",
                        (unsigned long long)count);
    return finish(model);
}
