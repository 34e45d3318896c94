/* SPDX-License-Identifier: Apache-2.0
 *
 * Layout of the cache file, and the tests of an existing one. Checksums are verified by all workers, whole tensors
 * each: this also brings the file's pages in. */
#define _GNU_SOURCE
#define XXH_STATIC_LINKING_ONLY /* for a hash state on the stack */
#include "pack_file.h"

#include "isa.h"
#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/pool.h"
#include "runtime/base/size.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <xxhash.h>

enum { DATA_ALIGN = 64, KEY_BYTES = offsetof(q35i_pack_header, checksum) };

static const char magic[8] = "Q35PACK";

_Static_assert(sizeof(q35i_pack_header) == Q35I_PACK_HEADER_BYTES && sizeof(q35i_pack_entry) == 96,
               "file layout has no padding");

/* ---- the index */

static q35_status check_layout(const q35i_pack_item *item)
{
    const q35_layout *l = &item->layout;
    if (l->layout == 0 || l->slice_rows == 0 || l->slice_bytes == 0)
        return Q35_FAIL(Q35_E_FORMAT,
                        "weight %s: layout %u with slices of %llu rows, %llu bytes, need more than 0", item->name,
                        l->layout, (unsigned long long)l->slice_rows, (unsigned long long)l->slice_bytes);
    if (l->align == 0 || (l->align & (l->align - 1)) != 0 || l->align > DATA_ALIGN)
        return Q35_FAIL(Q35_E_FORMAT, "weight %s: layout %u aligned to %llu, need a power of two up to %d",
                        item->name, l->layout, (unsigned long long)l->align, (int)DATA_ALIGN);
    if (item->weight.dim[0] <= 0 || item->weight.dim[1] <= 0)
        return Q35_FAIL(Q35_E_FORMAT, "weight %s: %lld x %lld, need more than 0", item->name,
                        (long long)item->weight.dim[1], (long long)item->weight.dim[0]);
    return Q35_OK;
}

static q35_status make_entry(const q35i_pack_item *item, const uint8_t *key, uint64_t *end, q35i_pack_entry *e)
{
    Q35_TRY(check_layout(item));
    e->name_hash = XXH3_64bits(item->name, strlen(item->name));
    e->dtype = item->weight.dtype;
    e->layout = item->layout.layout;
    e->dim[0] = item->weight.dim[0];
    e->dim[1] = item->weight.dim[1];
    if (key)
        memcpy(e->key, key, sizeof e->key);
    uint64_t n_slices = q35i_div_up((uint64_t)e->dim[1], item->layout.slice_rows);
    if (!q35i_mul(n_slices, item->layout.slice_bytes, &e->bytes) || !q35i_align(*end, DATA_ALIGN, &e->offset) ||
        !q35i_add(e->offset, e->bytes, end))
        return Q35_FAIL(Q35_E_RANGE, "weight %s: packed size does not fit 64 bits", item->name);
    return Q35_OK;
}

/* out is zeros. */
static void set_text(char *out, size_t cap, const char *text)
{
    if (text)
        memcpy(out, text, strnlen(text, cap - 1));
}

static void name_host(q35i_pack_header *h)
{
    struct utsname host;
    h->isa = q35i_isa_host();
    if (uname(&host) == 0)
        set_text(h->machine, sizeof h->machine, host.machine);
}

/* A path that does not fit stays out: half of one would name something else. */
static void name_model(q35i_pack_header *h, const q35i_pack_model *model)
{
    memcpy(h->model_id, model->id, sizeof h->model_id);
    char *path = model->path ? realpath(model->path, NULL) : NULL;
    if (path && strlen(path) < sizeof h->model)
        set_text(h->model, sizeof h->model, path);
    free(path);
}

q35_status q35i_pack_index_make(const q35i_device *device, const q35i_pack_model *model,
                                const q35i_pack_item *items, uint64_t n_items, const uint8_t (*keys)[32],
                                q35i_pack_index *out)
{
    memset(out, 0, sizeof *out);
    if (n_items > UINT32_MAX)
        return Q35_FAIL(Q35_E_RANGE, "%llu weights to pack, need at most %u", (unsigned long long)n_items,
                        UINT32_MAX);
    out->entries = q35i_calloc(n_items, sizeof *out->entries);
    if (!out->entries)
        return Q35_E_NOMEM;
    q35_status status = Q35_OK;
    uint64_t end = sizeof out->header + n_items * sizeof *out->entries;
    for (uint64_t i = 0; i < n_items; i++) {
        Q35_TRY_GOTO(make_entry(&items[i], keys ? keys[i] : NULL, &end, &out->entries[i]), failed);
        out->max_bytes = q35i_max(out->max_bytes, out->entries[i].bytes);
    }
    q35i_pack_header *h = &out->header;
    memcpy(h->magic, magic, sizeof h->magic);
    h->version = Q35I_PACK_VERSION;
    h->n_entries = (uint32_t)n_items;
    h->file_bytes = end;
    h->device_class = device->info.device_class;
    set_text(h->plugin, sizeof h->plugin, device->api->id);
    set_text(h->plugin_version, sizeof h->plugin_version, device->api->version);
    set_text(h->device, sizeof h->device, device->name);
    name_host(h);
    if (model)
        name_model(h, model);
    return Q35_OK;
failed:
    q35i_pack_index_free(out);
    return status;
}

void q35i_pack_index_free(q35i_pack_index *index)
{
    q35i_free(index->entries);
    memset(index, 0, sizeof *index);
}

static uint64_t checksum_of(const q35i_pack_header *header, const void *entries)
{
    XXH3_state_t state;
    q35i_pack_header h = *header;
    h.checksum = 0;
    XXH3_64bits_reset(&state);
    XXH3_64bits_update(&state, &h, sizeof h);
    XXH3_64bits_update(&state, entries, h.n_entries * sizeof(q35i_pack_entry));
    return XXH3_64bits_digest(&state);
}

void q35i_pack_index_seal(q35i_pack_index *index)
{
    index->header.checksum = checksum_of(&index->header, index->entries);
}

void q35i_pack_file_name(const q35i_pack_index *index, char out[Q35I_PACK_NAME])
{
    XXH3_state_t state;
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, &index->header, KEY_BYTES);
    for (uint32_t i = 0; i < index->header.n_entries; i++) {
        q35i_pack_entry e = index->entries[i];
        e.checksum = 0;
        XXH3_128bits_update(&state, &e, sizeof e);
    }
    XXH128_hash_t hash = XXH3_128bits_digest(&state);
    snprintf(out, Q35I_PACK_NAME, "%016llx%016llx" Q35I_PACK_SUFFIX, (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
}

/* ---- tests of a file */

static q35i_pack_entry entry_at(const uint8_t *data, uint32_t i)
{
    q35i_pack_entry e;
    memcpy(&e, data + Q35I_PACK_HEADER_BYTES + i * sizeof e, sizeof e);
    return e;
}

static bool texts_end(const q35i_pack_header *h)
{
    return memchr(h->machine, 0, sizeof h->machine) && memchr(h->plugin, 0, sizeof h->plugin) &&
           memchr(h->plugin_version, 0, sizeof h->plugin_version) && memchr(h->device, 0, sizeof h->device) &&
           memchr(h->model, 0, sizeof h->model);
}

q35_status q35i_pack_header_read(const uint8_t *data, uint64_t bytes, q35i_pack_header *out)
{
    memset(out, 0, sizeof *out);
    const uint64_t common = offsetof(q35i_pack_header, isa);
    if (bytes < common || memcmp(data, magic, sizeof magic) != 0)
        return Q35_FAIL(Q35_E_FORMAT, "not a file of packed weights");
    memcpy(out, data, common);
    if (out->version != Q35I_PACK_VERSION)
        return Q35_FAIL(Q35_E_VERSION, "version %u of the file, need %d", out->version, (int)Q35I_PACK_VERSION);
    if (bytes != out->file_bytes)
        return Q35_FAIL(Q35_E_FORMAT, "the file has %llu bytes, need %llu", (unsigned long long)bytes,
                        (unsigned long long)out->file_bytes);
    uint64_t table = out->n_entries * sizeof(q35i_pack_entry), end = sizeof *out + table;
    if (bytes < end)
        return Q35_FAIL(Q35_E_FORMAT, "the file has %llu bytes, need %llu for its table",
                        (unsigned long long)bytes, (unsigned long long)end);
    memcpy(out, data, sizeof *out);
    if (!texts_end(out) || checksum_of(out, data + sizeof *out) != out->checksum)
        return Q35_FAIL(Q35_E_FORMAT, "header or table: checksum differs from its bytes");
    for (uint32_t i = 0; i < out->n_entries; i++) {
        const q35i_pack_entry e = entry_at(data, i);
        if (e.offset < end || e.offset > bytes || e.bytes > bytes - e.offset)
            return Q35_FAIL(Q35_E_FORMAT, "entry %u: outside the file", i);
        end = e.offset + e.bytes;
    }
    return Q35_OK;
}

static bool gaps_are_zero(const uint8_t *data, const q35i_pack_index *index)
{
    const uint32_t n = index->header.n_entries;
    uint64_t at = sizeof index->header + n * sizeof *index->entries;
    for (uint32_t i = 0; i < n; i++) {
        for (; at < index->entries[i].offset; at++)
            if (data[at] != 0)
                return false;
        at += index->entries[i].bytes;
    }
    return true;
}

q35_status q35i_pack_file_check(const uint8_t *data, uint64_t bytes, const q35i_pack_index *index)
{
    q35i_pack_header header;
    Q35_TRY(q35i_pack_header_read(data, bytes, &header));
    if (memcmp(&header, &index->header, KEY_BYTES) != 0)
        return Q35_FAIL(Q35_E_FORMAT, "header differs: other model, device or host");
    for (uint32_t i = 0; i < header.n_entries; i++) {
        q35i_pack_entry e = entry_at(data, i);
        e.checksum = 0;
        if (memcmp(&e, &index->entries[i], sizeof e) != 0)
            return Q35_FAIL(Q35_E_FORMAT, "entry %u differs: other weight, layout or plugin", i);
    }
    if (!gaps_are_zero(data, index))
        return Q35_FAIL(Q35_E_FORMAT, "bytes between the tensors are not 0");
    return Q35_OK;
}

typedef struct verify_state {
    const uint8_t *data;
    const bool *skip;
    uint32_t n;
    atomic_uint next;
    atomic_uint first_bad; /* lowest index with a wrong checksum, n: none */
} verify_state;

static void verify_run(void *arg, uint32_t worker, uint32_t n_workers, q35_team *team)
{
    verify_state *s = arg;
    uint32_t i;
    (void)worker, (void)n_workers, (void)team;
    while ((i = atomic_fetch_add(&s->next, 1)) < s->n) {
        const q35i_pack_entry e = entry_at(s->data, i);
        if ((s->skip && s->skip[i]) || XXH3_64bits(s->data + e.offset, e.bytes) == e.checksum)
            continue;
        uint32_t bad = atomic_load(&s->first_bad);
        while (i < bad && !atomic_compare_exchange_weak(&s->first_bad, &bad, i))
            continue;
    }
}

q35_status q35i_pack_file_verify(const uint8_t *data, const bool *skip, q35_pool *pool)
{
    q35i_pack_header header;
    memcpy(&header, data, sizeof header);
    verify_state s = {.data = data, .skip = skip, .n = header.n_entries};
    atomic_init(&s.next, 0);
    atomic_init(&s.first_bad, s.n);
    q35i_pool_parallel(pool, verify_run, &s);
    uint32_t bad = atomic_load(&s.first_bad);
    if (bad < s.n)
        return Q35_FAIL(Q35_E_FORMAT, "entry %u of %u: checksum differs from its bytes", bad, s.n);
    return Q35_OK;
}

/* ---- what a new file makes useless */

static bool keys_differ(const q35i_pack_entry *old, uint32_t n, const q35i_pack_index *now)
{
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < now->header.n_entries; j++)
            if (old[i].layout == now->entries[j].layout)
                if (memcmp(old[i].key, now->entries[j].key, sizeof old[i].key) != 0)
                    return true;
    return false;
}

bool q35i_pack_obsolete(const q35i_pack_header *old, const q35i_pack_entry *old_entries,
                        const q35i_pack_index *now)
{
    const q35i_pack_header *h = &now->header;
    bool same_model = memcmp(old->model_id, h->model_id, sizeof h->model_id) == 0;
    if (old->version < Q35I_PACK_VERSION)
        return same_model;
    if (!old_entries || old->isa != h->isa || old->device_class != h->device_class ||
        strcmp(old->machine, h->machine) != 0 || strcmp(old->plugin, h->plugin) != 0)
        return false;
    if (!same_model)
        return h->model[0] != '\0' && strcmp(old->model, h->model) == 0;
    return strcmp(old->plugin_version, h->plugin_version) != 0 || keys_differ(old_entries, old->n_entries, now);
}
