/* SPDX-License-Identifier: Apache-2.0
 *
 * Packing weights. With a cache: each tensor is packed into one scratch buffer, appended to the file, and the
 * finished file is mapped, so at most one packed tensor is in private memory. Without (no pack_key, no cache
 * folder, disk full, not wanted): all of them are packed into one block of memory. */
#define _GNU_SOURCE
#include "pack.h"

#include "pack_cache.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/file_out.h"
#include "runtime/base/log.h"
#include "runtime/base/pool.h"
#include "runtime/base/size.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

enum { TEXT_CAP = 400, BLOCK_ALIGN = 64 };

struct q35i_packed {
    q35i_pack_map map; /* of the cache file, or */
    uint8_t *memory;   /* our own */
    int from_cache;
};

/* What all steps of one call share. */
typedef struct packing {
    q35i_device *device;
    q35_pool *pool;
    const q35i_pack_model *model; /* NULL: in no file */
    q35i_pack_item *items;
    q35i_pack_index index;
} packing;

/* ---- one tensor on the pool */

typedef struct pack_job {
    q35i_device *device;
    const q35i_pack_item *item;
    uint8_t *dst;
    atomic_uint status; /* of the first slice that failed */
    char text[TEXT_CAP];
} pack_job;

/* The error text lives in the worker's thread; it is carried over to the caller's. */
static void note_failure(pack_job *job, q35_status status)
{
    uint32_t none = Q35_OK;
    if (atomic_compare_exchange_strong(&job->status, &none, status))
        snprintf(job->text, sizeof job->text, "%s", q35_error_message());
}

static void pack_run(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    pack_job *job = arg;
    const q35_tensor_desc *w = &job->item->weight;
    const q35_layout *layout = &job->item->layout;
    uint64_t n_rows = (uint64_t)w->dim[1], begin, end;
    (void)team;
    q35i_split(q35i_div_up(n_rows, layout->slice_rows), 1, worker, n_workers, &begin, &end);
    for (uint64_t slice = begin; slice < end && atomic_load(&job->status) == Q35_OK; slice++) {
        uint64_t row = slice * layout->slice_rows;
        uint8_t *dst = job->dst + slice * layout->slice_bytes;
        const uint8_t *src = (const uint8_t *)job->item->data + row * (uint64_t)w->stride[1];
        memset(dst, 0, layout->slice_bytes); /* what the plugin leaves out must not differ between runs */
        q35_status status = job->device->api->pack(job->device->dev, layout->layout, w, row,
                                                   q35i_min(layout->slice_rows, n_rows - row), src, dst);
        if (status != Q35_OK)
            note_failure(job, status);
    }
}

static q35_status pack_tensor(const packing *p, uint32_t i, uint8_t *dst)
{
    const q35i_pack_item *item = &p->items[i];
    pack_job job = {.device = p->device, .item = item, .dst = dst};
    atomic_init(&job.status, Q35_OK);
    q35i_pool_parallel(p->pool, pack_run, &job);
    q35_status status = atomic_load(&job.status);
    if (status != Q35_OK)
        return Q35_FAIL(status, "weight %s: device %s cannot pack it: %s", item->name, p->device->name, job.text);
    if (p->model && p->model->done)
        p->model->done(p->model->user, item);
    return Q35_OK;
}

static void point_items(const packing *p, const uint8_t *base, uint64_t first)
{
    for (uint32_t i = 0; i < p->index.header.n_entries; i++) {
        p->items[i].packed = base + (p->index.entries[i].offset - first);
        p->items[i].packed_bytes = p->index.entries[i].bytes;
    }
}

/* ---- all tensors into memory */

static q35_status pack_to_memory(const packing *p, q35i_packed *packed)
{
    const q35i_pack_index *index = &p->index;
    uint32_t n = index->header.n_entries;
    uint64_t first = n > 0 ? index->entries[0].offset : index->header.file_bytes;
    packed->memory = q35i_alloc_aligned(index->header.file_bytes - first, BLOCK_ALIGN);
    if (!packed->memory)
        return Q35_E_NOMEM;
    for (uint32_t i = 0; i < n; i++)
        Q35_TRY(pack_tensor(p, i, packed->memory + (index->entries[i].offset - first)));
    point_items(p, packed->memory, first);
    return Q35_OK;
}

/* ---- all tensors into a file */

static q35_status write_padding(q35i_file_out *file, uint64_t offset)
{
    static const uint8_t zeros[BLOCK_ALIGN];
    return q35i_file_out_write(file, zeros, offset - q35i_file_out_offset(file));
}

static q35_status write_tensors(packing *p, q35i_file_out *file, uint8_t *scratch)
{
    q35i_pack_index *index = &p->index;
    const uint64_t table_bytes = index->header.n_entries * sizeof *index->entries;
    Q35_TRY(q35i_file_out_write(file, &index->header, sizeof index->header));
    Q35_TRY(q35i_file_out_write(file, index->entries, table_bytes));
    for (uint32_t i = 0; i < index->header.n_entries; i++) {
        q35i_pack_entry *e = &index->entries[i];
        Q35_TRY(pack_tensor(p, i, scratch));
        e->checksum = XXH3_64bits(scratch, e->bytes);
        Q35_TRY(write_padding(file, e->offset));
        Q35_TRY(q35i_file_out_write(file, scratch, e->bytes));
    }
    q35i_pack_index_seal(index);
    Q35_TRY(q35i_file_out_patch(file, 0, &index->header, sizeof index->header));
    return q35i_file_out_patch(file, sizeof index->header, index->entries, table_bytes);
}

static q35_status write_file(packing *p, const char *path)
{
    q35i_file_out *file;
    Q35_TRY(q35i_pack_make_room(path, p->index.header.file_bytes));
    uint8_t *scratch = q35i_alloc_aligned(p->index.max_bytes, BLOCK_ALIGN);
    if (!scratch)
        return Q35_E_NOMEM;
    q35_status status = q35i_file_out_create(path, true, &file);
    if (status == Q35_OK) {
        status = write_tensors(p, file, scratch);
        if (status == Q35_OK)
            status = q35i_file_out_commit(file);
        else
            q35i_file_out_discard(file);
    }
    if (status == Q35_OK)
        (void)chmod(path, S_IRUSR | S_IWUSR);
    for (uint32_t i = 0; i < p->index.header.n_entries; i++)
        p->index.entries[i].checksum = 0;
    q35i_free(scratch);
    return status;
}

static q35_status map_file(const packing *p, const char *path, q35i_packed *packed, bool *out_missing)
{
    Q35_TRY(q35i_pack_map_open_verified(path, &p->index, p->pool, &packed->map, out_missing));
    point_items(p, packed->map.data, 0);
    return Q35_OK;
}

static q35_status pack_with_cache(packing *p, q35i_packed *packed)
{
    char path[Q35I_PACK_PATH];
    bool missing = false;
    Q35_TRY(q35i_pack_path(&p->index, path));
    if (map_file(p, path, packed, &missing) == Q35_OK) {
        packed->from_cache = 1;
        return Q35_OK;
    }
    if (missing)
        q35i_log(Q35_LOG_INFO, "packed weights: packing %llu MiB for device %s",
                 (unsigned long long)(p->index.header.file_bytes >> 20), p->device->name);
    else
        q35i_log(Q35_LOG_WARN, "packed weights: packing anew: %s", q35_error_message());
    q35i_pack_evict(&p->index);
    Q35_TRY(write_file(p, path));
    return map_file(p, path, packed, NULL);
}

/* One key per item; false when the plugin has none or cannot answer. */
static bool read_keys(const packing *p, uint64_t n_items, uint8_t (*keys)[32])
{
    const q35i_device *device = p->device;
    if (!Q35_HAS_SLOT(device->api, q35_plugin, pack_key))
        return false;
    for (uint64_t i = 0; i < n_items; i++) {
        if (device->api->pack_key(device->dev, p->items[i].layout.layout, keys[i]) == Q35_OK)
            continue;
        q35i_log(Q35_LOG_INFO, "packed weights: no cache: device %s: %s", device->name, q35_error_message());
        return false;
    }
    return true;
}

static q35_status pack_all(packing *p, uint64_t n_items, q35i_packed *packed)
{
    q35_status status;
    uint8_t(*keys)[32] = q35i_calloc(n_items, sizeof *keys);
    if (!keys)
        return Q35_E_NOMEM;
    bool cached = p->model && p->device->keep_packed && n_items > 0 && read_keys(p, n_items, keys);
    Q35_TRY_GOTO(
        q35i_pack_index_make(p->device, p->model, p->items, n_items, (const uint8_t(*)[32])keys, &p->index), done);
    status = cached ? pack_with_cache(p, packed) : Q35_OK;
    if (status != Q35_OK)
        q35i_log(Q35_LOG_WARN, "packed weights: not kept on disk, the next start packs again: %s",
                 q35_error_message());
    if (!packed->map.data)
        status = pack_to_memory(p, packed);
done:
    q35i_pack_index_free(&p->index);
    q35i_free(keys);
    return status;
}

q35_status q35i_pack_weights(q35i_device *device, q35_pool *pool, const q35i_pack_model *model,
                             q35i_pack_item *items, uint64_t n_items, q35i_packed **out)
{
    packing p = {.device = device, .pool = pool, .model = model, .items = items};
    *out = NULL;
    q35i_packed *packed = q35i_calloc(1, sizeof *packed);
    if (!packed)
        return Q35_E_NOMEM;
    q35_status status = pack_all(&p, n_items, packed);
    if (status != Q35_OK) {
        q35i_packed_free(packed);
        return status;
    }
    *out = packed;
    return Q35_OK;
}

int q35i_packed_from_cache(const q35i_packed *packed)
{
    return packed->from_cache;
}

void q35i_packed_free(q35i_packed *packed)
{
    if (!packed)
        return;
    q35i_pack_map_close(&packed->map);
    q35i_free(packed->memory);
    q35i_free(packed);
}
