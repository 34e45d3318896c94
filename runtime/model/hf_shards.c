/* SPDX-License-Identifier: Apache-2.0
 *
 * The safetensors files of a directory: one, or those that an index names. What the index says and what the files
 * hold must be the same. */
#define _GNU_SOURCE
#include "hf.h"

#include "quote.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "tok_files.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_INDEX_BYTES (UINT64_C(64) << 20)

static q35i_quoted quote(const char *text)
{
    return q35i_quote((q35_string){text, strlen(text)});
}

void q35i_hf_shards_free(q35i_hf_shards *shards)
{
    for (uint32_t i = 0; i < shards->n; i++) {
        q35i_free(shards->shards[i].name);
        q35i_safetensors_free(&shards->shards[i].list);
    }
    q35i_free(shards->shards);
    *shards = (q35i_hf_shards){0};
}

static q35_status open_shard(q35_model *model, const char *dir, const char *name, q35i_hf_shard *out)
{
    q35i_file_map *map;
    size_t bytes = strlen(dir) + strlen(name) + 2;
    char *path = q35i_calloc(bytes, 1);
    out->name = q35i_strndup(name, strlen(name));
    if (!path || !out->name) {
        q35i_free(path);
        return Q35_E_NOMEM;
    }
    snprintf(path, bytes, "%s/%s", dir, name);
    q35_status status = q35i_model_add_map(model, path, &map);
    q35i_free(path);
    Q35_TRY(status);
    out->data = map->data;
    status = q35i_safetensors_read(&out->list, map->data, map->bytes);
    return status == Q35_OK ? Q35_OK : q35i_fail_context(status, "%s", quote(name).text);
}

static q35_status open_all(q35_model *model, const char *dir, char *const *names, uint32_t n, q35i_hf_shards *out)
{
    out->shards = q35i_calloc(n, sizeof *out->shards);
    if (!out->shards)
        return Q35_E_NOMEM;
    for (uint32_t i = 0; i < n; i++) {
        bool there;
        Q35_TRY(q35i_tok_file_exists(dir, names[i], &there));
        if (!there)
            return Q35_FAIL(Q35_E_FORMAT, "%s: is not there, need all %" PRIu32 " files of the model",
                            quote(names[i]).text, n);
        out->n++;
        Q35_TRY(open_shard(model, dir, names[i], &out->shards[i]));
    }
    return Q35_OK;
}

q35_status q35i_hf_open_single(q35_model *model, const char *dir, const char *single, q35i_hf_shards *out)
{
    char *name = q35i_strndup(single, strlen(single));
    if (!name)
        return Q35_E_NOMEM;
    q35_status status = open_all(model, dir, &name, 1, out);
    q35i_free(name);
    return status;
}

static int by_tensor(const void *a, const void *b)
{
    const q35i_hf_place *x = a, *y = b;
    return strcmp(x->tensor, y->tensor);
}

/* Each tensor of the file is mapped to it, so that none is in two files. */
static q35_status check_shard(const q35i_hf_index *index, const q35i_hf_shards *shards, uint32_t s)
{
    const q35i_hf_shard *shard = &shards->shards[s];
    for (uint64_t i = 0; i < shard->list.n; i++) {
        const q35i_hf_place key = {shard->list.tensors[i].name, s};
        const q35i_hf_place *place = bsearch(&key, index->places, index->n, sizeof key, by_tensor);
        if (!place)
            return Q35_FAIL(Q35_E_FORMAT, "%s: holds tensor %s, which the index does not have",
                            quote(shard->name).text, quote(key.tensor).text);
        if (place->shard != s)
            return Q35_FAIL(Q35_E_FORMAT, "%s: holds tensor %s, need it in %s, as the index says",
                            quote(shard->name).text, quote(key.tensor).text,
                            quote(shards->shards[place->shard].name).text);
    }
    return Q35_OK;
}

/* Names a tensor that the index has and the files lack. */
static q35_status find_missing(const q35i_hf_index *index, const q35i_hf_shards *shards)
{
    bool *found = q35i_calloc(index->n, sizeof *found);
    q35_status status = found ? Q35_OK : Q35_E_NOMEM;
    for (uint32_t s = 0; s < shards->n && found; s++)
        for (uint64_t i = 0; i < shards->shards[s].list.n; i++) {
            const q35i_hf_place key = {shards->shards[s].list.tensors[i].name, s};
            const q35i_hf_place *place = bsearch(&key, index->places, index->n, sizeof key, by_tensor);
            if (place)
                found[place - index->places] = true;
        }
    for (uint64_t i = 0; i < index->n && status == Q35_OK; i++)
        if (!found[i])
            status = Q35_FAIL(Q35_E_FORMAT, "%s: lacks tensor %s, need it there, as the index says",
                              quote(shards->shards[index->places[i].shard].name).text,
                              quote(index->places[i].tensor).text);
    q35i_free(found);
    return status;
}

static q35_status check_index(const q35i_hf_index *index, const q35i_hf_shards *shards)
{
    uint64_t n = 0;
    double bytes = 0;
    for (uint32_t s = 0; s < shards->n; s++) {
        const q35i_safetensors *list = &shards->shards[s].list;
        Q35_TRY(check_shard(index, shards, s));
        n += list->n;
        if (list->n > 0)
            bytes += (double)(list->tensors[list->n - 1].end - list->tensors[0].begin);
    }
    if (n != index->n) /* fewer, since every one that is there has a place of its own */
        return find_missing(index, shards);
    if (index->total_bytes >= 0 && index->total_bytes != bytes) /* some writers count tied tensors twice */
        q35i_log(Q35_LOG_INFO, "index: metadata.total_size is %.0f, the files hold %.0f bytes", index->total_bytes,
                 bytes);
    return Q35_OK;
}

static int by_name(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

/* A file that counts itself among the shards ("-of-00003") is one, so the index must name it. */
static q35_status check_others(const char *dir, const q35i_hf_index *index)
{
    const char *first = index->shards[0], *count = strstr(first, "-of-");
    DIR *list = count ? opendir(dir) : NULL;
    q35_status status = Q35_OK;
    struct dirent *entry;
    while (list && status == Q35_OK && (entry = readdir(list)) != NULL) {
        const char *name = entry->d_name;
        if (strlen(name) == strlen(first) && strcmp(name + (count - first), count) == 0 &&
            !bsearch(&name, index->shards, index->n_shards, sizeof name, by_name))
            status = Q35_FAIL(Q35_E_FORMAT, "%s: is no file of the index, need all of the same count in it",
                              quote(name).text);
    }
    if (list)
        closedir(list);
    return status;
}

static q35_status open_index(q35_model *model, const char *dir, const char *name, const q35i_tok_file *file,
                             q35i_hf_shards *out)
{
    q35i_hf_index index = {0};
    if (file->map.bytes > MAX_INDEX_BYTES)
        return Q35_FAIL(Q35_E_FORMAT, "%s: %" PRIu64 " bytes, need at most %" PRIu64, name, file->map.bytes,
                        MAX_INDEX_BYTES);
    q35_status status;
    Q35_TRY_GOTO(q35i_hf_read_index(&index, name, file->map.data, file->map.bytes), done);
    Q35_TRY_GOTO(open_all(model, dir, index.shards, index.n_shards, out), done);
    Q35_TRY_GOTO(check_index(&index, out), done);
    status = check_others(dir, &index);
done:
    q35i_hf_index_free(&index);
    return status;
}

q35_status q35i_hf_open_sharded(q35_model *model, const char *dir, const char *index, q35i_hf_shards *out)
{
    q35i_tok_file file = {0};
    q35_status status = q35i_tok_file_open(&file, dir, index);
    if (status == Q35_OK)
        status = open_index(model, dir, index, &file, out);
    q35i_tok_file_close(&file);
    return status;
}
