/* SPDX-License-Identifier: Apache-2.0
 *
 * The files of packed weights as people see them: of what, how large, and whether a start would use them. A file
 * is judged by what a start would compare: host, plugin and its keys, the model file's fingerprint. */
#define _GNU_SOURCE
#include <q35rt/cache.h>

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/device/isa.h"
#include "runtime/device/pack_cache.h"
#include "runtime/model/model.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

enum { WHY_CAP = 400, MAX_DEVICES = 64 };

typedef struct record {
    char path[Q35I_PACK_PATH];
    q35i_pack_header header; /* as far as it could be read */
    char why[WHY_CAP];
    uint64_t bytes;
    int64_t used;
    uint32_t state;
    int busy;
} record;

struct q35_cache {
    q35_runtime *runtime;
    q35i_device *devices[MAX_DEVICES]; /* opened when first asked for */
    record *records;
    uint64_t n, cap;
    q35_status status; /* of the walk */
    int verify;
    char folder[Q35I_PACK_PATH];
};

Q35_PRINTF(3, 4) static void judge_as(record *r, uint32_t state, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    r->state = state;
    vsnprintf(r->why, sizeof r->why, fmt, args);
    va_end(args);
}

/* An open device of a plugin, NULL: there is none. */
static const q35i_device *find_device(q35_cache *c, const char *plugin)
{
    uint32_t n = q35_runtime_n_devices(c->runtime);
    for (uint32_t i = 0; i < n && i < MAX_DEVICES; i++) {
        q35_device_report report;
        q35_runtime_device(c->runtime, i, &report);
        if (strncmp(report.name, plugin, strlen(plugin)) != 0)
            continue;
        if (!c->devices[i] && q35i_device_open(c->runtime, i, &c->devices[i]) != Q35_OK)
            continue;
        if (strcmp(c->devices[i]->api->id, plugin) == 0)
            return c->devices[i];
    }
    return NULL;
}

/* All entries have the key that the device's plugin gives their layout now. */
static bool keys_agree(const q35i_device *device, const q35i_pack_entry *entries, uint32_t n)
{
    uint8_t key[32];
    if (!Q35_HAS_SLOT(device->api, q35_plugin, pack_key))
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (device->api->pack_key(device->dev, entries[i].layout, key) != Q35_OK ||
            memcmp(key, entries[i].key, sizeof key) != 0)
            return false;
    return true;
}

static void judge_device(q35_cache *c, record *r, const q35i_pack_entry *entries)
{
    struct utsname host;
    const q35i_pack_header *h = &r->header;
    if (uname(&host) != 0 || strncmp(host.machine, h->machine, sizeof h->machine - 1) != 0 ||
        h->isa != q35i_isa_host()) {
        judge_as(r, Q35_CACHE_STALE, "of a host with other instruction sets");
        return;
    }
    const q35i_device *device = find_device(c, h->plugin);
    if (!device)
        judge_as(r, Q35_CACHE_STALE, "no device of plugin %s here", h->plugin);
    else if (strncmp(device->api->version, h->plugin_version, sizeof h->plugin_version - 1) != 0)
        judge_as(r, Q35_CACHE_STALE, "of version %s of plugin %s, now %s", h->plugin_version, h->plugin,
                 device->api->version);
    else if (!keys_agree(device, entries, h->n_entries))
        judge_as(r, Q35_CACHE_STALE, "plugin %s packs otherwise now", h->plugin);
}

static void judge_model(record *r)
{
    q35_model *model;
    uint8_t id[16];
    if (r->header.model[0] == '\0')
        return;
    if (q35_model_open(r->header.model, &model) != Q35_OK) {
        judge_as(r, Q35_CACHE_STALE, "its model is not there any more");
        return;
    }
    (void)q35i_model_fingerprint(model, id);
    if (memcmp(id, r->header.model_id, sizeof id) != 0)
        judge_as(r, Q35_CACHE_STALE, "its model file was replaced");
    q35_model_close(model);
}

static void judge_map(q35_cache *c, record *r, const q35i_pack_map *map)
{
    q35_status status = q35i_pack_header_read(map->data, map->bytes, &r->header);
    int64_t used = 0;
    r->busy = q35i_pack_map_busy(map);
    r->used = map->identity.mtime_ns / 1000000000;
    if (status == Q35_OK)
        r->state = q35i_pack_map_sealed(r->path, map, &used) ? Q35_CACHE_VERIFIED : Q35_CACHE_UNVERIFIED;
    else
        judge_as(r, status == Q35_E_VERSION ? Q35_CACHE_STALE : Q35_CACHE_DAMAGED, "%s", q35_error_message());
    if (used != 0)
        r->used = used / 1000000000;
    if (status != Q35_OK)
        return;
    if (c->verify && q35i_pack_file_verify(map->data, NULL, q35i_runtime_pool(c->runtime)) != Q35_OK) {
        judge_as(r, Q35_CACHE_DAMAGED, "%s", q35_error_message());
        return;
    }
    judge_model(r);
    if (r->state != Q35_CACHE_STALE)
        judge_device(c, r, (const void *)(map->data + Q35I_PACK_HEADER_BYTES));
}

static record *append(q35_cache *c, const char *path)
{
    if (c->n == c->cap) {
        uint64_t cap = c->cap ? 2 * c->cap : 16;
        record *grown = q35i_realloc(c->records, cap, sizeof *grown);
        if (!grown)
            return NULL;
        c->records = grown;
        c->cap = cap;
    }
    record *r = &c->records[c->n++];
    memset(r, 0, sizeof *r);
    snprintf(r->path, sizeof r->path, "%s", path);
    return r;
}

static void visit(void *user, const char *path, bool unfinished)
{
    q35_cache *c = user;
    struct stat st;
    q35i_pack_map map;
    bool missing;
    if (c->status != Q35_OK || lstat(path, &st) != 0)
        return;
    record *r = append(c, path);
    if (!r) {
        c->status = Q35_E_NOMEM;
        return;
    }
    r->bytes = (uint64_t)st.st_size;
    r->used = st.st_mtim.tv_sec;
    if (unfinished)
        r->state = Q35_CACHE_UNFINISHED;
    else if (q35i_pack_map_open(path, &map, &missing) != Q35_OK)
        judge_as(r, Q35_CACHE_DAMAGED, "%s", q35_error_message());
    else
        judge_map(c, r, &map);
    if (!unfinished)
        q35i_pack_map_close(&map);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const record *)a)->path, ((const record *)b)->path);
}

q35_status q35_cache_open(q35_runtime *runtime, int verify, q35_cache **out)
{
    q35_status status;
    q35_cache *c = *out = q35i_calloc(1, sizeof *c);
    if (!c)
        return Q35_E_NOMEM;
    c->runtime = runtime;
    c->verify = verify;
    status = q35i_pack_folder(c->folder);
    if (status == Q35_OK) {
        q35i_pack_each(visit, c);
        status = c->status;
    }
    for (uint32_t i = 0; i < MAX_DEVICES; i++)
        q35i_device_close(c->devices[i]);
    if (status != Q35_OK) {
        q35_cache_close(c);
        *out = NULL;
        return status;
    }
    if (c->n)
        qsort(c->records, c->n, sizeof *c->records, by_path);
    return Q35_OK;
}

void q35_cache_close(q35_cache *cache)
{
    if (cache)
        q35i_free(cache->records);
    q35i_free(cache);
}

const char *q35_cache_folder(const q35_cache *cache)
{
    return cache->folder;
}

uint64_t q35_cache_n_files(const q35_cache *cache)
{
    return cache->n;
}

void q35_cache_file_at(const q35_cache *cache, uint64_t i, q35_cache_file *out)
{
    memset(out, 0, sizeof *out);
    out->path = out->model = out->device = out->plugin = out->version = out->why = "";
    if (i >= cache->n)
        return;
    const record *r = &cache->records[i];
    *out = (q35_cache_file){.path = r->path,
                            .model = r->header.model,
                            .device = r->header.device,
                            .plugin = r->header.plugin,
                            .version = r->header.plugin_version,
                            .bytes = r->bytes,
                            .used = r->used,
                            .state = r->state,
                            .why = r->why,
                            .busy = r->busy};
}

q35_status q35_cache_remove(q35_cache *cache, uint64_t i)
{
    struct stat st;
    if (i >= cache->n)
        return Q35_FAIL(Q35_E_RANGE, "cache file %llu, need less than %llu", (unsigned long long)i,
                        (unsigned long long)cache->n);
    const char *path = cache->records[i].path;
    return lstat(path, &st) != 0 && errno == ENOENT ? Q35_OK : q35i_pack_remove(path);
}
