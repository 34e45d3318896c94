/* SPDX-License-Identifier: Apache-2.0
 *
 * Making a runtime: threads, plugin files, one plugin per id, devices. Notes of all files are read before the
 * first is loaded, so of several files with one id only the best runs code; the next one is tried when it fails to
 * load. */
#include "runtime.h"

#include "runtime/base/alloc.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/pool.h"
#include "runtime/place/place.h"
#include "same.h"
#include "search.h"
#include "suspect.h"

#include <stdio.h>
#include <string.h>

enum { MAX_CORES = 4096, MAX_PLUGINS = 256 };

static q35_status create_pool(q35_runtime *rt, uint32_t n_threads)
{
    uint32_t n_cores = MAX_CORES;
    rt->cpus = q35i_calloc(MAX_CORES, sizeof *rt->cpus);
    if (!rt->cpus)
        return Q35_E_NOMEM;
    Q35_TRY(q35i_place_usable_cores(rt->cpus, &n_cores));
    rt->n_threads = n_threads ? n_threads : n_cores;
    if (rt->n_threads > n_cores) {
        q35i_free(rt->cpus);
        rt->cpus = NULL;
    }
    return q35i_pool_create(rt->n_threads, rt->cpus, &rt->pool);
}

/* q35i_search_fn: appends one plugin entry. */
static q35_status add_path(void *user, const char *path, int named, const char *reason)
{
    q35_runtime *rt = user;
    if (rt->n_plugins == MAX_PLUGINS)
        return Q35_FAIL(Q35_E_INVALID, "%.300s: more than %d plugin files", path, (int)MAX_PLUGINS);
    q35i_plugin *grown = q35i_realloc(rt->plugins, rt->n_plugins + 1u, sizeof *grown);
    if (!grown)
        return Q35_E_NOMEM;
    rt->plugins = grown;
    q35i_plugin *p = &grown[rt->n_plugins];
    memset(p, 0, sizeof *p);
    p->named = named;
    if (reason)
        snprintf(p->reason, sizeof p->reason, "%s", reason);
    p->path = q35i_strndup(path, strlen(path));
    if (!p->path)
        return Q35_E_NOMEM;
    rt->n_plugins++;
    return Q35_OK;
}

/* The same file by two names counts once. */
static q35i_plugin *find_same_file(const q35_runtime *rt, const q35i_plugin *p)
{
    for (q35i_plugin *q = rt->plugins; q < p; q++)
        if (q->candidate && q->dev == p->dev && q->inode == p->inode)
            return q;
    return NULL;
}

static q35_status named_plugin_failed(const q35i_plugin *p, q35_status status)
{
    char why[Q35I_REASON_CAP];
    return q35i_fail(status, "plugin %s", q35i_plugin_why(p, why, sizeof why));
}

static q35_status inspect_all(q35_runtime *rt, const q35i_host_facts *host)
{
    for (uint32_t i = 0; i < rt->n_plugins; i++) {
        q35i_plugin *p = &rt->plugins[i];
        if (p->reason[0])
            continue;
        q35_status status = q35i_plugin_inspect(p, host);
        if (status != Q35_OK && p->named)
            return named_plugin_failed(p, status);
        if (status == Q35_E_NOMEM)
            return status;
        const q35i_plugin *same = find_same_file(rt, p);
        if (same) {
            p->candidate = false;
            snprintf(p->reason, sizeof p->reason, "same file as %.300s", same->path);
        }
    }
    return Q35_OK;
}

/* The untried candidate of an id: named before found, then highest rank, then first. */
static q35i_plugin *best_candidate(const q35_runtime *rt, const char *id)
{
    q35i_plugin *best = NULL;
    for (uint32_t i = 0; i < rt->n_plugins; i++) {
        q35i_plugin *p = &rt->plugins[i];
        if (!p->candidate || p->loaded || p->reason[0] || strcmp(p->note.id, id) != 0)
            continue;
        if (!best || (p->named == best->named && p->note.rank > best->note.rank))
            best = p;
    }
    return best;
}

static void set_aside(q35_runtime *rt, const q35i_plugin *winner)
{
    for (uint32_t i = 0; i < rt->n_plugins; i++) {
        q35i_plugin *p = &rt->plugins[i];
        if (p != winner && p->candidate && !p->reason[0] && strcmp(p->note.id, winner->note.id) == 0)
            snprintf(p->reason, sizeof p->reason, "id %s (rank %u) is taken by %.300s (rank %u)", p->note.id,
                     p->note.rank, winner->path, winner->note.rank);
    }
}

static q35_status load_all(q35_runtime *rt, const q35i_host_facts *host)
{
    for (uint32_t i = 0; i < rt->n_plugins; i++) {
        q35i_plugin *p;
        const char *id = rt->plugins[i].note.id;
        while (!rt->plugins[i].loaded && rt->plugins[i].candidate && (p = best_candidate(rt, id)) != NULL) {
            q35_status status = q35i_plugin_load(p, host);
            if (status != Q35_OK && p->named)
                return named_plugin_failed(p, status);
            if (status == Q35_OK)
                set_aside(rt, p);
        }
    }
    return Q35_OK;
}

/* Texts of plugins end inside their field and hold no control characters. */
static void clean_text(char *text, size_t cap)
{
    text[cap - 1] = '\0';
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
}

static q35_status describe(const q35i_plugin *p, uint32_t index, q35_device_report *out)
{
    memset(out, 0, sizeof *out);
    out->info.h = (q35_hdr){sizeof out->info, Q35_STRUCT_DEVICE_INFO, NULL};
    out->memory.h = (q35_hdr){sizeof out->memory, Q35_STRUCT_MEMORY_INFO, NULL};
    (void)Q35_FAIL(Q35_E_INTERNAL, "it gave no reason");
    q35i_suspect(p->path, "device_info");
    q35_status status = p->api->device_info(index, &out->info);
    if (status != Q35_OK)
        return q35i_fail_context(status, "device %u: no description", index);
    if (out->info.n_memories == 0)
        return Q35_FAIL(Q35_E_INVALID, "device %u: 0 memories, need at least 1", index);
    q35i_suspect(p->path, "memory_info");
    status = p->api->memory_info(index, 0, &out->memory);
    if (status != Q35_OK)
        return q35i_fail_context(status, "device %u: no description of memory 0", index);
    clean_text(out->info.name, sizeof out->info.name);
    clean_text(out->info.uuid, sizeof out->info.uuid);
    clean_text(out->info.pci, sizeof out->info.pci);
    out->level = q35i_table_has_l1(p->api) && out->info.n_queues > 0;
    if (out->level > 0)
        return Q35_OK;
    if (!Q35_HAS_SLOT(p->api, q35_plugin, plan_run))
        return Q35_FAIL(Q35_E_INVALID, "device %u: 0 queues and no plan_run, need one of them", index);
    if (out->memory.kind != Q35_MEM_HOST && out->memory.kind != Q35_MEM_HOST_PINNED &&
        out->memory.kind != Q35_MEM_UNIFIED)
        return Q35_FAIL(Q35_E_INVALID, "device %u: memory of kind %u without queues, need host memory", index,
                        out->memory.kind);
    return Q35_OK;
}

/* All devices of a plugin or none: half a plugin is harder to explain than a reason. */
static q35_status add_devices(q35_runtime *rt, uint32_t i_plugin)
{
    q35i_plugin *p = &rt->plugins[i_plugin];
    q35i_device_slot *grown = q35i_realloc(rt->devices, (uint64_t)rt->n_devices + p->n_devices, sizeof *grown);
    if (!grown)
        return Q35_E_NOMEM;
    rt->devices = grown;
    for (uint32_t i = 0; i < p->n_devices; i++) {
        q35i_device_slot *slot = &grown[rt->n_devices + i];
        q35_status status = describe(p, i, &slot->report);
        if (status != Q35_OK) {
            p->loaded = false;
            p->n_devices = 0;
            snprintf(p->reason, sizeof p->reason, "%s", q35_error_message());
            return p->named ? named_plugin_failed(p, status) : Q35_OK;
        }
        slot->plugin = i_plugin;
        slot->index = i;
        if (p->n_devices == 1)
            snprintf(slot->report.name, sizeof slot->report.name, "%s", p->note.id);
        else
            snprintf(slot->report.name, sizeof slot->report.name, "%s:%u", p->note.id, i);
    }
    rt->n_devices += p->n_devices;
    return Q35_OK;
}

/* Devices that an earlier plugin reaches, too, are listed but not used unless they are named. */
static void find_same(q35_runtime *rt)
{
    for (uint32_t i = 0; i < rt->n_devices; i++)
        for (uint32_t k = 0; k < i && rt->devices[i].report.same_as[0] == '\0'; k++) {
            q35_device_report *a = &rt->devices[k].report, *b = &rt->devices[i].report;
            if (rt->devices[k].plugin == rt->devices[i].plugin || a->same_as[0] ||
                !q35i_same_device(&a->info, &b->info))
                continue;
            memcpy(b->same_as, a->name, sizeof b->same_as);
            q35i_log(Q35_LOG_INFO, "device %s is the same device as %s", b->name, a->name);
        }
}

static q35_status load_and_describe(q35_runtime *rt, const q35i_host_facts *host)
{
    Q35_TRY(load_all(rt, host));
    for (uint32_t i = 0; i < rt->n_plugins; i++)
        if (rt->plugins[i].loaded && rt->plugins[i].n_devices > 0)
            Q35_TRY(add_devices(rt, i));
    find_same(rt);
    return Q35_OK;
}

static q35_status find_plugins(q35_runtime *rt, const q35_runtime_options *options)
{
    q35i_host_facts host = q35i_host_facts_here();
    Q35_TRY(q35i_search_plugins(options, add_path, rt));
    Q35_TRY(inspect_all(rt, &host));
    q35i_watch *watch = q35i_watch_begin();
    q35_status status = load_and_describe(rt, &host);
    q35i_suspect(NULL, NULL);
    q35i_watch_end(watch);
    return status;
}

q35_status q35_runtime_create(const q35_runtime_options *options, q35_runtime **out)
{
    static const q35_runtime_options defaults;
    q35_status status;
    *out = NULL;
    q35_runtime *rt = q35i_calloc(1, sizeof *rt);
    if (!rt)
        return Q35_E_NOMEM;
    if (!options)
        options = &defaults;
    rt->keep_packed = !options->no_cache;
    Q35_TRY_GOTO(create_pool(rt, options->n_threads), failed);
    Q35_TRY_GOTO(find_plugins(rt, options), failed);
    *out = rt;
    return Q35_OK;
failed:
    q35_runtime_destroy(rt);
    return status;
}

void q35_runtime_destroy(q35_runtime *rt)
{
    if (!rt)
        return;
    for (uint32_t i = 0; i < rt->n_plugins; i++)
        q35i_plugin_release(&rt->plugins[i]);
    q35i_pool_destroy(rt->pool);
    q35i_free(rt->plugins);
    q35i_free(rt->devices);
    q35i_free(rt->cpus);
    q35i_free(rt);
}
