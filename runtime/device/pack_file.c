/* SPDX-License-Identifier: Apache-2.0
 *
 * Layout of the cache file and the test of an existing one. Checksums are verified by all workers, whole tensors
 * each: this also brings the file's pages in. */
#define XXH_STATIC_LINKING_ONLY /* for a hash state on the stack */
#include "pack_file.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/pool.h"
#include "runtime/base/size.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

enum { DATA_ALIGN = 64, FILE_VERSION = 1 };

_Static_assert(sizeof(q35i_pack_header) == 40 && sizeof(q35i_pack_entry) == 96, "file layout has no padding");

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

q35_status q35i_pack_index_make(const uint8_t model_id[16], const q35i_pack_item *items, uint64_t n_items,
                                const uint8_t (*keys)[32], q35i_pack_index *out)
{
    memset(out, 0, sizeof *out);
    if (n_items > UINT32_MAX)
        return Q35_FAIL(Q35_E_RANGE, "%llu weights to pack, need at most %u", (unsigned long long)n_items,
                        UINT32_MAX);
    q35i_pack_entry *entries = q35i_calloc(n_items, sizeof *entries);
    if (!entries)
        return Q35_E_NOMEM;
    q35_status status = Q35_OK;
    uint64_t end = sizeof out->header + n_items * sizeof *entries;
    for (uint64_t i = 0; i < n_items; i++) {
        const q35i_pack_item *item = &items[i];
        q35i_pack_entry *e = &entries[i];
        Q35_TRY_GOTO(check_layout(item), failed);
        e->name_hash = XXH3_64bits(item->name, strlen(item->name));
        e->dtype = item->weight.dtype;
        e->layout = item->layout.layout;
        e->dim[0] = item->weight.dim[0];
        e->dim[1] = item->weight.dim[1];
        if (keys)
            memcpy(e->key, keys[i], sizeof e->key);
        uint64_t n_slices = q35i_div_up((uint64_t)e->dim[1], item->layout.slice_rows);
        if (!q35i_mul(n_slices, item->layout.slice_bytes, &e->bytes) || !q35i_align(end, DATA_ALIGN, &e->offset) ||
            !q35i_add(e->offset, e->bytes, &end)) {
            status = Q35_FAIL(Q35_E_RANGE, "weight %s: packed size does not fit 64 bits", item->name);
            goto failed;
        }
        out->max_bytes = q35i_max(out->max_bytes, e->bytes);
    }
    memcpy(out->header.magic, "Q35PACK", sizeof out->header.magic);
    out->header.version = FILE_VERSION;
    out->header.n_entries = (uint32_t)n_items;
    memcpy(out->header.model_id, model_id, sizeof out->header.model_id);
    out->header.file_bytes = end;
    out->entries = entries;
    return Q35_OK;
failed:
    q35i_free(entries);
    return status;
}

void q35i_pack_index_free(q35i_pack_index *index)
{
    q35i_free(index->entries);
    memset(index, 0, sizeof *index);
}

typedef struct verify_state {
    const uint8_t *data;
    const q35i_pack_entry *entries; /* of the file; their offsets are inside it */
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
        q35i_pack_entry e;
        memcpy(&e, &s->entries[i], sizeof e);
        if (XXH3_64bits(s->data + e.offset, e.bytes) == e.checksum)
            continue;
        uint32_t bad = atomic_load(&s->first_bad);
        while (i < bad && !atomic_compare_exchange_weak(&s->first_bad, &bad, i))
            continue;
    }
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

q35_status q35i_pack_file_check(const uint8_t *data, uint64_t bytes, const q35i_pack_index *index, q35_pool *pool)
{
    const uint32_t n = index->header.n_entries;
    if (bytes != index->header.file_bytes)
        return Q35_FAIL(Q35_E_FORMAT, "%llu bytes, need %llu", (unsigned long long)bytes,
                        (unsigned long long)index->header.file_bytes);
    if (memcmp(data, &index->header, sizeof index->header) != 0)
        return Q35_FAIL(Q35_E_FORMAT, "header differs: other version or model");
    const q35i_pack_entry *entries = (const void *)(data + sizeof index->header);
    for (uint32_t i = 0; i < n; i++) {
        q35i_pack_entry e;
        memcpy(&e, &entries[i], sizeof e);
        e.checksum = 0;
        if (memcmp(&e, &index->entries[i], sizeof e) != 0)
            return Q35_FAIL(Q35_E_FORMAT, "entry %u differs: other weight, layout or plugin", i);
    }
    if (!gaps_are_zero(data, index))
        return Q35_FAIL(Q35_E_FORMAT, "bytes between the tensors are not 0");
    verify_state s = {.data = data, .entries = entries, .n = n};
    atomic_init(&s.next, 0);
    atomic_init(&s.first_bad, n);
    q35i_pool_parallel(pool, verify_run, &s);
    uint32_t bad = atomic_load(&s.first_bad);
    if (bad < n)
        return Q35_FAIL(Q35_E_FORMAT, "entry %u of %u: checksum differs from its bytes", bad, n);
    return Q35_OK;
}

void q35i_pack_file_name(const q35i_pack_index *index, const char *plugin_id, char *out, uint32_t cap)
{
    XXH3_state_t state;
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, index->header.model_id, sizeof index->header.model_id);
    XXH3_128bits_update(&state, plugin_id, strlen(plugin_id));
    for (uint32_t i = 0; i < index->header.n_entries; i++)
        XXH3_128bits_update(&state, index->entries[i].key, sizeof index->entries[i].key);
    XXH128_hash_t hash = XXH3_128bits_digest(&state);
    snprintf(out, cap, "packed/%016llx%016llx.q35p", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
}
