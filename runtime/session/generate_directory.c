/* SPDX-License-Identifier: Apache-2.0
 *
 * A random model as a directory of safetensors files, in Hugging Face's layout (shards of at most 5 GB, or as
 * asked for, with an index) or Mistral's (one file). It is made under a temporary name beside its place and
 * renamed at the end. */
#define _GNU_SOURCE
#include "runtime/session/generate.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/path_tail.h"

#include <q35rt/blocks.h>

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHARD_BYTES UINT64_C(5000000000)

enum { MAX_SHARDS = 4096 };

typedef struct directory {
    q35i_generation *g;
    char *dir; /* temporary */
    uint32_t n_shards;
    uint64_t total; /* bytes of all data */
    json_t *map;    /* tensor to shard */
} directory;

static const char *name_of(const q35i_generation *g, const q35i_gen_tensor *t)
{
    return g->options->layout == Q35_LAYOUT_HF ? t->hf : t->mistral;
}

static void shard_name(const directory *d, uint32_t shard, char *out, size_t cap)
{
    if (d->g->options->layout == Q35_LAYOUT_MISTRAL)
        snprintf(out, cap, "consolidated.safetensors");
    else if (d->n_shards == 1)
        snprintf(out, cap, "model.safetensors");
    else
        snprintf(out, cap, "model-%05u-of-%05u.safetensors", shard + 1, d->n_shards);
}

/* First tensor of the shard after the one that begins at `first`. */
static uint64_t shard_end(const q35i_generation *g, uint64_t first)
{
    const uint64_t most = g->options->shard_bytes ? g->options->shard_bytes : SHARD_BYTES;
    uint64_t bytes = 0, i = first;
    for (; i < g->n_tensors; i++) {
        bytes += q35i_gen_bytes(&g->tensors[i]);
        if (i > first && bytes > most && g->options->layout == Q35_LAYOUT_HF)
            break;
    }
    return i;
}

static const char *dtype_name(uint32_t dtype)
{
    return dtype == Q35_DT_F32 ? "F32" : dtype == Q35_DT_F16 ? "F16" : dtype == Q35_DT_BF16 ? "BF16" : "F8_E4M3";
}

/* An entry of the header, and of the index. */
static void enter(directory *d, json_t *header, const char *name, const char *dtype, json_t *shape, uint64_t *at,
                  uint64_t bytes, const char *shard)
{
    json_object_set_new(header, name,
                        json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype, "shape", shape, "data_offsets",
                                  (json_int_t)*at, (json_int_t)(*at + bytes)));
    json_object_set_new(d->map, name, json_string(shard));
    *at += bytes;
    d->total += bytes;
}

/* Names of an FP8 matrix's scales. */
static void scale_names(const q35i_generation *g, const q35i_gen_tensor *t, char weight[128], char activation[128])
{
    const char *name = name_of(g, t);
    int stem = (int)(strlen(name) - strlen("weight"));
    int hf = g->options->layout == Q35_LAYOUT_HF;
    snprintf(weight, 128, "%.*s%s", stem, name, hf ? "weight_scale_inv" : "qscale_weight");
    snprintf(activation, 128, "%.*s%s", stem, name, hf ? "activation_scale" : "qscale_act");
}

static json_t *make_header(directory *d, uint64_t first, uint64_t end, const char *shard)
{
    uint64_t at = 0;
    json_t *header = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    for (uint64_t i = first; i < end; i++) {
        const q35i_gen_tensor *t = &d->g->tensors[i];
        json_t *shape = t->norm ? json_pack("[I]", (json_int_t)t->cols)
                                : json_pack("[I, I]", (json_int_t)t->rows, (json_int_t)t->cols);
        enter(d, header, name_of(d->g, t), dtype_name(t->dtype), shape, &at, q35i_gen_bytes(t), shard);
        if (t->dtype == Q35_DT_F8_32) {
            char weight[128], activation[128];
            scale_names(d->g, t, weight, activation);
            enter(d, header, weight, "BF16", json_array(), &at, 2, shard);
            enter(d, header, activation, "BF16", json_array(), &at, 2, shard);
        }
    }
    return header;
}

static q35_status write_header(q35i_file_out *file, json_t *header)
{
    static const char blanks[8] = "       ";
    char *text = header ? json_dumps(header, JSON_COMPACT) : NULL;
    if (!text)
        return Q35_FAIL(Q35_E_NOMEM, "safetensors header: out of memory");
    uint64_t len = strlen(text), pad = (8 - len % 8) % 8, n = len + pad;
    q35_status status = q35i_file_out_write(file, &n, sizeof n);
    if (status == Q35_OK)
        status = q35i_file_out_write(file, text, len);
    if (status == Q35_OK && pad > 0)
        status = q35i_file_out_write(file, blanks, pad);
    free(text);
    return status;
}

static q35_status write_data(void *user, const void *data, uint64_t bytes)
{
    return q35i_file_out_write(user, data, bytes);
}

static q35_status write_tensors(directory *d, q35i_file_out *file, uint64_t first, uint64_t end)
{
    for (uint64_t i = first; i < end; i++) {
        const q35i_gen_tensor *t = &d->g->tensors[i];
        Q35_TRY(q35i_gen_write(d->g, t, write_data, file));
        if (t->dtype == Q35_DT_F8_32) {
            float scale = q35i_gen_f8_scale(t);
            uint32_t bits;
            memcpy(&bits, &scale, sizeof bits);
            const uint16_t scales[2] = {(uint16_t)(bits >> 16), 0x3f80}; /* BF16: of weights; 1 */
            Q35_TRY(q35i_file_out_write(file, scales, sizeof scales));
        }
    }
    return Q35_OK;
}

static q35_status write_shard(directory *d, uint64_t first, uint64_t end, uint32_t shard)
{
    char name[64], path[4096];
    q35i_file_out *file;
    shard_name(d, shard, name, sizeof name);
    snprintf(path, sizeof path, "%s/%s", d->dir, name);
    Q35_TRY(q35i_file_out_create(path, false, &file));
    json_t *header = make_header(d, first, end, name);
    q35_status status = write_header(file, header);
    json_decref(header);
    if (status == Q35_OK)
        status = write_tensors(d, file, first, end);
    if (status == Q35_OK)
        return q35i_file_out_commit(file);
    q35i_file_out_discard(file);
    return status;
}

static q35_status write_shards(directory *d)
{
    uint32_t shard = 0;
    for (uint64_t i = 0; i < d->g->n_tensors; i = shard_end(d->g, i))
        d->n_shards++;
    if (d->n_shards > MAX_SHARDS)
        return Q35_FAIL(Q35_E_INVALID, "shards: %u, need at most %d", d->n_shards, MAX_SHARDS);
    for (uint64_t i = 0, end; i < d->g->n_tensors; i = end) {
        end = shard_end(d->g, i);
        Q35_TRY(write_shard(d, i, end, shard++));
    }
    return Q35_OK;
}

static q35_status write_index(directory *d)
{
    if (d->n_shards == 1)
        return Q35_OK;
    json_t *index =
        json_pack("{s:{s:I}, s:O}", "metadata", "total_size", (json_int_t)d->total, "weight_map", d->map);
    q35_status status = q35i_gen_json_file(d->dir, "model.safetensors.index.json", index);
    json_decref(index);
    return status;
}

/* Removes the files that were written and the directory. */
static void clear(const directory *d)
{
    static const char *const names[] = {"config.json",
                                        "params.json",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "model.safetensors",
                                        "consolidated.safetensors",
                                        "model.safetensors.index.json"};
    char path[4096], name[64];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", d->dir, names[i]);
        (void)unlink(path);
    }
    for (uint32_t shard = 0; shard < d->n_shards; shard++) {
        shard_name(d, shard, name, sizeof name);
        snprintf(path, sizeof path, "%s/%s", d->dir, name);
        (void)unlink(path);
    }
    (void)rmdir(d->dir);
}

q35_status q35i_gen_json_file(const char *dir, const char *name, json_t *value)
{
    char path[4096];
    q35i_file_out *file;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    char *text = value ? json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    if (!text)
        return Q35_FAIL(Q35_E_NOMEM, "%s: out of memory", name);
    q35_status status = q35i_file_out_create(path, false, &file);
    if (status == Q35_OK) {
        status = q35i_file_out_write(file, text, strlen(text));
        if (status == Q35_OK)
            status = q35i_file_out_write(file, "\n", 1);
        if (status == Q35_OK)
            status = q35i_file_out_commit(file);
        else
            q35i_file_out_discard(file);
    }
    free(text);
    return status;
}

static q35_status rename_into_place(const char *from, const char *to)
{
    struct stat st;
    if (stat(to, &st) == 0)
        return Q35_FAIL(Q35_E_INVALID, "%s: exists, need a new name for a directory", q35i_path_tail(to));
    if (rename(from, to) != 0)
        return Q35_FAIL(Q35_E_IO, "%s: cannot be named so: %s", q35i_path_tail(to), strerror(errno));
    return Q35_OK;
}

static q35_status make_all(directory *d, const char *path)
{
    Q35_TRY(write_shards(d));
    Q35_TRY(write_index(d));
    Q35_TRY(q35i_gen_config_files(d->g, d->dir));
    return rename_into_place(d->dir, path);
}

q35_status q35i_gen_directory(q35i_generation *g, const char *path)
{
    static const char suffix[] = ".part-XXXXXX";
    size_t len = strlen(path);
    struct stat st;
    q35_status status;
    while (len > 1 && path[len - 1] == '/')
        len--;
    if (len == 0)
        return Q35_FAIL(Q35_E_INVALID, "output directory: the name is empty, need a path");
    if (len + sizeof suffix + 64 > 4096)
        return Q35_FAIL(Q35_E_INVALID, "%s: name of %zu bytes, need less than 4000", q35i_path_tail(path), len);
    if (stat(path, &st) == 0)
        return Q35_FAIL(Q35_E_INVALID, "%s: exists, need a new name for a directory", q35i_path_tail(path));
    directory d = {.g = g, .map = json_object(), .dir = q35i_calloc(len + sizeof suffix, 1)};
    char *target = q35i_strndup(path, len);
    Q35_CHECK_ALLOC_GOTO(d.dir, done);
    Q35_CHECK_ALLOC_GOTO(target, done);
    memcpy(d.dir, path, len);
    memcpy(d.dir + len, suffix, sizeof suffix);
    if (!mkdtemp(d.dir)) {
        status = Q35_FAIL(Q35_E_IO, "%s: cannot make a directory beside it: %s", q35i_path_tail(target),
                          strerror(errno));
        goto done;
    }
    (void)chmod(d.dir, 0755);
    status = make_all(&d, target);
    if (status != Q35_OK)
        clear(&d);
done:
    json_decref(d.map);
    q35i_free(d.dir);
    q35i_free(target);
    return status;
}
